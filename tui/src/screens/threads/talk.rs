//! One conversation: what was said, what is being answered, and what is being written.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Size;
use ratatui_textarea::TextArea;
use serde_json::Value;

use crate::{
    action::{Ask, Effect},
    json::{self, Json},
    parts::{
        cursor::Move,
        text,
        transcript::{
            Transcript,
            item::{Body, Heading, Item},
        },
    },
    popups::{Filled, Forms, Popup},
    screens::Deed,
    store::{Failure, Known, Store},
    theme::Theme,
    want::{PAGE, Want},
};

/// A conversation.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) thread: String,
    /// Whose it is; empty as long as the server did not say.
    pub(super) resource: String,
    /// Who answers.
    pub(super) agent: Option<String>,
    pub(super) transcript: Transcript,
    pub(super) input: TextArea<'static>,
    pub(super) is_typing: bool,
    /// Whether the server does not know it yet.
    pub(super) is_new: bool,
    pub(super) search: String,
    /// The answer that is under way.
    pub(super) chat: Option<u64>,
    /// A tool call that waits for somebody.
    pub(super) waiting: Option<Waiting>,
    /// The ids of the messages that are shown.
    shown: Vec<String>,
    /// The first page of messages that is shown, counted from the last one.
    pages: usize,
}

/// A tool call that waits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Waiting {
    run: String,
    call: String,
    pub(super) tool: String,
    /// What it is called with: nobody should approve what they do not see.
    pub(super) args: String,
    /// What it wants to be told; none if only whether it may.
    schema: Option<Value>,
}

impl Talk {
    pub(super) fn new(thread: String, resource: String, agent: Option<String>) -> Self {
        let transcript = Transcript::new(agent.as_deref().unwrap_or("agent"));
        Self {
            thread,
            resource,
            agent,
            transcript,
            input: TextArea::default(),
            is_typing: false,
            is_new: false,
            search: String::new(),
            chat: None,
            waiting: None,
            shown: Vec::new(),
            pages: 1,
        }
    }

    /// Returns whether nothing would be lost by leaving it.
    pub(super) fn is_quiet(&self) -> bool {
        self.chat.is_none() && self.input.is_empty()
    }

    /// Returns the lines of the box one writes in.
    pub(super) fn input_height(&self) -> u16 {
        u16::try_from(self.input.lines().len()).unwrap_or(u16::MAX).clamp(1, 8) + 2
    }

    fn page(&self, page: usize) -> Want {
        Want::Messages { thread: self.thread.clone(), page }
    }

    fn last_page(&self, store: &Store) -> usize {
        let total = store.value(&self.page(0)).whole("total").and_then(|total| usize::try_from(total).ok());
        total.unwrap_or(0).saturating_sub(1) / PAGE
    }

    fn seen_pages(&self, store: &Store) -> std::ops::RangeInclusive<usize> {
        let last = self.last_page(store);
        (last + 1).saturating_sub(self.pages)..=last
    }

    /// Returns the pages of messages that are shown; the first also says how many there are.
    pub(super) fn wants(&self, store: &Store) -> Vec<Want> {
        if self.is_new {
            return Vec::new();
        }
        let mut wants = vec![self.page(0)];
        wants.extend(self.seen_pages(store).filter(|page| *page > 0).map(|page| self.page(page)));
        wants
    }

