//! Threads: the conversations there are, and talking to an agent in one.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Position, Rect},
};
use serde_json::{Value, json};

use self::talk::{Talk, Waiting};
use super::{
    Deed, Look, Place, Screen,
    paged::{Paged, Source},
};
use crate::{
    json::Json,
    keymap::{Command, Scope},
    order::Order,
    parts::{cursor::Move, pane::Pane},
    popups::{Choice, ChoiceOrder, Choices, Chosen, Popup, Prompt, PromptKind},
    store::Failure,
    want::{Query, Want},
};

mod draw;
mod talk;

/// Whose conversations those are that begin here.
const RESOURCE: &str = "console";
/// How many calls that wait are kept of conversations that were left.
const LEFT: usize = 50;

/// The screen.
#[derive(Debug)]
pub(crate) struct Threads {
    list: Paged,
    text: String,
    open: Option<Talk>,
    is_in_list: bool,
    is_zoomed: bool,
    /// Whom one talked to last.
    agent: Option<String>,
    /// Calls that wait in conversations that were left: thread, agent, call.
    left: Vec<(String, Option<String>, Waiting)>,
    /// Answers are numbered, so that late pieces of one that was stopped are known.
    chats: u64,
    /// Makes ids of threads.
    seed: u32,
}

impl Default for Threads {
    fn default() -> Self {
        Self {
            list: Paged::new(Source::Threads),
            text: String::new(),
            open: None,
            is_in_list: true,
            is_zoomed: false,
            agent: None,
            left: Vec::new(),
            chats: 0,
            seed: fastrand::u32(..),
        }
    }
}

/// The parts of the screen; those without height are not shown.
struct Panes {
    list: Rect,
    transcript: Rect,
    input: Rect,
}

impl Threads {
    fn panes(&self, area: Rect) -> Panes {
        let none = Rect { height: 0, ..area };
        let Some(talk) = &self.open else { return Panes { list: area, transcript: none, input: none } };
        let (list, rest) = if area.width >= 100 && !self.is_zoomed {
            let [list, rest] = Layout::horizontal([Constraint::Length(34), Constraint::Fill(1)]).areas(area);
            (list, rest)
        } else {
            (none, area)
        };
        let height = talk.input_height().min(rest.height / 2);
        let [transcript, input] = Layout::vertical([Constraint::Fill(1), Constraint::Length(height)]).areas(rest);
        Panes { list, transcript, input }
    }

