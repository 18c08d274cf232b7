//! What a call came to, as clients get it. A failure is a result, too: models read it.

use rmcp::model::{CallToolResult, ContentBlock, ResultType};
use serde_json::Value;

use super::catalog::Offered;
use crate::engine::{direct::DirectReply, error::EngineError};

/// Returns the result of a call that is over; what waits is no result.
pub(super) fn of_reply(offered: &Offered, reply: DirectReply) -> CallToolResult {
    match reply {
        DirectReply::Value(text) => of_value(offered, &text),
        DirectReply::Misfit(document) => failed(sentence(&document)),
        DirectReply::Ended(document) => failed(document.to_string()),
        DirectReply::Waits(_) => failed("the call waits for an answer nobody can give"),
    }
}

/// Returns what a failure says.
pub(super) fn of_error(error: &EngineError) -> CallToolResult {
    failed(error.to_string())
}

/// Returns a result that says why there is none.
pub(super) fn failed(reason: impl Into<String>) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(reason)])
}

/// Returns the sentence of a document that says what does not fit.
#[must_use]
pub fn sentence(misfit: &Value) -> String {
    misfit["message"].as_str().map_or_else(|| misfit.to_string(), str::to_owned)
}

fn of_value(offered: &Offered, text: &[u8]) -> CallToolResult {
    let value: Value = serde_json::from_slice(text).unwrap_or(Value::Null);
    if offered.is_content {
        return match serde_json::from_value::<CallToolResult>(value) {
            Ok(mut result) => {
                result.result_type = Some(ResultType::COMPLETE);
                result.is_error.get_or_insert(false);
                result
            }
            Err(error) => failed(format!("the tool's content is not what MCP calls content: {error}")),
        };
    }
    let shown = match &value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let mut result = CallToolResult::success(vec![ContentBlock::text(shown)]);
    if offered.tool.output_schema.is_some() {
        result.structured_content = Some(value);
    }
    result
}

#[cfg(test)]
mod tests {
    use hotbay_plugin::mcp::{Block, Content};
    use rmcp::model::Tool;
    use serde_json::json;

    use super::*;
    use crate::engine::direct::Target;

    fn offered(is_content: bool) -> Offered {
        let tool = Tool::new("t", "", serde_json::Map::new());
        Offered { tool, target: Target::Tool("t".to_owned()), is_content, is_wrapped: false }
    }

    #[track_caller]
    fn check(offered: &Offered, reply: DirectReply, expected: &Value) {
        let mut result = serde_json::to_value(of_reply(offered, reply)).unwrap();
        assert_eq!(result.as_object_mut().unwrap().shift_remove("resultType"), Some(json!("complete")));
        assert_eq!(&result, expected);
    }

    #[test]
    fn a_document_is_text_and_structure_if_it_has_a_schema() {
        let text = json!([{"type": "text", "text": r#"{"a":1}"#}]);
        let value = || DirectReply::Value(br#"{"a":1}"#.to_vec());
        check(&offered(false), value(), &json!({"content": text, "isError": false}));
        let mut typed = offered(false);
        typed.tool = typed.tool.with_raw_output_schema(std::sync::Arc::default());
        check(&typed, value(), &json!({"content": text, "structuredContent": {"a": 1}, "isError": false}));
    }

    #[test]
    fn a_text_is_not_quoted() {
        let expected = json!({"content": [{"type": "text", "text": "hi"}], "isError": false});
        check(&offered(false), DirectReply::Value(br#""hi""#.to_vec()), &expected);
    }

    #[test]
    fn content_is_passed_on() {
        let content = serde_json::to_vec(&Content::of([Block::image("AA==", "image/png")])).unwrap();
        let expected =
            json!({"content": [{"type": "image", "data": "AA==", "mimeType": "image/png"}], "isError": false});
        check(&offered(true), DirectReply::Value(content), &expected);
    }

    #[test]
    fn what_does_not_fit_is_a_failure_that_says_so() {
        let expected = json!({"content": [{"type": "text", "text": "no city"}], "isError": true});
        check(&offered(false), DirectReply::Misfit(json!({"message": "no city"})), &expected);
    }
}
