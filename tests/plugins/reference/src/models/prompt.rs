//! What a model reads in a request: the last user message and what tools answered to it.

use hotbay_plugin::{
    chat::{Part, ToolOutput},
    prelude::*,
};

/// The end of a conversation.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    /// The last user message; empty without one.
    pub(super) text: String,
    /// What the first tool called since then answered.
    pub(super) tool_result: Option<Value>,
}

impl Prompt {
    pub(super) fn of(request: &ChatRequest) -> Self {
        let messages = &request.messages;
        let asked = messages.iter().rposition(|message| matches!(message, Message::User(_)));
        let text = asked.map(|at| messages[at].text()).unwrap_or_default();
        let since = &messages[asked.map_or(0, |at| at + 1)..];
        let tool_result = since.iter().find_map(|message| match message {
            Message::Tool(parts) => parts.iter().find_map(result),
            Message::System(_) | Message::User(_) | Message::Assistant(_) => None,
        });
        Self { text, tool_result }
    }

    /// Says whether the text has `word` as a whole word.
    pub(super) fn has(&self, word: &str) -> bool {
        self.text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
    }

    /// Returns the first capitalised word after `in `, `Paris` without one.
    pub(super) fn city(&self) -> &str {
        let words: Vec<&str> = self.text.split(' ').collect();
        let after_in = words.windows(2).filter(|pair| pair[0] == "in").map(|pair| pair[1]);
        let names = after_in.filter_map(|word| word.split(|c: char| !c.is_alphanumeric()).next());
        names.into_iter().find(|word| word.starts_with(char::is_uppercase)).unwrap_or("Paris")
    }
}

fn result(part: &Part) -> Option<Value> {
    let Part::ToolResult { output, .. } = part else { return None };
    Some(match output {
        ToolOutput::Text(text) | ToolOutput::ErrorText(text) => text.as_str().into(),
        ToolOutput::Json(value) | ToolOutput::ErrorJson(value) => value.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(output: ToolOutput) -> Message {
        Message::Tool(vec![Part::ToolResult { tool_call_id: "call_1".into(), tool_name: "weather".into(), output }])
    }

    fn of(messages: Vec<Message>) -> Prompt {
        Prompt::of(&ChatRequest { messages, ..ChatRequest::default() })
    }

    #[test]
    fn only_results_after_the_last_user_message_count() {
        let result = || answered(ToolOutput::Json(json!({ "city": "Oslo" })));
        let earlier = of(vec![Message::user("one"), result(), Message::assistant("ok"), Message::user("two")]);
        assert_eq!((earlier.text.as_str(), earlier.tool_result), ("two", None));
        let now =
            of(vec![Message::user("one"), Message::assistant(""), result(), answered(ToolOutput::Text("2".into()))]);
        assert_eq!(now.tool_result, Some(json!({ "city": "Oslo" })));
        let failed = of(vec![Message::user("one"), answered(ToolOutput::ErrorText("no \"x\"".into()))]);
        assert_eq!(failed.tool_result.unwrap().to_string(), r#""no \"x\"""#);
    }

    #[test]
    fn empty_conversation_has_an_empty_text() {
        assert_eq!(of(Vec::new()).text, "");
    }

    #[test]
    fn magic_words_are_whole_words() {
        let prompt = of(vec![Message::user("please FAIL, now TEXTTOOL")]);
        assert!(prompt.has("FAIL") && prompt.has("TEXTTOOL"));
        assert!(!prompt.has("TOOL") && !of(vec![Message::user("FAILTOOL fail")]).has("FAIL"));
    }

    #[test]
    fn city_is_the_capitalised_word_after_in() {
        let city = |text: &str| of(vec![Message::user(text)]).city().to_owned();
        assert_eq!(city("weather in Oslo?"), "Oslo");
        assert_eq!(city("in short, in Rome"), "Rome");
        assert_eq!(city("Berlin Oslo"), "Paris");
    }
}
