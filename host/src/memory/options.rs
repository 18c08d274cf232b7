//! How an agent remembers: what its plugin says, and what a request says otherwise.

use hotbay_plugin::manifest::MemoryOptions;
use serde_json::{Map, Value};

/// What working memory looks like before anything is in it, if its agent does not say.
pub const TEMPLATE: &str = "
# User Information
- **First Name**: 
- **Last Name**: 
- **Location**: 
- **Occupation**: 
- **Interests**: 
- **Goals**: 
- **Events**: 
- **Facts**: 
- **Projects**: 
";

/// Most messages that are found by their meaning.
const MOST_FOUND: u32 = 100;
/// Most messages shown before and after one that was found.
const MOST_AROUND: u64 = 100;

/// How a run remembers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemoryConfig {
    /// How many earlier entries the model sees.
    pub last_messages: u64,
    /// How the thread gets a title, if it is given one.
    pub title: Option<TitleOptions>,
    /// What is noted beyond the conversation, if anything is.
    pub working: Option<WorkingOptions>,
    /// How earlier entries are found by their meaning, if they are.
    pub semantic: Option<SemanticOptions>,
    /// What earlier entries go through before the model sees them, in order.
    pub processors: Vec<ProcessorRef>,
}

/// How a thread gets a title.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TitleOptions {
    /// The model that makes it; the agent's if absent.
    pub model: Option<String>,
    /// What that model is told.
    pub instructions: Option<String>,
}

/// How earlier entries are found by their meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct SemanticOptions {
    /// How many are found.
    pub top_k: u32,
    /// How many before each of them are shown as well.
    pub before: u64,
    /// How many after it.
    pub after: u64,
    /// They are looked for in the thread, not in all of its owner's.
    pub is_of_thread: bool,
    /// What must be noted on them, as vector stores are asked for it.
    pub filter: Value,
    /// How near they must be at least, if it is said; 1 is the same.
    pub threshold: Option<f32>,
}

impl Default for SemanticOptions {
    fn default() -> Self {
        Self { top_k: 4, before: 1, after: 1, is_of_thread: false, filter: Value::Null, threshold: None }
    }
}

/// What is noted beyond the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkingOptions {
    /// It is kept with the thread, not with its owner.
    pub is_of_thread: bool,
    /// What it looks like.
    pub form: WorkingForm,
}

/// What working memory looks like.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkingForm {
    /// Text, begun with this one.
    Template(String),
    /// A JSON document of this schema.
    Schema(Value),
}

/// A processor of a plugin and what it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessorRef {
    /// Its name.
    pub name: String,
    /// Its options.
    pub options: Map<String, Value>,
}

impl MemoryConfig {
    /// Returns how an agent's run remembers.
    #[must_use]
    pub fn new(agent: &MemoryOptions, request: &Map<String, Value>) -> Self {
        let options = merged(agent, request);
        let last_messages = match options.get("lastMessages") {
            Some(Value::Number(number)) => number.as_f64().unwrap_or_default(),
            Some(Value::Bool(false)) => 0.0,
            _ => f64::from(agent.last_messages),
        };
        Self {
            last_messages: whole(last_messages),
            title: title(options.get("generateTitle")),
            working: working(options.get("workingMemory")),
            semantic: semantic(options.get("semanticRecall")),
            processors: processors(options.get("processors")),
        }
    }
}

