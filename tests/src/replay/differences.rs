//! The steps that are expected to fail: `contract/differences.toml`.
//!
//! The list cannot rot: a listed step that passes fails the replay, and so does
//! an entry that matches no step. The file has one table for each area:
//!
//! ```toml
//! [tools]
//! # What Hotbay answers instead is checked as strictly as the recording.
//! execute-null-data = { reason = "A missing argument is told per field.", expect = { status = 400, body = { error = "..." } } }
//! # Only that it differs.
//! execute-throws = "A 500 body carries no internals."
//! # It will pass once something else is built; `*` and `?` match as in a shell.
//! "generate-memory*" = { pending = "memory", reason = "Threads are not stored yet." }
//! ```
//!
//! `expect` has the keys of a session's `expect`, and may be a text that holds
//! JSON where TOML has no word for something, such as `null`. `undo` is a request
//! sent after such an answer: it takes back what the recorded server refused to do,
//! so that the steps after it find what they were recorded on.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use super::session::{Expect, Request};

/// Everything the file lists.
#[derive(Clone, Debug, Default)]
pub struct Differences(BTreeMap<String, BTreeMap<String, Listing>>);

/// Why a step is expected to fail.
#[derive(Clone, Debug)]
pub struct Listing {
    /// A sentence.
    pub reason: String,
    /// What it waits for, when the difference is not meant to stay.
    pub pending: Option<String>,
    /// What is answered instead.
    pub expect: Option<Expect>,
    /// What takes back what that answer did.
    pub undo: Option<Request>,
}

impl Differences {
    /// Reads the file beside the sessions.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is not of the format, or a reason is no sentence.
    pub fn of_contract() -> anyhow::Result<Self> {
        Self::load(&super::session::contract_dir().join("differences.toml"))
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// As [`Differences::of_contract`].
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    ///
    /// As [`Differences::of_contract`].
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let areas: BTreeMap<String, BTreeMap<String, Entry>> = toml::from_str(text)?;
        let mut differences = Self::default();
        for (area, entries) in areas {
            let listings = differences.0.entry(area.clone()).or_default();
            for (name, entry) in entries {
                let listing = entry.into_listing().with_context(|| format!("{area}/{name}"))?;
                listings.insert(name, listing);
            }
        }
        Ok(differences)
    }

    /// The areas that have a table.
    pub fn areas(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The entry for a step, named `area/name`. Its own name goes before a pattern.
    pub fn listing(&self, step: &str) -> Option<&Listing> {
        let (area, name) = step.split_once('/')?;
        let listings = self.0.get(area)?;
        let by_pattern = || listings.iter().find(|(pattern, _)| is_like(name, pattern)).map(|(_, listing)| listing);
        listings.get(name).or_else(by_pattern)
    }

    /// Entries of an area that match none of these steps, as `area/name`.
    pub fn unmatched<'a>(&self, area: &str, steps: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
        let names = self.0.get(area).into_iter().flat_map(BTreeMap::keys);
        let is_unmatched = |name: &&String| !steps.clone().any(|step| is_like(step, &format!("{area}/{name}")));
        names.filter(is_unmatched).map(|name| format!("{area}/{name}")).collect()
    }
}

/// An entry as it stands in the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Reason(String),
    Full(Box<Full>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Full {
    reason: String,
    pending: Option<String>,
    expect: Option<Answer>,
    undo: Option<Request>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Json(String),
    Table(serde_json::Value),
}

impl Entry {
    fn into_listing(self) -> anyhow::Result<Listing> {
        let Full { reason, pending, expect, undo } = match self {
            Self::Reason(reason) => Full { reason, pending: None, expect: None, undo: None },
            Self::Full(full) => *full,
        };
        ensure!(reason.contains(' ') && reason.ends_with('.'), "`{reason}` is no reason: write a sentence");
        if pending.is_some() && expect.is_some() {
            bail!("what is pending has no answer to expect: keep `pending` or `expect`");
        }
        ensure!(undo.is_none() || expect.is_some(), "what is undone has an answer to expect: add `expect`");
        let expect = match expect {
            None => None,
            Some(Answer::Json(text)) => Some(serde_json::from_str(&text).context("expect")?),
            Some(Answer::Table(table)) => Some(serde_json::from_value(table).context("expect")?),
        };
        Ok(Listing { reason, pending, expect, undo })
    }
}

/// `*` stands for any text, `?` for one character.
fn is_like(text: &str, pattern: &str) -> bool {
    let pattern = regex::escape(pattern).replace(r"\*", ".*").replace(r"\?", ".");
    regex::Regex::new(&format!(r"\A{pattern}\z")).is_ok_and(|pattern| pattern.is_match(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_are_found_by_name_and_by_pattern() {
        let differences = Differences::parse(
            r#"
            [a]
            plain = "It is so."
            "mem-*" = { pending = "memory", reason = "It comes later." }
            mem-two = { reason = "It is better.", expect = { status = 404, body = { error = "no" } } }
            gone = { reason = "It is null.", expect = '{"body":null}' }
            "#,
        )
        .unwrap();
        assert_eq!(differences.listing("a/plain").unwrap().reason, "It is so.");
        assert_eq!(differences.listing("a/mem-one").unwrap().pending.as_deref(), Some("memory"));
        let expect = differences.listing("a/mem-two").unwrap().expect.as_ref().unwrap();
        assert_eq!((expect.status, expect.body.clone()), (Some(404), Some(json!({"error": "no"}))));
        let null = differences.listing("a/gone").unwrap().expect.as_ref().unwrap();
        assert_eq!(null.body, Some(json!(null)));
        assert!(differences.listing("a/other").is_none());
        assert!(differences.listing("b/plain").is_none());
        let steps = ["a/plain", "a/mem-two"].into_iter();
        assert_eq!(differences.unmatched("a", steps), ["a/gone"]);
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let error = format!("{:#}", Differences::parse(text).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn careless_entries_are_refused() {
        check_refused("[a]\nx = \"todo\"", "write a sentence");
        check_refused("[a]\nx = { reason = \"It is so.\", expct = {} }", "a");
        check_refused("[a]\nx = { reason = \"It is so.\", expect = { stats = 1 } }", "stats");
        check_refused(
            "[a]\nx = { reason = \"It is so.\", pending = \"b\", expect = {} }",
            "keep `pending` or `expect`",
        );
    }
}
