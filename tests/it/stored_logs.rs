//! Log records of a real host: the same in its file and over the API.

use std::time::Duration;

use hotbay_tests::{TestHost, wait::eventually};
use serde_json::{Map, Value};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn lines(host: &TestHost) -> Vec<Map<String, Value>> {
    let text = std::fs::read_to_string(host.data_dir().join("hotbay.log")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_log_file_and_its_transport_tell_the_same() {
    let config = "log_file = 'hotbay.log'\nrecord = 'hotbay=debug,info'";
    let host = TestHost::builder().config_text(config).plugin("hotbay-example-weather").start().await.unwrap();
    let served = eventually(Duration::from_secs(20), async || {
        let (status, answer) = host.get_json("/api/logs?transportId=file&perPage=1000").await.unwrap();
        assert_eq!(status, 200, "{answer}");
        let logs: Vec<Map<String, Value>> = serde_json::from_value(answer["logs"].clone()).unwrap();
        let has_plugin =
            logs.iter().any(|log| log.get("plugin.name").is_some_and(|name| name == "hotbay-example-weather"));
        has_plugin.then_some(logs)
    })
    .await;
    let written = lines(&host);
    for log in &served {
        let same = written.iter().find(|line| line["logId"] == log["logId"]);
        // What was written before there was anything to serve it is in the file alone.
        assert_eq!(same, Some(log));
    }
    let (_, transports) = host.get_json("/api/logs/transports").await.unwrap();
    for transport in ["file", "host", "hotbay-example-weather"] {
        assert!(transports["transports"].as_array().unwrap().contains(&transport.into()), "{transports}");
    }
}

#[tokio::test]
async fn a_log_file_that_cannot_be_opened_says_so() {
    let started = TestHost::builder().argument("--log-file").argument("/proc/no/such.log").start().await;
    let error = format!("{:#}", started.err().unwrap());
    assert!(error.contains("cannot open the log file /proc/no/such.log"), "{error}");
}

/// Asks for a path no HTTP library would ask for and returns the status.
async fn status_of(host: &TestHost, path: &str) -> u16 {
    let url = host.url("");
    let mut stream = TcpStream::connect(url.trim_start_matches("http://").trim_end_matches('/')).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    // A host that has read enough answers and hangs up before all is sent.
    let sent = stream.write_all(request.as_bytes()).await;
    let mut answer = [0; 12];
    let read = stream.read_exact(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.rsplit(' ').next().and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{sent:?} {read:?}"))
}

#[tokio::test]
async fn a_question_of_a_megabyte_is_refused() {
    let host = TestHost::builder().start().await.unwrap();
    let long = "x".repeat(1 << 20);
    for path in ["/api/logs", "/api/observability/traces", "/api/observability/logs", "/api/observability/metrics"] {
        let status = status_of(&host, &format!("{path}?q={long}")).await;
        assert!((400..500).contains(&status), "{path} is answered with {status}");
        let short = long.split_at(15_000).0;
        let (status, answer) = host.get_json(&format!("{path}?q={short}")).await.unwrap();
        assert_eq!((status, &answer["issues"][0]["field"]), (400, &"q".into()), "{path}");
    }
    let (status, _) = host.get_json("/health").await.unwrap();
    assert_eq!(status, 200);
}
