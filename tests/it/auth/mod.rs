//! Callers who must say who they are: the recorded session, tokens made by commands, an identity
//! provider, and what those see who are bound to one owner.

mod bound;
mod commands;
mod provider;
mod streams;

use hotbay_tests::{
    TestHost,
    http::Outgoing,
    replay::{self, Differences, Session, session},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{hotbay, text};

/// Lets in an admin, and an operator each bound to `ann` and to `bob`.
const TOKENS: &str = "
[auth.tokens.root]
role = 'admin'
token = 'admin-0123456789abcdef'
[auth.tokens.ann]
role = 'operator'
owner = 'ann'
token = 'ann-0123456789abcdef'
[auth.tokens.bob]
role = 'operator'
owner = 'bob'
token = 'bob-0123456789abcdef'
";
const ADMIN: &str = "admin-0123456789abcdef";
const ANN: &str = "ann-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";

/// Asks with a token and returns the status, and the body as JSON if it is some.
async fn ask(host: &TestHost, token: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let request = Outgoing {
        method: method.to_owned(),
        path: path.to_owned(),
        body: body.map(|body| body.to_string().into_bytes()),
        ..Outgoing::default()
    };
    let answer = host.send(request.header("authorization", &format!("Bearer {token}"))).await.unwrap();
    let body = serde_json::from_slice(&answer.data).unwrap_or_else(|_| answer.text().into());
    (answer.status.unwrap(), body)
}

#[tokio::test]
async fn callers_are_answered_as_recorded() {
    let config = std::fs::read_to_string(session::contract_dir().join("hotbay.toml")).unwrap();
    let config = format!("{config}\n[auth.tokens.u1]\nrole = 'admin'\ntoken = 'good'\n");
    let host = TestHost::builder().config_text(config).plugin("hotbay-test-reference").start().await.unwrap();
    let (session, differences) = (Session::of_area("auth").unwrap(), Differences::of_contract().unwrap());
    let report = replay::replay(&host.url(""), &session, &differences).await.unwrap();
    println!("{report}");
    assert!(report.is_success(), "{report}");
}

#[tokio::test]
async fn neither_a_token_nor_what_it_is_in_is_ever_logged_and_who_directs_the_server_is() {
    let config = format!("record = 'hotbay=trace,info'\nlog = 'hotbay=trace,info'\n{TOKENS}");
    let host = TestHost::builder().config_text(config).plugin("hotbay-test-reference").start().await.unwrap();
    let by_query = format!("/api/agents?apiKey={ADMIN}");
    assert_eq!(host.send(Outgoing::get(&by_query)).await.unwrap().status, Some(200));
    let (status, answer) = ask(&host, ADMIN, "POST", "/api/plugins/a%0Ab/reload", None).await;
    assert_eq!(status, 404, "{answer}");
    let (status, _) = ask(&host, ANN, "POST", "/api/plugins/reference/disable", None).await;
    assert_eq!(status, 403);
    let path = "/api/observability/logs?component=hotbay%3A%3Aaudit&perPage=50";
    let (status, found) = ask(&host, ADMIN, "GET", path, None).await;
    assert_eq!(status, 200, "{found}");
    let acts: Vec<[&str; 4]> = found["logs"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|log| {
            ["audit.actor", "audit.action", "audit.result", "http.path"]
                .map(|key| log["data"][key].as_str().unwrap_or("-"))
        })
        .collect();
    assert_eq!(
        acts,
        [
            ["root", "POST /api/plugins/{name}/reload", "failed", "/api/plugins/a%0Ab/reload"],
            ["ann", "POST /api/plugins/{name}/disable", "refused", "/api/plugins/reference/disable"],
        ]
    );
    let (_, everything) = ask(&host, ADMIN, "GET", "/api/observability/logs?perPage=100", None).await;
    for secret in [ADMIN, ANN] {
        assert!(!everything.to_string().contains(secret) && !host.log().contains(secret));
    }
}

#[test]
fn a_server_others_can_reach_needs_callers_who_say_who_they_are() {
    let home = TempDir::new().unwrap();
    let done = hotbay(home.path(), &["serve", "--listen", "0.0.0.0:0"]);
    let why = text(&done.stderr);
    assert!(!done.status.success() && why.contains("--auth") && why.contains("hotbay token new"), "{why}");
}
