//! A console at a fixed time, whose questions are answered from files.

use std::collections::VecDeque;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};
use serde_json::{Value, json};

use crate::{
    action::{Action, Effect, News},
    app::{self, State},
    config::Server,
    live::LiveEvent,
    order::Order,
    parts::frame,
    store::Failure,
    theme::{Depth, Palette, Theme, UNICODE},
    view,
    want::Want,
};

/// The time it is: 2026-11-26 23:20:00 UTC.
pub(super) const NOW: i64 = 1_795_735_200_000;
/// What most frames have.
pub(super) const USUAL: (u16, u16) = (120, 36);
/// A run that waits for somebody, of the workflow `suspend-workflow`.
pub(super) const SUSPENDED: &str = "01a21a06-eedf-7191-925b-904f15b2e653";

/// What the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    /// As a server that has been used a little.
    Full,
    /// As one where nothing has happened and nothing is.
    Empty,
    /// Nothing yet.
    None,
    /// That it cannot.
    Error,
}

/// A console and its server.
pub(super) struct Console {
    pub(super) state: State,
    pub(super) answers: Answers,
    /// What is answered otherwise than by the files.
    pub(super) other: Vec<(Want, Result<Value, Failure>)>,
    /// What was to be done beside fetching.
    pub(super) effects: Vec<Effect>,
}

pub(super) fn theme() -> Theme {
    Theme::new(Palette::Dark, Depth::Full, &UNICODE)
}

fn server() -> Server {
    Server { name: "prod".into(), url: "http://127.0.0.1:4111".into(), ..Server::default() }
}

impl Console {
    /// One that is connected and shows the overview.
    pub(super) fn new(answers: Answers) -> Self {
        Self::of(answers, USUAL, theme())
    }

    pub(super) fn of(answers: Answers, size: (u16, u16), theme: Theme) -> Self {
        let other = Server { name: "dev".into(), url: "http://127.0.0.1:4112".into(), ..Server::default() };
        let state = State::new(server(), vec![server(), other], theme, size, NOW);
        let mut console = Self { state, answers, other: Vec::new(), effects: Vec::new() };
        console.news(News::Connected);
        console
    }

    /// One that never reached its server.
    pub(super) fn alone() -> Self {
        let state = State::new(server(), vec![server()], theme(), USUAL, NOW);
        Self { state, answers: Answers::None, other: Vec::new(), effects: Vec::new() }
    }

    /// Something happens; what is wanted then is answered.
    pub(super) fn act(&mut self, action: Action) {
        let mut waiting: VecDeque<Effect> = app::update(&mut self.state, action).into();
        for _ in 0..200 {
            let Some(effect) = waiting.pop_front() else { return };
            let Effect::Fetch(want) = effect else {
                self.effects.push(effect);
                continue;
            };
            if let Some(answer) = self.answer(&want) {
                waiting.extend(app::update(&mut self.state, Action::News(News::Answer { want, answer })));
            }
        }
        panic!("the console asks without end: {waiting:?}");
    }

    pub(super) fn news(&mut self, news: News) {
        self.act(Action::News(news));
    }

    /// Presses keys by their names, with spaces between them; `'text'` is typed.
    pub(super) fn press(&mut self, keys: &str) {
        for key in keys.split(' ') {
            match key.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
                Some(text) => text.chars().for_each(|typed| {
                    let code = KeyCode::Char(if typed == '_' { ' ' } else { typed });
                    self.act(Action::Key(KeyEvent::from(code)));
                }),
                None => self.act(Action::Key(named(key))),
            }
        }
    }

    /// Returns the orders that were given since this was asked last.
    pub(super) fn orders(&mut self) -> Vec<Order> {
        let effects = std::mem::take(&mut self.effects).into_iter();
        let orders = effects.filter_map(|effect| match effect {
            Effect::Carry(order) => Some(*order),
            _ => None,
        });
        orders.collect()
    }

    /// Time passes, in milliseconds.
    pub(super) fn wait(&mut self, milliseconds: i64) {
        let now = self.state.now + milliseconds;
        self.act(Action::Now(now));
    }

    /// Events come.
    pub(super) fn events(&mut self, events: &[(&str, Value)]) {
        let events = events.iter().map(|(kind, value)| LiveEvent::of(kind, value)).collect();
        self.news(News::Events(events));
    }

    pub(super) fn buffer(&self) -> Buffer {
        let (columns, rows) = self.state.size;
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| view::draw(&self.state, frame)).unwrap();
        terminal.backend().buffer().clone()
    }

    /// Returns what is seen.
    pub(super) fn frame(&self) -> String {
        hidden(frame::text(&self.buffer()))
    }

    fn answer(&self, want: &Want) -> Option<Result<Value, Failure>> {
        if let Some((_, answer)) = self.other.iter().find(|(other, _)| other == want) {
            return Some(answer.clone());
        }
        match self.answers {
            Answers::Full => Some(full(want)),
            Answers::Empty => Some(Ok(empty(want))),
            Answers::None => None,
            Answers::Error => Some(Err(Failure {
                status: Some(503),
                message: "the store cannot be read: disk I/O error".into(),
                issues: Vec::new(),
            })),
        }
    }
}

