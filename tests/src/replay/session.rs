//! The format of a recorded session: one JSON object a line.
//!
//! The first line describes the session, every other line is a [`Step`]. Nothing
//! is interpreted here: expectations stay JSON and are read by
//! [`super::matcher`]. Unknown keys are refused, because a key this player does
//! not know would otherwise be a check that silently never runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// An ordered list of requests that works on an empty data directory.
#[derive(Clone, Debug)]
pub struct Session {
    /// The area, which is the file's name and the first part of every step's name.
    pub area: String,
    /// What the head line says.
    pub head: Head,
    /// The steps in the order they are played.
    pub steps: Vec<Step>,
}

/// The first line of a session file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The area again.
    pub session: String,
    /// What the session is about.
    #[serde(default)]
    pub about: String,
    /// The session's place when several are played on one server.
    #[serde(default)]
    pub order: u32,
    /// Variables the recorded server was started with.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The same in words.
    #[serde(default)]
    pub needs: String,
}

/// One line of a session.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Line")]
pub struct Step {
    /// `area/name`.
    pub name: String,
    /// What is done.
    pub action: Action,
    /// The pause before it.
    pub wait: Duration,
    /// Whether to repeat it until the answer is as expected.
    pub poll: Option<Poll>,
    /// Variables to take from the answer: name to path.
    pub bind: BTreeMap<String, String>,
    /// The recorded answer.
    pub expect: Expect,
    /// How the answer is compared.
    pub compare: Rules,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Sends a request and judges its answer.
    Send(Request),
    /// Sends a request and goes on once that many frames have come.
    Start {
        /// The request.
        request: Request,
        /// Frames to wait for.
        frames: usize,
    },
    /// Judges the answer of a started request.
    Collect {
        /// The name of the step that started it.
        step: String,
        /// Whether to hang up first instead of waiting for the end.
        hang_up: bool,
    },
}

/// A request; `${name}` in any text of it stands for a bound value.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The method.
    #[serde(default = "get")]
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A body that is JSON.
    #[serde(default, deserialize_with = "present")]
    pub body: Option<Value>,
    /// A body that may be anything.
    pub raw_body: Option<String>,
    /// How long the whole answer may take.
    pub timeout_ms: Option<u64>,
}

/// A recorded answer. What is absent is not compared.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expect {
    /// The status.
    pub status: Option<u16>,
    /// The content type: media type and parameters.
    pub content_type: Option<String>,
    /// Some headers.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// The body as JSON, or as text where it is none.
    #[serde(default, deserialize_with = "present")]
    pub body: Option<Value>,
    /// The body as text.
    #[serde(default, deserialize_with = "present")]
    pub text: Option<Value>,
    /// The frames of a stream.
    #[serde(default, deserialize_with = "present")]
    pub frames: Option<Value>,
    /// Whether the stream stays open after these frames.
    #[serde(default)]
    pub open: bool,
}

impl Expect {
    /// How many frames are expected.
    pub fn frame_count(&self) -> usize {
        self.frames.as_ref().and_then(Value::as_array).map_or(0, Vec::len)
    }
}

/// How an answer is compared.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rules {
    /// Paths of arrays whose order does not count.
    #[serde(default)]
    pub unordered: Vec<String>,
    /// Paths of arrays that are sorted by a key, `-key` for descending.
    #[serde(default)]
    pub sorted: BTreeMap<String, String>,
    /// Paths that are not compared.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// Frames that are not counted.
    #[serde(default)]
    pub ignore_frames: Vec<Value>,
}

/// Repeats a request until its answer is as expected.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Poll {
    /// How long to try.
    #[serde(default)]
    pub timeout_ms: u64,
    /// The pause between two tries.
    #[serde(default = "every")]
    pub every_ms: u64,
}

impl Session {
    /// Reads a session file; its name is the area.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or a line is not of the format; the error names the line.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let area = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&area, &text).with_context(|| path.display().to_string())
    }

    /// Reads the text of a session file.
    ///
    /// # Errors
    ///
    /// As [`Session::load`].
    pub fn parse(area: &str, text: &str) -> anyhow::Result<Self> {
        let (mut head, mut steps) = (Head::default(), Vec::<Step>::new());
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let value: Value = serde_json::from_str(line).with_context(|| format!("line {}", index + 1))?;
            if value.get("session").is_some() {
                head = serde_json::from_value(value).with_context(|| format!("line {}", index + 1))?;
                continue;
            }
            let step: Step = serde_json::from_value(value).with_context(|| format!("line {}", index + 1))?;
            if steps.iter().any(|earlier| earlier.name == step.name) {
                bail!("line {}: a second step named `{}`", index + 1, step.name);
            }
            steps.push(step);
        }
        Ok(Self { area: area.to_owned(), head, steps })
    }

    /// Reads the recorded session of an area.
    ///
    /// # Errors
    ///
    /// As [`Session::load`].
    pub fn of_area(area: &str) -> anyhow::Result<Self> {
        Self::load(&contract_dir().join(format!("{area}.jsonl")))
    }
}

/// The directory of the recorded sessions.
pub fn contract_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contract")
}

/// The areas that have a session in a directory, sorted.
///
/// # Errors
///
/// When the directory cannot be read.
pub fn areas(directory: &Path) -> anyhow::Result<Vec<String>> {
    let mut areas = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            areas.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    areas.sort();
    Ok(areas)
}

/// A step as it stands in the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    name: String,
    request: Option<Request>,
    #[serde(default)]
    background: bool,
    #[serde(default)]
    wait_frames: usize,
    collect: Option<String>,
    #[serde(default)]
    close: bool,
    #[serde(default)]
    wait_ms: u64,
    poll_until: Option<Poll>,
    #[serde(default)]
    bind: BTreeMap<String, String>,
    #[serde(default)]
    expect: Expect,
    #[serde(default)]
    compare: Rules,
}

impl TryFrom<Line> for Step {
    type Error = String;

    fn try_from(line: Line) -> Result<Self, String> {
        let name = line.name;
        let action = match (line.request, line.collect) {
            (Some(request), None) if line.background => Action::Start { request, frames: line.wait_frames },
            (Some(request), None) => Action::Send(request),
            (None, Some(step)) => Action::Collect { step, hang_up: line.close },
            _ => return Err(format!("step `{name}` needs either `request` or `collect`")),
        };
        Ok(Self {
            name,
            action,
            wait: Duration::from_millis(line.wait_ms),
            poll: line.poll_until,
            bind: line.bind,
            expect: line.expect,
            compare: line.compare,
        })
    }
}

/// Tells a `null` that is there from a key that is not.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn get() -> String {
    "GET".to_owned()
}

fn every() -> u64 {
    200
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_sessions_are_of_the_format() {
        let areas = areas(&contract_dir()).unwrap();
        assert!(areas.iter().any(|area| area == "agents"), "{areas:?}");
        for area in areas {
            let session = Session::of_area(&area).unwrap();
            assert_eq!(session.head.session, area);
            for step in &session.steps {
                assert!(step.name.starts_with(&format!("{area}/")), "{}", step.name);
            }
        }
    }

    #[test]
    fn an_expected_null_is_not_an_absent_body() {
        let line = r#"{"name":"a/b","request":{"path":"/"},"expect":{"body":null}}"#;
        let step: Step = serde_json::from_str(line).unwrap();
        assert_eq!(step.expect.body, Some(Value::Null));
        assert_eq!(step.expect.text, None);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = Session::parse("a", r#"{"name":"a/b","request":{"path":"/"},"expct":{}}"#).unwrap_err();
        assert!(format!("{error:#}").contains("expct"), "{error:#}");
    }
}
