//! What a workflow should come to: an interpreter with no journal, no store and no tasks.
//!
//! It is run anew for each answer, with all answers given so far, and knows nothing of the
//! engine's code.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::plan::{Does, Kind, Node, mixed, spread, taken};

/// How a run ends, or why it does not.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    Done(Value),
    Waits,
    Bailed(Value),
    Tripped(Value),
    Failed(String),
}

impl End {
    /// Of nodes that run at once the worst end counts.
    fn severity(&self) -> u8 {
        match self {
            Self::Done(_) => 0,
            Self::Waits => 1,
            Self::Bailed(_) => 2,
            Self::Tripped(_) => 3,
            Self::Failed(_) => 4,
        }
    }
}

/// What should be known of one execution of a node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) step: String,
    pub(super) status: &'static str,
    pub(super) output: Option<Value>,
    /// Attempts, of what is called.
    pub(super) attempts: Option<u32>,
}

/// Something that waits for an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Waiting {
    pub(super) path: String,
    pub(super) step: String,
    pub(super) item: Option<u32>,
}

/// Everything a run comes to.
#[derive(Debug)]
pub(super) struct Model<'a> {
    answers: &'a BTreeMap<String, Value>,
    /// By path.
    pub(super) seen: BTreeMap<String, Seen>,
    pub(super) waiting: Vec<Waiting>,
    /// How often the code behind each path is called when nothing is interrupted.
    pub(super) calls: BTreeMap<String, u32>,
}

/// Under which names nodes are walked.
#[derive(Clone, Default)]
struct Place {
    path: String,
    steps: String,
}

/// One execution: its path, what people call it, which item it is for.
struct Spot {
    path: String,
    step: String,
    item: Option<u32>,
}

impl<'a> Model<'a> {
    /// Runs a workflow with these answers, by the paths of the steps that asked.
    pub(super) fn run(nodes: &[Node], input: Value, answers: &'a BTreeMap<String, Value>) -> (End, Self) {
        let mut model = Self { answers, seen: BTreeMap::new(), waiting: Vec::new(), calls: BTreeMap::new() };
        let end = model.row(nodes, &Place::default(), input);
        (end, model)
    }

    fn row(&mut self, nodes: &[Node], place: &Place, input: Value) -> End {
        let mut value = input;
        for node in nodes {
            match self.node(node, place, value) {
                End::Done(result) => value = result,
                end => return end,
            }
        }
        End::Done(value)
    }

    fn node(&mut self, node: &Node, place: &Place, input: Value) -> End {
        let path = format!("{}{}", place.path, node.id);
        match &node.kind {
            Kind::Step { .. } | Kind::Tool | Kind::Nested(_) => self.call(node, place, "", None, input),
            Kind::Parallel(nodes) => self.at_once(nodes.iter(), place, &input),
            Kind::Branch(arms) => {
                let mut run = Vec::new();
                for (holds, node) in arms {
                    match holds {
                        Some(true) => run.push(node),
                        Some(false) => {}
                        None => return End::Failed(format!("{} failed", taken(node))),
                    }
                }
                self.at_once(run.into_iter(), place, &input)
            }
            Kind::Loop { times, body, .. } => {
                let mut value = input;
                for iteration in 1..=*times {
                    match self.call(body, place, &format!("#{iteration}"), None, value) {
                        End::Done(result) => value = result,
                        end => return end,
                    }
                }
                End::Done(value)
            }
            Kind::Foreach { concurrency, body } => self.foreach(*concurrency, body, place, &input),
            Kind::Spread(items) => {
                *self.calls.entry(path.clone()).or_default() += 1;
                let end = match items {
                    Some(items) => End::Done(spread(&node.id, *items, &input)),
                    None => End::Failed(format!("{} failed", node.id)),
                };
                self.note(path, String::new(), None, end)
            }
            Kind::Sleep => self.note(path, String::new(), None, End::Done(input)),
        }
    }

