//! Tokens of an identity provider: which let somebody in, and which do not.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::*;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::types::arbitrary;

/// A key that signs.
enum Signer {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
}

impl Signer {
    fn ed() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    fn ec() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap())
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Ed(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": id, "x": encode(key.public_key().as_ref())})
            }
            Self::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": id, "x": encode(x), "y": encode(y)})
            }
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = match self {
            Self::Ed(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
            Self::Ec(key) => key.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{message}.{}", encode(&signature))
    }
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn now() -> i64 {
    Millis::now().0 / 1000
}

/// Claims that let an operator in.
fn claims() -> Value {
    json!({"sub": "ada", "aud": "hotbay", "iss": "https://id.example", "exp": now() + 600, "role": "operator"})
}

/// A provider of keys in a file, and a host that reads it.
struct Provider {
    directory: TempDir,
    settings: JwtSettings,
}

impl Provider {
    fn new(keys: &Value) -> Self {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("keys.json");
        let settings = JwtSettings {
            keys: file.to_str().unwrap().to_owned(),
            audience: "hotbay".to_owned(),
            issuer: Some("https://id.example".to_owned()),
            ..JwtSettings::default()
        };
        let provider = Self { directory, settings };
        provider.write(keys);
        provider
    }

    fn write(&self, keys: &Value) {
        std::fs::write(self.directory.path().join("keys.json"), json!({"keys": keys}).to_string()).unwrap();
    }

    async fn host(&self) -> Jwt {
        Jwt::start(&self.settings, watch::Sender::default()).await.unwrap()
    }
}

fn changed(mut value: Value, key: &str, to: Value) -> Value {
    if to.is_null() {
        value.as_object_mut().unwrap().remove(key);
    } else {
        value[key] = to;
    }
    value
}

#[tokio::test]
async fn a_token_lets_in_whom_it_speaks_of() {
    for signer in [Signer::ed(), Signer::ec()] {
        let provider = Provider::new(&json!([signer.jwk("1")]));
        let algorithm = if matches!(signer, Signer::Ed(_)) { "EdDSA" } else { "ES256" };
        let host = provider.host().await;
        for header in [json!({"alg": algorithm, "kid": "1"}), json!({"alg": algorithm})] {
            let caller = host.who(&signer.sign(&header, &claims())).await.unwrap().caller;
            assert_eq!((&*caller.id, &*caller.name, caller.role), ("jwt:ada", "ada", Role::Operator));
            assert_eq!(caller.owner, None);
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_token_lets_nobody_in() {
    let signer = Signer::ed();
    let provider = Provider::new(&json!([signer.jwk("1"), Signer::ec().jwk("2")]));
    let host = provider.host().await;
    let header = json!({"alg": "EdDSA", "kid": "1"});
    assert!(host.who(&signer.sign(&header, &claims())).await.is_some());
    for (what, claims) in [
        ("it has expired, beyond what clocks may differ", changed(claims(), "exp", json!(now() - 31))),
        ("it never expires", changed(claims(), "exp", Value::Null)),
        ("its time is no time", changed(claims(), "exp", json!("soon"))),
        ("it does not count yet", changed(claims(), "nbf", json!(now() + 60))),
        ("it is for somebody else", changed(claims(), "aud", json!("other"))),
        ("it is for nobody", changed(claims(), "aud", Value::Null)),
        ("somebody else made it", changed(claims(), "iss", json!("https://evil.example"))),
        ("nobody says who made it", changed(claims(), "iss", Value::Null)),
        ("it speaks of nobody", changed(claims(), "sub", Value::Null)),
        ("it speaks of an empty name", changed(claims(), "sub", json!(""))),
        ("it names no role", changed(claims(), "role", Value::Null)),
        ("it names no role we know", changed(claims(), "role", json!("root"))),
    ] {
        assert!(host.who(&signer.sign(&header, &claims)).await.is_none(), "{what}");
    }
    let good = signer.sign(&header, &claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (head, body) = message.split_once('.').unwrap();
    let more = encode(changed(claims(), "role", json!("admin")).to_string().as_bytes());
    let unsigned = |alg: &str| encode(json!({"alg": alg}).to_string().as_bytes());
    for (what, token) in [
        ("its claims were changed", format!("{head}.{more}.{signature}")),
        ("it has no signature", format!("{head}.{body}.")),
        ("it says that it needs none", format!("{}.{body}.", unsigned("none"))),
        ("its signature is another's", Signer::ed().sign(&header, &claims())),
        ("its key is another's", signer.sign(&json!({"alg": "EdDSA", "kid": "2"}), &claims())),
        ("its algorithm is not its key's", signer.sign(&json!({"alg": "ES256", "kid": "1"}), &claims())),
        ("its algorithm is not among those that count", signer.sign(&json!({"alg": "ES384"}), &claims())),
        ("its key is not there", signer.sign(&json!({"alg": "EdDSA", "kid": "3"}), &claims())),
        ("it is signed with what everybody can read", format!("{}.{body}.{signature}", unsigned("HS256"))),
        ("it is cut", good.split_at(good.len() - 4).0.to_owned()),
        ("it is no token", "a.b.c".to_owned()),
    ] {
        assert!(host.who(&token).await.is_none(), "{what}");
    }
}

#[tokio::test]
async fn roles_and_owners_are_where_the_settings_say() {
    let signer = Signer::ed();
    let mut provider = Provider::new(&json!([signer.jwk("1")]));
    provider.settings.role_claim = "realm.roles".to_owned();
    provider.settings.roles = [("staff".to_owned(), Role::Operator), ("root".to_owned(), Role::Admin)].into();
    provider.settings.default_role = Some(Role::Viewer);
    provider.settings.owner_claim = Some("sub".to_owned());
    let host = provider.host().await;
    let header = json!({"alg": "EdDSA"});
    for (roles, role, owner) in [
        (json!(["x", "staff", "viewer"]), Role::Operator, Some("ada")),
        (json!("staff root"), Role::Admin, None),
        (json!(["x"]), Role::Viewer, Some("ada")),
        (Value::Null, Role::Viewer, Some("ada")),
    ] {
        let claims = changed(claims(), "realm", json!({"roles": roles}));
        let caller = host.who(&signer.sign(&header, &claims)).await.unwrap().caller;
        assert_eq!((caller.role, caller.owner.as_deref()), (role, owner), "{roles}");
    }
    provider.settings.owner_claim = Some("https://app.example/customer".to_owned());
    let host = provider.host().await;
    assert!(host.who(&signer.sign(&header, &claims())).await.is_none(), "nobody says whose it is");
    let named = changed(claims(), "https://app.example/customer", json!("acme"));
    let caller = host.who(&signer.sign(&header, &named)).await.unwrap().caller;
    assert_eq!(caller.owner.as_deref(), Some("acme"), "a name with dots is a name first");
}

#[tokio::test]
async fn names_cannot_write_lines_into_a_log() {
    let signer = Signer::ed();
    let host = Provider::new(&json!([signer.jwk("1")]));
    let host = host.host().await;
    let claims = changed(claims(), "sub", json!(format!("a\nb\u{1b}[2J{}", "x".repeat(500))));
    let caller = host.who(&signer.sign(&json!({"alg": "EdDSA"}), &claims)).await.unwrap().caller;
    assert!(caller.name.starts_with("a\u{fffd}b\u{fffd}[2J") && caller.name.chars().count() == 128, "{}", caller.name);
}

#[tokio::test]
async fn a_new_key_counts_and_one_that_is_gone_no_more() {
    let (old, new) = (Signer::ed(), Signer::ec());
    let provider = Provider::new(&json!([old.jwk("old")]));
    let host = provider.host().await;
    let by_old = old.sign(&json!({"alg": "EdDSA", "kid": "old"}), &claims());
    let by_new = new.sign(&json!({"alg": "ES256", "kid": "new"}), &claims());
    assert!(host.who(&by_old).await.is_some());
    provider.write(&json!([old.jwk("old"), new.jwk("new")]));
    assert!(host.who(&by_new).await.is_none(), "keys were read a moment ago");
    host.read().await.unwrap();
    assert!(host.who(&by_new).await.is_some() && host.who(&by_old).await.is_some());
    provider.write(&json!([new.jwk("new")]));
    let mut changes = host.changes.subscribe();
    host.read().await.unwrap();
    assert!(changes.has_changed().unwrap(), "whoever goes on with a token is told");
    changes.mark_unchanged();
    assert!(host.who(&by_old).await.is_none(), "also one that was let in before");
    assert!(host.who(&by_new).await.is_some());
    std::fs::write(&provider.settings.keys, "{").unwrap();
    assert!(host.read().await.is_err() && !changes.has_changed().unwrap());
    assert!(host.who(&by_new).await.is_some(), "what was known still counts");
}

#[tokio::test]
async fn documents_that_are_none_are_told() {
    let provider = Provider::new(&json!([]));
    for (text, reason) in [
        ("", "no JSON"),
        ("[]", "no list `keys`"),
        (r#"{"keys": []}"#, "no public key"),
        (r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#, "no public key"),
        (r#"{"keys": [{"kty": "RSA"}, 1, null]}"#, "no public key"),
    ] {
        std::fs::write(&provider.settings.keys, text).unwrap();
        let error = Jwt::start(&provider.settings, watch::Sender::default()).await.err().unwrap().to_string();
        assert!(error.contains(reason) && error.contains("keys.json"), "{text}: {error}");
    }
    std::fs::remove_file(&provider.settings.keys).unwrap();
    assert!(Jwt::start(&provider.settings, watch::Sender::default()).await.is_err());
    for (keys, is_fine) in [
        ("https://id.example/keys", true),
        ("http://127.0.0.1:1/keys", true),
        ("http://id.example/keys", false),
        ("ftp://id.example/keys", false),
        ("http://", false),
    ] {
        assert_eq!(place_of(keys).is_ok(), is_fine, "{keys}");
    }
}

/// The example of RFC 7515, A.2: a message signed with RSA, the key as a JWK.
#[test]
fn a_signature_of_rsa_is_checked() {
    cryptography::install();
    let key = json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"});
    let message = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let keys = keys(json!({"keys": [key]}).to_string().as_bytes()).unwrap();
    let check = |message: &str, algorithm| {
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &keys[0].key, algorithm).unwrap()
    };
    assert!(check(message, Algorithm::RS256));
    assert!(!check(message, Algorithm::RS384) && !check(message, Algorithm::PS256));
    assert!(!check(&message.replace('e', "f"), Algorithm::RS256));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is shown, it lets nobody in whom the provider does not vouch for, and is judged.
    #[test]
    fn tokens_of_anything_let_nobody_in(
        header in arbitrary::json(&["alg", "kid", "EdDSA", "ES256", "HS256", "none", "1", "typ", "jwk", "jku", "x5u", "crit"]),
        said in arbitrary::json(&["sub", "aud", "exp", "iss", "role", "admin", "hotbay", "nbf"]),
        signature in prop::collection::vec(any::<u8>(), 0..80),
        text in ".{0,80}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let signer = Signer::ed();
            let host = Provider::new(&json!([signer.jwk("1")])).host().await;
            let encoded = |value: &Value| encode(value.to_string().as_bytes());
            let token = format!("{}.{}.{}", encoded(&header), encoded(&said), encode(&signature));
            assert_eq!(host.who(&token).await, None);
            assert_eq!(host.who(&text).await, None);
            assert_eq!(host.who(&signer.sign(&header, &said)).await, None, "no random claims are for this host");
            // The signature is good, the claims are anything: judged, at least.
            drop(host.who(&signer.sign(&json!({"alg": "EdDSA"}), &said)).await);
        });
    }
}
