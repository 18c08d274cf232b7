//! The ways to reach a server: as a program of ours, over Streamable HTTP, over the transport before it.

use std::{collections::HashMap, time::Duration};

use http::{HeaderName, HeaderValue};
use rmcp::{
    RoleClient, ServiceExt,
    service::RunningService,
    transport::{
        StreamableHttpClientTransport, TokioChildProcess, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use tokio::process::Command;

use super::{
    Listener, legacy,
    settings::{SourceSettings, SourceTransport},
};
use crate::{
    config::{self, SecretSource},
    model,
};

/// How long a connection over the network may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The variables every program gets: without them most do not even start.
const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "TMPDIR", "USER"];

/// Connects to a server and says hello.
pub(super) async fn connect(
    settings: &SourceSettings,
    listener: Listener,
) -> Result<RunningService<RoleClient, Listener>, String> {
    if let Some(program) = &settings.command {
        return listener.serve(start(program, settings)?).await.map_err(|error| error.to_string());
    }
    let url = settings.url.clone().unwrap_or_default();
    let (client, headers) = (model::http_client(CONNECT).map_err(|error| error.to_string())?, headers(settings)?);
    match settings.transport {
        SourceTransport::Http => {
            let config = StreamableHttpClientTransportConfig::with_uri(url).custom_headers(headers);
            let transport = StreamableHttpClientTransport::with_client(client, config);
            listener.serve(transport).await.map_err(|error| error.to_string())
        }
        SourceTransport::Sse => {
            let transport = legacy::connect(client, &url, headers).await?;
            listener.serve(transport).await.map_err(|error| error.to_string())
        }
    }
}

/// Starts a program; what it says beside the protocol goes where the host's own log goes.
fn start(program: &str, settings: &SourceSettings) -> Result<TokioChildProcess, String> {
    let mut command = Command::new(program);
    command.args(&settings.args).env_clear().kill_on_drop(true);
    for name in INHERITED {
        command.envs(config::variable(name).map(|value| (name, value)));
    }
    for (name, source) in &settings.env {
        command.env(name, secret(name, source)?);
    }
    TokioChildProcess::new(command).map_err(|error| format!("cannot start `{program}`: {error}"))
}

fn headers(settings: &SourceSettings) -> Result<HashMap<HeaderName, HeaderValue>, String> {
    let header = |(name, source): (&String, &SecretSource)| {
        let value = secret(name, source)?;
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                Ok((name, value))
            }
            _ => Err(format!("`{name}` is no header, or its value is none")),
        }
    };
    settings.headers.iter().map(header).collect()
}

fn secret(name: &str, source: &SecretSource) -> Result<String, String> {
    match source {
        SecretSource::Value(secret) => Ok(secret.0.clone()),
        SecretSource::Variable(variable) => config::variable(&variable.env)
            .ok_or_else(|| format!("`{name}` is in the environment variable {}, which is not set", variable.env)),
    }
}
