//! `GET /metrics`: the text is what Prometheus reads, and the numbers move with what is done.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Write,
    process::{Command, Stdio},
};

use hotbay_tests::{TestHost, http::Outgoing};
use serde_json::{Value, json};

/// A text as a strict reader reads it: samples by their name and labels.
struct Scrape {
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

impl Scrape {
    async fn of(host: &TestHost) -> Self {
        Self::parse(&text(host).await)
    }

    #[track_caller]
    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends");
        let mut samples = BTreeMap::new();
        let mut kinds = HashMap::<&str, &str>::new();
        let mut helped = HashSet::new();
        let mut family = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect(line);
                assert!(helped.insert(name) && !help.is_empty(), "{line}");
                family = name;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert!(["counter", "gauge", "histogram", "summary"].contains(&kind), "{line}");
                assert_eq!(name, family, "a type stands after its help");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(kinds.insert(name, kind).is_none(), "{line}");
            } else {
                let (name, labels, value) = sample(line);
                let suffixes: &[&str] = match kinds.get(family) {
                    Some(&"histogram") => &["_bucket", "_sum", "_count"],
                    Some(&"summary") => &["", "_sum", "_count"],
                    Some(_) => &[""],
                    None => panic!("{line} has no type"),
                };
                let is_of_family = suffixes.iter().any(|suffix| name.strip_suffix(suffix) == Some(family));
                assert!(is_of_family, "{line} stands below {family}");
                assert!(samples.insert((name.to_owned(), labels), value).is_none(), "twice: {line}");
            }
        }
        let scrape = Self { samples };
        for name in kinds.iter().filter(|(_, kind)| **kind == "histogram").map(|(name, _)| *name) {
            scrape.check_histogram(name);
        }
        scrape
    }

    /// Buckets only grow, and the last has all.
    #[track_caller]
    fn check_histogram(&self, name: &str) {
        let mut series = BTreeMap::<BTreeMap<String, String>, Vec<(f64, f64)>>::new();
        for ((sample, labels), value) in &self.samples {
            if *sample == format!("{name}_bucket") {
                let mut labels = labels.clone();
                let end = labels.remove("le").expect("a bucket has an end").parse().expect("a number");
                series.entry(labels).or_default().push((end, *value));
            }
        }
        for (labels, mut buckets) in series {
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1), "{name} {labels:?} {buckets:?}");
            let (end, all) = *buckets.last().unwrap();
            assert!(end.is_infinite());
            assert_eq!(Some(&all), self.samples.get(&(format!("{name}_count"), labels.clone())));
            assert!(self.samples.contains_key(&(format!("{name}_sum"), labels)));
        }
    }

    /// The value of a sample; 0 if there is none.
    fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied().unwrap_or(0.0)
    }

    fn routes(&self) -> HashSet<&str> {
        let requests = self.samples.keys().filter(|(name, _)| name == "hotbay_http_requests_total");
        requests.map(|(_, labels)| labels["route"].as_str()).collect()
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
}

/// Reads `name{label="value",...} value`.
fn sample(line: &str) -> (&str, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, quoted) = rest.split_once("=\"").expect(line);
            assert!(is_name(label), "{line}");
            let mut value = String::new();
            let mut characters = quoted.chars();
            loop {
                match characters.next().expect(line) {
                    '"' => break,
                    '\\' => value.push(match characters.next().expect(line) {
                        'n' => '\n',
                        escaped @ ('\\' | '"') => escaped,
                        other => panic!("\\{other} in {line}"),
                    }),
                    other => value.push(other),
                }
            }
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = characters.as_str();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').expect(line);
    }
    (name, labels, rest.strip_prefix(' ').expect(line).parse().expect(line))
}

async fn text(host: &TestHost) -> String {
    let answer = host.send(Outgoing::get("/metrics")).await.unwrap();
    assert_eq!(answer.status, Some(200));
    answer.text()
}

async fn host() -> TestHost {
    TestHost::builder().plugin("hotbay-test-reference").start().await.unwrap()
}

/// Has a model call a tool that answers and one that fails, and then say something.
async fn ask(host: &TestHost) -> Value {
    let call = |id: &str, tool: &str, input: Value| json!({"toolCallId": id, "toolName": tool, "input": input});
    let calls = [
        call("1", "weather", json!({"city": "Oslo"})),
        call("2", "failing", json!({})),
        call("3", "made-up", json!({})),
    ];
    let script = json!([{"toolCalls": calls}, {"text": "done"}]);
    let body = json!({"messages": "go", "model": "mock/script", "providerOptions": {"mock": {"script": script}}});
    let (status, answer) = host.post_json("/api/agents/weather-agent/generate", &body).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    answer
}

