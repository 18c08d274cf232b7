//! Tokens of an identity provider: JWT (RFC 7519) signed with one of its keys (JWKS, RFC 7517).
//!
//! Which algorithms count is the operator's choice and never the token's: those with a shared secret,
//! and `none`, cannot be chosen. A token that was checked is remembered until it expires or the keys
//! change, since checking one costs as much as many requests.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use futures::StreamExt;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{Jwk, PublicKeyUse},
};
use reqwest::Url;
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::{
    Admitted, cryptography,
    refresh::Refresh,
    settings::{JwtAlgorithm, JwtSettings},
};
use crate::{
    model,
    types::{
        caller::{Caller, Role},
        id::Millis,
    },
};

/// Longest token that is looked at.
const LONGEST: usize = 16 << 10;
/// Longest document of keys.
const LONGEST_KEYS: usize = 1 << 20;
/// Most tokens that are remembered.
const REMEMBERED: usize = 4096;
/// How soon a key that is not known may cause the keys to be read again.
const SOONEST: Duration = Duration::from_secs(10);
/// How long keys at a URL may take.
const FETCH: Duration = Duration::from_secs(10);
/// Longest name that goes into logs.
const NAME: usize = 128;

/// Checks tokens of an identity provider.
pub(super) struct Jwt {
    settings: JwtSettings,
    place: Place,
    keys: ArcSwap<Vec<Key>>,
    reading: Refresh,
    /// Tokens that were checked, by hash. Held for one lookup.
    checked: RwLock<HashMap<[u8; 32], Admitted>>,
    /// Told whenever a token may let nobody in any more.
    changes: watch::Sender<()>,
}

/// Why keys cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the keys of JWT cannot be read from {place}: {reason}")]
pub struct JwtError {
    place: String,
    reason: String,
}

enum Place {
    File(PathBuf),
    Url(Url, reqwest::Client),
}

/// A public key, and what it may be used for.
struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

/// Whether a text may be a JWT: three pieces of base64.
pub(super) fn looks_like_one(shown: &str) -> bool {
    let is_base64 = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    shown.len() <= LONGEST && shown.bytes().filter(|c| *c == b'.').count() == 2 && shown.bytes().all(is_base64)
}

impl Jwt {
    /// Reads the keys. Those at a URL may come later: the provider may start after this host.
    /// Who listens to `changes` is told whenever a token may let nobody in any more.
    pub(super) async fn start(settings: &JwtSettings, changes: watch::Sender<()>) -> Result<Self, JwtError> {
        cryptography::install();
        let failed = |reason: String| JwtError { place: settings.keys.clone(), reason };
        let place = match place_of(&settings.keys).map_err(failed)? {
            None => Place::File(PathBuf::from(&settings.keys)),
            Some(url) => Place::Url(url, model::http_client(FETCH).map_err(|error| failed(error.to_string()))?),
        };
        let jwt = Self {
            settings: settings.clone(),
            place,
            keys: ArcSwap::default(),
            reading: Refresh::new(SOONEST),
            checked: RwLock::default(),
            changes,
        };
        match (jwt.read().await, &jwt.place) {
            (Err(error), Place::Url(..)) => tracing::warn!(%error, "nobody is let in by a JWT until they can"),
            (read, _) => read?,
        }
        Ok(jwt)
    }

