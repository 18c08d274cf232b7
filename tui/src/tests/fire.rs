//! The update function under fire: any keys, any answers, any size.

use crossterm::event::{KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use super::fixture::{Answers, Console, full, named, theme};
use crate::{
    action::{Action, Effect, News},
    app,
    live::LiveEvent,
    parts::frame,
    store::Failure,
    want::Want,
};

/// What may happen.
#[derive(Debug, Clone)]
enum Blow {
    Keys(&'static str),
    Key(char),
    Paste(String),
    Mouse(u16, u16, MouseEventKind),
    Resize(u16, u16),
    Wait(i64),
    /// The next answers are made from this.
    Answers(Value),
    Events(Vec<(String, Value)>),
    Chunk(Value),
    Lost(Option<u16>),
    Connected,
    /// What is under way comes to this end.
    Ended(Result<Value, String>),
}

/// Values servers do not send: of every type, deep, long and empty.
fn garbage() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        Just(json!(u64::MAX)),
        Just(json!(1e300)),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("\u{1b}[31m\u{202e}漢字👩‍👩‍👧\n\t\u{0}")),
        Just(json!("2026-11-26T22:43:11.714Z")),
        Just(json!("x".repeat(3000))),
        select(vec!["running", "suspended", "failed", "serving", "tool-call", "text-delta", "step"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inside| {
        prop_oneof![
            vec(inside.clone(), 0..6).prop_map(Value::from),
            vec((name(), inside), 0..8).prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Names that answers have, and others.
fn name() -> impl Strategy<Value = String> {
    let known = [
        "plugins",
        "runs",
        "total",
        "runId",
        "workflowId",
        "status",
        "steps",
        "serializedStepGraph",
        "type",
        "step",
        "id",
        "spans",
        "spanId",
        "parentSpanId",
        "startedAt",
        "endedAt",
        "threads",
        "messages",
        "content",
        "parts",
        "logs",
        "pagination",
        "generations",
        "number",
        "calls",
        "latencyMs",
        "name",
        "capabilities",
        "json",
        "properties",
        "inputSchema",
        "resumeSchema",
        "payload",
        "toolCallId",
        "allSteps",
        "vectors",
        "servers",
        "role",
        "suspendPayload",
    ];
    prop_oneof![4 => select(known.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,6}"]
}

fn blow() -> impl Strategy<Value = Blow> {
    let keys = [
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "enter",
        "esc",
        "tab",
        "backtab",
        "j",
        "k",
        "h",
        "l",
        "G",
        "g",
        "C-d",
        "C-u",
        "pagedown",
        "pageup",
        "home",
        "end",
        "v",
        "z",
        "o",
        "O",
        "/",
        "n",
        "N",
        "s",
        "S",
        "?",
        ":",
        "@",
        "R",
        "x",
        "a",
        "i",
        "+",
        "c",
        "d",
        "D",
        "b",
        "r",
        "t",
        "e",
        "E",
        "y",
        "Y",
        "C-y",
        "C-e",
        "w",
        "L",
        "T",
        "K",
        "space",
        "M",
        "f5",
        "C-s",
        "C-c",
        "C-j",
        "backspace",
        "left",
        "right",
        "up",
        "down",
        "P",
        "A",
        "X",
        "g t",
        "g r",
        "g m",
        "g l",
        "g p",
        "C-l",
    ];
    let kinds = [
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::Down(MouseButton::Right),
        MouseEventKind::ScrollUp,
        MouseEventKind::ScrollDown,
        MouseEventKind::Moved,
    ];
    let size = prop_oneof![
        3 => (60_u16..200, 16_u16..60),
        1 => (1_u16..12, 1_u16..12),
        1 => Just((300, 100)),
    ];
    prop_oneof![
        20 => select(keys.to_vec()).prop_map(Blow::Keys),
        2 => any::<char>().prop_map(Blow::Key),
        1 => "\\PC{0,40}".prop_map(Blow::Paste),
        3 => (0_u16..310, 0_u16..110, select(kinds.to_vec())).prop_map(|(x, y, kind)| Blow::Mouse(x, y, kind)),
        2 => size.prop_map(|(columns, rows)| Blow::Resize(columns, rows)),
        2 => (0_i64..20_000).prop_map(Blow::Wait),
        3 => garbage().prop_map(Blow::Answers),
        2 => vec((select(vec!["run", "step", "message", "span", "log", "plugin", "gap", "error", ""]), garbage()), 0..5)
            .prop_map(|events| Blow::Events(events.into_iter().map(|(kind, value)| (kind.to_owned(), value)).collect())),
        2 => garbage().prop_map(Blow::Chunk),
        1 => select(vec![None, Some(401), Some(503)]).prop_map(Blow::Lost),
        1 => Just(Blow::Connected),
        2 => prop_oneof![garbage().prop_map(Ok), "\\PC{0,30}".prop_map(Err)].prop_map(Blow::Ended),
    ]
}

/// A console and what was asked of its server.
struct Target {
    console: Console,
    asked: Vec<Want>,
    /// What answers are made from; none for what a server does answer.
    garbage: Option<Value>,
}

impl Target {
    fn act(&mut self, action: Action) {
        for effect in app::update(&mut self.console.state, action) {
            match effect {
                Effect::Fetch(want) => self.asked.push(want),
                other => self.console.effects.push(other),
            }
        }
    }

    /// Answers what was asked, some rounds of it.
    fn answer(&mut self) {
        for _ in 0..3 {
            for want in std::mem::take(&mut self.asked) {
                let answer = match &self.garbage {
                    Some(value) => Ok(value.clone()),
                    None => full(&want),
                };
                self.act(Action::News(News::Answer { want, answer }));
            }
        }
    }

    fn strike(&mut self, blow: Blow) {
        match blow {
            Blow::Keys(keys) => {
                for key in keys.split(' ') {
                    self.act(Action::Key(named(key)));
                }
            }
            Blow::Key(letter) => {
                let code = crossterm::event::KeyCode::Char(letter);
                self.act(Action::Key(KeyEvent::new(code, KeyModifiers::NONE)));
            }
            Blow::Paste(text) => self.act(Action::Paste(text)),
            Blow::Mouse(column, row, kind) => {
                self.act(Action::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
            }
            Blow::Resize(columns, rows) => self.act(Action::Resize(columns, rows)),
            Blow::Wait(time) => {
                let now = self.console.state.now + time;
                self.act(Action::Now(now));
            }
            Blow::Answers(value) => self.garbage = self.garbage.is_none().then_some(value),
            Blow::Events(events) => {
                let events = events.iter().map(|(kind, value)| LiveEvent::of(kind, value)).collect();
                self.act(Action::News(News::Events(events)));
            }
            Blow::Chunk(chunk) => {
                let chat = self.chat();
                self.act(Action::News(News::Chunk { chat, chunk }));
            }
            Blow::Lost(status) => {
                let failure = Failure { status, message: "gone".into(), issues: Vec::new() };
                self.act(Action::News(News::Lost { failure, retry: 1_000 }));
            }
            Blow::Connected => self.act(Action::News(News::Connected)),
            Blow::Ended(end) => self.end(end),
        }
    }

    fn chat(&self) -> u64 {
        let chats = self.console.effects.iter().rev();
        let chat = chats.filter_map(|effect| match effect {
            Effect::Chat { chat, .. } => Some(*chat),
            _ => None,
        });
        chat.into_iter().next().unwrap_or(0)
    }

    fn end(&mut self, end: Result<Value, String>) {
        let failure = |message: String| Failure {
            status: Some(400),
            issues: vec![("a.b[0]".into(), "is wrong".into()), (String::new(), String::new())],
            message,
        };
        for effect in std::mem::take(&mut self.console.effects) {
            match effect {
                Effect::Carry(order) => {
                    let answer = end.clone().map_err(failure);
                    self.act(Action::News(News::Done { order, answer }));
                }
                Effect::Chat { chat, .. } => {
                    let failure = end.clone().err().map(failure);
                    self.act(Action::News(News::ChatEnded { chat, failure }));
                }
                Effect::Export { name, .. } => self.act(Action::News(News::Exported(Ok(name)))),
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // Each draws dozens of frames. `PROPTEST_CASES` makes it more.
        cases: ProptestConfig::default().cases / 10,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_makes_it_panic_or_write_outside(blows in vec(blow(), 1..60)) {
        let mut target = Target { console: Console::of(Answers::Full, (120, 36), theme()), asked: Vec::new(), garbage: None };
        for blow in blows {
            target.strike(blow);
            target.answer();
            let state = &target.console.state;
            prop_assert!(state.wants().len() < 200);
            prop_assert!(state.popups.len() < 100);
            prop_assert!(state.store.size() < 128 && state.store.feed().len() <= 1000);
            let buffer = target.console.buffer();
            let whole = buffer.area;
            prop_assert_eq!((whole.width, whole.height), state.size);
            prop_assert!(frame::misplaced(&buffer, whole).is_none());
            for cell in &buffer.content {
                prop_assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
            }
        }
    }
}
