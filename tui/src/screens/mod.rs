//! The screens. Each is a file, or a directory where it is large: its state, what it wants to know,
//! what commands do there, and how it is drawn.

use crossterm::event::KeyEvent;
use ratatui::{
    Frame,
    layout::{Position, Rect},
};
use serde_json::Value;

use crate::{
    action::Effect,
    keymap::{Command, Scope},
    order::{Order, Role},
    popups::Popup,
    store::Store,
    theme::Theme,
    want::Want,
};

pub(crate) mod agents;
pub(crate) mod links;
pub(crate) mod logs;
pub(crate) mod overview;
pub(crate) mod paged;
pub(crate) mod plugins;
pub(crate) mod runs;
pub(crate) mod threads;
pub(crate) mod traces;

/// One of the screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ScreenKind {
    Overview,
    Plugins,
    Agents,
    Runs,
    Traces,
    Threads,
    Logs,
    /// Vectors and MCP: what this server is linked to.
    Links,
}

impl ScreenKind {
    pub(crate) const ALL: [Self; 8] =
        [Self::Overview, Self::Plugins, Self::Agents, Self::Runs, Self::Traces, Self::Threads, Self::Logs, Self::Links];

    /// Returns what its tab says.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Plugins => "Plugins",
            Self::Agents => "Agents",
            Self::Runs => "Runs",
            Self::Traces => "Traces",
            Self::Threads => "Threads",
            Self::Logs => "Logs",
            Self::Links => "Links",
        }
    }
}

/// Something that can be gone to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Plugin(String),
    /// An agent, a tool or a workflow by its id.
    Offer(String),
    Run {
        workflow: String,
        run: String,
    },
    /// A run of which only the id is known.
    AnyRun(String),
    Trace(String),
    Thread(String),
    /// A new conversation with an agent.
    Chat {
        agent: String,
    },
    /// The conversation that is open, with this agent from now on.
    Agent(String),
    /// The log, narrowed.
    Logs(String),
}

impl Place {
    /// Returns the screen it is on.
    pub(crate) const fn screen(&self) -> ScreenKind {
        match self {
            Self::Plugin(_) => ScreenKind::Plugins,
            Self::Offer(_) => ScreenKind::Agents,
            Self::Run { .. } | Self::AnyRun(_) => ScreenKind::Runs,
            Self::Trace(_) => ScreenKind::Traces,
            Self::Thread(_) | Self::Chat { .. } | Self::Agent(_) => ScreenKind::Threads,
            Self::Logs(_) => ScreenKind::Logs,
        }
    }
}

/// What a screen or a popup has the console do.
#[derive(Debug)]
pub(crate) enum Deed {
    /// Something outside.
    Effect(Effect),
    /// Show something else.
    Go(Place),
    /// Do this, once the operator says yes.
    Ask(Order),
    /// Do this.
    Carry(Order),
    Open(Box<Popup>),
    /// Show the server this token.
    Token(String),
    /// Say something in the line above the keys.
    Say(String),
    Complain(String),
}

/// What screens see: everything but each other.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) store: &'a Store,
    pub(crate) theme: Theme,
    /// In Unix milliseconds.
    pub(crate) now: i64,
    /// The part of the terminal that screens have.
    pub(crate) area: Rect,
    pub(crate) role: Role,
}

impl Look<'_> {
    /// Returns whether there is room for panes beside each other.
    pub(crate) const fn is_wide(&self) -> bool {
        self.area.width >= 100
    }
}

/// A screen.
pub(crate) trait Screen {
    /// Returns the way to what is shown, after the screen's own name.
    fn crumbs(&self, look: &Look<'_>) -> Vec<String>;
    /// Returns whose keys count, the screen's own first.
    fn scopes(&self) -> Vec<Scope>;
    /// Returns what has to be known for what is seen.
    fn wants(&self, look: &Look<'_>) -> Vec<Want>;
    /// Does what a command says.
    fn command(&mut self, command: Command, look: &Look<'_>) -> Vec<Deed>;
    /// Comes to terms with what is known now.
    fn settle(&mut self, look: &Look<'_>);
    /// Returns whether keys are text here.
    fn is_typing(&self) -> bool {
        false
    }
    /// Takes a key that is text.
    fn key(&mut self, _key: KeyEvent, _look: &Look<'_>) -> Vec<Deed> {
        Vec::new()
    }
    /// Takes a text at once.
    fn paste(&mut self, _text: &str) {}
    /// Narrows what is shown.
    ///
    /// # Errors
    ///
    /// What is wrong with the filter.
    fn filter(&mut self, _text: &str, _look: &Look<'_>) -> Result<(), String> {
        Ok(())
    }
    /// Returns the filter that counts.
    fn filter_text(&self) -> &str {
        ""
    }
    /// Shows something, if it is one of its own.
    fn go(&mut self, _place: &Place, _look: &Look<'_>) -> Vec<Deed> {
        Vec::new()
    }
    /// Goes one up. Returns whether there was anything above.
    fn back(&mut self) -> bool {
        false
    }
    /// Takes a click. Returns what it does beside choosing what was clicked.
    fn click(&mut self, _at: Position, _look: &Look<'_>) -> Vec<Deed> {
        Vec::new()
    }
    /// Scrolls what is there by so many rows.
    fn wheel(&mut self, _at: Position, _rows: isize, _look: &Look<'_>) {}
    /// Returns what is chosen: what a person would copy of it, and the whole.
    fn chosen(&self, look: &Look<'_>) -> Option<(String, Value)>;
    /// Returns everything it shows, for scripts.
    fn export(&self, look: &Look<'_>) -> Value;
    /// Draws it.
    fn draw(&self, look: &Look<'_>, frame: &mut Frame<'_>);
}

/// All screens.
#[derive(Debug, Default)]
pub(crate) struct Screens {
    pub(crate) overview: overview::Overview,
    pub(crate) plugins: plugins::Plugins,
    pub(crate) agents: agents::Agents,
    pub(crate) runs: runs::Runs,
    pub(crate) traces: traces::Traces,
    pub(crate) threads: threads::Threads,
    pub(crate) logs: logs::Logs,
    pub(crate) links: links::Links,
}

impl Screens {
    pub(crate) fn get(&self, kind: ScreenKind) -> &dyn Screen {
        match kind {
            ScreenKind::Overview => &self.overview,
            ScreenKind::Plugins => &self.plugins,
            ScreenKind::Agents => &self.agents,
            ScreenKind::Runs => &self.runs,
            ScreenKind::Traces => &self.traces,
            ScreenKind::Threads => &self.threads,
            ScreenKind::Logs => &self.logs,
            ScreenKind::Links => &self.links,
        }
    }

    pub(crate) fn get_mut(&mut self, kind: ScreenKind) -> &mut dyn Screen {
        match kind {
            ScreenKind::Overview => &mut self.overview,
            ScreenKind::Plugins => &mut self.plugins,
            ScreenKind::Agents => &mut self.agents,
            ScreenKind::Runs => &mut self.runs,
            ScreenKind::Traces => &mut self.traces,
            ScreenKind::Threads => &mut self.threads,
            ScreenKind::Logs => &mut self.logs,
            ScreenKind::Links => &mut self.links,
        }
    }
}
