//! Whom the host trusts with files it runs: signatures, listed hashes, and what is told of them.

use std::{fs, path::Path, process::Command};

use hotbay::{
    plugin::{
        settings::PluginSettings,
        trust::{TrustedKey, signature_file},
    },
    types::plugin::{PluginState, PluginStatus, PluginTrust},
};
use hotbay_tests::{
    TestHost,
    plugin_host::{PluginHost, artifact, build_of, eventually, put},
};
use minisign::{KeyPair, PublicKey};
use serde_json::{Value, json};

use crate::cli::{hotbay, text};

fn key() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().expect("random numbers")
}

fn signed(pair: &KeyPair, bytes: &[u8]) -> Vec<u8> {
    let signature = minisign::sign(None, &pair.sk, bytes, Some("build 7 of p"), None).expect("a signature");
    signature.to_bytes()
}

fn trusts(name: &str, key: &PublicKey) -> TrustedKey {
    TrustedKey::parse(Some(name), &key.to_base64()).expect("a key")
}

/// Puts a file and its signature into the directory.
fn put_signed(directory: &Path, pair: &KeyPair, bytes: &[u8]) {
    put(directory, "p.so.minisig", &signed(pair, bytes));
    put(directory, "p.so", bytes);
}

/// A host that trusts one key and serves build A of `p`, signed with it.
async fn host(pair: &KeyPair) -> PluginHost {
    host_with(pair, |_| {}).await
}

async fn host_with(pair: &KeyPair, prepare: impl FnOnce(&mut PluginSettings)) -> PluginHost {
    PluginHost::start_with(|directory, settings| {
        settings.trust.keys = vec![trusts("acme", &pair.pk)];
        put_signed(directory, pair, &build_of("p", "A"));
        prepare(settings);
    })
    .await
}

async fn build(host: &PluginHost) -> String {
    let answer = host.tool("p:echo", json!(null)).await.expect("answers");
    answer["build"].as_str().expect("text").to_owned()
}

/// Waits until the plugin's file is refused with these words; what served before still does.
async fn check_refused(host: &PluginHost, words: &str) {
    let says = |status: &PluginStatus| {
        status.last_error.as_ref().is_some_and(|error| error.code == "E_UNTRUSTED" && error.message.contains(words))
    };
    let status = host.until("p", words, says).await;
    assert_eq!(status.state, PluginState::Serving);
    assert_eq!(build(host).await, "A");
}

#[tokio::test]
async fn a_signed_build_serves_and_its_signer_is_told() {
    let pair = key();
    let host = host(&pair).await;
    let status = host.until_state("p", PluginState::Serving).await;
    let Some(PluginTrust::Signature { key_name, comment, key_id }) = &status.generations[0].trust else {
        panic!("{status:?}")
    };
    assert_eq!((key_name.as_deref(), comment.as_str()), (Some("acme"), "build 7 of p"));
    let shown = serde_json::to_value(&status).expect("serialises");
    let expected = json!({"by": "signature", "keyId": key_id, "keyName": "acme", "comment": "build 7 of p"});
    assert_eq!(shown["generations"][0]["trust"], expected);
}

#[tokio::test]
async fn a_swap_to_a_build_nobody_vouches_for_leaves_the_old_one_serving_until_a_signature_comes() {
    let pair = key();
    let host = host(&pair).await;
    fs::remove_file(host.directory.join("p.so.minisig")).expect("there");
    let next = build_of("p", "B");
    host.put("p.so", &next);
    check_refused(&host, "not signed").await;
    // The file stays as it is: a signature beside it is enough to have it looked at again.
    for (signature, words) in [
        (signed(&key(), &next), "none of those trusted here"),
        (signed(&pair, b"another file"), "does not fit"),
        (signed(&pair, &next)[..100].to_vec(), "incomplete"),
        (vec![b'x'; 1 << 20], "too long"),
        (vec![0xff; 300], "not text"),
        (Vec::new(), "empty"),
    ] {
        host.put("p.so.minisig", &signature);
        check_refused(&host, words).await;
    }
    host.put("p.so.minisig", &signed(&pair, &next));
    let status = host.until("p", "B serves", |status| status.version == "B").await;
    assert_eq!((status.last_error, build(&host).await.as_str()), (None, "B"));
}

#[tokio::test]
async fn one_changed_byte_of_a_signed_file_is_refused() {
    let pair = key();
    let host = host(&pair).await;
    let mut bytes = build_of("p", "B");
    put(&host.directory, "p.so.minisig", &signed(&pair, &bytes));
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    host.put("p.so", &bytes);
    check_refused(&host, "does not fit").await;
}