    /// Reads the keys again from time to time.
    pub(super) async fn keep(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(self.settings.refresh_seconds.max(1))).await;
            if let Err(error) = self.read().await {
                tracing::warn!(%error, "what was known of callers still counts");
            }
        }
    }

    /// Returns of whom a token speaks, `None` if it lets nobody in.
    pub(super) async fn who(&self, token: &str) -> Option<Admitted> {
        let now = Millis::now();
        let hash = *blake3::hash(token.as_bytes()).as_bytes();
        let remembered = self.checked.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        if let Some(admitted) = remembered {
            return (now < admitted.until).then_some(admitted);
        }
        let keys = self.keys.load_full();
        let checked = match self.check(&keys, token) {
            Err(Refused::UnknownKey) if self.reading.again(self.read_from_place()).await => {
                self.check(&self.keys.load_full(), token)
            }
            other => other,
        };
        match checked {
            Ok((caller, until)) => {
                let admitted = Admitted { caller: Arc::new(caller), until };
                self.remember(hash, &keys, admitted.clone(), now);
                Some(admitted)
            }
            Err(refused) => {
                tracing::debug!(reason = %refused, "a JWT lets nobody in");
                None
            }
        }
    }

    fn remember(&self, hash: [u8; 32], keys: &Arc<Vec<Key>>, admitted: Admitted, now: Millis) {
        let mut remembered = self.checked.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(keys, &self.keys.load()) {
            // The keys have changed meanwhile; it is checked again when it comes again.
            return;
        }
        if remembered.len() >= REMEMBERED {
            remembered.retain(|_, admitted| admitted.until > now);
        }
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(hash, admitted);
    }

    fn check(&self, keys: &[Key], token: &str) -> Result<(Caller, Millis), Refused> {
        let header = jsonwebtoken::decode_header(token)?;
        if !self.settings.algorithms.iter().any(|allowed| algorithm(*allowed) == header.alg) {
            return Err(Refused::Algorithm);
        }
        let mut validation = Validation::new(header.alg);
        validation.leeway = self.settings.leeway_seconds;
        validation.validate_nbf = true;
        validation.set_audience(&[&self.settings.audience]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        if let Some(issuer) = &self.settings.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        let fits = |key: &&Key| header.kid.is_none() || key.id.is_none() || key.id == header.kid;
        let may_sign = |key: &&Key| {
            key.key.family().algorithms().contains(&header.alg) && key.algorithm.is_none_or(|it| it == header.alg)
        };
        let mut refused = Refused::UnknownKey;
        for key in keys.iter().filter(fits).filter(may_sign) {
            match jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &validation) {
                Ok(decoded) => return self.caller(&decoded.claims),
                Err(error) => refused = error.into(),
            }
        }
        Err(refused)
    }

    /// Returns of whom claims that were checked speak, and until when.
    fn caller(&self, claims: &Map<String, Value>) -> Result<(Caller, Millis), Refused> {
        let subject = claims.get("sub").and_then(Value::as_str).filter(|sub| !sub.is_empty());
        let subject = subject.ok_or(Refused::NoSubject)?;
        let name: String = subject.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(NAME).collect();
        let role = self.role(claims).ok_or_else(|| Refused::NoRole(self.settings.role_claim.clone()))?;
        let owner = match &self.settings.owner_claim {
            Some(path) if role < Role::Admin => {
                let owner = claim(claims, path).and_then(Value::as_str).filter(|owner| !owner.is_empty());
                Some(owner.ok_or_else(|| Refused::NoOwner(path.clone()))?.into())
            }
            _ => None,
        };
        let until = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, reason = "a time beyond the range is for ever")]
        let until = Millis((until * 1000.0) as i64).0.saturating_add_unsigned(self.settings.leeway_seconds * 1000);
        Ok((Caller { id: format!("jwt:{name}").into(), name: name.into(), role, owner }, Millis(until)))
    }

    /// Returns the most that claims let their holder do.
    fn role(&self, claims: &Map<String, Value>) -> Option<Role> {
        let meant = |value: &str| self.settings.roles.get(value).copied().or_else(|| value.parse().ok());
        let named = match claim(claims, &self.settings.role_claim) {
            Some(Value::String(text)) => text.split_whitespace().filter_map(meant).max(),
            Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).filter_map(meant).max(),
            _ => None,
        };
        named.or(self.settings.default_role)
    }

    async fn read(&self) -> Result<(), JwtError> {
        self.reading.now(self.read_from_place()).await
    }

    async fn read_from_place(&self) -> Result<(), JwtError> {
        let failed = |reason: String| JwtError { place: self.settings.keys.clone(), reason };
        let text = match &self.place {
            Place::File(path) => tokio::fs::read(path).await.map_err(|error| failed(error.to_string()))?,
            Place::Url(url, client) => fetch(client, url.clone()).await.map_err(failed)?,
        };
        let keys = keys(&text).map_err(failed)?;
        // In this order: a token that is checked with the old keys meanwhile is not remembered.
        self.keys.store(Arc::new(keys));
        self.checked.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.changes.send_replace(());
        Ok(())
    }
}