    fn selected<'a>(&self, look: &Look<'a>) -> Option<&'a Value> {
        self.list.selected(look.store)
    }

    /// Returns the thread that is meant: the open one, or the chosen one.
    fn meant(&self, look: &Look<'_>) -> Option<String> {
        match &self.open {
            Some(talk) if !self.is_in_list => Some(talk.thread.clone()),
            _ => self.selected(look).map(|row| row.text("id").to_owned()),
        }
    }

    fn open(&mut self, thread: &str, look: &Look<'_>) {
        if self.open.as_ref().is_none_or(|talk| talk.thread != thread) {
            // Whose it is decides who may write into it.
            let chosen = self.list.selected(look.store);
            let listed = look.store.value(&self.list.want(0)).list("threads").iter();
            let row = chosen.into_iter().chain(listed).find(|row| row.text("id") == thread);
            let resource = row.map_or("", |row| row.text("resourceId")).to_owned();
            let mut talk = Talk::new(thread.to_owned(), resource, self.agent.clone());
            self.leave();
            if let Some(at) = self.left.iter().position(|(left, _, _)| left == thread) {
                let (_, agent, waiting) = self.left.remove(at);
                (talk.agent, talk.waiting) = (agent, Some(waiting));
            }
            self.open = Some(talk);
        }
        self.settle(look);
    }

    /// Leaves the conversation that is open; what waits in it is kept.
    fn leave(&mut self) {
        if let Some(talk) = self.open.take()
            && let Some(waiting) = talk.waiting
        {
            self.left.truncate(LEFT - 1);
            self.left.insert(0, (talk.thread, talk.agent, waiting));
        }
    }

    fn begin(&mut self, agent: &str, look: &Look<'_>) {
        self.leave();
        self.chats += 1;
        let thread = format!("console-{:x}-{:08x}{:x}", look.now, self.seed, self.chats);
        let mut talk = Talk::new(thread, RESOURCE.to_owned(), Some(agent.to_owned()));
        talk.is_typing = true;
        talk.is_new = true;
        self.agent = Some(agent.to_owned());
        self.open = Some(talk);
        self.is_in_list = false;
        self.settle(look);
    }

    /// Asks whom to talk to.
    fn choose_agent(look: &Look<'_>, is_new: bool) -> Vec<Deed> {
        let agents = look.store.value(&Want::Agents).members("");
        let choices = agents.map(|(id, agent)| {
            let place = if is_new { Place::Chat { agent: id.to_owned() } } else { Place::Agent(id.to_owned()) };
            Choice {
                words: id.to_owned(),
                note: format!("{}/{}", agent.text("provider"), agent.text("modelId")),
                group: "",
                deed: Chosen::Deed(Box::new(move || Deed::Go(place.clone()))),
            }
        });
        let choices: Vec<Choice> = choices.collect();
        if choices.is_empty() {
            return vec![Deed::Complain("there are no agents: no plugin brings one".into())];
        }
        vec![Deed::Open(Box::new(Popup::Choices(Choices::new("Talk to", choices, ChoiceOrder::ByMatch))))]
    }

    /// Begins to write in the conversation that is meant.
    fn write(&mut self, look: &Look<'_>) -> Vec<Deed> {
        if self.is_in_list || self.open.is_none() {
            let Some(thread) = self.meant(look) else { return Self::choose_agent(look, true) };
            self.open(&thread, look);
        }
        self.is_in_list = false;
        let Some(talk) = &mut self.open else { return Vec::new() };
        if talk.agent.is_none() {
            return Self::choose_agent(look, false);
        }
        talk.is_typing = true;
        Vec::new()
    }

    fn next_chat(&mut self) -> u64 {
        self.chats += 1;
        self.chats
    }

    /// An agent is being asked.
    pub(crate) fn began(&mut self, chat: u64) {
        if let Some(talk) = &mut self.open {
            talk.began(chat);
        }
    }

    /// Takes a piece of an agent's answer.
    pub(crate) fn chunk(&mut self, chat: u64, chunk: &Value, look: &Look<'_>) {
        let size = Pane::inner(self.panes(look.area).transcript).as_size();
        if let Some(talk) = &mut self.open
            && talk.chat == Some(chat)
        {
            talk.take(chunk);
            talk.layout(size, look.theme);
        }
    }

    /// An agent's answer is over.
    pub(crate) fn ended(&mut self, chat: u64, failure: Option<&Failure>, look: &Look<'_>) {
        if let Some(talk) = &mut self.open
            && talk.chat == Some(chat)
        {
            talk.ended(failure);
        }
        self.settle(look);
    }

    fn verdict(&mut self, is_approved: bool) -> Vec<Deed> {
        let chat = self.next_chat();
        match &mut self.open {
            Some(talk) => talk.verdict(chat, is_approved),
            None => Vec::new(),
        }
    }

    fn stop(&mut self) -> Vec<Deed> {
        match &mut self.open {
            Some(talk) => talk.stop(),
            None => Vec::new(),
        }
    }

    fn query(text: &str) -> Query {
        let mut query = Query::default();
        for word in text.split_whitespace() {
            query = match word.split_once(':') {
                Some(("resource", id)) => query.with("resourceId", id),
                _ => query.with("resourceId", word),
            };
        }
        query
    }

    fn ask_title(&self, look: &Look<'_>, kind: impl FnOnce(String) -> PromptKind, title: &str) -> Vec<Deed> {
        match self.meant(look) {
            Some(thread) => vec![Deed::Open(Box::new(Popup::Prompt(Box::new(Prompt::new(kind(thread), title, "")))))],
            None => vec![Deed::Complain("no thread is chosen".into())],
        }
    }

    /// Shows the conversation that is chosen beside the list.
    fn follow(&mut self, look: &Look<'_>) {
        if self.open.as_ref().is_some_and(Talk::is_quiet)
            && let Some(thread) = self.selected(look).map(|row| row.text("id").to_owned())
        {
            self.open(&thread, look);
        }
    }
}

