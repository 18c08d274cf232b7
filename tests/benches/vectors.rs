//! What vectors and MCP cost over HTTP.
//!
//! `cargo bench -p hotbay-tests --bench vectors` builds the release host, the local vector store
//! and a plugin with tools, and asks over one connection, one request at a time. CPU is that of
//! the server's process. Vectors have 384 numbers and lie around 500 centres, with as much noise
//! as distance, a distribution on which a graph has to look around; recall is held against an
//! exact search made here.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use hotbay_tests::{
    TestHost, cargo,
    http::{Connection, Outgoing},
    process,
};
use serde_json::{Value, json};

const PLUGINS: [&str; 2] = ["hotbay-vector-local", "hotbay-test-reference"];
const DIMENSION: usize = 384;
const CENTRES: usize = 500;
/// Vectors of one upsert.
const BATCH: usize = 100;

/// Measures what vectors and MCP cost.
#[derive(Debug, Parser)]
struct Arguments {
    /// The most vectors of an index
    #[arg(long, default_value_t = 100_000)]
    vectors: usize,
    /// How many searches of each kind
    #[arg(long, default_value_t = 500)]
    searches: usize,
    /// Takes the host and the plugins as they were built before
    #[arg(long)]
    no_build: bool,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// Vectors that are always the same.
struct Points {
    random: fastrand::Rng,
    centres: Vec<Vec<f32>>,
}

impl Points {
    fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(7);
        let centres = (0..CENTRES).map(|_| noise(&mut random)).collect();
        Self { random, centres }
    }

    /// Returns the next vector, of length 1.
    fn next(&mut self) -> Vec<f32> {
        let centre = self.random.usize(..CENTRES);
        let noise = noise(&mut self.random);
        let mut point: Vec<f32> =
            self.centres[centre].iter().zip(noise).map(|(centre, noise)| centre + noise).collect();
        let length = point.iter().map(|value| value * value).sum::<f32>().sqrt();
        point.iter_mut().for_each(|value| *value /= length);
        point
    }
}

/// Returns numbers that are nearly normally distributed.
fn noise(random: &mut fastrand::Rng) -> Vec<f32> {
    (0..DIMENSION).map(|_| (0..6).map(|_| random.f32() - 0.5).sum()).collect()
}

/// A host and a connection to it.
struct Bed {
    host: TestHost,
    connection: Connection,
}

/// What a number of requests took.
struct Taken {
    /// CPU of the server for one, in milliseconds.
    cpu: f64,
    /// From a request to its answer, in milliseconds, sorted.
    latencies: Vec<f64>,
}

impl Taken {
    fn at(&self, share: f64) -> f64 {
        let place = ((self.latencies.len() - 1) as f64 * share) as usize;
        self.latencies.get(place).copied().unwrap_or_default()
    }
}

impl Bed {
    async fn start(config: &str) -> anyhow::Result<Self> {
        let builder = TestHost::builder().config_text(config).argument("--body-limit").argument("256MB");
        let host = PLUGINS.iter().fold(builder, |builder, plugin| builder.plugin(plugin)).start().await?;
        let connection = Connection::open(host.address()).await?;
        Ok(Self { host, connection })
    }

