//! MCP over HTTP: [`describe`] has the servers and their tools as plain JSON, [`transport`] the protocol
//! itself over Streamable HTTP, [`sse`] the transport before it, [`guard`] who may speak it.

mod describe;
mod guard;
mod refusal;
mod sse;
mod transport;

pub(super) use describe::{ListResponse, execute, list, resources, server, sources, tool, tools};
pub(super) use sse::{messages, open};
pub(super) use transport::speak;

use http::StatusCode;

use super::error::ApiError;

fn unknown_server(id: &str) -> ApiError {
    ApiError::not_found(format!("MCP server '{id}' not found"))
}

fn forbidden(what: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, format!("Forbidden: {what} is not allowed here"))
}
