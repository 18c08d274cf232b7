//! Settings of who has to vouch for plugin files.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ConfigError, Flags, Sources, file::File, read_file, variable};
use crate::plugin::trust::{TrustSettings, TrustedKey, parse_hash};

/// `[trust]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TrustSection {
    keys: Option<Vec<KeyEntry>>,
    hashes: Option<Vec<String>>,
}

/// A key, alone or with what it is called.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a key as a string, or { name = \"...\", key = \"RW...\" }")]
enum KeyEntry {
    Key(String),
    Named(NamedKey),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedKey {
    name: String,
    key: String,
}

impl KeyEntry {
    fn text(&self) -> String {
        match self {
            Self::Key(key) => key.clone(),
            Self::Named(NamedKey { name, key }) => format!("{name}={key}"),
        }
    }
}

impl TrustSettings {
    /// Reads these settings alone, as [`super::Config::load`] does.
    ///
    /// # Errors
    ///
    /// If one of them is wrong, or the file cannot be read.
    pub fn of_configuration(flags: &Flags) -> Result<Self, ConfigError> {
        let (path, file) = read_file(flags, &variable)?;
        let from = Sources { environment: &variable, file: path.as_deref() };
        Self::load(&from, flags, &file)
    }

    pub(super) fn load(from: &Sources<'_>, flags: &Flags, file: &File) -> Result<Self, ConfigError> {
        let in_file = file.trust.keys.as_ref().map(|keys| keys.iter().map(KeyEntry::text).collect());
        let keys = from.list("trust_keys", ("--trust-key", &flags.trust.trust_key), ("trust.keys", in_file));
        let in_file = file.trust.hashes.clone();
        let hashes = from.list("trust_hashes", ("--trust-hash", &flags.trust.trust_hash), ("trust.hashes", in_file));
        Ok(Self {
            keys: parse_all(keys, TrustedKey::parse_named)?.unwrap_or_default(),
            hashes: parse_all(hashes, parse_hash)?,
        })
    }

    pub(super) fn shown(&self) -> Value {
        let label = |key: &TrustedKey| json!({"name": key.name, "id": key.id});
        let mut hashes: Option<Vec<&String>> = self.hashes.as_ref().map(|hashes| hashes.iter().collect());
        hashes.iter_mut().for_each(|hashes| hashes.sort());
        json!({"keys": self.keys.iter().map(label).collect::<Vec<_>>(), "hashes": hashes})
    }
}

/// A list that is set but empty is a mistake: it would trust everybody or nobody, and which is not said.
fn parse_all<T, C: FromIterator<T>>(
    given: Option<(Vec<String>, String)>,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<C>, ConfigError> {
    let Some((items, place)) = given else { return Ok(None) };
    if items.is_empty() {
        let expected = "at least one; without the setting nobody is asked".to_owned();
        return Err(ConfigError::Setting { place, value: "[]".to_owned(), expected });
    }
    let parsed = items
        .into_iter()
        .map(|value| parse(&value).map_err(|expected| ConfigError::Setting { place: place.clone(), value, expected }));
    parsed.collect::<Result<C, ConfigError>>().map(Some)
}
