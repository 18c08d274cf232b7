//! Where a request belongs among traces: what its header says, and its body.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde_json::{Map, Value};

use crate::{
    http::{endpoint::Argument, error::ApiError},
    observe::traceparent,
    types::trace::TraceOptions,
};

/// What caused a request, if it says so in the header `traceparent`.
#[derive(Debug, Clone)]
pub(in crate::http) struct Traced(TraceOptions);

impl Traced {
    /// Returns the header's alone.
    pub(in crate::http) fn options(self) -> TraceOptions {
        self.0
    }

    /// Returns what the body says as well, `{traceId?, parentSpanId?, metadata?, tags?, hideInput?,
    /// hideOutput?}`, which goes before the header. What does not fit is left out: how a run is
    /// traced is no reason not to run it.
    pub(in crate::http) fn with(self, body: &Map<String, Value>) -> TraceOptions {
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        let is_set = |key: &str| body.get(key) == Some(&Value::Bool(true));
        let Self(mut options) = self;
        if let Some(trace_id) = text("traceId").filter(|id| traceparent::is_trace(id)) {
            options.trace_id = Some(trace_id.to_owned());
            options.parent_id = text("parentSpanId").filter(|id| traceparent::is_span(id)).map(str::to_owned);
        }
        options.metadata = body.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        let tags = body.get("tags").and_then(Value::as_array).into_iter().flatten();
        options.tags = tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
        options.hide_input = is_set("hideInput");
        options.hide_output = is_set("hideOutput");
        options
    }
}

impl<S: Sync> FromRequestParts<S> for Traced {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let header = parts.headers.get(traceparent::HEADER).and_then(|value| value.to_str().ok());
        let caused = header.and_then(traceparent::read);
        Ok(Self(caused.map_or_else(TraceOptions::default, |(trace, span)| TraceOptions::caused_by(trace, span))))
    }
}

impl Argument for Traced {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[track_caller]
    fn check(header: Option<(&str, &str)>, body: &Value, expected: &Value) {
        let header = header.map_or_else(TraceOptions::default, |(trace, span)| TraceOptions::caused_by(trace, span));
        assert_eq!(&json!(Traced(header).with(body.as_object().unwrap())), expected);
    }

    #[test]
    fn the_body_goes_before_the_header() {
        let other = "a".repeat(32);
        check(Some((TRACE, SPAN)), &json!({}), &json!({"traceId": TRACE, "parentId": SPAN}));
        check(Some((TRACE, SPAN)), &json!({"traceId": other}), &json!({"traceId": other}));
        check(
            Some((TRACE, SPAN)),
            &json!({"metadata": {"a": 1}, "tags": ["probe"], "hideInput": true, "hideOutput": true}),
            &json!({"traceId": TRACE, "parentId": SPAN, "metadata": {"a": 1}, "tags": ["probe"],
                "hideInput": true, "hideOutput": true}),
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let odd = json!({"traceId": "nope", "parentSpanId": SPAN, "metadata": 3, "tags": [1, "x"], "hideInput": "yes"});
        check(None, &odd, &json!({"tags": ["x"]}));
        check(None, &json!({"traceId": TRACE, "parentSpanId": "nope"}), &json!({"traceId": TRACE}));
    }
}
