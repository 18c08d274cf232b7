//! What lies over the screen and takes the keys. The last one opened is on top.

use crossterm::event::KeyEvent;
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    style::Style,
    widgets::{Clear, Widget},
};
use serde_json::Value;

pub(crate) use self::{
    choices::{Choice, Choices, Chosen, Order as ChoiceOrder},
    forms::{Filled, Forms},
    prompt::{Prompt, PromptKind},
    record::Record,
};
use crate::{
    app::middle,
    config::Server,
    json::Json,
    keymap::{self, Command, Scope},
    order::Order,
    parts::{
        pane::{Pane, put},
        text,
    },
    screens::{Deed, Look, Place},
    store::Failure,
    theme::Theme,
    want::Want,
};

mod choices;
mod forms;
mod prompt;
mod record;

/// Something over the screen.
#[derive(Debug)]
pub(crate) enum Popup {
    /// "Shall this be done?"
    Confirm(Box<Order>),
    /// One of many: commands, servers, agents.
    Choices(Choices),
    /// One line of text.
    Prompt(Box<Prompt>),
    /// What an order needs, by its schema.
    Form(Box<Forms>),
    /// A value to look at.
    Record(Box<Record>),
}

/// What becomes of a popup after a key.
#[derive(Debug)]
pub(crate) enum Outcome {
    Stay(Vec<Deed>),
    Close(Vec<Deed>),
    /// Close it, and do this on the screen below.
    Command(Command),
    /// Narrow the screen below; close it if that is all.
    Filter(String, bool),
}

impl Popup {
    /// All keys that count now.
    pub(crate) fn help(scopes: &[Scope]) -> Self {
        let choices = keymap::bindings(scopes).map(|binding| Choice {
            words: binding.words.to_owned(),
            note: binding.keys.join("  "),
            group: binding.scope.name(),
            deed: Chosen::Command(binding.command),
        });
        Self::Choices(Choices::new("Keys", choices.collect(), choices::Order::AsGiven))
    }

    /// All that can be done and gone to.
    pub(crate) fn palette(scopes: &[Scope], look: &Look<'_>) -> Self {
        // Those that go a step are not looked for by their names, and a screen's own come before others of the same.
        let mut named = std::collections::HashSet::new();
        let useful = keymap::bindings(scopes).filter(|binding| !matches!(binding.command, Command::Go(_)));
        let commands = useful.filter(|binding| named.insert(binding.words)).map(|binding| Choice {
            words: binding.words.to_owned(),
            note: binding.keys.first().copied().unwrap_or_default().to_owned(),
            group: binding.scope.name(),
            deed: Chosen::Command(binding.command),
        });
        let mut all: Vec<Choice> = commands.collect();
        let mut place = |group: &'static str, id: &str, place: Place| {
            let choice = Choice {
                words: id.to_owned(),
                note: group.to_owned(),
                group,
                deed: Chosen::Deed(Box::new(move || Deed::Go(place.clone()))),
            };
            all.push(choice);
        };
        for plugin in look.store.value(&Want::Plugins).list("plugins") {
            place("plugin", plugin.text("name"), Place::Plugin(plugin.text("name").into()));
        }
        for (want, group) in [(Want::Agents, "agent"), (Want::Tools, "tool"), (Want::Workflows, "workflow")] {
            for (id, _) in look.store.value(&want).members("") {
                place(group, id, Place::Offer(id.into()));
            }
        }
        Self::Choices(Choices::new("Go to, or do", all, choices::Order::ByMatch))
    }

    /// The servers there are.
    pub(crate) fn contexts(servers: &[Server], current: &Server) -> Self {
        let choices = servers.iter().map(|server| {
            let server = server.clone();
            let mark = if server == *current { "now" } else { "" };
            Choice {
                words: format!("{}  {}", server.name, server.url),
                note: if server.is_read_only { format!("{mark} read only") } else { mark.to_owned() },
                group: "",
                deed: Chosen::Deed(Box::new(move || {
                    Deed::Effect(crate::action::Effect::Watch { server: server.clone(), token: None })
                })),
            }
        });
        Self::Choices(Choices::new("Servers", choices.collect(), choices::Order::ByMatch))
    }

    /// Returns what has to be known while it is open.
    pub(crate) fn wants(&self) -> Vec<Want> {
        match self {
            // The palette goes anywhere.
            Self::Choices(_) => vec![Want::Plugins, Want::Agents, Want::Tools, Want::Workflows],
            _ => Vec::new(),
        }
    }

    pub(crate) fn paste(&mut self, text: &str) {
        match self {
            Self::Prompt(prompt) => prompt.paste(text),
            Self::Form(form) => form.paste(text),
            Self::Choices(choices) => choices.paste(text),
            Self::Confirm(_) | Self::Record(_) => {}
        }
    }

    pub(crate) fn wheel(&mut self, rows: isize) {
        match self {
            Self::Choices(choices) => choices.wheel(rows),
            Self::Record(record) => record.wheel(rows),
            Self::Confirm(_) | Self::Prompt(_) | Self::Form(_) => {}
        }
    }

    /// Returns whether it is there for what comes of an order.
    pub(crate) fn is_waiting_for(&self, order: &Order) -> bool {
        matches!(self, Self::Form(form) if form.is_waiting_for(order))
    }

    /// Takes what the server does not like.
    pub(crate) fn refused(&mut self, failure: &Failure) {
        if let Self::Form(form) = self {
            form.refused(failure);
        }
    }

    /// Draws it. Returns where the cursor is, if there is one.
    pub(crate) fn draw(&self, look: &Look<'_>, whole: Rect, buf: &mut Buffer) -> Option<Position> {
        match self {
            Self::Confirm(order) => {
                draw_confirm(order, look, whole, buf);
                None
            }
            Self::Choices(choices) => Some(choices.draw(look.theme, whole, buf)),
            Self::Prompt(prompt) => Some(prompt.draw(look.theme, whole, buf)),
            Self::Form(form) => form.draw(look.theme, whole, buf),
            Self::Record(record) => {
                record.draw(look.theme, whole, buf);
                None
            }
        }
    }
}