#[tokio::test]
async fn numbers_move_with_what_is_done() {
    let host = host().await;
    let before = Scrape::of(&host).await;
    let answer = ask(&host).await;
    let input = json!({"inputData": {"message": "a"}});
    let (_, run) = host.post_json("/api/workflows/linear-workflow/start-async", &input).await.unwrap();
    assert_eq!(run["status"], "success");
    let after = Scrape::of(&host).await;
    let grown = |name: &str, labels: &[(&str, &str)]| after.get(name, labels) - before.get(name, labels);

    let generate = [("route", "/api/agents/{agentId}/generate"), ("method", "POST")];
    assert_eq!(grown("hotbay_http_requests_total", &[generate[0], generate[1], ("status", "200")]), 1.0);
    assert_eq!(grown("hotbay_http_request_duration_seconds_count", &generate), 1.0);
    assert!(grown("hotbay_http_request_duration_seconds_sum", &generate) > 0.0);
    let agent = [("kind", "agent"), ("name", "weather-agent"), ("outcome", "success")];
    assert_eq!(grown("hotbay_runs_total", &agent), 1.0);
    let workflow = [("kind", "workflow"), ("name", "linear-workflow"), ("outcome", "success")];
    assert_eq!(grown("hotbay_runs_total", &workflow), 1.0);
    assert_eq!(grown("hotbay_run_duration_seconds_count", &[("kind", "workflow")]), 1.0);
    assert!(grown("hotbay_steps_total", &workflow) >= 1.0);
    assert_eq!(grown("hotbay_steps_total", &[("kind", "model"), agent[1], agent[2]]), 2.0);
    for (tool, outcome) in [("weather", "success"), ("failing", "failed"), ("other", "failed")] {
        assert_eq!(grown("hotbay_tool_calls_total", &[("tool", tool), ("outcome", outcome)]), 1.0, "{tool}");
    }
    let usage = &answer["totalUsage"];
    for (direction, key) in [("input", "inputTokens"), ("output", "outputTokens")] {
        let tokens = grown("hotbay_model_tokens_total", &[("model", "mock/script"), ("direction", direction)]);
        assert_eq!(Some(tokens), usage[key].as_f64(), "{answer}");
    }
    let plugin = [("plugin", REFERENCE)];
    assert!(grown("hotbay_plugin_calls_total", &plugin) >= 2.0);
    assert!(grown("hotbay_plugin_call_errors_total", &plugin) >= 1.0);
    assert_eq!(after.get("hotbay_plugin_generations_total", &plugin), 1.0);
    assert_eq!(after.get("hotbay_plugin_state", &[plugin[0], ("state", "serving")]), 1.0);
    assert!(grown("hotbay_store_writes_total", &[]) >= 1.0);
    assert!(grown("hotbay_store_commit_duration_seconds_sum", &[]) > 0.0);
    assert!(grown("hotbay_events_total", &[]) >= 10.0);
    assert!(after.get("process_resident_memory_bytes", &[]) > 1e6);
    assert!(after.get("process_open_fds", &[]) > 3.0);
    assert!(after.get("hotbay_record_queue_limit", &[]) > 0.0);
    assert!(after.get("hotbay_uptime_seconds", &[]) > before.get("hotbay_uptime_seconds", &[]));
}

/// The name of the reference plugin.
const REFERENCE: &str = "hotbay-test-reference";

#[tokio::test]
async fn paths_nobody_knows_are_one_route() {
    let host = host().await;
    for n in 0..20 {
        host.send(Outgoing::get(&format!("/no/such/{n}"))).await.unwrap();
        host.send(Outgoing::get(&format!("/api/tools/none-{n}"))).await.unwrap();
    }
    let scrape = Scrape::of(&host).await;
    let unmatched = [("route", "unmatched"), ("method", "any"), ("status", "404")];
    assert_eq!(scrape.get("hotbay_http_requests_total", &unmatched), 20.0);
    let tool = [("route", "/api/tools/{toolId}"), ("method", "GET"), ("status", "404")];
    assert_eq!(scrape.get("hotbay_http_requests_total", &tool), 20.0);
    let known = HashSet::from(["unmatched", "/api/tools/{toolId}", "/health", "/metrics"]);
    assert!(scrape.routes().is_subset(&known), "{:?}", scrape.routes());
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "says where a tool of the suite is")]
async fn prometheus_own_check_finds_nothing() {
    let Some(promtool) = std::env::var_os("HOTBAY_TEST_PROMTOOL").filter(|path| !path.is_empty()) else { return };
    let host = host().await;
    ask(&host).await;
    let text = text(&host).await;
    let command = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = command.unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{text}");
}
