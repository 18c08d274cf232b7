//! A thousand swaps of a plugin in a running host, while clients call it over HTTP.
//!
//! Everything the plugin `hotbay-test-steady` says is signed with the generation that said it,
//! so an answer that two generations had a part in shows.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hotbay_tests::{
    TestHost,
    built::built_plugin,
    http::{self, Address, Connection, Outgoing},
    plugin_host::{SOON, put},
    sse::SseReader,
    wait::eventually,
};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::MissedTickBehavior};

/// Swaps that an operator asks for right after the file was renamed into place.
const ASKED: usize = 980;
/// Swaps that the renamed file alone brings about, as soon as the host notices it.
const WATCHED: usize = 20;
/// Swaps after which the host has what it will keep: two images, buffers, the records of the
/// generations it lists.
const WARM: usize = 200;
/// Clients that call a tool, one call after the other on a connection each.
const CALLERS: usize = 32;
/// How often each of them calls at most: the load leaves the host room to swap in.
const PACE: Duration = Duration::from_millis(100);
/// Agents' answers that are streamed at any time.
const STREAMS: usize = 16;
/// The most memory a swap may keep. Measured: under 1 KiB, and now and then a buffer of a plugin's
/// size that stays with the allocator. An image that were mapped anew would keep twice this at least.
const KIB_PER_SWAP: i64 = 32;

const PLUGIN: &str = "hotbay-test-steady";
const FILE: &str = "steady.so";

/// What one client saw.
#[derive(Default)]
struct Seen {
    answers: usize,
    /// For each build the highest of its generations so far.
    latest: BTreeMap<char, u64>,
}

impl Seen {
    /// Takes note of an answer's signatures: they are one generation's, and none that is older than one seen before.
    #[track_caller]
    fn note(&mut self, signatures: &[&str]) {
        let first = signatures.first().expect("an answer is signed");
        assert!(signatures.iter().all(|signature| signature == first), "two generations: {signatures:?}");
        let mut characters = first.chars();
        let build = characters.next().filter(|build| matches!(build, 'A' | 'B')).expect("one of the two builds");
        let number: u64 = characters.as_str().parse().expect("a number");
        let latest = self.latest.entry(build).or_default();
        assert!(number >= *latest, "{first} after {build}{latest}");
        *latest = number;
        self.answers += 1;
    }
}

/// Calls a tool until it is told to stop. Any failure is a panic.
async fn call(address: Address, tool: &str, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut connection = Connection::open(&address).await.unwrap();
    let path = format!("/api/tools/{tool}/execute");
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let n = seen.answers;
        let (status, body) = connection.send(Outgoing::post(&path, &json!({"data": {"n": n}}))).await.unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let signed = answer.as_array().cloned().unwrap_or_else(|| vec![answer]);
        assert!(signed.iter().all(|signed| signed["n"] == n), "{signed:?}");
        seen.note(&signed.iter().map(|signed| signed["by"].as_str().unwrap()).collect::<Vec<_>>());
    }
    seen
}

/// Has an agent answer in a stream, again and again, until it is told to stop.
async fn listen(address: Address, agent: &str, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let path = format!("/api/agents/{agent}/stream");
    while !stop.load(Ordering::Relaxed) {
        let request = Outgoing::post(&path, &json!({"messages": "sign"})).header("accept", "text/event-stream");
        let mut stream = SseReader::new(http::send(&address, request).await.unwrap()).unwrap();
        let frames = stream.rest().await.unwrap();
        let (last, chunks) = frames.split_last().unwrap();
        assert_eq!(last.data.as_deref(), Some("[DONE]"));
        let chunks: Vec<Value> = chunks.iter().map(|frame| frame.json().unwrap()).collect();
        let end = chunks.last().unwrap();
        assert_eq!(
            (&end["type"], &end["payload"]["stepResult"]["reason"]),
            (&json!("finish"), &json!("stop")),
            "{end}"
        );
        let signatures: Vec<&str> = chunks.iter().flat_map(signatures).collect();
        // Two answers of the model and the tool's between them, or the agent's own words around the model's.
        assert!(signatures.len() >= 10, "{chunks:?}");
        seen.note(&signatures);
    }
    seen
}

fn signatures(chunk: &Value) -> Vec<&str> {
    let payload = &chunk["payload"];
    match chunk["type"].as_str() {
        Some("text-delta") => payload["text"].as_str().unwrap().split_whitespace().collect(),
        Some("tool-result") => vec![payload["result"]["by"].as_str().unwrap()],
        Some("error" | "tool-error") => panic!("{chunk}"),
        _ => Vec::new(),
    }
}

/// The two builds, as files to copy, and their hashes.
struct Builds(Vec<(char, Vec<u8>, String)>);

impl Builds {
    fn new() -> Self {
        const MARKER: &[u8] = b"HOTBAY-TEST-BUILD:";
        let bytes = fs::read(built_plugin(PLUGIN).unwrap()).unwrap();
        let at = bytes.windows(MARKER.len()).position(|window| window == MARKER).unwrap() + MARKER.len();
        Self(
            ['A', 'B']
                .into_iter()
                .map(|letter| {
                    let mut build = bytes.clone();
                    build[at] = letter as u8;
                    let hash = blake3::hash(&build).to_hex().to_string();
                    (letter, build, hash)
                })
                .collect(),
        )
    }

