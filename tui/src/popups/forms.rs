//! What an order needs, asked for by a form that its schema makes.

use crossterm::event::KeyEvent;
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    widgets::{Clear, Widget},
};
use serde_json::Value;

use super::Outcome;
use crate::{
    action::{Ask, Effect},
    app::middle,
    json::Json,
    order::Order,
    parts::{
        form::{Form, FormOutcome},
        pane::put,
    },
    screens::Deed,
    store::Failure,
    theme::Theme,
};

/// What is done with what is filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filled {
    Start {
        workflow: String,
    },
    Resume {
        workflow: String,
        run: String,
        step: Vec<String>,
    },
    Execute {
        tool: String,
    },
    Canary {
        name: String,
    },
    /// A tool call in a conversation that waits for it.
    Answer {
        chat: u64,
        agent: String,
        run: String,
        call: String,
    },
}

/// A form, and what it is for.
#[derive(Debug)]
pub(crate) struct Forms {
    form: Form,
    /// Rows it is given: what it asks for is seen at once if possible.
    height: u16,
    filled: Filled,
    /// The order that was given and not answered yet.
    waiting: Option<Order>,
    /// Whether somebody wanted to leave what they filled in.
    is_leaving: bool,
}

impl Forms {
    pub(crate) fn new(title: String, schema: &Value, start: Option<&Value>, filled: Filled) -> Self {
        let fields = u16::try_from(schema.members("properties").count()).unwrap_or(u16::MAX);
        let height = fields.saturating_mul(3).saturating_add(7).max(12);
        Self { form: Form::new(schema, title, start), height, filled, waiting: None, is_leaving: false }
    }

    pub(super) fn paste(&mut self, text: &str) {
        self.form.paste(text);
    }

    pub(super) fn is_waiting_for(&self, order: &Order) -> bool {
        self.waiting.as_ref() == Some(order)
    }

    pub(super) fn refused(&mut self, failure: &Failure) {
        self.waiting = None;
        self.form.server_errors(&failure.message, &failure.issues);
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Outcome {
        if self.waiting.is_some() {
            // What was given cannot be taken back, but nobody has to watch.
            let is_leaving = key.code == crossterm::event::KeyCode::Esc;
            return if is_leaving { Outcome::Close(Vec::new()) } else { Outcome::Stay(Vec::new()) };
        }
        match self.form.key(key) {
            FormOutcome::Stay => {
                self.is_leaving = false;
                Outcome::Stay(Vec::new())
            }
            FormOutcome::Cancel if self.form.is_touched() && !self.is_leaving => {
                self.is_leaving = true;
                Outcome::Stay(vec![Deed::Say("Esc once more gives up what was filled in".into())])
            }
            FormOutcome::Cancel => Outcome::Close(vec![Deed::Say("nothing was done".into())]),
            FormOutcome::Submit(value) => self.submit(value),
        }
    }

    fn submit(&mut self, value: Value) -> Outcome {
        let order = match self.filled.clone() {
            Filled::Start { workflow } => Order::StartRun { workflow, input: value },
            Filled::Resume { workflow, run, step } => Order::ResumeRun { workflow, run, step, data: value },
            Filled::Execute { tool } => Order::ExecuteTool { tool, input: value },
            Filled::Canary { name } => Order::Canary { name, plan: value },
            Filled::Answer { chat, agent, run, call } => {
                let ask = Ask::Resume { run, call, data: value };
                return Outcome::Close(vec![Deed::Effect(Effect::Chat { chat, agent, ask })]);
            }
        };
        self.waiting = Some(order.clone());
        Outcome::Stay(vec![Deed::Carry(order)])
    }

    pub(super) fn draw(&self, theme: Theme, whole: Rect, buf: &mut Buffer) -> Option<Position> {
        let area =
            middle(whole, whole.width.saturating_sub(6).min(80), self.height.min(whole.height.saturating_sub(4)));
        Clear.render(area, buf);
        let cursor = self.form.draw(theme, area, buf);
        if self.waiting.is_some() {
            let foot = Rect { y: area.bottom().saturating_sub(1), height: 1.min(area.height), ..area };
            put(buf, foot, 2, 0, " under way ", theme.accent());
        }
        cursor.map(Position::from)
    }
}
