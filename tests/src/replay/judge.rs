//! Judges a whole answer: status, headers, content type, body or frames, end.

use std::cmp::Ordering;

use serde_json::Value;

use super::answer::Answer;
use super::bindings::Bindings;
use super::matcher::Matcher;
use super::mismatch::{Mismatch, shown, shown_up_to};
use super::path::lookup;
use super::session::{Expect, Rules};

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// What differs; the most telling first.
    pub mismatches: Vec<Mismatch>,
    /// Paths of the answer that the expectation does not have.
    pub extra: Vec<String>,
}

impl Judgement {
    /// A judgement without an answer to look at.
    pub fn without_answer(what: &str, why: impl Into<String>) -> Self {
        Self { mismatches: vec![Mismatch::new("request", shown(Some(&what.into())), why)], extra: Vec::new() }
    }

    /// Whether the answer is as expected.
    pub fn is_match(&self) -> bool {
        self.mismatches.is_empty()
    }
}

/// Compares an answer with the recorded one.
///
/// Names first met here stay bound only when all matches: after a failure the
/// next answer names them anew.
pub fn judge(expect: &Expect, rules: &Rules, answer: &Answer, bindings: &mut Bindings) -> Judgement {
    let Some(status) = answer.status else {
        let why = if answer.timed_out { "no answer in time" } else { "no answer" };
        let why = answer.error.clone().unwrap_or_else(|| why.to_owned());
        let expected = expect.status.map_or_else(|| "null".to_owned(), |status| status.to_string());
        return Judgement { mismatches: vec![Mismatch::new("status", expected, why)], extra: Vec::new() };
    };
    let whole = answer.to_value();
    if let Some(expected) = expect.status.filter(|expected| *expected != status) {
        let content = ["body", "frames", "text"].into_iter().find_map(|key| whole.get(key));
        let got = format!("{status} {}", shown_up_to(content, 160));
        return Judgement { mismatches: vec![Mismatch::new("status", expected.to_string(), got)], extra: Vec::new() };
    }
    let mut matcher = Matcher::new(bindings.clone()).ignoring(&rules.ignore).unordered(&rules.unordered);
    judge_head(expect, answer, &mut matcher);
    judge_content(expect, rules, &whole, answer, &mut matcher);
    for (path, order) in &rules.sorted {
        matcher.mismatches.extend(out_of_order(&whole, path, order));
    }
    matcher.mismatches.extend(wrong_end(expect, answer));
    if matcher.mismatches.is_empty() {
        *bindings = matcher.bindings;
    }
    Judgement { mismatches: matcher.mismatches, extra: matcher.extra }
}

/// Leaves out the frames that are not to be counted.
pub fn counted(frames: Vec<Value>, rules: &Rules, bindings: &Bindings) -> Vec<Value> {
    let matcher = Matcher::new(bindings.clone());
    let open: Vec<Value> = rules.ignore_frames.iter().map(|frame| serde_json::json!({ "$open": frame })).collect();
    frames.into_iter().filter(|frame| !open.iter().any(|ignored| matcher.accepts(ignored, frame))).collect()
}

fn judge_head(expect: &Expect, answer: &Answer, matcher: &mut Matcher) {
    if let Some(error) = &answer.error {
        matcher.mismatches.push(Mismatch::new("transfer", "\"a complete answer\"", error.as_str()));
    }
    if let Some(expected) = &expect.content_type {
        let got = answer.content_type();
        if got.map(media_type) != Some(media_type(expected)) {
            let mismatch =
                Mismatch::new("contentType", shown(Some(&expected.as_str().into())), shown(Some(&got.into())));
            matcher.mismatches.push(mismatch);
        }
    }
    for (name, expected) in &expect.headers {
        let got = answer.headers.get(&name.to_lowercase()).map(|value| Value::from(value.as_str()));
        matcher.compare(expected, got.as_ref(), &format!("headers.{name}"));
    }
}

fn judge_content(expect: &Expect, rules: &Rules, whole: &Value, answer: &Answer, matcher: &mut Matcher) {
    if let Some(body) = &expect.body {
        let got = ["body", "text", "frames"].into_iter().find_map(|key| whole.get(key));
        matcher.compare(body, got, "body");
    }
    if let Some(text) = &expect.text {
        matcher.compare(text, Some(&answer.text().into()), "text");
    }
    if let Some(expected) = &expect.frames {
        let Some(frames) = answer.frames() else {
            let start: String = answer.text().chars().take(160).collect();
            matcher.mismatches.push(Mismatch::new("frames", "\"a stream\"", shown(Some(&start.into()))));
            return;
        };
        let mut frames = counted(frames, rules, &matcher.bindings);
        name_messages(expected, &mut frames);
        let frames = Value::from(frames);
        matcher.compare(expected, Some(&frames), "frames");
    }
}

