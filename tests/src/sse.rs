//! Server-sent events: text to frames, and a reader that takes them one by one.
//!
//! Strict where a browser is lenient: a line that is no field is kept, so that a
//! comparison shows it. The reader takes bytes only when asked, so a test that
//! stops reading is a slow client.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::http::Incomplete;

/// How long a reader waits for the next frame before it gives the test up.
const PATIENCE: Duration = Duration::from_secs(20);

/// One event as it stood in the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The `event:` field.
    pub event: Option<String>,
    /// The `id:` field.
    pub id: Option<String>,
    /// The `retry:` field.
    pub retry: Option<String>,
    /// The `data:` lines, joined with line feeds.
    pub data: Option<String>,
    /// A line that is neither a field nor a comment.
    pub unparsed: Option<String>,
}

impl Frame {
    /// The data as JSON.
    ///
    /// # Errors
    ///
    /// When the frame has no data, or it is not JSON (such as `[DONE]`).
    pub fn json(&self) -> anyhow::Result<Value> {
        let data = self.data.as_deref().context("the frame has no data")?;
        serde_json::from_str(data).with_context(|| format!("the frame's data is not JSON: {data}"))
    }

    /// The frame as one JSON object; data that is JSON is parsed.
    pub fn to_value(&self) -> Value {
        let mut object = Map::new();
        let plain = [("event", &self.event), ("id", &self.id), ("retry", &self.retry), ("_unparsed", &self.unparsed)];
        for (key, text) in plain {
            if let Some(text) = text {
                object.insert(key.to_owned(), Value::from(text.as_str()));
            }
        }
        if let Some(data) = &self.data {
            object.insert("data".to_owned(), serde_json::from_str(data).unwrap_or_else(|_| Value::from(data.as_str())));
        }
        Value::Object(object)
    }

    /// Reads one block of lines; `None` when it holds only comments.
    fn parse(block: &str) -> Option<Self> {
        let mut frame = Self::default();
        for line in block.split('\n') {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let field = match name {
                _ if !line.contains(':') => None,
                "event" => Some(&mut frame.event),
                "id" => Some(&mut frame.id),
                "retry" => Some(&mut frame.retry),
                "data" => Some(&mut frame.data),
                _ => None,
            };
            match field {
                Some(field) => append(field, value.strip_prefix(char::is_whitespace).unwrap_or(value)),
                None if line.is_empty() || line.starts_with(':') => {}
                None => frame.unparsed = Some(line.to_owned()),
            }
        }
        (frame != Self::default()).then_some(frame)
    }
}

fn append(field: &mut Option<String>, value: &str) {
    match field {
        Some(text) => {
            text.push('\n');
            text.push_str(value);
        }
        None => *field = Some(value.to_owned()),
    }
}

/// All frames of a text, the last one also when its blank line has not come.
pub fn frames(text: &str) -> Vec<Frame> {
    text.replace("\r\n", "\n").split("\n\n").filter_map(Frame::parse).collect()
}

/// Reads the frames of an answer as they come.
#[derive(Debug)]
pub struct SseReader {
    answer: Incomplete,
    buffer: Vec<u8>,
}

impl SseReader {
    /// Reads the body of `answer`.
    ///
    /// # Errors
    ///
    /// When the answer is no event stream; the error holds its status.
    pub fn new(answer: Incomplete) -> anyhow::Result<Self> {
        let content_type = answer.response.headers().get(hyper::header::CONTENT_TYPE);
        let is_stream = content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        if !is_stream {
            bail!("not an event stream: {} with content type {content_type:?}", answer.response.status());
        }
        Ok(Self { answer, buffer: Vec::new() })
    }

    /// The answer's status.
    pub fn status(&self) -> u16 {
        self.answer.response.status().as_u16()
    }

    /// The next frame, `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or no frame comes within twenty seconds.
    pub async fn next(&mut self) -> anyhow::Result<Option<Frame>> {
        loop {
            while let Some(block) = self.take_block() {
                if let Some(frame) = Frame::parse(&block) {
                    return Ok(Some(frame));
                }
            }
            let chunk = timeout(PATIENCE, self.answer.chunk()).await.context("no frame came in time")??;
            let Some(chunk) = chunk else {
                let rest = std::mem::take(&mut self.buffer);
                return Ok(Frame::parse(&String::from_utf8_lossy(&rest).replace("\r\n", "\n")));
            };
            self.buffer.extend_from_slice(&chunk);
        }
    }

    /// All frames up to the end of the stream.
    ///
    /// # Errors
    ///
    /// As [`SseReader::next`].
    pub async fn rest(&mut self) -> anyhow::Result<Vec<Frame>> {
        let mut all = Vec::new();
        while let Some(frame) = self.next().await? {
            all.push(frame);
        }
        Ok(all)
    }

    /// Takes the text before the first blank line out of the buffer.
    fn take_block(&mut self) -> Option<String> {
        let bytes = &self.buffer;
        let (end, next) = (0..bytes.len()).find_map(|at| {
            let rest = bytes.get(at..)?;
            [&b"\n\n"[..], b"\r\n\r\n"].iter().find(|gap| rest.starts_with(gap)).map(|gap| (at, at + gap.len()))
        })?;
        let block: Vec<u8> = self.buffer.drain(..next).take(end).collect();
        Some(String::from_utf8_lossy(&block).replace("\r\n", "\n"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Value) {
        let got: Vec<Value> = frames(text).iter().map(Frame::to_value).collect();
        assert_eq!(Value::from(got), expected);
    }

    #[test]
    fn frames_hold_their_fields() {
        check(
            "event: a\nid: 1\ndata: {\"x\":1}\n\ndata: [DONE]\n\n",
            json!([
                {"event": "a", "id": "1", "data": {"x": 1}},
                {"data": "[DONE]"}
            ]),
        );
    }

    #[test]
    fn data_lines_are_joined_and_one_space_is_dropped() {
        check("data: a\ndata:  b\ndata:c\n\n", json!([{"data": "a\n b\nc"}]));
    }

    #[test]
    fn comments_vanish_and_strange_lines_stay() {
        check(": ping\n\nnonsense\ndata\n\n", json!([{"_unparsed": "data"}]));
    }

    #[test]
    fn carriage_returns_and_a_missing_last_gap_are_fine() {
        check("data: 1\r\n\r\ndata: 2", json!([{"data": 1}, {"data": 2}]));
    }
}
