//! An answer as far as it has come, and the shapes in which it is compared.
//!
//! The body is one of three things: server-sent events, chunks closed by the
//! record separator `0x1E`, or plain text that may be JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::sse;

/// Closes each chunk of a stream that is no event stream.
const RECORD_SEPARATOR: char = '\u{1e}';

/// What has come of an answer; it grows while the body is read.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status; `None` until the head has come.
    pub status: Option<u16>,
    /// Headers with lower-case names; repeated ones are joined with commas.
    pub headers: BTreeMap<String, String>,
    /// The body so far.
    pub data: Vec<u8>,
    /// Whether the server ended the body.
    pub closed: bool,
    /// Whether the time limit ended the reading.
    pub timed_out: bool,
    /// What broke the connection.
    pub error: Option<String>,
}

impl Answer {
    /// The content type.
    pub fn content_type(&self) -> Option<&str> {
        self.headers.get("content-type").map(String::as_str)
    }

    /// The body so far as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }

    /// The frames of a stream, `None` when the answer is no stream.
    pub fn frames(&self) -> Option<Vec<Value>> {
        let is_event_stream = self.content_type().is_some_and(|name| name.to_lowercase().contains("event-stream"));
        if is_event_stream {
            return Some(sse::frames(&self.text()).iter().map(sse::Frame::to_value).collect());
        }
        let text = self.text();
        text.contains(RECORD_SEPARATOR).then(|| records(&text))
    }

    /// The frames that have come whole: for waiting, where half a frame is none yet.
    pub fn whole_frames(&self) -> Vec<Value> {
        let text = self.text().replace("\r\n", "\n");
        let end = text.rfind("\n\n").map(|at| at + 2).max(text.rfind(RECORD_SEPARATOR).map(|at| at + 1));
        let data = text.get(..end.unwrap_or_default()).unwrap_or_default().as_bytes().to_vec();
        Self { data, headers: self.headers.clone(), ..Self::default() }.frames().unwrap_or_default()
    }

    /// The whole answer as one object, into which paths lead:
    /// `status`, `contentType`, `headers`, and `frames`, or `text` and perhaps `body`.
    pub fn to_value(&self) -> Value {
        let mut object = Map::new();
        object.insert("status".to_owned(), json!(self.status));
        object.insert("contentType".to_owned(), json!(self.content_type()));
        object.insert("headers".to_owned(), json!(self.headers));
        if let Some(frames) = self.frames() {
            object.insert("frames".to_owned(), Value::from(frames));
        } else {
            let text = self.text();
            if let Ok(body) = serde_json::from_str(&text) {
                object.insert("body".to_owned(), body);
            }
            object.insert("text".to_owned(), Value::from(text));
        }
        Value::Object(object)
    }
}

fn records(text: &str) -> Vec<Value> {
    let mut parts: Vec<&str> = text.split(RECORD_SEPARATOR).collect();
    let rest = parts.last().is_some_and(|rest| !rest.is_empty());
    parts.retain(|part| !part.is_empty());
    let parsed = |part: &str| serde_json::from_str(part).unwrap_or_else(|_| json!({ "_unparsed": part }));
    let mut records: Vec<Value> = parts.into_iter().map(parsed).collect();
    if rest {
        records.push(json!({ "_unterminated": true }));
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content_type: &str, data: &str, key: &str, expected: Value) {
        let headers = BTreeMap::from([("content-type".to_owned(), content_type.to_owned())]);
        let answer = Answer { status: Some(200), headers, data: data.as_bytes().to_vec(), ..Answer::default() };
        assert_eq!(answer.to_value().get(key), Some(&expected));
    }

    #[test]
    fn bodies_are_json_where_they_can_be() {
        check("application/json", "{\"a\":1}", "body", json!({"a": 1}));
        check("text/plain", "hello", "text", json!("hello"));
    }

    #[test]
    fn half_a_frame_is_not_whole() {
        let headers = BTreeMap::from([("content-type".to_owned(), "text/event-stream".to_owned())]);
        let answer = Answer { headers, data: b"data: 1\r\n\r\nevent: x\n".to_vec(), ..Answer::default() };
        assert_eq!(answer.frames().unwrap().len(), 2);
        assert_eq!(answer.whole_frames(), [json!({"data": 1})]);
        let answer = Answer { data: b"1\x1e2".to_vec(), ..Answer::default() };
        assert_eq!(answer.whole_frames(), [json!(1)]);
    }

    #[test]
    fn event_streams_and_records_are_frames() {
        check("text/event-stream", "event: x\ndata: 1\n\n", "frames", json!([{"event": "x", "data": 1}]));
        check("text/plain", "{\"a\":1}\u{1e}[2]\u{1e}", "frames", json!([{"a": 1}, [2]]));
        check(
            "text/plain",
            "oh\u{1e}{",
            "frames",
            json!([{"_unparsed": "oh"}, {"_unparsed": "{"}, {"_unterminated": true}]),
        );
    }
}