    /// Something that is called, once or as one of several.
    fn call(&mut self, node: &Node, place: &Place, suffix: &str, item: Option<u32>, input: Value) -> End {
        let spot = Spot {
            path: format!("{}{}{suffix}", place.path, node.id),
            step: format!("{}{}", place.steps, node.id),
            item,
        };
        match &node.kind {
            Kind::Nested(nodes) => {
                let inner = Place { path: format!("{}.", spot.path), steps: format!("{}.", spot.step) };
                let end = match self.row(nodes, &inner, input) {
                    End::Bailed(value) => End::Done(value),
                    end => end,
                };
                if end != End::Waits {
                    // What asked in there has nobody left to answer for.
                    self.waiting.retain(|waiting| !waiting.path.starts_with(&inner.path));
                }
                self.note(spot.path, spot.step, None, end)
            }
            Kind::Step { does, retries } => self.step(&node.id, *does, *retries, spot, &input),
            _ => self.step("tool", Does::Give, 0, spot, &input),
        }
    }

    fn step(&mut self, id: &str, does: Does, retries: u32, spot: Spot, input: &Value) -> End {
        let result = || End::Done(mixed(id, input).into());
        let failure = || End::Failed(format!("{id} failed"));
        let (attempts, end) = match does {
            Does::Give => (1, result()),
            Does::Fail => (retries + 1, failure()),
            Does::FailFirst(times) if times <= retries => (times + 1, result()),
            Does::FailFirst(_) => (retries + 1, failure()),
            Does::FailIfOdd if is_odd(input) => (retries + 1, failure()),
            Does::FailIfOdd => (1, result()),
            Does::Bail => (1, End::Bailed(mixed(id, input).into())),
            Does::Trip => (1, End::Tripped(json!({"reason": id}))),
            Does::Ask => match self.answers.get(&spot.path) {
                Some(answer) => (1, End::Done(mixed(id, &json!([input, answer])).into())),
                None => (1, End::Waits),
            },
        };
        let asked_twice = does == Does::Ask && end != End::Waits;
        *self.calls.entry(spot.path.clone()).or_default() += attempts + u32::from(asked_twice);
        if end == End::Waits {
            self.waiting.push(Waiting { path: spot.path.clone(), step: spot.step.clone(), item: spot.item });
        }
        self.note(spot.path, spot.step, Some(attempts), end)
    }

    fn foreach(&mut self, concurrency: u32, body: &Node, place: &Place, input: &Value) -> End {
        let (path, step) = (format!("{}{}", place.path, body.id), format!("{}{}", place.steps, body.id));
        let Value::Array(items) = input else {
            return self.note(path, step, None, End::Failed("foreach needs an array".to_owned()));
        };
        let mut results = Vec::new();
        let mut worst = End::Done(Value::Null);
        // Those that are begun at once all end; none is begun after one that did not give a result.
        for (number, group) in items.chunks(concurrency as usize).enumerate() {
            for (offset, item) in group.iter().enumerate() {
                let index = u32::try_from(number * concurrency as usize + offset).unwrap();
                match self.call(body, place, &format!("[{index}]"), Some(index), item.clone()) {
                    End::Done(result) => results.push(result),
                    end if end.severity() > worst.severity() => worst = end,
                    _ => {}
                }
            }
            if worst.severity() > 0 {
                return self.note(path, step, None, worst);
            }
        }
        self.note(path, step, None, End::Done(results.into()))
    }

    fn at_once<'b>(&mut self, nodes: impl Iterator<Item = &'b Node>, place: &Place, input: &Value) -> End {
        let mut results = Map::new();
        let mut worst = End::Done(Value::Null);
        for node in nodes {
            match self.node(node, place, input.clone()) {
                End::Done(result) => {
                    results.insert(node.id.clone(), result);
                }
                end if end.severity() > worst.severity() => worst = end,
                _ => {}
            }
        }
        if worst.severity() > 0 { worst } else { End::Done(results.into()) }
    }

    fn note(&mut self, path: String, step: String, attempts: Option<u32>, end: End) -> End {
        let (status, output) = match &end {
            End::Done(value) | End::Bailed(value) => ("success", Some(value.clone())),
            End::Waits => ("suspended", None),
            End::Tripped(_) | End::Failed(_) => ("failed", None),
        };
        self.seen.insert(path, Seen { step, status, output, attempts });
        end
    }
}

/// Whether a value is an odd number.
pub(super) fn is_odd(value: &Value) -> bool {
    value.as_u64().is_some_and(|number| number % 2 == 1)
}
