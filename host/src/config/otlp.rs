//! Settings of what is sent to a collector of OpenTelemetry.

use serde::Serialize;
use serde_json::{Value, json};

use super::{ConfigError, Flags, Sources, file::File, parse};
use crate::model::catalog::Secret;

/// What is sent to a collector, and how.
#[derive(Debug, Clone, Default)]
pub struct OtlpSettings {
    /// The collector's URL without `/v1/...`; nothing is sent if absent. It may hold a password.
    pub endpoint: Option<String>,
    /// Headers of each request: names, and what is mostly a key.
    pub headers: Vec<(String, Secret)>,
    /// The encoding.
    pub protocol: OtlpProtocol,
    /// Whether log records are sent as well as spans.
    pub logs: bool,
}

/// An encoding of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OtlpProtocol {
    /// Protobuf.
    #[default]
    Protobuf,
    /// JSON.
    Json,
}

impl OtlpSettings {
    pub(super) fn load(from: &Sources<'_>, flags: &Flags, file: &File) -> Result<Self, ConfigError> {
        let headers = from.pick(
            "otlp_headers",
            flags.otlp_headers.as_ref(),
            file.otlp_headers.as_ref(),
            Vec::new(),
            parse_headers,
        );
        Ok(Self {
            endpoint: from.pick(
                "otlp_endpoint",
                flags.otlp_endpoint.as_ref(),
                file.otlp_endpoint.as_ref(),
                None,
                parse_endpoint,
            )?,
            headers: headers.map_err(hide)?,
            protocol: from.pick(
                "otlp_protocol",
                flags.otlp_protocol.as_ref(),
                file.otlp_protocol.as_ref(),
                OtlpProtocol::Protobuf,
                parse_protocol,
            )?,
            logs: from.pick("otlp_logs", flags.otlp_logs.as_ref(), file.otlp_logs.as_ref(), false, parse::boolean)?,
        })
    }

    /// Returns the collector's URL without its password.
    pub(super) fn shown_endpoint(&self) -> Option<String> {
        self.endpoint.as_deref().map(parse::without_password)
    }

    /// Returns the headers without what they say.
    pub(super) fn shown_headers(&self) -> Value {
        self.headers
            .iter()
            .map(|(name, secret)| (name.clone(), json!(secret)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// The value of this setting is not repeated: it is mostly a key.
fn hide(error: ConfigError) -> ConfigError {
    match error {
        ConfigError::Setting { place, expected, .. } => {
            ConfigError::Setting { place, value: "***".to_owned(), expected }
        }
        other => other,
    }
}

fn parse_endpoint(text: &str) -> Result<Option<String>, String> {
    let is_url = text.parse::<http::Uri>().is_ok_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
    });
    if is_url { Ok(Some(text.to_owned())) } else { Err("a URL, for example http://127.0.0.1:4318".into()) }
}

fn parse_headers(text: &str) -> Result<Vec<(String, Secret)>, String> {
    let header = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let is_valid = http::HeaderName::try_from(name).is_ok() && http::HeaderValue::try_from(value).is_ok();
        is_valid.then(|| (name.to_owned(), Secret(value.to_owned())))
    };
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    pairs
        .map(header)
        .collect::<Option<_>>()
        .ok_or_else(|| "names and values, for example authorization=Bearer abc,x-team=one".into())
}

fn parse_protocol(text: &str) -> Result<OtlpProtocol, String> {
    match text {
        "protobuf" | "http/protobuf" => Ok(OtlpProtocol::Protobuf),
        "json" | "http/json" => Ok(OtlpProtocol::Json),
        _ => Err("`protobuf` or `json`".into()),
    }
}