/// Returns the URL keys are at; `None` if it is a file.
pub(crate) fn place_of(keys: &str) -> Result<Option<Url>, String> {
    if !keys.contains("://") {
        return Ok(None);
    }
    let url = Url::parse(keys).map_err(|error| format!("it is no URL: {error}"))?;
    let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    match url.scheme() {
        "https" => Ok(Some(url)),
        "http" if is_here => Ok(Some(url)),
        _ => Err("keys from elsewhere come by https:// only: others could be put in their place".to_owned()),
    }
}

async fn fetch(client: &reqwest::Client, url: Url) -> Result<Vec<u8>, String> {
    let reason = |error: reqwest::Error| model::error_chain(&error);
    let answer = client.get(url).timeout(FETCH).send().await.map_err(reason)?;
    if !answer.status().is_success() {
        return Err(format!("the server answered {}", answer.status()));
    }
    // Where it was sent on to must be as safe.
    place_of(answer.url().as_str())?;
    let mut text = Vec::new();
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        text.extend_from_slice(&piece.map_err(reason)?);
        if text.len() > LONGEST_KEYS {
            return Err(format!("the document is longer than {LONGEST_KEYS} bytes"));
        }
    }
    Ok(text)
}

/// Reads a document of keys. Keys of kinds that cannot be used are left out.
fn keys(text: &[u8]) -> Result<Vec<Key>, String> {
    let document: Value = serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
    if !document.get("keys").is_some_and(Value::is_array) {
        return Err("it is no JWKS: it has no list `keys`".to_owned());
    }
    let entries = document.get("keys").and_then(Value::as_array).into_iter().flatten();
    let usable = entries.filter_map(|entry| {
        // One at a time: a key of a kind nobody here knows must not take the others with it.
        let one: Jwk = serde_json::from_value(entry.clone()).ok()?;
        if one.common.public_key_use.as_ref().is_some_and(|of| *of != PublicKeyUse::Signature) {
            return None;
        }
        let key = cryptography::key(&one)?;
        let algorithm = one.common.key_algorithm.and_then(|it| it.to_string().parse().ok());
        (!key.family().algorithms().contains(&Algorithm::HS256)).then_some(Key {
            id: one.common.key_id,
            algorithm,
            key,
        })
    });
    let keys: Vec<Key> = usable.collect();
    if keys.is_empty() {
        return Err("it has no public key for signatures".to_owned());
    }
    Ok(keys)
}

/// Finds a claim by its name, or by a path of names with dots between.
fn claim<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(path) {
        return Some(found);
    }
    let mut names = path.split('.');
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |at, name| at.get(name))
}

fn algorithm(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::RS256 => Algorithm::RS256,
        JwtAlgorithm::RS384 => Algorithm::RS384,
        JwtAlgorithm::RS512 => Algorithm::RS512,
        JwtAlgorithm::PS256 => Algorithm::PS256,
        JwtAlgorithm::PS384 => Algorithm::PS384,
        JwtAlgorithm::PS512 => Algorithm::PS512,
        JwtAlgorithm::ES256 => Algorithm::ES256,
        JwtAlgorithm::ES384 => Algorithm::ES384,
        JwtAlgorithm::EdDSA => Algorithm::EdDSA,
    }
}

/// Why a token lets nobody in.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("none of the keys has made it")]
    UnknownKey,
    #[error("its algorithm is not among those that count")]
    Algorithm,
    #[error("it speaks of nobody: `sub` is empty")]
    NoSubject,
    #[error("its claim `{0}` names no role")]
    NoRole(String),
    #[error("its claim `{0}` names no owner")]
    NoOwner(String),
    #[error(transparent)]
    Invalid(#[from] jsonwebtoken::errors::Error),
}

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

#[cfg(test)]
mod tests;
