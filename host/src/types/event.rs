//! A live event: a few words on something that happened just now, for whoever watches.
//!
//! Made on the way of every run, so it is cheap: what it says is kept as it is and put into
//! words only when somebody reads it. It has no content of prompts, answers or results; those
//! are in the span or the record it leads to.

use super::{id::Millis, log::Level, thread::StoredMessage};

/// The longest text of an event, in bytes: events are pointers, not documents.
const LONGEST: usize = 512;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A run of an agent or a workflow.
    Run,
    /// A step of a workflow, a turn of a model, a call of a tool.
    Step,
    /// A message of a conversation.
    Message,
    /// A span.
    Span,
    /// A log record.
    Log,
    /// A plugin.
    Plugin,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Run, Self::Step, Self::Message, Self::Span, Self::Log, Self::Plugin];

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Step => "step",
            Self::Message => "message",
            Self::Span => "span",
            Self::Log => "log",
            Self::Plugin => "plugin",
        }
    }

    /// Returns how many fields its events have at most, as a rule: many are kept, none should
    /// have room for twice of what it says.
    fn usual_fields(self) -> usize {
        match self {
            Self::Message | Self::Plugin => 3,
            Self::Run => 4,
            Self::Step | Self::Log => 6,
            Self::Span => 9,
        }
    }

    /// Returns the kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// What happened to it, one word or two: `began`, `tool-called`.
    pub what: &'static str,
    /// When.
    pub time: Millis,
    /// How much it matters.
    pub level: Level,
    /// The run it happened in.
    pub run_id: Option<Box<str>>,
    /// The conversation.
    pub thread_id: Option<Box<str>>,
    /// The plugin whose doing it is.
    pub plugin: Option<Box<str>>,
    /// What else is said, in this order.
    pub fields: Vec<(&'static str, EventField)>,
}

/// A value an event has.
#[derive(Debug, Clone, PartialEq)]
pub enum EventField {
    /// A word that is always the same.
    Word(&'static str),
    /// A text, cut if it is long.
    Text(Box<str>),
    /// A number.
    Number(u64),
}

impl Event {
    /// Returns an event of this moment.
    #[must_use]
    pub fn now(kind: EventKind, what: &'static str) -> Self {
        Self {
            kind,
            what,
            time: Millis::now(),
            level: Level::Info,
            run_id: None,
            thread_id: None,
            plugin: None,
            fields: Vec::with_capacity(kind.usual_fields()),
        }
    }

    /// Returns the event that a message was stored, in the run that made it if there is one.
    #[must_use]
    pub fn stored(message: &StoredMessage, run_id: Option<&str>) -> Self {
        Self::now(EventKind::Message, "stored")
            .run(run_id)
            .thread(Some(&message.thread_id))
            .text("messageId", &message.id)
            .text("role", &message.role)
            .maybe("resourceId", message.resource_id.as_deref())
    }

    /// Says when it happened.
    #[must_use]
    pub fn at(mut self, time: Millis) -> Self {
        self.time = time;
        self
    }

    /// Says how much it matters.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Says in which run.
    #[must_use]
    pub fn run(mut self, run_id: Option<&str>) -> Self {
        self.run_id = run_id.map(cut);
        self
    }

    /// Says in which conversation.
    #[must_use]
    pub fn thread(mut self, thread_id: Option<&str>) -> Self {
        self.thread_id = thread_id.map(cut);
        self
    }

    /// Says whose doing it is.
    #[must_use]
    pub fn plugin(mut self, plugin: Option<&str>) -> Self {
        self.plugin = plugin.map(cut);
        self
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, name: &'static str, text: &str) -> Self {
        self.fields.push((name, EventField::Text(cut(text))));
        self
    }

    /// Adds a text, if there is one.
    #[must_use]
    pub fn maybe(self, name: &'static str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    /// Adds a word.
    #[must_use]
    pub fn word(mut self, name: &'static str, word: &'static str) -> Self {
        self.fields.push((name, EventField::Word(word)));
        self
    }

    /// Adds a number, if there is one.
    #[must_use]
    pub fn number(mut self, name: &'static str, number: impl Into<Option<u64>>) -> Self {
        if let Some(number) = number.into() {
            self.fields.push((name, EventField::Number(number)));
        }
        self
    }

    /// Returns about how many bytes of memory it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let ids = [&self.run_id, &self.thread_id, &self.plugin];
        let ids: usize = ids.into_iter().flatten().map(|id| id.len()).sum();
        let texts: usize = self
            .fields
            .iter()
            .map(|(_, value)| match value {
                EventField::Text(text) => text.len(),
                EventField::Word(_) | EventField::Number(_) => 0,
            })
            .sum();
        size_of::<Self>() + self.fields.capacity() * size_of::<(&str, EventField)>() + ids + texts
    }
}

/// Returns the text, or as much of it as an event may have.
fn cut(text: &str) -> Box<str> {
    if text.len() <= LONGEST {
        return text.into();
    }
    let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let (start, _) = text.split_at(end);
    format!("{start}…").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let event = Event::now(EventKind::Log, "written").text("message", &"ä".repeat(LONGEST));
        let [(_, EventField::Text(text))] = event.fields.as_slice() else { panic!("{event:?}") };
        assert_eq!(text.chars().count(), LONGEST / 2 + 1);
        assert!(text.ends_with("ä…"));
    }

    #[test]
    fn every_kind_has_its_name() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(EventKind::parse("runs"), None);
    }
}