    async fn ask(&mut self, request: Outgoing) -> anyhow::Result<Value> {
        let path = request.path.clone();
        let (status, body) = self.connection.send(request).await?;
        ensure!(status == 200, "{path}: {status} {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }

    async fn post(&mut self, what: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask(Outgoing::post(&format!("/api/vector/local/{what}"), body)).await
    }

    /// Sends requests one after the other and returns what they took and were answered with.
    async fn measure(&mut self, requests: Vec<Outgoing>) -> anyhow::Result<(Taken, Vec<Value>)> {
        let (count, before) = (requests.len() as f64, process::cpu_time(self.host.process_id())?);
        let (mut latencies, mut answers) = (Vec::new(), Vec::new());
        for request in requests {
            let began = Instant::now();
            answers.push(self.ask(request).await?);
            latencies.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let cpu = (process::cpu_time(self.host.process_id())? - before).as_secs_f64() * 1e3 / count;
        latencies.sort_unstable_by(f64::total_cmp);
        Ok((Taken { cpu, latencies }, answers))
    }

    /// Adds vectors, in batches; returns what a batch took.
    async fn fill(&mut self, index: &str, points: &[Vec<f32>]) -> anyhow::Result<Taken> {
        self.post("create-index", &json!({"indexName": index, "dimension": DIMENSION})).await?;
        let batches = points.chunks(BATCH).enumerate().map(|(batch, some)| {
            let first = batch * BATCH;
            let ids: Vec<String> = (first..first + some.len()).map(|n| n.to_string()).collect();
            let metadata: Vec<Value> = (first..first + some.len()).map(|n| json!({ "n": n % 100 })).collect();
            let body = json!({"indexName": index, "vectors": some, "ids": ids, "metadata": metadata});
            Outgoing::post("/api/vector/local/upsert", &body)
        });
        Ok(self.measure(batches.collect()).await?.0)
    }

    /// Waits until the host does nothing more by itself: a graph is built aside.
    async fn rest(&self) -> anyhow::Result<()> {
        let mut before = process::cpu_time(self.host.process_id())?;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = process::cpu_time(self.host.process_id())?;
            if now - before < Duration::from_millis(50) {
                return Ok(());
            }
            before = now;
        }
    }

    async fn search(
        &mut self,
        index: &str,
        probes: &[Vec<f32>],
        filter: &Value,
    ) -> anyhow::Result<(Taken, Vec<Vec<usize>>)> {
        let request = |probe: &Vec<f32>| {
            let body = json!({"indexName": index, "queryVector": probe, "topK": 10, "filter": filter});
            Outgoing::post("/api/vector/local/query", &body)
        };
        let (taken, answers) = self.measure(probes.iter().map(request).collect()).await?;
        let ids = |hits: &Value| {
            let hits = hits.as_array().into_iter().flatten();
            hits.filter_map(|hit| hit["id"].as_str()?.parse().ok()).collect()
        };
        Ok((taken, answers.iter().map(ids).collect()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.no_build {
        cargo::build_released(&["hotbay"], &PLUGINS)?;
    }
    let mut points = Points::new();
    let all: Vec<Vec<f32>> = (0..arguments.vectors).map(|_| points.next()).collect();
    let probes: Vec<Vec<f32>> = (0..arguments.searches).map(|_| points.next()).collect();
    say("one connection, one request at a time; CPU of the server's process in milliseconds a request");
    let mut bed = Bed::start("").await?;
    for count in [1_000, 10_000, arguments.vectors] {
        let some = all.get(..count).context("more vectors are asked for than are made")?;
        let index = format!("of_{count}");
        let upsert = bed.fill(&index, some).await?;
        let began = Instant::now();
        bed.rest().await?;
        let built = began.elapsed().as_secs_f64() - 1.0;
        row(&format!("upsert {BATCH}, up to {count}"), &upsert, "<= 40 ms");
        let (search, found) = bed.search(&index, &probes, &json!({})).await?;
        let target = match count {
            1_000 => "<= 0.4 ms",
            10_000 => "<= 3 ms",
            _ => "<= 1/5 of exact",
        };
        row(&format!("query, {count}"), &search, target);
        say(format!(
            "    recall@10 {:.3}, index at rest {built:.0} s after the last upsert",
            recall(some, &probes, &found, |_| true)
        ));
        let (search, found) = bed.search(&index, &probes, &json!({"n": 7})).await?;
        row(&format!("query, {count}, filter that lets 1 % through"), &search, "");
        say(format!("    recall@10 {:.3}", recall(some, &probes, &found, |n| n % 100 == 7)));
    }
    let memory = process::resident(bed.host.process_id())? as f64 / f64::from(1 << 20);
    let raw = (arguments.vectors + 11_000) as f64 * DIMENSION as f64 * 4.0 / f64::from(1 << 20);
    say(format!("resident memory {memory:.0} MB, the vectors alone {raw:.0} MB: {:.2}x (<= 2x)", memory / raw));
    beside(&mut bed, &all).await?;
    drop(bed);

    let mut bed = Bed::start("[plugins.hotbay-vector-local.config]\ngraph_from = 100000000\n").await?;
    bed.fill("exact", &all).await?;
    let some = probes.get(..arguments.searches.min(100)).unwrap_or_default();
    let (search, _) = bed.search("exact", some, &json!({})).await?;
    row(&format!("query, {}, exact", all.len()), &search, "");
    tools(&mut bed).await
}

/// Lists agents while vectors are added on other connections.
async fn beside(bed: &mut Bed, all: &[Vec<f32>]) -> anyhow::Result<()> {
    let requests = || (0..2_000).map(|_| Outgoing::get("/api/agents")).collect::<Vec<_>>();
    let (idle, _) = bed.measure(requests()).await?;
    bed.post("create-index", &json!({"indexName": "beside", "dimension": DIMENSION})).await?;
    let mut other = Connection::open(bed.host.address()).await?;
    let some = all.get(..all.len().min(10_000)).unwrap_or_default();
    let upsert = Outgoing::post("/api/vector/local/upsert", &json!({"indexName": "beside", "vectors": some}));
    let (upserted, busy) = tokio::join!(other.send(upsert), bed.measure(requests()));
    ensure!(upserted?.0 == 200, "the large upsert failed");
    let (busy, _) = busy?;
    say(format!(
        "GET /api/agents p99 {:.2} ms idle, {:.2} ms while {} vectors are added: {:.1}x (<= 5x)",
        idle.at(0.99),
        busy.at(0.99),
        some.len(),
        busy.at(0.99) / idle.at(0.99)
    ));
    Ok(())
}

/// Calls a tool over MCP, both protocols, and over HTTP.
async fn tools(bed: &mut Bed) -> anyhow::Result<()> {
    let data = json!({"city": "Paris"});
    let execute = Outgoing::post("/api/tools/weather/execute", &json!({ "data": data }));
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "hotbay-test-reference_weather", "arguments": data,
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}}}});
    let call = Outgoing::post("/api/mcp/hotbay/mcp", &call)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "hotbay-test-reference_weather");
    let repeat = |request: &Outgoing| (0..2_000).map(|_| request.clone()).collect::<Vec<_>>();
    let (execute, _) = bed.measure(repeat(&execute)).await?;
    let (status, body) = bed.connection.send(call.clone()).await?;
    let answer = String::from_utf8_lossy(&body);
    ensure!(status == 200 && answer.contains("structuredContent"), "tools/call: {status} {answer}");
    let before = process::cpu_time(bed.host.process_id())?;
    for request in repeat(&call) {
        bed.connection.send(request).await?;
    }
    let cpu = (process::cpu_time(bed.host.process_id())? - before).as_secs_f64() * 1e3 / 2_000.0;
    say(format!("tools/call {cpu:.3} ms, execute over HTTP {:.3} ms: {:.2}x (<= 2x)", execute.cpu, cpu / execute.cpu));
    Ok(())
}