/// Takes a key.
pub(crate) fn key(popup: &mut Popup, key: KeyEvent, name: &str, look: &Look<'_>) -> Outcome {
    match popup {
        Popup::Confirm(order) => match name {
            "y" | "Y" | "enter" => Outcome::Close(vec![Deed::Carry((**order).clone())]),
            "n" | "N" | "q" | "esc" | "C-c" => Outcome::Close(vec![Deed::Say("nothing was done".into())]),
            _ => Outcome::Stay(Vec::new()),
        },
        Popup::Choices(choices) => choices.key(key, name),
        Popup::Prompt(prompt) => prompt.key(key, name, look),
        Popup::Form(form) => form.key(key),
        Popup::Record(record) => record.key(name, look),
    }
}

/// Returns what is done once an order was carried out.
pub(crate) fn after(order: &Order, answer: Value) -> Vec<Deed> {
    match order {
        Order::ExecuteTool { tool, .. } => {
            vec![Deed::Open(Box::new(Popup::Record(Box::new(Record::new(format!("{tool} answered"), answer)))))]
        }
        Order::StartRun { workflow, .. } => {
            let run = answer.text("runId").to_owned();
            if run.is_empty() { Vec::new() } else { vec![Deed::Go(Place::Run { workflow: workflow.clone(), run })] }
        }
        Order::CreateThread { .. } | Order::CloneThread { .. } => {
            let id = [answer.text("id"), answer.text("thread.id")].into_iter().find(|id| !id.is_empty());
            id.map(|id| Deed::Go(Place::Thread(id.to_owned()))).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn draw_confirm(order: &Order, look: &Look<'_>, whole: Rect, buf: &mut Buffer) {
    let words = format!("Shall I {}?", order.words());
    let lines = text::wrap(&text::clean(&words), usize::from(whole.width.saturating_sub(6).min(64)));
    let facts = facts(order, look);
    let height = lines.len() + facts.len() + 5;
    let area = middle(whole, 70, u16::try_from(height).unwrap_or(u16::MAX));
    let inner = cover("Confirm", look.theme, area, buf);
    let mut line = 1;
    for text in &lines {
        put(buf, inner, 1, line, text, look.theme.heading());
        line += 1;
    }
    for fact in &facts {
        put(buf, inner, 1, line, fact, look.theme.quiet());
        line += 1;
    }
    put(buf, inner, 1, line + 1, "y yes   n no", Style::new());
}

/// Returns what one should know before saying yes.
fn facts(order: &Order, look: &Look<'_>) -> Vec<String> {
    let Order::Plugin { name, order } = order else { return Vec::new() };
    let plugins = look.store.value(&Want::Plugins).list("plugins");
    let Some(plugin) = plugins.iter().find(|plugin| plugin.text("name") == name) else { return Vec::new() };
    let serving = plugin.whole("generation");
    let generations = plugin.list("generations");
    let in_flight: u64 = generations.iter().filter_map(|generation| generation.whole("inFlight")).sum();
    let mut facts = vec![format!("calls that go on now: {in_flight}; they end on the build they began with")];
    if *order == crate::order::PluginOrder::Rollback {
        let current = generations.iter().find(|generation| generation.whole("number") == serving);
        let hash = current.map_or("", |generation| generation.text("hash"));
        let before = generations
            .iter()
            .find(|generation| generation.whole("number") < serving && generation.text("hash") != hash);
        facts.push(match before {
            Some(before) => format!(
                "from {} ({}) to {} ({})",
                plugin.text("version"),
                text::start(hash, 8),
                before.text("version"),
                text::start(before.text("hash"), 8)
            ),
            None => "to the build before this one, if the server still has it".to_owned(),
        });
    }
    facts
}

/// Clears an area and frames it. Returns what is inside.
fn cover(title: &str, theme: Theme, area: Rect, buf: &mut Buffer) -> Rect {
    Clear.render(area, buf);
    Pane::new(title).focused(true).draw(theme, area, buf)
}
