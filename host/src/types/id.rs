//! Ids and times, made in one place.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use uuid::Uuid;

/// Returns a fresh id for a run, a message or a thread: a UUID that sorts by time.
#[must_use]
pub fn fresh() -> String {
    Uuid::now_v7().to_string()
}

/// Names one trace: 32 hex digits.
#[must_use]
pub fn trace() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Names one span: 16 hex digits.
#[must_use]
pub fn span() -> String {
    // A run has a dozen of them, and nobody need be kept from guessing one.
    format!("{:016x}", fastrand::u64(1..))
}

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// Returns the present.
    #[must_use]
    pub fn now() -> Self {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    /// Reads a time as clients write it: ISO 8601 with or without an offset, or a date; without
    /// an offset it is UTC.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(Self(time.as_millisecond()));
        }
        let civil = text.parse::<jiff::civil::DateTime>();
        let civil = civil.or_else(|_| text.parse::<jiff::civil::Date>().map(|date| date.at(0, 0, 0, 0))).ok()?;
        let time = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Self(time.timestamp().as_millisecond()))
    }

    /// Returns the time as ISO 8601 with milliseconds and `Z`.
    #[must_use]
    pub fn iso(self) -> String {
        let timestamp = Timestamp::from_millisecond(self.0).unwrap_or_default();
        format!("{timestamp:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(Millis(0).iso(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Millis(1_700_000_000_123).iso(), "2023-11-14T22:13:20.123Z");
    }

    #[test]
    fn ids_have_their_lengths() {
        assert_eq!(fresh().len(), 36);
        assert_eq!(trace().len(), 32);
        assert_eq!(span().len(), 16);
    }
}