/// Returns how many of the ten nearest were found, of those that count.
fn recall(all: &[Vec<f32>], probes: &[Vec<f32>], found: &[Vec<usize>], counts: impl Fn(usize) -> bool) -> f64 {
    let probes = probes.get(..probes.len().min(100)).unwrap_or_default();
    let (mut right, mut wanted) = (0, 0);
    for (probe, found) in probes.iter().zip(found) {
        let near = |(n, row): (usize, &Vec<f32>)| {
            let score: f32 = row.iter().zip(probe).map(|(one, other)| one * other).sum();
            (score, n)
        };
        let mut scores: Vec<(f32, usize)> = all.iter().enumerate().filter(|(n, _)| counts(*n)).map(near).collect();
        scores.sort_unstable_by(|one, other| other.0.total_cmp(&one.0));
        let nearest = scores.get(..scores.len().min(10)).unwrap_or_default();
        wanted += nearest.len();
        right += nearest.iter().filter(|(_, n)| found.contains(n)).count();
    }
    f64::from(right as u32) / f64::from(wanted as u32)
}

fn row(name: &str, taken: &Taken, target: &str) {
    say(format!(
        "{name:<44} CPU {:>8.3}   p50 {:>8.3}   p99 {:>8.3}   {target}",
        taken.cpu,
        taken.at(0.5),
        taken.at(0.99)
    ));
}

#[expect(clippy::print_stdout, reason = "the bench's output")]
fn say(text: impl std::fmt::Display) {
    println!("{text}");
}
