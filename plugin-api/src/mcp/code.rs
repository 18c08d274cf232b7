//! The code of a group: reads resources, fills in prompts, completes arguments.

use std::{fmt, future::Future, sync::Arc};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    Ctx, Error, Result,
    abi::{
        self, AbiResult, CallCtx, Reply, ServiceBox,
        abi_stable::{
            sabi_trait::TD_Opaque,
            std_types::{RString, RVec},
        },
        async_ffi::{FfiFuture, FutureExt},
    },
    error::code,
    guard::Guarded,
    opened::Opened,
    wire,
};

/// The kind of service a group's code is.
pub const KIND: &str = "mcp-server";
/// Reads a resource.
pub const READ_RESOURCE: &str = "resources/read";
/// Fills in a prompt.
pub const GET_PROMPT: &str = "prompts/get";
/// Completes an argument.
pub const COMPLETE: &str = "completion/complete";

/// What a client asks about resources and prompts.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum McpRequest {
    /// The contents of a resource: answer `{"contents": [..]}`, or [`code::NOT_FOUND`].
    ReadResource {
        /// Its URI.
        uri: String,
    },
    /// A prompt, filled in: answer `{"messages": [..]}`.
    GetPrompt {
        /// Its name.
        name: String,
        /// Its arguments.
        arguments: Map<String, Value>,
    },
    /// What an argument may be: answer `{"completion": {"values": [..]}}`.
    Complete {
        /// The prompt (`{"type": "ref/prompt", "name"}`) or template (`{"type": "ref/resource", "uri"}`).
        reference: Value,
        /// The argument.
        name: String,
        /// What of it is there.
        value: String,
        /// Arguments that are known already.
        known: Map<String, Value>,
    },
}

impl McpRequest {
    fn read(op: &str, body: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Read {
            uri: String,
        }
        #[derive(Deserialize)]
        struct Get {
            name: String,
            #[serde(default)]
            arguments: Map<String, Value>,
        }
        #[derive(Deserialize)]
        struct Complete {
            #[serde(rename = "ref")]
            reference: Value,
            argument: Argument,
            #[serde(default)]
            context: Known,
        }
        #[derive(Deserialize)]
        struct Argument {
            name: String,
            value: String,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Known {
            arguments: Map<String, Value>,
        }
        match op {
            READ_RESOURCE => {
                let Read { uri } = wire::from_slice(body, "request")?;
                Ok(Self::ReadResource { uri })
            }
            GET_PROMPT => {
                let Get { name, arguments } = wire::from_slice(body, "request")?;
                Ok(Self::GetPrompt { name, arguments })
            }
            COMPLETE => {
                let Complete { reference, argument: Argument { name, value }, context } =
                    wire::from_slice(body, "request")?;
                Ok(Self::Complete { reference, name, value, known: context.arguments })
            }
            _ => Err(Error::with_code(code::UNSUPPORTED, format!("an MCP server has no operation `{op}`"))),
        }
    }
}

/// The code, not bound to an open plugin yet.
#[derive(Clone)]
pub(crate) struct Code(Arc<dyn Fn(Arc<Opened>) -> ServiceBox + Send + Sync>);

impl Code {
    pub(super) fn new<C, F>(code: C) -> Self
    where
        C: Fn(Ctx, McpRequest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Value>> + Send + 'static,
    {
        Self(Arc::new(move |plugin| abi::Service_TO::from_value(Adapter { plugin, code: code.clone() }, TD_Opaque)))
    }

    pub(crate) fn instantiate(&self, plugin: Arc<Opened>) -> ServiceBox {
        (self.0)(plugin)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").finish_non_exhaustive()
    }
}

struct Adapter<C> {
    plugin: Arc<Opened>,
    code: C,
}

impl<C, F> abi::Service for Adapter<C>
where
    C: Fn(Ctx, McpRequest) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Value>> + Send + 'static,
{
    fn call(&self, ctx: CallCtx, op: RString, body: RVec<u8>) -> FfiFuture<AbiResult<Reply>> {
        let ctx = Ctx::of_call(Arc::clone(&self.plugin), ctx);
        let (code, call) = (self.code.clone(), ctx.clone());
        let future = async move {
            let request = McpRequest::read(&op, &body)?;
            wire::reply(code(call, request).await)
        };
        Guarded::new(ctx, future).into_ffi()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_completion_without_context_knows_nothing() {
        let body = json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": "x"}});
        let read = McpRequest::read(COMPLETE, body.to_string().as_bytes()).unwrap();
        let McpRequest::Complete { name, value, known, .. } = read else { panic!("{read:?}") };
        assert_eq!((name.as_str(), value.as_str(), known), ("a", "x", Map::new()));
    }

    #[test]
    fn an_operation_nobody_knows_is_unsupported() {
        assert_eq!(McpRequest::read("skills/get", b"{}").unwrap_err().code, code::UNSUPPORTED);
    }
}
