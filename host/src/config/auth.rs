//! Settings of who is let in.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ConfigError, Flags, Sources,
    file::{File, Scalar},
    parse,
};
use crate::{
    auth::{
        jwt,
        settings::{AuthSettings, JwtSettings, TokenSettings},
        token,
    },
    types::caller::Role,
};

/// `[auth]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuthSection {
    required: Option<Scalar>,
    tokens: BTreeMap<String, TokenSettings>,
    jwt: Option<JwtSettings>,
}

/// Puts flags and variables above the file's section, and checks what comes of it.
pub(super) fn load(from: &Sources<'_>, flags: &Flags, file: &File, base: &Path) -> Result<AuthSettings, ConfigError> {
    let section = &file.auth;
    let text = |name: &str, flag: Option<&String>| from.pick(name, flag, None, None, |text| Ok(Some(text.to_owned())));
    let mut jwt = section.jwt.clone();
    if let Some(keys) = jwt.as_mut().map(|jwt| &mut jwt.keys)
        && !keys.is_empty()
        && !keys.contains("://")
    {
        // As all paths of the file.
        *keys = base.join(&*keys).to_string_lossy().into_owned();
    }
    if let Some(keys) = text("jwt_keys", flags.jwt_keys.as_ref())? {
        jwt.get_or_insert_default().keys = keys;
    }
    if let Some(audience) = text("jwt_audience", flags.jwt_audience.as_ref())? {
        jwt.get_or_insert_default().audience = audience;
    }
    if let Some(issuer) = text("jwt_issuer", flags.jwt_issuer.as_ref())? {
        jwt.get_or_insert_default().issuer = Some(issuer);
    }
    let wrong = |name: &str, value: String, expected: &str| {
        Err(ConfigError::Setting { place: from.in_file(name), value, expected: expected.to_owned() })
    };
    for (name, settings) in &section.tokens {
        if let Err(expected) = token::check_name(name) {
            return wrong("auth.tokens", name.clone(), &expected);
        }
        if settings.owner.is_some() && settings.role == Role::Admin {
            let expected = "viewer or operator, for an admin directs what belongs to all and is bound to no owner";
            return wrong(&format!("auth.tokens.{name}.role"), settings.role.to_string(), expected);
        }
    }
    if let Some(jwt) = &jwt {
        let place = if jwt.keys.is_empty() {
            Err("the file or URL of a JWKS document".to_owned())
        } else {
            jwt::place_of(&jwt.keys).map(drop)
        };
        if let Err(expected) = place {
            return wrong("auth.jwt.keys", jwt.keys.clone(), &expected);
        }
        if jwt.audience.is_empty() {
            return wrong(
                "auth.jwt.audience",
                String::new(),
                "for whom tokens are made, as the identity provider names this server",
            );
        }
        if jwt.algorithms.is_empty() {
            return wrong("auth.jwt.algorithms", "[]".to_owned(), "at least one, for example [\"RS256\"]");
        }
    }
    let required = from.pick("auth", flags.auth.as_ref(), section.required.as_ref(), false, parse::boolean)?;
    Ok(AuthSettings { required, tokens: section.tokens.clone(), jwt })
}

/// Returns the settings without any secret.
pub(super) fn shown(settings: &AuthSettings) -> Value {
    let token = |(name, token): (&String, &TokenSettings)| {
        let shown = json!({"token": token.token.redacted(), "role": token.role, "owner": token.owner});
        (name.clone(), shown)
    };
    json!({
        "required": settings.is_required(),
        "tokens": settings.tokens.iter().map(token).collect::<BTreeMap<_, _>>(),
        "jwt": settings.jwt,
    })
}