/// Hides what is another every time: the ids of threads that began here.
fn hidden(frame: String) -> String {
    let mut hidden = String::with_capacity(frame.len());
    let mut rest = frame.as_str();
    while let Some((before, after)) = rest.split_once("console-") {
        let end = after.find(|letter: char| letter != '-' && !letter.is_ascii_hexdigit()).unwrap_or(after.len());
        hidden.push_str(before);
        hidden.push_str("console-");
        hidden.push_str(&"x".repeat(end));
        rest = after.get(end..).unwrap_or_default();
    }
    hidden + rest
}

/// Returns the key of this name.
pub(super) fn named(name: &str) -> KeyEvent {
    let (name, modifiers) = match name.strip_prefix("C-") {
        Some(name) => (name, KeyModifiers::CONTROL),
        None => (name, KeyModifiers::NONE),
    };
    let mut letters = name.chars();
    let code = match (letters.next(), letters.next()) {
        (Some(letter), None) => KeyCode::Char(letter),
        _ => match name {
            "enter" => KeyCode::Enter,
            "esc" => KeyCode::Esc,
            "tab" => KeyCode::Tab,
            "backtab" => KeyCode::BackTab,
            "backspace" => KeyCode::Backspace,
            "space" => KeyCode::Char(' '),
            "up" => KeyCode::Up,
            "down" => KeyCode::Down,
            "left" => KeyCode::Left,
            "right" => KeyCode::Right,
            "home" => KeyCode::Home,
            "end" => KeyCode::End,
            "pageup" => KeyCode::PageUp,
            "pagedown" => KeyCode::PageDown,
            "f5" => KeyCode::F(5),
            other => panic!("there is no key `{other}`"),
        },
    };
    KeyEvent::new(code, modifiers)
}

/// Files of answers, by name.
macro_rules! file {
    ($name:literal) => {
        serde_json::from_str(include_str!(concat!("answers/", $name, ".json"))).unwrap()
    };
}

/// Returns what a server answered that has been used a little.
pub(super) fn full(want: &Want) -> Result<Value, Failure> {
    let missing = || Failure { status: Some(404), message: "not found".into(), issues: Vec::new() };
    Ok(match want {
        Want::Me => Value::Null,
        Want::Plugins => file!("plugins"),
        Want::Agents => file!("agents"),
        Want::Tools => file!("tools"),
        Want::Workflows => file!("workflows"),
        Want::Workflow(id) => match id.as_str() {
            "suspend-workflow" => file!("workflow"),
            "parallel-workflow" => file!("workflow-parallel"),
            _ => return Err(missing()),
        },
        Want::RunCounts => file!("run-counts"),
        Want::Metrics => include_str!("answers/metrics.txt").into(),
        Want::Runs { query, page: 0 } => narrowed(file!("runs"), &format!("{query:?}")),
        Want::Run { workflow, run } => match workflow.as_str() {
            "suspend-workflow" if run == SUSPENDED => file!("run"),
            "parallel-workflow" => file!("run-parallel"),
            _ => return Err(missing()),
        },
        Want::Traces { page: 0, .. } => file!("traces"),
        Want::Trace(_) => file!("trace"),
        Want::Threads { page: 0, .. } => file!("threads"),
        Want::Messages { page: 0, .. } => file!("messages"),
        Want::Logs { page: 0, .. } => file!("logs"),
        Want::VectorStores => file!("vectors"),
        Want::Indexes(_) => json!(["documents"]),
        Want::Index { .. } => json!({"dimension": 384, "count": 12_400, "metric": "cosine"}),
        Want::Embedders => json!({"embedders": []}),
        Want::McpServers => file!("mcp-servers"),
        Want::McpTools(_) => file!("mcp-tools"),
        Want::McpSources => file!("mcp-sources"),
        Want::Schedules => {
            json!({"schedules": [{"id": "wf_nightly", "workflowId": "linear-workflow", "cron": "0 3 * * *",
            "status": "active", "nextFireAt": 1_795_748_400_000_i64}]})
        }
        Want::Runs { .. } | Want::Traces { .. } | Want::Threads { .. } | Want::Messages { .. } | Want::Logs { .. } => {
            return Err(missing());
        }
    })
}

/// Returns the runs of one state, as the server would.
fn narrowed(mut runs: Value, query: &str) -> Value {
    for state in ["running", "suspended", "failed"] {
        if query.contains(&format!("\"{state}\"")) {
            let rows = runs["runs"].as_array_mut().unwrap();
            rows.retain(|run| run["status"] == state);
            runs["total"] = rows.len().into();
        }
    }
    runs
}

/// Returns what a server answers where nothing is.
fn empty(want: &Want) -> Value {
    match want {
        Want::Me => Value::Null,
        Want::Plugins => json!({"plugins": []}),
        Want::Metrics => "".into(),
        Want::Runs { .. } => json!({"runs": [], "total": 0}),
        Want::Traces { .. } => json!({"spans": [], "pagination": {"total": 0}}),
        Want::Threads { .. } => json!({"threads": [], "total": 0}),
        Want::Messages { .. } => json!({"messages": [], "total": 0}),
        Want::Logs { .. } => json!({"logs": [], "pagination": {"total": 0}}),
        Want::VectorStores => json!({"vectors": []}),
        Want::Indexes(_) => json!([]),
        Want::McpServers => json!({"servers": []}),
        Want::McpSources => json!({"sources": []}),
        Want::Schedules => json!({"schedules": []}),
        _ => json!({}),
    }
}