/// Returns an agent's options with a request's over them, objects key by key.
#[must_use]
pub fn merged(agent: &MemoryOptions, request: &Map<String, Value>) -> Map<String, Value> {
    let mut options = agent.more.clone();
    options.insert("lastMessages".to_owned(), agent.last_messages.into());
    for (key, value) in request {
        match (options.get_mut(key), value) {
            (Some(Value::Object(own)), Value::Object(asked)) => own.extend(asked.clone()),
            _ => {
                options.insert(key.clone(), value.clone());
            }
        }
    }
    options
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range before")]
fn whole(number: f64) -> u64 {
    number.clamp(0.0, 100_000.0) as u64
}

fn title(options: Option<&Value>) -> Option<TitleOptions> {
    let text = |options: &Value, key: &str| options.get(key).and_then(Value::as_str).map(str::to_owned);
    match options? {
        Value::Bool(true) => Some(TitleOptions::default()),
        options @ Value::Object(_) => {
            Some(TitleOptions { model: text(options, "model"), instructions: text(options, "instructions") })
        }
        _ => None,
    }
}

fn working(options: Option<&Value>) -> Option<WorkingOptions> {
    let options = options?.as_object()?;
    if options.get("enabled") != Some(&Value::Bool(true)) {
        return None;
    }
    let form = match (options.get("schema"), options.get("template").and_then(Value::as_str)) {
        (Some(schema @ Value::Object(_)), _) => WorkingForm::Schema(schema.clone()),
        (_, template) => WorkingForm::Template(template.unwrap_or(TEMPLATE).to_owned()),
    };
    Some(WorkingOptions { is_of_thread: options.get("scope").is_some_and(|scope| scope == "thread"), form })
}

/// Whether an agent with these options recalls by meaning.
#[must_use]
pub fn recalls_by_meaning(options: &Map<String, Value>) -> bool {
    semantic(options.get("semanticRecall")).is_some()
}

fn semantic(options: Option<&Value>) -> Option<SemanticOptions> {
    let usual = SemanticOptions::default();
    let options = match options? {
        Value::Bool(true) => return Some(usual),
        Value::Object(options) => options,
        _ => return None,
    };
    let number = |value: Option<&Value>| value.and_then(Value::as_f64).map(whole);
    let range = options.get("messageRange");
    let beside = |key: &str| number(range).or_else(|| number(range?.get(key))).map(|n| n.min(MOST_AROUND));
    let top_k = number(options.get("topK")).map(|n| u32::try_from(n).unwrap_or(u32::MAX).min(MOST_FOUND));
    #[expect(clippy::cast_possible_truncation, reason = "a score needs no more digits")]
    let threshold = options.get("threshold").and_then(Value::as_f64).map(|least| least as f32);
    Some(SemanticOptions {
        top_k: top_k.unwrap_or(usual.top_k),
        before: beside("before").unwrap_or(usual.before),
        after: beside("after").unwrap_or(usual.after),
        is_of_thread: options.get("scope").is_some_and(|scope| scope == "thread"),
        filter: options.get("filter").cloned().unwrap_or_default(),
        threshold,
    })
}

fn processors(options: Option<&Value>) -> Vec<ProcessorRef> {
    let processor = |item: &Value| match item {
        Value::String(name) => Some(ProcessorRef { name: name.clone(), options: Map::new() }),
        item => Some(ProcessorRef {
            name: item.get("name")?.as_str()?.to_owned(),
            options: item.get("options").and_then(Value::as_object).cloned().unwrap_or_default(),
        }),
    };
    options.and_then(Value::as_array).into_iter().flatten().filter_map(processor).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(agent: Value, request: Value) -> MemoryConfig {
        let agent = serde_json::from_value(agent).unwrap();
        MemoryConfig::new(&agent, request.as_object().unwrap())
    }

    #[test]
    fn a_request_says_how_much_is_remembered() {
        assert_eq!(config(json!({"lastMessages": 7}), json!({})).last_messages, 7);
        assert_eq!(config(json!({"lastMessages": 7}), json!({"lastMessages": 2})).last_messages, 2);
        assert_eq!(config(json!({"lastMessages": 7}), json!({"lastMessages": false})).last_messages, 0);
        assert_eq!(config(json!({"lastMessages": 7}), json!({"lastMessages": -3})).last_messages, 0);
    }

    #[test]
    fn working_memory_is_there_only_if_enabled() {
        assert_eq!(config(json!({}), json!({})).working, None);
        let agent = json!({"workingMemory": {"enabled": true, "template": "# X"}});
        let working = config(agent.clone(), json!({"workingMemory": {"scope": "thread"}})).working.unwrap();
        assert_eq!(working, WorkingOptions { is_of_thread: true, form: WorkingForm::Template("# X".to_owned()) });
        assert_eq!(config(agent, json!({"workingMemory": {"enabled": false}})).working, None);
    }

    #[test]
    fn recall_by_meaning_is_off_unless_it_is_asked_for() {
        assert_eq!(config(json!({}), json!({})).semantic, None);
        assert_eq!(config(json!({"semanticRecall": true}), json!({})).semantic, Some(SemanticOptions::default()));
        assert_eq!(config(json!({"semanticRecall": true}), json!({"semanticRecall": false})).semantic, None);
        let agent = json!({"semanticRecall": {"topK": 3, "messageRange": 2, "scope": "thread"}});
        let semantic = config(agent, json!({"semanticRecall": {"messageRange": {"before": 5}}})).semantic.unwrap();
        assert_eq!((semantic.top_k, semantic.before, semantic.after, semantic.is_of_thread), (3, 5, 1, true));
        let many = config(json!({"semanticRecall": {"topK": 1e12, "messageRange": -2}}), json!({})).semantic.unwrap();
        assert_eq!((many.top_k, many.before), (MOST_FOUND, 0));
    }

    #[test]
    fn titles_and_processors_come_in_two_forms() {
        let config = config(
            json!({"generateTitle": true, "processors": ["trim", {"name": "mask", "options": {"with": "*"}}]}),
            json!({"generateTitle": {"model": "p/m", "instructions": "short"}}),
        );
        let title = config.title.unwrap();
        assert_eq!((title.model.as_deref(), title.instructions.as_deref()), (Some("p/m"), Some("short")));
        let names: Vec<_> = config.processors.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["trim", "mask"]);
        assert_eq!(config.processors[1].options["with"], "*");
    }
}
