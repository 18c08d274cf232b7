//! The plugin's settings: what may be set, and what is checked before a server is asked.

use std::time::Duration;

use hotbay_plugin::{error::code, prelude::*};
use qdrant_client::Qdrant;

/// The longest prefix: names of collections have a limit, and names of indexes take up to 63.
const MAX_PREFIX: usize = 100;

/// The plugin's settings: the table `[plugins.hotbay-vector-qdrant.config]` of `hotbay.toml`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where Qdrant's gRPC is, as `http://host:6334`, or `{ secret = "NAME" }`
    url: Option<Text>,
    /// What Qdrant asks clients for, best as `{ secret = "NAME" }`
    api_key: Option<Text>,
    /// What the names of the store's collections begin with; others are left alone
    prefix: String,
    /// How long a call may take
    timeout_seconds: u64,
}

/// A text, or the name of the secret it is in.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Secret { secret: String },
}

impl Text {
    async fn read(&self, ctx: &Ctx) -> Result<String> {
        match self {
            Self::Plain(text) => Ok(text.clone()),
            Self::Secret { secret } => {
                ctx.secret(secret).await.map_err(|error| Error::with_code(code::CONFIG, error.message))
            }
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { url: None, api_key: None, prefix: "hotbay_".to_owned(), timeout_seconds: 30 }
    }
}

/// Settings that were checked.
pub(crate) struct Settings {
    pub(crate) client: Qdrant,
    pub(crate) prefix: String,
}

impl Config {
    /// Checks the settings and makes a client, which connects when it is first used; `None` without a URL.
    pub(crate) async fn read(&self, ctx: &Ctx) -> Result<Option<Settings>> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if self.prefix.len() > MAX_PREFIX || !self.prefix.bytes().all(is_word) {
            let message = format!(
                "`prefix` is `{}`: it must be of letters, digits, `_` and `-`, and take {MAX_PREFIX} of them at most",
                self.prefix
            );
            return Err(Error::with_code(code::CONFIG, message));
        }
        check("timeout_seconds", self.timeout_seconds, 1, 3600)?;
        let Some(url) = &self.url else { return Ok(None) };
        let url = url.read(ctx).await?;
        if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(Error::with_code(code::CONFIG, "`url` must begin with `http://` or `https://`"));
        }
        let timeout = Duration::from_secs(self.timeout_seconds);
        let mut builder = Qdrant::from_url(&url).timeout(timeout).connect_timeout(timeout).skip_compatibility_check();
        if let Some(key) = &self.api_key {
            builder = builder.api_key(key.read(ctx).await?);
        }
        let client = builder
            .build()
            .map_err(|error| Error::with_code(code::CONFIG, format!("`url` cannot be used: {error}")))?;
        Ok(Some(Settings { client, prefix: self.prefix.clone() }))
    }
}

fn check<T: PartialOrd + std::fmt::Display>(name: &str, value: T, least: T, most: T) -> Result<()> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(Error::with_code(code::CONFIG, format!("`{name}` is {value}: it must be between {least} and {most}")))
}