impl Screen for Threads {
    fn crumbs(&self, look: &Look<'_>) -> Vec<String> {
        let Some(talk) = &self.open else { return Vec::new() };
        let rows = look.store.value(&self.list.want(0)).list("threads");
        let title = rows.iter().find(|row| row.text("id") == talk.thread).map(|row| row.text("title").to_owned());
        vec![title.filter(|title| !title.is_empty()).unwrap_or_else(|| talk.thread.clone())]
    }

    fn scopes(&self) -> Vec<Scope> {
        if self.is_in_list || self.open.is_none() {
            vec![Scope::Threads, Scope::List]
        } else {
            vec![Scope::Threads, Scope::Tree, Scope::List]
        }
    }

    fn wants(&self, look: &Look<'_>) -> Vec<Want> {
        let mut wants = self.list.wants(Pane::inner(self.panes(look.area).list));
        wants.push(Want::Agents);
        if let Some(talk) = &self.open {
            wants.extend(talk.wants(look.store));
        }
        wants
    }

    fn is_typing(&self) -> bool {
        self.open.as_ref().is_some_and(|talk| talk.is_typing)
    }

    fn key(&mut self, key: crossterm::event::KeyEvent, look: &Look<'_>) -> Vec<Deed> {
        let chat = self.next_chat();
        let deeds = match &mut self.open {
            Some(talk) => talk.key(key, chat),
            None => Vec::new(),
        };
        self.settle(look);
        deeds
    }

    fn paste(&mut self, text: &str) {
        if let Some(talk) = &mut self.open
            && talk.is_typing
        {
            talk.paste(text);
        }
    }

    fn command(&mut self, command: Command, look: &Look<'_>) -> Vec<Deed> {
        let panes = self.panes(look.area);
        let deeds = match (command, &mut self.open) {
            (Command::Go(to), Some(talk)) if !self.is_in_list => {
                talk.go(to, look.store);
                Vec::new()
            }
            (Command::Go(to), _) => {
                if !matches!(to, Move::Left | Move::Right) {
                    self.list.go(to, look.store, Pane::inner(panes.list));
                    self.follow(look);
                }
                Vec::new()
            }
            (Command::Open, _) if self.is_in_list => {
                if let Some(thread) = self.meant(look) {
                    self.open(&thread, look);
                    self.is_in_list = false;
                }
                Vec::new()
            }
            (Command::Open | Command::Fold, Some(talk)) => {
                talk.transcript.toggle();
                Vec::new()
            }
            (Command::FoldAll, Some(talk)) => {
                talk.transcript.toggle_all();
                Vec::new()
            }
            (Command::NextPane | Command::PreviousPane, Some(_)) => {
                self.is_in_list = !self.is_in_list && look.area.width >= 100;
                Vec::new()
            }
            (Command::Zoom, Some(_)) => {
                self.is_zoomed = !self.is_zoomed;
                self.is_in_list = false;
                Vec::new()
            }
            (Command::Sort | Command::Reverse, _) if self.is_in_list => {
                self.list.reverse();
                Vec::new()
            }
            (Command::NextHit, Some(talk)) => {
                talk.transcript.next_hit();
                Vec::new()
            }
            (Command::PreviousHit, Some(talk)) => {
                talk.transcript.previous_hit();
                Vec::new()
            }
            (Command::Use, _) => self.write(look),
            (Command::New, _) => {
                let kind = PromptKind::NewThread { resource: RESOURCE.to_owned() };
                vec![Deed::Open(Box::new(Popup::Prompt(Box::new(Prompt::new(kind, "title of the new thread", "")))))]
            }
            (Command::Agent, open) => Self::choose_agent(look, open.is_none()),
            (Command::Cancel, _) => self.stop(),
            (Command::Approve, _) => self.verdict(true),
            (Command::Decline, _) => self.verdict(false),
            (Command::Clone, _) => {
                self.ask_title(look, |thread| PromptKind::CloneThread { thread }, "title of the clone")
            }
            (Command::Rename, _) => self.ask_title(look, |thread| PromptKind::RenameThread { thread }, "title"),
            (Command::Delete, _) => match self.meant(look) {
                Some(thread) => vec![Deed::Ask(Order::DeleteThread { thread })],
                None => vec![Deed::Complain("no thread is chosen".into())],
            },
            (Command::ToTrace, Some(talk)) => match talk.trace(look.store) {
                Ok(id) => vec![Deed::Go(Place::Trace(id))],
                Err(reason) => vec![Deed::Complain(reason.into())],
            },
            (Command::ToLogs, _) => {
                let thread = self.meant(look);
                thread.map(|id| Deed::Go(Place::Logs(format!("thread:{id}")))).into_iter().collect()
            }
            _ => Vec::new(),
        };
        self.settle(look);
        deeds
    }

