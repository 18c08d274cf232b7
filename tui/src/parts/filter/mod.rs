//! What lists are filtered by: one language for all of them.
//!
//! | written | found is |
//! |---|---|
//! | `mail` `"two words"` | what has the text in it |
//! | `/time(d)? out/` | what the expression matches |
//! | `plugin:rss` `plugin:/^r/` `state:*` | what has the text in that field; matches; has the field |
//! | `state=failed` | what has exactly that in the field |
//! | `tokens>1.5k` `took>=2s` | what has more there; durations are milliseconds |
//! | `level>=warn` | what is as bad or worse |
//! | `since:15m` `from:2026-11-26T10:00` `to:2026-11-26` | what was then; UTC unless an offset says otherwise |
//! | `-state:ok` | what is not so |
//! | `a b` `a \| b` `(a \| b) c` | both; one of them |
//!
//! Nothing here looks at the case of letters.

mod parse;

use std::borrow::Cow;

use regex::Regex;

/// A row that a filter looks at.
pub(crate) trait Fields {
    /// Returns what a field has in it; the name is in small letters.
    fn field(&self, name: &str) -> Option<Cow<'_, str>>;

    /// Returns what is searched when no field is named.
    fn text(&self) -> Cow<'_, str>;

    /// Returns when it was, in Unix milliseconds.
    fn time(&self) -> Option<i64>;
}

/// What a list is filtered by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    term: Option<Term>,
}

/// Why a text is not a filter, and where it stops being one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterError {
    /// How many characters come before it.
    pub(crate) column: usize,
    pub(crate) message: String,
}

#[derive(Debug, Clone)]
enum Term {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Text(Regex),
    Field(String, Test),
    Time(Times),
}

/// From when on, and until when; the latter is not in it.
type Times = (Option<i64>, Option<i64>);

/// What a field must be.
#[derive(Debug, Clone)]
enum Test {
    Present,
    /// The number counts where the field has one.
    Matches(Regex, Option<f64>),
    Number(Order, f64),
    Level(Order, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];

impl Filter {
    /// Reads a filter. Times are relative to `now_ms`, in Unix milliseconds.
    pub(crate) fn parse(text: &str, now_ms: i64) -> Result<Self, FilterError> {
        parse::parse(text, now_ms).map(|term| Self { term })
    }

    /// Tells whether it lets everything through.
    pub(crate) const fn is_empty(&self) -> bool {
        self.term.is_none()
    }

    /// Tells whether it lets a row through.
    pub(crate) fn matches(&self, row: &dyn Fields) -> bool {
        self.term.as_ref().is_none_or(|term| term.matches(row))
    }

    /// From when on and until when all that it lets through was, in Unix milliseconds: what to ask a server for.
    pub(crate) fn times(&self) -> (Option<i64>, Option<i64>) {
        self.term.as_ref().map_or((None, None), Term::times)
    }
}

impl Term {
    fn matches(&self, row: &dyn Fields) -> bool {
        match self {
            Self::All(terms) => terms.iter().all(|term| term.matches(row)),
            Self::Any(terms) => terms.iter().any(|term| term.matches(row)),
            Self::Not(term) => !term.matches(row),
            Self::Text(pattern) => pattern.is_match(&row.text()),
            Self::Field(name, test) => row.field(name).is_some_and(|value| test.holds(&value)),
            Self::Time((from, to)) => {
                row.time().is_some_and(|time| from.is_none_or(|from| time >= from) && to.is_none_or(|to| time < to))
            }
        }
    }

    fn times(&self) -> Times {
        match self {
            Self::Time(times) => *times,
            Self::All(terms) => terms.iter().map(Self::times).fold((None, None), |(from, to), (later, earlier)| {
                (from.max(later), to.into_iter().chain(earlier).min())
            }),
            Self::Any(_) | Self::Not(_) | Self::Text(_) | Self::Field(..) => (None, None),
        }
    }
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Present => !value.is_empty(),
            Self::Matches(pattern, number) => match (number, value.trim().parse::<f64>()) {
                (Some(number), Ok(value)) => Order::Equal.holds(&value, number),
                _ => pattern.is_match(value),
            },
            Self::Number(order, number) => parse::number(value.trim()).is_some_and(|value| order.holds(&value, number)),
            Self::Level(order, level) => level_of(value).is_some_and(|value| order.holds(&value, level)),
        }
    }
}

impl Order {
    fn holds<T: PartialOrd>(self, value: &T, limit: &T) -> bool {
        match self {
            Self::Less => value < limit,
            Self::AtMost => value <= limit,
            Self::Equal => value == limit,
            Self::AtLeast => value >= limit,
            Self::More => value > limit,
        }
    }
}

fn level_of(name: &str) -> Option<usize> {
    let name = if name.eq_ignore_ascii_case("warning") { "warn" } else { name };
    LEVELS.iter().position(|level| level.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
