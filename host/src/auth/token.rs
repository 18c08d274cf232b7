//! Tokens: made, and found again by their hash.
//!
//! A token has 256 random bits, so its hash needs no salt and need not be slow: there is nothing to
//! try. Looking for a token hashes it and looks the hash up, which tells nothing of other tokens by
//! how long it takes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use arc_swap::ArcSwap;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};

use super::{Admitted, AuthError, settings::TokenSettings};
use crate::{
    config::SecretSource,
    store::tokens::TokenRow,
    types::{
        caller::{Caller, Role},
        id::{self, Millis},
    },
};

/// What every token made here begins with, so that scanners of sources recognise one.
const PREFIX: &str = "hotbay_";
/// Random bytes of a token.
const BYTES: usize = 32;
/// Texts that are shorter and were chosen by somebody can be guessed.
const SHORT: usize = 20;
/// When a token was last used is kept to this many milliseconds.
const USED: i64 = 60_000;

/// A hash of a token.
type Hash = [u8; 32];

/// A token that was just made. Its text is shown once and kept nowhere.
#[derive(Debug)]
pub struct NewToken {
    /// What callers show.
    pub text: String,
    /// What is stored.
    pub row: TokenRow,
}

/// What a token is made with.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// What people call it.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// The owner its holder is bound to.
    pub owner: Option<String>,
    /// From when on it lets nobody in.
    pub expires_at: Option<Millis>,
}

impl TokenRequest {
    /// Makes the token.
    ///
    /// # Errors
    /// A sentence, if it cannot be made as asked.
    pub fn make(self, by: &str) -> Result<NewToken, String> {
        check_name(&self.name)?;
        if let Some(owner) = &self.owner {
            if owner.is_empty() {
                return Err("the owner a token is bound to has a name".to_owned());
            }
            if self.role == Role::Admin {
                return Err(
                    "an admin directs what belongs to all and cannot be bound to one owner; choose another role"
                        .to_owned(),
                );
            }
        }
        let now = Millis::now();
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err("the token would have expired already".to_owned());
        }
        let mut bytes = [0; BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| "this machine gives no random numbers".to_owned())?;
        let text = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let row = TokenRow {
            id: id::fresh(),
            name: self.name,
            hash: blake3::hash(text.as_bytes()).to_hex().to_string(),
            role: self.role,
            owner: self.owner,
            created_at: now,
            created_by: by.to_owned(),
            expires_at: self.expires_at,
            revoked: None,
            last_used_at: None,
        };
        Ok(NewToken { text, row })
    }
}

/// Names go into logs, tables and commands.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(is_plain) {
        return Ok(());
    }
    Err("a token's name has 1 to 64 letters, digits, `-`, `_`, `.` and `@`".to_owned())
}

/// Whether a text may be a token that was made here.
pub(super) fn looks_like_one(shown: &str) -> bool {
    shown.starts_with(PREFIX)
}

/// The tokens that let somebody in.
pub(super) struct Known {
    configured: HashMap<Hash, Arc<Caller>>,
    stored: ArcSwap<HashMap<Hash, Arc<Stored>>>,
}

struct Stored {
    caller: Arc<Caller>,
    id: String,
    /// `i64::MAX` if it never does.
    expires_at: i64,
    used: AtomicI64,
    /// The last use that was given to the store.
    noted: AtomicI64,
}

