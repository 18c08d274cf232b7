//! TLS: both protocols over it, files that change while connections go on, and clients that do not speak it.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hotbay_tests::{TestHost, eventually, host::Builder, plugin_host::artifact, raw::Raw};
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer},
};

use crate::cli::{hotbay, text};

const SOON: Duration = Duration::from_secs(20);

/// A certificate and its key, in files.
struct Files {
    directory: TempDir,
    current: CertificateDer<'static>,
}

impl Files {
    fn new() -> Self {
        let mut files = Self { directory: TempDir::new().unwrap(), current: CertificateDer::from_slice(&[]) };
        files.renew();
        files
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// Puts another certificate in place of the one there is.
    fn renew(&mut self) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        put(&self.path("cert.pem"), &cert.pem());
        put(&self.path("key.pem"), &signing_key.serialize_pem());
        fs::set_permissions(self.path("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        self.current = cert.der().clone();
    }

    fn host(&self) -> Builder {
        TestHost::builder()
            .argument(&format!("--tls-cert={}", self.path("cert.pem").display()))
            .argument(&format!("--tls-key={}", self.path("key.pem").display()))
    }

    /// Connects as one who trusts the certificate there is now.
    async fn connect(&self, host: &TestHost, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.current.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let socket = TcpStream::connect(host.address().authority()).await?;
        TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into().unwrap(), socket).await
    }

    /// Gets a path over a connection of its own.
    async fn get(&self, host: &TestHost, path: &str) -> std::io::Result<String> {
        let mut stream = self.connect(host, "http/1.1").await?;
        ask(&mut stream, path, "connection: close\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

/// As one rename, so that nobody reads half of it.
fn put(path: &Path, text: &str) {
    let partial = path.with_extension("partial");
    fs::write(&partial, text).unwrap();
    fs::rename(partial, path).unwrap();
}

async fn ask(stream: &mut TlsStream<TcpStream>, path: &str, headers: &str) -> std::io::Result<()> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").as_bytes()).await
}

/// Reads an answer whose body is known to be this one.
async fn expect(stream: &mut TlsStream<TcpStream>, body: &str) {
    let mut read = String::new();
    while !read.ends_with(body) {
        let mut buffer = [0; 1024];
        let length = stream.read(&mut buffer).await.unwrap();
        assert_ne!(length, 0, "hung up after `{read}`");
        read.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    assert!(read.starts_with("HTTP/1.1 200 "), "{read}");
}

const HEALTHY: &str = r#"{"success":true}"#;

#[tokio::test]
async fn a_client_chooses_the_protocol_while_tls_begins() {
    let files = Files::new();
    let host = files.host().start().await.unwrap();
    let old = files.connect(&host, "http/1.1").await.unwrap();
    assert_eq!(old.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(files.get(&host, "/health").await.unwrap().ends_with(HEALTHY));

    let stream = files.connect(&host, "h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async move { connection.await.ok() });
    let request = |method: &str, path: &str, body: Vec<u8>| {
        let request = Request::builder().method(method).uri(format!("https://127.0.0.1{path}"));
        request.header("content-type", "application/json").body(Full::new(Bytes::from(body))).unwrap()
    };
    // Both at once on one connection.
    let health = sender.send_request(request("GET", "/health", Vec::new()));
    let mut sender = sender.clone();
    let long = sender.send_request(request("POST", "/api/memory/threads", vec![b' '; 5 << 20]));
    let (health, long) = (health.await.unwrap(), long.await.unwrap());
    assert_eq!((health.status().as_u16(), long.status().as_u16()), (200, 413));
    let body = long.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"{"error":"Request body too large"}"#);
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_those_who_connect_afterwards() {
    let mut files = Files::new();
    let host = files.host().start().await.unwrap();
    let mut before = files.connect(&host, "http/1.1").await.unwrap();
    files.renew();
    eventually(SOON, async || files.get(&host, "/health").await.ok().filter(|answer| answer.ends_with(HEALTHY))).await;
    ask(&mut before, "/health", "").await.unwrap();
    expect(&mut before, HEALTHY).await;
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_those_before_in_place() {
    let files = Files::new();
    let host = files.host().start().await.unwrap();
    let other = KeyPair::generate().unwrap().serialize_pem();
    for (name, text, said) in
        [("cert.pem", "nothing", "holds no certificate"), ("key.pem", &*other, "holds no certificate")]
    {
        put(&files.path(name), text);
        eventually(SOON, async || {
            let log = host.log();
            (log.contains("the certificate before is used on") && log.contains(said)).then_some(())
        })
        .await;
        assert!(files.get(&host, "/health").await.unwrap().ends_with(HEALTHY));
    }
}

#[tokio::test]
async fn a_key_that_does_not_fit_is_told_at_once() {
    let files = Files::new();
    put(&files.path("key.pem"), &KeyPair::generate().unwrap().serialize_pem());
    let error = format!("{:#}", files.host().start().await.unwrap_err());
    assert!(error.contains("cannot speak TLS") && error.contains("key.pem cannot be used"), "{error}");
}

#[tokio::test]
async fn a_key_others_can_read_is_warned_of() {
    let files = Files::new();
    fs::set_permissions(files.path("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let host = files.host().start().await.unwrap();
    assert!(host.log().contains("others on this machine can read the private key"), "{}", host.log());
}

#[tokio::test]
async fn who_does_not_speak_tls_is_hung_up_on() {
    let files = Files::new();
    let host = files.host().argument("--limit-handshake-time=300ms").start().await.unwrap();
    let mut plain = Raw::connect(host.address()).await.unwrap();
    plain.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(!plain.rest().await.unwrap().contains("HTTP"));
    let mut silent = Raw::connect(host.address()).await.unwrap();
    assert_eq!(silent.rest().await.unwrap(), "");
    let metrics = files.get(&host, "/metrics").await.unwrap();
    assert!(metrics.contains("hotbay_limited_total{limit=\"handshake_time\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn commands_know_a_server_by_a_certificate_of_its_own() {
    let files = Files::new();
    let config = "[auth.tokens.root]\nrole = 'admin'\ntoken = 'admin-0123456789abcdef'\n";
    let host = files.host().config_text(config).start().await.unwrap();
    let url = format!("https://{}", host.address().authority());
    let certificate = files.path("cert.pem").display().to_string();
    let home = TempDir::new().unwrap();
    for command in [["plugin", "list"], ["memory", "status"], ["token", "list"]] {
        let at = ["--url", &url, "--token", "admin-0123456789abcdef"];
        let done = hotbay(home.path(), &[&command[..], &at].concat());
        let why = text(&done.stderr);
        assert!(!done.status.success() && why.contains("certificate") && why.contains("--ca"), "{command:?}: {why}");
        let done = hotbay(home.path(), &[&command[..], &at, &["--ca", &certificate]].concat());
        assert!(done.status.success(), "{command:?}: {}", text(&done.stderr));
    }

    // One that speaks for a client, and a variable.
    let mut child = Command::new(artifact("hotbay"));
    child.args(["mcp-stdio", "--url", &url]).env_clear().env("HOTBAY_CA", &certificate);
    child.env("HOTBAY_TOKEN", "admin-0123456789abcdef").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
    writeln!(input, "{hello}").unwrap();
    let mut answer = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut answer).unwrap();
    assert!(answer.contains("serverInfo"), "{answer}");
    // It ends with its client, also one that never said that it is ready.
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_file_without_a_certificate_is_told() {
    let home = TempDir::new().unwrap();
    let other = home.path().join("other.pem");
    put(&other, &KeyPair::generate().unwrap().serialize_pem());
    for (file, words) in [(other, "there is none"), (home.path().join("missing.pem"), "No such file")] {
        let file = file.display().to_string();
        let done = hotbay(home.path(), &["plugin", "list", "--url", "https://127.0.0.1:1", "--ca", &file]);
        let why = text(&done.stderr);
        assert!(!done.status.success() && why.contains(&file) && why.contains(words), "{why}");
    }
}