#[tokio::test]
async fn a_signature_that_is_a_pipe_holds_nothing_up() {
    let pair = key();
    let host = host(&pair).await;
    let pipe = host.directory.join("p.so.minisig");
    fs::remove_file(&pipe).expect("there");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there").success());
    check_refused(&host, "no file").await;
}

#[tokio::test]
async fn a_listed_hash_lets_an_unsigned_build_in() {
    let pair = key();
    let next = build_of("p", "B");
    let hash = blake3::hash(&next).to_hex().to_string();
    let host = host_with(&pair, |settings| settings.trust.hashes = Some([hash].into())).await;
    fs::remove_file(host.directory.join("p.so.minisig")).expect("there");
    host.put("p.so", &next);
    let status = host.until("p", "B serves", |status| status.version == "B").await;
    assert_eq!(status.generations[0].trust, Some(PluginTrust::Hash));
    assert!(matches!(status.generations[1].trust, Some(PluginTrust::Signature { .. })), "{status:?}");
}

#[tokio::test]
async fn a_removed_signature_stops_nothing_that_serves_but_the_next_load() {
    let pair = key();
    let host = host(&pair).await;
    fs::remove_file(host.directory.join("p.so.minisig")).expect("there");
    check_refused(&host, "not signed").await;
    let error = host.plugins.reload("p").await.expect_err("refused");
    assert_eq!(error.code.as_str(), "E_UNTRUSTED");
    assert_eq!(build(&host).await, "A");
}

#[tokio::test]
async fn a_rollback_needs_the_trust_the_build_had() {
    let pair = key();
    let host = host(&pair).await;
    put_signed(&host.directory, &pair, &build_of("p", "B"));
    host.until("p", "B serves", |status| status.version == "B").await;
    // The signature beside the file is another build's by now; the host kept the one of A.
    host.plugins.rollback("p").await.expect("goes back");
    assert_eq!(build(&host).await, "A");
    let kept = |build: &str| {
        let hash = blake3::hash(&build_of("p", build)).to_hex();
        host.directory.join(format!("../data/plugins/{hash}.minisig"))
    };
    fs::remove_file(kept("B")).expect("kept");
    let error = host.plugins.rollback("p").await.expect_err("B is trusted no longer");
    assert_eq!((error.code.as_str(), error.message.contains("not signed")), ("E_UNTRUSTED", true), "{error}");
    assert_eq!(build(&host).await, "A");
}

#[tokio::test]
async fn a_link_into_a_directory_others_may_write_to_is_not_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let host = PluginHost::start().await;
    let open = host.scratch.join("open");
    fs::create_dir_all(open.join("inner")).expect("writable");
    let target = put(&open.join("inner"), "real.so", &build_of("p", "A"));
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("own directory");
    symlink(target, host.directory.join("p.so")).expect("writable");
    assert_eq!(host.refusal("p").await, "E_UNTRUSTED");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("own directory");
    host.plugins.reload("p").await.expect("now it is safe");
    assert_eq!(build(&host).await, "A");
}