impl Known {
    /// Reads the tokens of the configuration.
    pub(super) fn new(
        tokens: &BTreeMap<String, TokenSettings>,
        variable: fn(&str) -> Option<String>,
    ) -> Result<Self, AuthError> {
        let mut configured = HashMap::new();
        for (name, settings) in tokens {
            let text = match &settings.token {
                SecretSource::Value(text) => text.0.clone(),
                SecretSource::Variable(from) => variable(&from.env).ok_or_else(|| AuthError::NoText {
                    name: name.clone(),
                    reason: format!("the variable {} is not set", from.env),
                })?,
            };
            if text.is_empty() {
                return Err(AuthError::NoText { name: name.clone(), reason: "it is empty".to_owned() });
            }
            if text.len() < SHORT {
                tracing::warn!(token = %name, "a token of the configuration has less than {SHORT} characters and can be guessed");
            }
            let caller = Caller {
                id: format!("config:{name}").into(),
                name: name.as_str().into(),
                role: settings.role,
                owner: settings.owner.as_deref().map(Into::into),
            };
            configured.insert(hash(&text), Arc::new(caller));
        }
        Ok(Self { configured, stored: ArcSwap::default() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.configured.is_empty() && self.stored.load().is_empty()
    }

    /// Returns who shows this token.
    pub(super) fn find(&self, shown: &str, now: Millis) -> Option<Admitted> {
        let hash = hash(shown);
        if let Some(stored) = self.stored.load().get(&hash) {
            if stored.expires_at <= now.0 {
                return None;
            }
            stored.used.store(now.0, Ordering::Relaxed);
            return Some(Admitted { caller: Arc::clone(&stored.caller), until: Millis(stored.expires_at) });
        }
        let caller = Arc::clone(self.configured.get(&hash)?);
        Some(Admitted { caller, until: Millis(i64::MAX) })
    }

    /// Puts what the store has in place of what it had. Returns whether a token is gone.
    pub(super) fn replace(&self, rows: Vec<TokenRow>) -> bool {
        let before = self.stored.load();
        let all = rows.into_iter().filter_map(|row| {
            let hash = *blake3::Hash::from_hex(&row.hash).ok()?.as_bytes();
            let last = row.last_used_at.map_or(0, |at| at.0);
            let stored = match before.get(&hash) {
                // Rows of a token do not change but for when it was used.
                Some(stored) => Arc::clone(stored),
                None => Arc::new(Stored {
                    caller: Arc::new(Caller {
                        id: row.id.as_str().into(),
                        name: row.name.into(),
                        role: row.role,
                        owner: row.owner.map(Into::into),
                    }),
                    id: row.id,
                    expires_at: row.expires_at.map_or(i64::MAX, |at| at.0),
                    used: AtomicI64::new(last),
                    noted: AtomicI64::new(last),
                }),
            };
            Some((hash, stored))
        });
        let all: HashMap<_, _> = all.collect();
        let is_one_gone = before.keys().any(|hash| !all.contains_key(hash));
        self.stored.store(Arc::new(all));
        is_one_gone
    }

    /// Returns the tokens that were used since this was last asked, by their ids, to the minute.
    pub(super) fn used(&self) -> Vec<(String, Millis)> {
        let stored = self.stored.load();
        let used = stored.values().filter_map(|stored| {
            let used = stored.used.load(Ordering::Relaxed);
            if used - stored.noted.load(Ordering::Relaxed) < USED {
                return None;
            }
            stored.noted.store(used, Ordering::Relaxed);
            Some((stored.id.clone(), Millis(used)))
        });
        used.collect()
    }
}

fn hash(text: &str) -> Hash {
    *blake3::hash(text.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, role: Role) -> TokenRequest {
        TokenRequest { name: name.to_owned(), role, owner: None, expires_at: None }
    }

    #[test]
    fn tokens_are_random_and_only_their_hash_is_kept() {
        let (one, other) =
            (request("a", Role::Viewer).make("x").unwrap(), request("a", Role::Viewer).make("x").unwrap());
        assert_ne!(one.text, other.text);
        assert_eq!(one.text.len(), PREFIX.len() + 43, "256 bits");
        assert!(!format!("{:?}", one.row).contains(&one.text));
        assert_eq!(one.row.hash, blake3::hash(one.text.as_bytes()).to_hex().to_string());
    }

    #[test]
    fn what_cannot_be_made_is_told() {
        for (name, role, owner, expires_at) in [
            ("", Role::Viewer, None, None),
            ("a\nb", Role::Viewer, None, None),
            ("a", Role::Admin, Some("ann"), None),
            ("a", Role::Viewer, Some(""), None),
            ("a", Role::Viewer, None, Some(Millis(1))),
        ] {
            let owner = owner.map(str::to_owned);
            assert!(TokenRequest { owner, expires_at, ..request(name, role) }.make("x").is_err(), "{name:?} {role}");
        }
    }

    #[test]
    fn a_token_lets_in_until_it_expires_or_is_revoked() {
        let known = Known::new(&BTreeMap::new(), |_| None).unwrap();
        let soon = Millis(Millis::now().0 + 60_000);
        let token = TokenRequest { expires_at: Some(soon), ..request("a", Role::Operator) }.make("x").unwrap();
        assert!(!known.replace(vec![token.row]));
        let found = known.find(&token.text, Millis::now()).unwrap();
        assert_eq!((&*found.caller.name, found.caller.role, found.until), ("a", Role::Operator, soon));
        assert_eq!(known.find(&token.text, soon), None, "it has expired");
        assert_eq!(known.find(&format!("{}x", token.text), Millis::now()), None);
        assert!(known.replace(Vec::new()));
        assert_eq!(known.find(&token.text, Millis::now()), None, "it was revoked");
    }

    #[test]
    fn uses_are_noted_once_a_minute() {
        let known = Known::new(&BTreeMap::new(), |_| None).unwrap();
        let token = request("a", Role::Operator).make("x").unwrap();
        known.replace(vec![token.row.clone()]);
        known.find(&token.text, Millis(1_000_000)).unwrap();
        assert_eq!(known.used(), [(token.row.id.clone(), Millis(1_000_000))]);
        known.find(&token.text, Millis(1_000_000 + USED - 1)).unwrap();
        known.replace(vec![token.row]);
        assert_eq!(known.used(), []);
    }
}
