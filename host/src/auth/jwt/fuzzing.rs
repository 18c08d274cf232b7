//! A door for fuzzers (`tests/fuzz`) to what reads keys, tokens and claims.

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock, RwLock},
};

use arc_swap::ArcSwap;
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::{Jwt, JwtSettings, Place, Refresh, SOONEST, cryptography, keys, looks_like_one};

/// The public key of RFC 8037, A.2; a fuzzer that signs with it has found more than a fault here.
const KEYS: &[u8] =
    br#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

static JWT: LazyLock<Jwt> = LazyLock::new(|| {
    cryptography::install();
    Jwt {
        settings: JwtSettings {
            audience: "hotbay".to_owned(),
            owner_claim: Some("a.b".to_owned()),
            ..JwtSettings::default()
        },
        place: Place::File(PathBuf::new()),
        keys: ArcSwap::new(Arc::new(keys(KEYS).expect("it is a key"))),
        reading: Refresh::new(SOONEST),
        checked: RwLock::default(),
        changes: watch::Sender::default(),
    }
});

/// Reads any bytes as a document of keys, as claims whose signature was good, and as a token.
///
/// # Panics
///
/// If the token lets somebody in.
pub fn jwt(bytes: &[u8]) {
    drop(keys(bytes));
    if let Ok(claims) = serde_json::from_slice::<Map<String, Value>>(bytes) {
        drop(JWT.caller(&claims));
    }
    let Ok(token) = str::from_utf8(bytes) else { return };
    if looks_like_one(token) {
        assert!(JWT.check(&JWT.keys.load(), token).is_err(), "a token that nobody signed lets somebody in");
    }
}