    /// Puts the build whose turn it is into the directory; returns its letter and hash.
    fn put(&self, turn: usize, directory: &Path) -> (char, &str) {
        let (letter, bytes, hash) = &self.0[turn % 2];
        put(directory, FILE, bytes);
        (*letter, hash)
    }
}

/// A line of the host's `/proc/<id>/status`, a number of KiB or of threads.
fn status(host: &TestHost, line: &str) -> i64 {
    let text = fs::read_to_string(format!("/proc/{}/status", host.process_id())).unwrap();
    let value = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(':')).unwrap();
    value.split_whitespace().next().unwrap().parse().unwrap()
}

/// What the host has mapped of the plugin's private copies.
fn images(host: &TestHost) -> usize {
    let maps = fs::read_to_string(format!("/proc/{}/maps", host.process_id())).unwrap();
    let copies = host.data_dir().join("plugins");
    let mapped = maps.lines().filter_map(|line| line.split_once('/').map(|(_, path)| format!("/{path}")));
    let mapped: std::collections::BTreeSet<_> = mapped.filter(|path| Path::new(path).starts_with(&copies)).collect();
    mapped.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_swaps_under_load_fail_no_request_and_keep_no_memory() {
    let builds = Builds::new();
    // What records take would hide what swaps keep.
    let host = TestHost::builder().argument("--record").argument("off").start().await.unwrap();
    let directory = host.plugin_dir();
    builds.put(0, &directory);
    let plugin = format!("/api/plugins/{PLUGIN}");
    eventually(SOON, || async { (host.get_json(&plugin).await.unwrap().1["state"] == "serving").then_some(()) }).await;

    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for index in 0..CALLERS {
        let (address, stop) = (host.address().clone(), Arc::clone(&stop));
        let tool = if index % 4 == 0 { "countersign" } else { "sign" };
        clients.spawn(async move { ("calls", call(address, tool, &stop).await) });
    }
    for index in 0..STREAMS {
        let (address, stop) = (host.address().clone(), Arc::clone(&stop));
        let agent = if index % 4 == 0 { "own" } else { "hosted" };
        clients.spawn(async move { ("streams", listen(address, agent, &stop).await) });
    }

    let began = Instant::now();
    let mut operator = Connection::open(host.address()).await.unwrap();
    let mut warm = 0;
    for swap in 1..=ASKED {
        let (letter, hash) = builds.put(swap, &directory);
        let (code, body) = operator.send(Outgoing::post(&format!("{plugin}/reload"), &json!({}))).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((code, &answer["state"]), (200, &json!("serving")), "{answer}");
        assert_eq!(answer["generations"][0]["hash"], hash);
        let sign = Outgoing::post("/api/tools/sign/execute", &json!({"data": {"n": 0}}));
        let (_, body) = operator.send(sign).await.unwrap();
        let signed: Value = serde_json::from_slice(&body).unwrap();
        assert!(signed["by"].as_str().unwrap().starts_with(letter), "{signed} after {letter} was loaded");
        if swap == WARM {
            warm = status(&host, "RssAnon");
        }
        if let Some(ended) = clients.try_join_next() {
            panic!("a client gave up after {swap} swaps: {:?}", ended.map(|(what, seen)| (what, seen.answers)));
        }
    }
    let asked = began.elapsed();
    let grown = status(&host, "RssAnon") - warm;

    for swap in ASKED + 1..=ASKED + WATCHED {
        let (_, hash) = builds.put(swap, &directory);
        let serves = || async {
            let (_, answer) = host.get_json(&plugin).await.unwrap();
            (answer["generations"][0]["hash"] == hash).then_some(())
        };
        eventually(SOON, serves).await;
    }
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    while let Some(client) = clients.join_next().await {
        let (what, seen) = client.expect("no client saw a failure");
        assert!(seen.answers > 10 && seen.latest.len() == 2, "{what}: {} of {:?}", seen.answers, seen.latest);
        *totals.entry(what).or_default() += seen.answers;
    }

    let drained = || async {
        let (_, answer) = host.get_json(&plugin).await.unwrap();
        let old = answer["generations"].as_array().unwrap().split_first().unwrap().1.to_vec();
        old.iter().all(|it| it["state"] == "retired" && it["inFlight"] == 0).then_some(answer)
    };
    let answer = eventually(SOON, drained).await;
    println!(
        "{} swaps in {took:?} ({:?} each when asked), {totals:?}; {} KiB a swap, {} threads",
        ASKED + WATCHED,
        asked / u32::try_from(ASKED).unwrap(),
        grown as f64 / (ASKED - WARM) as f64,
        status(&host, "Threads"),
    );
    assert!(answer["generation"].as_u64().unwrap() > (ASKED + WATCHED) as u64);
    assert_eq!((&answer["mapped"]["count"], images(&host)), (&json!(2), 2));
    assert!(grown <= KIB_PER_SWAP * (ASKED - WARM) as i64, "{grown} KiB in {} swaps", ASKED - WARM);
    assert!(status(&host, "Threads") < 64, "{} threads", status(&host, "Threads"));
}
