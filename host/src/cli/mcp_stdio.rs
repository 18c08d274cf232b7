//! `hotbay mcp-stdio`: a running server for MCP clients that start a program and speak with it over
//! standard input and output.
//!
//! Carries messages, and reads none: the client speaks with the server.

use std::time::Duration;

use clap::Args;
use rmcp::{
    RoleClient, RoleServer,
    transport::{
        IntoTransport, StreamableHttpClientTransport, Transport, stdio,
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};

use super::{Failure, block_on, client::Credentials};

pub(super) const EXAMPLES: &str = "\
Examples:
  hotbay mcp-stdio                                          everything a server on this machine offers
  hotbay mcp-stdio --server weather                         one plugin's group
  hotbay mcp-stdio --url http://10.0.0.5:4111               a server elsewhere";

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long ending the session may take.
const END: Duration = Duration::from_secs(2);

/// Which server, and what of it.
#[derive(Args)]
pub(super) struct McpStdioArguments {
    /// The running server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4111", env = "HOTBAY_URL")]
    url: String,
    /// The prefix of its API
    #[arg(long, value_name = "PATH", default_value = "/api", env = "HOTBAY_PREFIX")]
    prefix: String,
    #[command(flatten)]
    credentials: Credentials,
    /// The MCP server of it
    #[arg(long, value_name = "ID", default_value = "hotbay")]
    server: String,
}

pub(super) fn run(arguments: &McpStdioArguments) -> Result<std::process::ExitCode, Failure> {
    let (url, prefix) = (arguments.url.trim_end_matches('/'), arguments.prefix.trim_end_matches('/'));
    let url = format!("{url}{prefix}/mcp/{}/mcp", arguments.server);
    block_on(carry(url, &arguments.credentials))?;
    Ok(std::process::ExitCode::SUCCESS)
}

/// Carries messages both ways until one side ends.
async fn carry(url: String, credentials: &Credentials) -> Result<(), Failure> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(url.clone());
    if let Some(token) = &credentials.token {
        config = config.auth_header(token);
    }
    let mut server: StreamableHttpClientTransport<_> =
        StreamableHttpClientTransport::with_client(credentials.http_client(CONNECT)?, config);
    let mut client = IntoTransport::<RoleServer, _, _>::into_transport(stdio());
    loop {
        tokio::select! {
            message = client.receive() => {
                let Some(message) = message else { break };
                let sent = Transport::<RoleClient>::send(&mut server, message).await;
                sent.map_err(|error| format!("cannot speak with the server at {url}: {error}"))?;
            }
            message = Transport::<RoleClient>::receive(&mut server) => {
                let Some(message) = message else {
                    return Err(format!("the server at {url} has ended; is it running?").into());
                };
                client.send(message).await?;
            }
        }
    }
    // Ends the session. One whose client never said that it is ready would wait for that.
    match tokio::time::timeout(END, Transport::<RoleClient>::close(&mut server)).await {
        Ok(ended) => Ok(ended?),
        Err(_) => Ok(()),
    }
}
