//! `tool.call`: a tool of any plugin, by id.

use std::sync::Arc;

use hotbay_plugin::{Error, error::code, manifest::CallMeta};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Origin, Services, call_failed, parse, span};
use crate::{
    observe::tracer::ActiveSpan,
    plugin::{
        call::{Call, ReplyKind, Target},
        services::Requester,
    },
    types::{json, span::SpanKind},
};

#[derive(Deserialize)]
struct ToolCall<'a> {
    id: String,
    /// Passed through as it is written.
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

impl Services {
    pub(super) async fn call_tool(
        &self,
        caller: &Requester,
        body: &[u8],
        meta: Option<CallMeta>,
    ) -> Result<Vec<u8>, Error> {
        let ToolCall { id, input } =
            serde_json::from_slice(body).map_err(|error| Error::input(format!("the request does not fit: {error}")))?;
        let snapshot = self.snapshot(caller)?;
        let Some(tool) = snapshot.tools.get(id.as_str()) else {
            return Err(Error::with_code(code::NOT_FOUND, format!("there is no tool `{id}`")));
        };
        let input = input.map_or("{}", RawValue::get);
        if let Some(schema) = &tool.input {
            let issues = schema.issues(&parse(input.as_bytes())?);
            if !issues.is_empty() {
                let list: Vec<String> =
                    issues.iter().map(|issue| format!("{}: {}", issue.field(), issue.message)).collect();
                return Err(Error::input(format!("the input of tool `{id}` does not fit: {}", list.join("; "))));
            }
        }
        let meta = meta.and_then(|meta| serde_json::to_vec(&meta).ok()).unwrap_or_default();
        let origin = Origin::of(caller);
        let within = origin.and_then(|origin| origin.span.as_ref());
        let span = within.map_or_else(ActiveSpan::default, |it| it.child(SpanKind::ToolCall, span::tool_name(&id)));
        span::describe(&span, &tool.manifest, tool.generation.plugin(), None);
        span.input(|| serde_json::from_str(input).unwrap_or_default());
        let context = match origin {
            Some(origin) if span.is_recording() => Some(Arc::new(origin.within(&span)) as _),
            _ => caller.context.clone(),
        };
        let call = Call { body: input.into(), meta, context, ..Call::default() };
        let reply = match tool.generation.call(Target::Tool(tool.id.clone()), call).await {
            Ok(reply) => reply,
            Err(error) => {
                span::failed(span, &error.to_string());
                return Err(call_failed(&error));
            }
        };
        match reply.kind {
            ReplyKind::Value => {
                span::answered(span, || json::read(&reply.body).unwrap_or_default());
                Ok(reply.body)
            }
            ReplyKind::Suspended | ReplyKind::Bailed | ReplyKind::Tripped => {
                let message = format!("tool `{id}` wants to be resumed later, which only agents and workflows can do");
                span::failed(span, &message);
                Err(Error::with_code(code::UNSUPPORTED, message))
            }
        }
    }
}