/// Names the events without a name where the recording has the name they have for every client: `message`.
fn name_messages(expected: &Value, frames: &mut [Value]) {
    for (expected, frame) in expected.as_array().into_iter().flatten().zip(frames) {
        if expected["event"] == "message"
            && let Value::Object(frame) = frame
            && frame.contains_key("data")
        {
            frame.entry("event").or_insert_with(|| "message".into());
        }
    }
}

/// Whether the stream stayed open, or ended, as it should.
fn wrong_end(expect: &Expect, answer: &Answer) -> Option<Mismatch> {
    if expect.open {
        return answer.closed.then(|| Mismatch::new("open", "\"the stream stays open\"", "the server closed it"));
    }
    answer.timed_out.then(|| {
        let got = format!("still open after the time limit ({} bytes so far)", answer.data.len());
        Mismatch::new("end", "\"the answer ends\"", got)
    })
}

/// `order` is the key to sort by, with a minus in front for descending.
fn out_of_order(whole: &Value, path: &str, order: &str) -> Option<Mismatch> {
    let key = order.trim_start_matches('-');
    let (word, wrong) = match order.starts_with('-') {
        true => ("descending", Ordering::Less),
        false => ("ascending", Ordering::Greater),
    };
    let keys = lookup(whole, path).and_then(|list| {
        let keys = list.as_array()?.iter().map(|item| item.get(key).cloned());
        keys.collect::<Option<Vec<Value>>>()
    });
    let orders = keys.as_ref().and_then(|keys| {
        let pairs = keys.iter().zip(keys.iter().skip(1));
        pairs.map(|(left, right)| order_of(left, right)).collect::<Option<Vec<Ordering>>>()
    });
    let (Some(keys), Some(orders)) = (keys, orders) else {
        let expected = shown(Some(&format!("a list of objects with {key}").into()));
        return Some(Mismatch::new(path, expected, shown(None)));
    };
    let expected = || shown(Some(&format!("{word} {key}").into()));
    orders.contains(&wrong).then(|| Mismatch::new(path, expected(), shown(Some(&keys.into()))))
}

fn order_of(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// Media type and sorted parameters, without the spelling's freedoms.
fn media_type(text: &str) -> String {
    let mut parts = text.split(';').map(|part| part.trim().to_lowercase());
    let media_type = parts.next().unwrap_or_default();
    let parameters = parts.filter(|part| !part.is_empty()).map(|part| part.replace(['"', ' '], ""));
    let mut parameters: Vec<String> = parameters.collect();
    parameters.sort();
    parameters.insert(0, media_type);
    parameters.join(";")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn content_types_are_compared_by_meaning() {
        assert_eq!(media_type("Text/Plain;charset=\"UTF-8\" ; a=b"), media_type("text/plain; A=b; charset=utf-8"));
        assert_ne!(media_type("application/json"), media_type("application/json; charset=utf-8"));
    }

    #[test]
    fn an_event_without_a_name_is_a_message() {
        let mut frames =
            [json!({"data": 1}), json!({"data": 2}), json!({"retry": "1"}), json!({"event": "x", "data": 3})];
        let message = json!({"event": "message"});
        name_messages(&json!([message, {"data": 2}, message, message]), &mut frames);
        let expected = [
            json!({"data": 1, "event": "message"}),
            json!({"data": 2}),
            json!({"retry": "1"}),
            json!({"event": "x", "data": 3}),
        ];
        assert_eq!(frames, expected);
    }

    #[track_caller]
    fn check_order(list: Value, order: &str, expected: Option<&str>) {
        let whole = json!({ "body": list });
        assert_eq!(out_of_order(&whole, "body", order).map(|mismatch| mismatch.to_string()).as_deref(), expected);
    }

    #[test]
    fn sorted_lists_are_checked_by_key() {
        check_order(json!([{"n": 1}, {"n": 1}, {"n": 2.5}]), "n", None);
        check_order(json!([{"n": "b"}, {"n": "a"}]), "-n", None);
        check_order(json!([{"n": 1}, {"n": 2}]), "-n", Some("body: expected \"descending n\" got [1, 2]"));
        check_order(json!([{"n": 2}, {"n": 1}]), "n", Some("body: expected \"ascending n\" got [2, 1]"));
        check_order(json!([{"n": 1}, {}]), "n", Some("body: expected \"a list of objects with n\" got nothing"));
    }
}
