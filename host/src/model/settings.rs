//! What `hotbay.toml` says about a provider.
//!
//! Plain data: [`crate::model::catalog`] decides what follows from it.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize, Serializer};

/// One `[providers.<name>]` of `hotbay.toml`.
///
/// ```toml
/// [providers.local]
/// base_url = "http://127.0.0.1:8080/v1"
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderSettings {
    /// The wire it speaks. Absent: `openai`, or what a provider known by name speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// Where it is, with the version: `http://127.0.0.1:8080/v1`. May be left out for
    /// providers known by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The environment variable with its key. Absent: `<NAME>_API_KEY`, if that is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The key itself; a variable is the better place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// Sent with every request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// Models to list; any other may be asked for just the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Longest time to a connection; 10 s if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout_ms: Option<u64>,
    /// Longest time to the first byte of an answer; 300 s if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_timeout_ms: Option<u64>,
    /// Longest silence within an answer; 120 s if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
    /// Longest time of a request, retries and answer together; 600 s if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How often a failed request is repeated; 2 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
}

/// The wires a configured provider may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// OpenAI's chat completions: vLLM, Ollama, llama.cpp and most others.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
    /// Ollama's own.
    Ollama,
    /// Cohere's own.
    Cohere,
}

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_secrets_hidden() {
        let text = r#"
            api = "openai"
            base_url = "http://127.0.0.1:1/v1"
            api_key = "sk-secret"
            max_retries = 0
            [headers]
            x-team = "sk-also-secret"
        "#;
        let settings: ProviderSettings = toml::from_str(text).unwrap();
        assert_eq!(settings.api, Some(Api::OpenAi));
        assert_eq!(settings.api_key, Some(Secret("sk-secret".into())));
        let shown = format!("{settings:?} {}", serde_json::to_string(&settings).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn unknown_setting_is_an_error() {
        let error = toml::from_str::<ProviderSettings>("baseurl = 'x'").unwrap_err().to_string();
        assert!(error.contains("base_url"), "{error}");
    }
}
