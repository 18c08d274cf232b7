//! `tool.call`: a tool of any plugin, by id.

use hotbay_plugin::{Error, error::code, manifest::CallMeta};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Services, call_failed, parse};
use crate::plugin::{
    call::{Call, ReplyKind, Target},
    services::Caller,
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
        caller: &Caller,
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
        let call = Call { body: input.into(), meta, context: caller.context.clone(), ..Call::default() };
        let reply =
            tool.generation.call(Target::Tool(tool.id.clone()), call).await.map_err(|error| call_failed(&error))?;
        match reply.kind {
            ReplyKind::Value => Ok(reply.body),
            ReplyKind::Suspended | ReplyKind::Bailed | ReplyKind::Tripped => Err(Error::with_code(
                code::UNSUPPORTED,
                format!("tool `{id}` wants to be resumed later, which only agents and workflows can do"),
            )),
        }
    }
}
