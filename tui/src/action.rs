//! Everything that can happen to the console, and what it may have done.

use crossterm::event::{KeyEvent, MouseEvent};
use serde_json::Value;

use crate::{config::Server, live::LiveEvent, order::Order, store::Failure, want::Want};

/// Something happened: a key was pressed, time passed or the server said something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Key(KeyEvent),
    Paste(String),
    Mouse(MouseEvent),
    /// Columns and rows.
    Resize(u16, u16),
    /// It is this late, in Unix milliseconds. Comes before what happened then.
    Now(i64),
    News(News),
}

/// What the client says of the server that is watched.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// What was wanted.
    Answer { want: Want, answer: Result<Value, Failure> },
    /// What became of an order.
    Done { order: Box<Order>, answer: Result<Value, Failure> },
    /// What happened, in order.
    Events(Vec<LiveEvent>),
    /// The stream of events is open.
    Connected,
    /// It is not; the next try is in so many milliseconds.
    Lost { failure: Failure, retry: u64 },
    /// A piece of an agent's answer.
    Chunk { chat: u64, chunk: Value },
    /// An agent's answer is over.
    ChatEnded { chat: u64, failure: Option<Failure> },
    /// A file was written, or not.
    Exported(Result<String, String>),
}

/// What an agent is to answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    /// A message in a conversation.
    Message { thread: String, resource: String, text: String },
    /// A tool call that waits is approved or declined.
    Verdict { run: String, call: String, is_approved: bool },
    /// A tool call that waits is given what it asked for.
    Resume { run: String, call: String, data: Value },
}

/// Something to be done outside.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Ask the server.
    Fetch(Want),
    /// Have something changed.
    Carry(Box<Order>),
    /// Have an agent answer; pieces come under this number.
    Chat { chat: u64, agent: String, ask: Ask },
    /// Stop listening to an agent's answer; the run is given up.
    StopChat(u64),
    /// Watch this server instead, if the one given is another, and show it this token.
    Watch { server: Server, token: Option<String> },
    /// Put a text on the clipboard of whoever looks.
    Copy(String),
    /// Write a file beside the operator: a name to begin with, and what is in it.
    Export { name: String, text: String },
    /// Whether the terminal reports the mouse.
    Mouse(bool),
    /// Draw everything again.
    Redraw,
}
