//! Settings of who is let in: `[auth]` of the configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{config::SecretSource, types::caller::Role};

/// Who is let in.
#[derive(Debug, Clone, Default)]
pub struct AuthSettings {
    /// Whether callers are asked who they are, also if nothing below says who there is.
    pub required: bool,
    /// Tokens whose text the operator chose, by name.
    pub tokens: BTreeMap<String, TokenSettings>,
    /// Tokens of an identity provider.
    pub jwt: Option<JwtSettings>,
}

impl AuthSettings {
    /// Whether callers are asked who they are: whoever says who there is wants that.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required || !self.tokens.is_empty() || self.jwt.is_some()
    }
}

/// `[auth.tokens.<name>]`: a token whose text is in a variable or in the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// Its text.
    pub token: SecretSource,
    /// What its holder may do.
    pub role: Role,
    /// The owner its holder is bound to.
    #[serde(default)]
    pub owner: Option<String>,
}

/// `[auth.jwt]`: tokens of an identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtSettings {
    /// Where the keys are, a JWKS document: a file, or an `https://` URL.
    pub keys: String,
    /// For whom tokens must be made.
    pub audience: String,
    /// Who must have made them; anybody with the keys if absent.
    pub issuer: Option<String>,
    /// The algorithms that count.
    pub algorithms: Vec<JwtAlgorithm>,
    /// How far clocks may be apart, in seconds.
    pub leeway_seconds: u64,
    /// How often the keys are read again, in seconds.
    pub refresh_seconds: u64,
    /// The claim that says what the holder may do; dots go into objects.
    pub role_claim: String,
    /// What its values mean; a role's own name means that role.
    pub roles: BTreeMap<String, Role>,
    /// What those may do whose token does not say; nothing if absent.
    pub default_role: Option<Role>,
    /// The claim with the owner the holder is bound to; nobody is bound if absent. Those whose token does
    /// not have it are let in as admins only.
    pub owner_claim: Option<String>,
}

impl Default for JwtSettings {
    fn default() -> Self {
        Self {
            keys: String::new(),
            audience: String::new(),
            issuer: None,
            algorithms: vec![JwtAlgorithm::RS256, JwtAlgorithm::ES256, JwtAlgorithm::EdDSA],
            leeway_seconds: 30,
            refresh_seconds: 300,
            role_claim: "role".to_owned(),
            roles: BTreeMap::new(),
            default_role: None,
            owner_claim: None,
        }
    }
}

/// An algorithm of signatures that has a public key. Those with a shared secret, and none, are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum JwtAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}
