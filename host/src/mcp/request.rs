//! The span of a client's request. What is run for it is recorded below.

use rmcp::{
    RoleServer,
    model::{CallToolResult, ContentBlock},
    service::RequestContext,
};
use serde_json::{Value, json};

use super::{Mcp, catalog::Catalog};
use crate::{
    observe::{traceparent, tracer::ActiveSpan},
    services::span,
    types::{span::SpanKind, trace::TraceOptions},
};

/// Begins the span of a call of a tool, in the client's trace if it names one.
pub(super) fn begin(
    mcp: &Mcp,
    catalog: &Catalog,
    tool: &str,
    arguments: &Value,
    context: &RequestContext<RoleServer>,
) -> ActiveSpan {
    const METHOD: &str = "tools/call";
    let cause = context.meta.get_traceparent().and_then(traceparent::read);
    let cause = cause.map(|(trace_id, parent)| TraceOptions::caused_by(trace_id, parent)).unwrap_or_default();
    let recorder = mcp.shared.engine.recorder();
    let span = recorder.begin_for(&cause, SpanKind::McpServerRequest, || format!("{METHOD} {tool}"));
    if !span.is_recording() {
        return span;
    }
    span.entity("mcp_server", &catalog.id, &catalog.name);
    span.attribute("mcpMethod", METHOD);
    span.attribute("targetName", tool);
    span.attribute("mcpServer", catalog.name.as_str());
    span.attribute("serverVersion", catalog.version.as_str());
    if let Some(version) = context.protocol_version() {
        span.attribute("mcpProtocolVersion", version.as_str());
    }
    if let Some(client) = context.client_info() {
        span.attribute("clientName", client.name);
        span.attribute("clientVersion", client.version);
    }
    span.input(|| json!({"name": tool, "arguments": arguments}));
    span
}

/// Ends the span of a call with what the client gets; what says of itself that it failed has.
pub(super) fn end(span: ActiveSpan, result: &CallToolResult) {
    if !span.is_recording() {
        return;
    }
    if result.is_error != Some(true) {
        span.output(|| serde_json::to_value(result).unwrap_or_default());
        return span.end();
    }
    let texts = result.content.iter().filter_map(ContentBlock::as_text).map(|text| text.text.as_str());
    span.fail(span::error(&texts.collect::<Vec<_>>().join("\n")));
}