    /// Returns the messages that are shown.
    pub(super) fn messages<'a>(&self, store: &'a Store) -> Vec<&'a Value> {
        self.seen_pages(store).flat_map(|page| store.value(&self.page(page)).list("messages")).collect()
    }

    /// Comes to terms with what is stored. What an agent says meanwhile is shown as it comes.
    pub(super) fn settle(&mut self, store: &Store, size: Size, theme: Theme) {
        if self.chat.is_none() && !self.is_new {
            let messages = self.messages(store);
            let ids: Vec<String> = messages.iter().map(|message| message.text("id").to_owned()).collect();
            // An agent that remembers nothing stores nothing; what was said is still there to read.
            if ids != self.shown && !ids.is_empty() {
                self.show(&messages, &ids);
            }
            if let Some(resource) = messages.first().map(|message| message.text("resourceId"))
                && !resource.is_empty()
            {
                resource.clone_into(&mut self.resource);
            }
        }
        self.layout(size, theme);
    }

    fn show(&mut self, messages: &[&Value], ids: &[String]) {
        let older = ids
            .len()
            .checked_sub(self.shown.len())
            .filter(|count| !self.shown.is_empty() && ids.get(*count..) == Some(&self.shown) && *count > 0);
        match older {
            Some(count) => {
                let items = messages.iter().take(count).flat_map(|message| Item::of_message(message));
                self.transcript.prepend(items.collect());
            }
            None => {
                let mut transcript = Transcript::new(self.agent.as_deref().unwrap_or("agent"));
                messages.iter().flat_map(|message| Item::of_message(message)).for_each(|item| transcript.push(item));
                self.transcript = transcript;
            }
        }
        self.shown = ids.to_vec();
    }

    pub(super) fn layout(&mut self, size: Size, theme: Theme) {
        self.transcript.layout(size, theme);
    }

    pub(super) fn go(&mut self, to: Move, store: &Store) {
        self.transcript.go(to);
        if matches!(to, Move::Top | Move::PageUp) {
            self.older(store);
        }
    }

    pub(super) fn scroll(&mut self, rows: isize, store: &Store) {
        self.transcript.scroll(rows);
        if rows < 0 {
            self.older(store);
        }
    }

    /// Has another page of older messages shown, once the top is reached.
    fn older(&mut self, store: &Store) {
        if self.transcript.is_at_top() && self.pages <= self.last_page(store) {
            self.pages += 1;
        }
    }

    /// Takes a key while one writes.
    pub(super) fn key(&mut self, key: KeyEvent, chat: u64) -> Vec<Deed> {
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        let is_newline = key.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SHIFT);
        match key.code {
            KeyCode::Esc => self.is_typing = false,
            KeyCode::Char('c') if has_control => {
                if self.chat.is_some() {
                    return self.stop();
                }
                self.is_typing = false;
            }
            KeyCode::Enter if is_newline => self.input.insert_newline(),
            KeyCode::Char('j') if has_control => self.input.insert_newline(),
            KeyCode::Enter => return self.send(chat),
            KeyCode::Char('s') if has_control => return self.send(chat),
            KeyCode::PageUp => self.transcript.go(Move::PageUp),
            KeyCode::PageDown => self.transcript.go(Move::PageDown),
            _ => drop(self.input.input(key)),
        }
        Vec::new()
    }

    pub(super) fn paste(&mut self, text: &str) {
        let lines: Vec<String> = text.lines().map(|line| text::clean(line).into_owned()).collect();
        self.input.insert_str(lines.join("\n"));
    }

    fn send(&mut self, chat: u64) -> Vec<Deed> {
        let text = self.input.lines().join("\n").trim().to_owned();
        if text.is_empty() {
            return Vec::new();
        }
        if self.chat.is_some() {
            return vec![Deed::Complain("the answer is still coming; C-c stops it".into())];
        }
        let Some(agent) = self.agent.clone() else { return vec![Deed::Complain("a chooses an agent".into())] };
        self.input = TextArea::default();
        self.transcript.push(Item::new("", Body::Heading(Heading { role: "user".into(), ..Heading::default() })));
        self.transcript.push(Item::new("", Body::Said(text.clone())));
        self.transcript.follow();
        let resource = if self.resource.is_empty() { super::RESOURCE.to_owned() } else { self.resource.clone() };
        let ask = Ask::Message { thread: self.thread.clone(), resource, text };
        vec![self::ask(chat, agent, ask)]
    }

    /// The agent is being asked.
    pub(super) fn began(&mut self, chat: u64) {
        self.chat = Some(chat);
        self.waiting = None;
    }

    /// Takes a piece of the answer.
    pub(super) fn take(&mut self, chunk: &Value) {
        self.transcript.chunk(chunk);
        let kind = chunk.text("type");
        if matches!(kind, "tool-call-approval" | "tool-call-suspended") {
            let schema = (kind == "tool-call-suspended").then(|| json::schema(chunk.at("payload.resumeSchema")));
            self.waiting = Some(Waiting {
                run: chunk.text("runId").to_owned(),
                call: chunk.text("payload.toolCallId").to_owned(),
                tool: chunk.text("payload.toolName").to_owned(),
                args: said(chunk),
                schema,
            });
        }
    }

    pub(super) fn ended(&mut self, failure: Option<&Failure>) {
        self.chat = None;
        self.is_new = false;
        if self.waiting.is_some() && self.input.is_empty() {
            // What waits wants a key, not a text.
            self.is_typing = false;
        }
        if let Some(failure) = failure {
            self.transcript.cut(&failure.message);
        }
    }

    pub(super) fn stop(&mut self) -> Vec<Deed> {
        let Some(chat) = self.chat.take() else { return vec![Deed::Say("no answer is coming".into())] };
        self.is_new = false;
        self.transcript.cut("stopped");
        vec![Deed::Effect(Effect::StopChat(chat))]
    }

    /// Says whether a tool call that waits may go on, or tells it what it wants to know.
    pub(super) fn verdict(&mut self, chat: u64, is_approved: bool) -> Vec<Deed> {
        let Some(waiting) = self.waiting.clone() else { return vec![Deed::Complain("no tool call waits".into())] };
        if self.chat.is_some() {
            return vec![Deed::Complain("the answer is still coming".into())];
        }
        let Some(agent) = self.agent.clone() else { return vec![Deed::Complain("a chooses an agent".into())] };
        if let (Some(schema), true) = (&waiting.schema, is_approved) {
            let filled = Filled::Answer { chat, agent, run: waiting.run, call: waiting.call };
            let form = Forms::new(format!("Answer {}", waiting.tool), schema, None, filled);
            return vec![Deed::Open(Box::new(Popup::Form(Box::new(form))))];
        }
        vec![ask(chat, agent, Ask::Verdict { run: waiting.run, call: waiting.call, is_approved })]
    }

    /// Returns the trace of the last answer that says it, or why there is none.
    pub(super) fn trace(&self, store: &Store) -> Result<String, &'static str> {
        let traces = self.messages(store).into_iter().rev().map(|message| message.text("content.metadata.traceId"));
        let trace = traces.into_iter().find(|id| !id.is_empty());
        trace.map(str::to_owned).ok_or_else(|| match store.unknown(&self.wants(store)) {
            Some(Known::Loading) => "the messages are still coming; try again",
            _ => "no answer of this thread says its trace",
        })
    }

    /// Returns the message that is chosen.
    pub(super) fn chosen(&self, store: &Store) -> Option<(String, Value)> {
        let item = self.transcript.chosen()?;
        let messages = self.messages(store);
        let message = messages.into_iter().find(|message| message.text("id") == item.id);
        Some((item.text(), message.cloned().unwrap_or_default()))
    }
}

/// Returns what a call that waits is about: what it asks, else its arguments.
fn said(chunk: &Value) -> String {
    let asks = chunk.at("payload.suspendPayload");
    json::brief(if asks.is_null() { chunk.at("payload.args") } else { asks })
}

fn ask(chat: u64, agent: String, ask: Ask) -> Deed {
    Deed::Effect(Effect::Chat { chat, agent, ask })
}