/// Runs a command that succeeds; returns what it prints.
fn done(directory: &Path, arguments: &[&str]) -> String {
    let output = hotbay(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn failed(directory: &Path, arguments: &[&str], words: &str) {
    let output = hotbay(directory, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
    assert!(text(&output.stderr).contains(words), "{arguments:?}: {}", text(&output.stderr));
}

#[test]
fn keys_and_signatures_of_the_commands_are_the_standard_tools() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let home = home.path();
    let printed = done(home, &["plugin", "keygen", "--no-password"]);
    failed(home, &["plugin", "keygen", "--no-password"], "there already");
    let public = PublicKey::from_file(home.join("minisign.pub")).expect("as the tool writes it");
    assert_eq!(printed, format!("[trust]\nkeys = [\"{}\"]\n", public.to_base64()));
    let file = put(home, "p.so", &build_of("p", "A"));
    assert_eq!(done(home, &["plugin", "sign", "p.so"]), "p.so.minisig\n");
    let signature = minisign::SignatureBox::from_file(signature_file(&file)).expect("as the tool writes it");
    assert!(signature.is_prehashed());
    let bytes = std::io::Cursor::new(fs::read(&file).expect("there"));
    minisign::verify(&public, &signature, bytes, true, false, false).expect("the other implementation agrees");

    let said = done(home, &["plugin", "verify", "p.so", "--public", "minisign.pub"]);
    assert!(said.starts_with("p.so is signed by ") && said.contains("file:p.so"), "{said}");
    failed(home, &["plugin", "verify", "p.so"], "--trust-key");
    let named = format!("acme={}", public.to_base64());
    let said = done(home, &["plugin", "verify", "p.so", "--trust-key", &named]);
    assert!(said.starts_with("p.so is signed by acme"), "{said}");

    done(home, &["plugin", "sign", "p.so", "--comment", "for\nproduction"]);
    let said = done(home, &["plugin", "check", "p.so", "--trust-key", &named]);
    assert!(said.contains("trust  signed by acme") && said.contains("for production"), "{said}");
    fs::write(&file, build_of("p", "B")).expect("writable");
    failed(home, &["plugin", "verify", "p.so", "--public", "minisign.pub"], "does not fit");
    failed(home, &["plugin", "check", "p.so", "--trust-key", &named], "E_UNTRUSTED");
}

#[test]
fn a_key_with_a_password_signs_only_with_it() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let home = home.path();
    fs::write(home.join("right"), "correct horse\n").expect("writable");
    fs::write(home.join("wrong"), "battery staple\n").expect("writable");
    fs::write(home.join("file"), "anything").expect("writable");
    done(home, &["plugin", "keygen", "--password-file", "right"]);
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(home.join("minisign.key")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    failed(home, &["plugin", "sign", "file", "--password-file", "wrong"], "Wrong password");
    done(home, &["plugin", "sign", "file", "--password-file", "right"]);
    done(home, &["plugin", "verify", "file", "--public", "minisign.pub"]);
}

#[test]
fn check_prints_the_hash_as_the_list_takes_it() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let home = home.path();
    put(home, "p.so", &build_of("p", "A"));
    let said = done(home, &["plugin", "check", "p.so"]);
    let hash = said.lines().find_map(|line| line.trim().strip_prefix("blake3 ")).expect("a hash");
    fs::write(home.join("hotbay.toml"), format!("[trust]\nhashes = [\"{hash}\"]\n")).expect("writable");
    let said = done(home, &["plugin", "check", "p.so"]);
    assert!(said.contains("trust  its hash is listed"), "{said}");
    put(home, "p.so", &build_of("p", "B"));
    failed(home, &["plugin", "check", "p.so"], "allow-list");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_over_http_and_by_the_list() {
    let pair = key();
    let config = format!("[trust]\nkeys = [{{ name = \"acme\", key = \"{}\" }}]\n", pair.pk.to_base64());
    let host = TestHost::builder().config_text(config).start().await.expect("it starts");
    put(&host.plugin_dir(), "p.so", &build_of("p", "A"));
    let shown = || async {
        let (_, shown) = host.get_json("/api/plugins/p").await.expect("answers");
        (shown["state"] == "refused").then_some(shown)
    };
    let shown: Value = hotbay_tests::wait::eventually(hotbay_tests::plugin_host::SOON, shown).await;
    assert_eq!(shown["lastError"]["code"], "E_UNTRUSTED");
    assert!(shown["lastError"]["message"].as_str().expect("text").contains("hotbay plugin sign"), "{shown}");
    let list = Command::new(artifact("hotbay")).args(["plugin", "list", "--url", &host.url("")]).output();
    let list = text(&list.expect("it runs").stdout);
    assert!(list.contains("p: E_UNTRUSTED: it is not signed"), "{list}");
    put(&host.plugin_dir(), "p.so.minisig", &signed(&pair, &build_of("p", "A")));
    let served = || async {
        let (_, shown) = host.get_json("/api/plugins/p").await.expect("answers");
        (shown["state"] == "serving").then_some(shown)
    };
    let shown: Value = hotbay_tests::wait::eventually(hotbay_tests::plugin_host::SOON, served).await;
    assert_eq!(shown["generations"][0]["trust"]["keyName"], "acme");
}

#[tokio::test]
async fn what_nobody_uses_goes_with_its_signature() {
    let pair = key();
    let host = host_with(&pair, |settings| {
        let copies = settings.data.join("plugins");
        fs::create_dir_all(&copies).expect("writable");
        let old = fs::File::create(copies.join("0123.minisig")).expect("writable");
        let last_year = std::time::SystemTime::now() - std::time::Duration::from_secs(365 * 86_400);
        old.set_modified(last_year).expect("own file");
    })
    .await;
    let old = host.directory.join("../data/plugins/0123.minisig");
    eventually("the old signature is gone", || (!old.exists()).then_some(())).await;
}