    fn settle(&mut self, look: &Look<'_>) {
        let panes = self.panes(look.area);
        self.list.settle(look.store, Pane::inner(panes.list));
        let size = Pane::inner(panes.transcript).as_size();
        if let Some(talk) = &mut self.open {
            talk.settle(look.store, size, look.theme);
        }
    }

    fn filter(&mut self, text: &str, look: &Look<'_>) -> Result<(), String> {
        if let Some(talk) = &mut self.open
            && !self.is_in_list
        {
            text.clone_into(&mut talk.search);
            talk.transcript.search(text);
            return Ok(());
        }
        text.clone_into(&mut self.text);
        self.list.narrow(Self::query(text));
        self.settle(look);
        Ok(())
    }

    fn filter_text(&self) -> &str {
        match &self.open {
            Some(talk) if !self.is_in_list => &talk.search,
            _ => &self.text,
        }
    }

    fn go(&mut self, place: &Place, look: &Look<'_>) -> Vec<Deed> {
        match place {
            Place::Thread(thread) => {
                self.open(thread, look);
                self.is_in_list = false;
            }
            Place::Chat { agent } => self.begin(agent, look),
            Place::Agent(agent) => {
                self.agent = Some(agent.clone());
                if let Some(talk) = &mut self.open {
                    talk.agent = Some(agent.clone());
                    talk.is_typing = true;
                    self.is_in_list = false;
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn back(&mut self) -> bool {
        if self.is_zoomed {
            self.is_zoomed = false;
        } else if let Some(talk) = &self.open {
            // What is under way is heard to its end; x stops it.
            if !talk.is_quiet() {
                return false;
            }
            self.leave();
            self.is_in_list = true;
        } else if !self.text.is_empty() {
            self.text.clear();
            self.list.narrow(Query::default());
        } else {
            return false;
        }
        true
    }

    fn click(&mut self, at: Position, look: &Look<'_>) -> Vec<Deed> {
        let panes = self.panes(look.area);
        let (list, transcript) = (Pane::inner(panes.list), Pane::inner(panes.transcript));
        if list.contains(at) {
            self.is_in_list = true;
            if self.list.click(at.y - list.y, look.store, list) {
                self.follow(look);
            }
        } else if transcript.contains(at)
            && let Some(talk) = &mut self.open
        {
            self.is_in_list = false;
            talk.transcript.click(at.y - transcript.y);
        } else if panes.input.contains(at) {
            return self.write(look);
        }
        Vec::new()
    }

    fn wheel(&mut self, at: Position, rows: isize, look: &Look<'_>) {
        let panes = self.panes(look.area);
        match &mut self.open {
            Some(talk) if !panes.list.contains(at) => talk.scroll(rows, look.store),
            _ => {
                self.list.wheel(rows, look.store, Pane::inner(panes.list));
                self.follow(look);
            }
        }
    }

    fn chosen(&self, look: &Look<'_>) -> Option<(String, Value)> {
        match &self.open {
            Some(talk) if !self.is_in_list => talk.chosen(look.store),
            _ => self.selected(look).map(|row| (row.text("id").to_owned(), row.clone())),
        }
    }

    fn export(&self, look: &Look<'_>) -> Value {
        match &self.open {
            Some(talk) => json!({"threadId": talk.thread, "messages": talk.messages(look.store)}),
            None => look.store.value(&self.list.want(0)).clone(),
        }
    }

    fn draw(&self, look: &Look<'_>, frame: &mut Frame<'_>) {
        draw::draw(self, look, frame);
    }
}
