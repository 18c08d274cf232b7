//! Requests that are malformed, mostly so that two readers disagree about where they end.

use hotbay_tests::{
    TestHost,
    raw::{Raw, exchange},
};

use super::is_well;

/// What a request that is hidden in another one would ask for.
const HIDDEN: &str = "GET /api/tools/hidden HTTP/1.1\r\nhost: x\r\n\r\n";

/// A host that does not wait long for the rest of what is no request.
async fn impatient() -> TestHost {
    TestHost::builder().config_text("[limits]\nheader_time = '1s'\nbody_time = '1s'\n").start().await.unwrap()
}

/// Sends bytes; returns the statuses of all answers until the host hangs up.
async fn statuses(host: &TestHost, bytes: &[u8]) -> Vec<u16> {
    let mut raw = Raw::connect(host.address()).await.unwrap();
    // Who refuses the beginning may hang up before the end.
    raw.send(bytes).await.ok();
    let text = raw.rest().await.unwrap();
    let lines = text.split("HTTP/1.1 ").skip(1);
    lines.map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn a_request_that_is_malformed_is_refused_and_hides_no_other() {
    let host = impatient().await;
    let post = |headers: &str, rest: &str| {
        format!("POST /api/memory/threads HTTP/1.1\r\nhost: x\r\n{headers}\r\n{rest}{HIDDEN}")
    };
    let get = |line: &str, headers: &str| format!("{line}\r\nhost: x\r\n{headers}\r\n");
    let refused: Vec<(&str, String)> = vec![
        ("two lengths", post("content-length: 1\r\ncontent-length: 0\r\n", "")),
        ("a list of lengths", post("content-length: 0, 0\r\n", "")),
        ("a length below nothing", post("content-length: -1\r\n", "")),
        ("a length with a sign", post("content-length: +0\r\n", "")),
        ("a length in another base", post("content-length: 0x0\r\n", "")),
        ("a length beyond all numbers", post("content-length: 99999999999999999999999\r\n", "")),
        ("an empty length", post("content-length: \r\n", "")),
        ("chunks that are not last", post("transfer-encoding: chunked, identity\r\n", "0\r\n\r\n")),
        ("an encoding nobody knows", post("transfer-encoding: xchunked\r\n", "0\r\n\r\n")),
        ("a space before the colon", post("transfer-encoding : chunked\r\n", "0\r\n\r\n")),
        ("a tab before the colon", post("content-length\t: 0\r\n", "")),
        ("a space before a name", format!("GET /health HTTP/1.1\r\n host: x\r\n\r\n{HIDDEN}")),
        ("a folded header", get("GET /health HTTP/1.1", "x: a\r\n b\r\n")),
        ("a header without a colon", get("GET /health HTTP/1.1", "nonsense\r\n")),
        ("a header without a name", get("GET /health HTTP/1.1", ": x\r\n")),
        ("a bare CR in a header", get("GET /health HTTP/1.1", "x: a\rb: c\r\n")),
        ("NUL in a header", get("GET /health HTTP/1.1", "x: a\0b\r\n")),
        ("NUL in a name", get("GET /health HTTP/1.1", "x\0y: a\r\n")),
        ("NUL in a path", get("GET /hea\0lth HTTP/1.1", "")),
        ("a space in a path", get("GET /hea lth HTTP/1.1", "")),
        ("a control character in a path", get("GET /hea\x07lth HTTP/1.1", "")),
        ("a method of nothing", get(" /health HTTP/1.1", "")),
        ("a method that is none", get("GE(T /health HTTP/1.1", "")),
        ("HTTP/0.9", "GET /health\r\n".to_owned()),
        ("HTTP/1.2", get("GET /health HTTP/1.2", "")),
        ("HTTP/3.0", get("GET /health HTTP/3.0", "")),
        ("no version", get("GET /health HTTP/", "")),
        ("the beginning of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("the beginning of TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03".to_owned()),
        ("no HTTP at all", "\0\0\0\0\0\0\0\0\r\n\r\n".to_owned()),
        ("lines of nothing but returns", "\r".repeat(1000)),
    ];
    for (what, bytes) in &refused {
        let statuses = statuses(&host, bytes.as_bytes()).await;
        assert!(
            statuses.len() <= 1 && statuses.iter().all(|status| (400..500).contains(status)),
            "{what}: {statuses:?}"
        );
    }
    is_well(&host).await;
}

/// Chunks that end otherwise than they say: what comes after them is nobody's request.
#[tokio::test]
async fn bodies_in_broken_chunks_hide_nothing() {
    let host = impatient().await;
    let head = "POST /api/memory/threads HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    for (what, body) in [
        ("a size that is none", "zz\r\n{}\r\n0\r\n\r\n"),
        ("a size below nothing", "-1\r\n{}\r\n0\r\n\r\n"),
        ("a size beyond all numbers", "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        ("a size that is too small", "1\r\n{}\r\n0\r\n\r\n"),
        ("a size without a line", "2{}\r\n0\r\n\r\n"),
        ("a size and a bare line feed", "2\n{}\r\n0\r\n\r\n"),
        ("a space before a size", " 2\r\n{}\r\n0\r\n\r\n"),
        ("no size", "\r\n{}\r\n0\r\n\r\n"),
        ("a chunk that does not end", "5\r\n{}\r\n0\r\n\r\n"),
        ("an extension with a line feed", "2;a\nb\r\n{}\r\n0\r\n\r\n"),
        ("endless extensions", &format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(100_000))),
        ("endless trailers", &format!("2\r\n{{}}\r\n0\r\n{}\r\n", "x: y\r\n".repeat(20_000))),
    ] {
        let statuses =
            statuses(&host, format!("{head}transfer-encoding: chunked\r\n\r\n{body}{HIDDEN}").as_bytes()).await;
        assert!(
            statuses.len() <= 1 && statuses.iter().all(|status| (400..500).contains(status)),
            "{what}: {statuses:?}"
        );
    }
    is_well(&host).await;
}

/// Both a length and chunks: chunks count, and the connection ends, for the other one may have
/// counted in front of the host.
#[tokio::test]
async fn nothing_follows_a_body_whose_end_may_be_seen_elsewhere() {
    let host = impatient().await;
    for headers in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "transfer-encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
    ] {
        let request = format!(
            "POST /api/memory/threads HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{headers}\r\n0\r\n\r\n{HIDDEN}"
        );
        assert_eq!(statuses(&host, request.as_bytes()).await, [400], "{headers}");
    }
    is_well(&host).await;
}

/// What is odd but means one thing only.
#[tokio::test]
async fn odd_requests_are_answered() {
    let host = TestHost::builder().start().await.unwrap();
    for (request, expected) in [
        ("GET http://elsewhere.example/health HTTP/1.1\r\nhost: x\r\n\r\n", 200),
        ("GET //health HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        ("GET /./health HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        ("GET /api/../health HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        ("GET /health%00 HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        ("GET * HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        ("OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        ("CONNECT health:80 HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        ("TRACE /health HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        ("HEALTH /health HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        ("GET /health HTTP/1.0\r\n\r\n", 200),
        ("GET /health HTTP/1.1\r\n\r\n", 200),
        ("\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n", 200),
        ("GET /health HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 200),
        ("GET /health HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", 200),
        ("GET /health HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabcde", 200),
    ] {
        let answer = exchange(host.address(), request).await.unwrap();
        assert_eq!(answer.status, expected, "{request:?}");
    }
    is_well(&host).await;
}
