//! Everything that can happen to the console, and what it may ask of the server.

use crate::api::Overview;

/// Something happened: a key was pressed or the server said something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Leave.
    Quit,
    /// Move the selection one down.
    SelectNext,
    /// Move the selection one up.
    SelectPrevious,
    /// Reload the selected plugin.
    Reload,
    /// Ask whether the selected plugin shall go back a generation.
    AskRollback,
    /// Yes to what is asked.
    Confirm,
    /// No to what is asked.
    Dismiss,
    /// The server answered at this time of day.
    Loaded {
        /// What it showed.
        overview: Overview,
        /// `HH:MM:SS`.
        at: String,
    },
    /// The server did not answer, for this reason.
    Lost(String),
    /// An order was carried out.
    Done(String),
    /// An order was refused, for this reason.
    Refused(String),
}

/// What an operator can have done to a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Reload,
    Rollback,
}

impl Order {
    /// The last segment of the endpoint's path, and the word for people.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Rollback => "rollback",
        }
    }
}

/// An order for one plugin, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) order: Order,
    pub(crate) plugin: String,
}
