//! Paths into an answer: `body.items[0]["a.b"][type=text].id`.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::bindings::text_of;

static SEGMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|\[([^=\]]+)=([^\]]*)\]|([^.\[\]]+)"#)
        .expect("the pattern is constant")
});

/// Follows a path. A text on the way that holds JSON is read as such.
pub fn lookup(value: &Value, path: &str) -> Option<Value> {
    let mut value = value.clone();
    for captures in SEGMENT.captures_iter(path) {
        let group = |index| captures.get(index).map(|group| group.as_str());
        if let Value::String(text) = &value
            && text.starts_with(['{', '['])
        {
            value = serde_json::from_str(text).ok()?;
        }
        let next = match (group(2), group(3), group(1).or(group(5))) {
            (Some(index), ..) => value.as_array()?.get(index.parse::<usize>().ok()?),
            (None, Some(key), _) => {
                let wanted = group(4).unwrap_or_default();
                let is_wanted = |item: &&Value| lookup(item, key).is_some_and(|found| text_of(&found) == wanted);
                value.as_array()?.iter().find(is_wanted)
            }
            (None, None, key) => value.as_object()?.get(key?),
        };
        value = next?.clone();
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<Value>) {
        let answer = json!({
            "headers": {"mcp-session-id": "s"},
            "frames": [{"data": {"type": "a"}}, {"event": "endpoint", "data": {"type": "b", "n": 2}}],
            "body": {"x.y": "{\"in\":[1,2]}", "list": [{"n": 1}, {"n": 2, "hit": true}]}
        });
        assert_eq!(lookup(&answer, path), expected, "{path}");
    }

    #[test]
    fn paths_lead_through_keys_indexes_and_selectors() {
        check("headers.mcp-session-id", Some(json!("s")));
        check("frames[data.type=b].data.n", Some(json!(2)));
        check("frames[event=endpoint].data.type", Some(json!("b")));
        check("body[\"x.y\"].in[1]", Some(json!(2)));
        check("body.list[n=2].hit", Some(json!(true)));
    }

    #[test]
    fn a_path_into_nothing_gives_nothing() {
        check("body.nope", None);
        check("body.list[7]", None);
        check("body.list[n=9]", None);
        check("frames.data", None);
        check("headers.mcp-session-id.deeper", None);
    }
}
