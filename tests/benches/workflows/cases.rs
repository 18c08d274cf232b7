//! Runs, resumptions and turns of conversations.

use std::time::{Duration, Instant};

use anyhow::ensure;
use hotbay_tests::TestHost;
use serde_json::json;

use crate::{
    Arguments, figure, median, say,
    session::{Sample, Session, round},
};

/// Measures all of them.
///
/// # Errors
///
/// When the host does not answer as expected.
pub(crate) async fn measure(host: &TestHost, arguments: &Arguments, sync: Duration) -> anyhow::Result<()> {
    let many = arguments.connections;
    let five = median_of(host, arguments, many, async |session| run(session, "durable-linear").await).await?;
    told("5-step linear run, CPU", &five, Some(0.6));
    let three = median_of(host, arguments, 1, async |session| run(session, "durable-map").await).await?;
    let most = 3.0 * sync.as_secs_f64() * 1e3 + 2.0;
    figure("3-step run, one at a time, p50 (3 fdatasync + 2 ms)", three.p50_ms, "ms", Some(most));
    let resumed = median_of(host, arguments, 1, resume).await?;
    figure("suspend -> resume, one at a time, p50", resumed.p50_ms, "ms", Some(10.0));
    let talk = median_of(host, arguments, many, talk).await?;
    told("thread + message + list, CPU of the three", &talk, Some(0.6));
    let turn = median_of(host, arguments, many, turn).await?;
    told("generate with memory, CPU", &turn, Some(0.7));
    Ok(())
}

fn told(name: &str, sample: &Sample, most: Option<f64>) {
    figure(name, sample.cpu_ms, "ms", most);
    say(format!("{:<58} {:>9.0} a second, p50 {:.1} ms", "", sample.rate, sample.p50_ms));
}

async fn median_of(
    host: &TestHost,
    arguments: &Arguments,
    connections: usize,
    operation: impl AsyncFn(&mut Session) -> anyhow::Result<Duration>,
) -> anyhow::Result<Sample> {
    let url = host.url("");
    let server = (host.process_id(), url.trim_start_matches("http://").trim_end_matches('/'));
    // One at a time waits for the disk each time.
    let count = if connections == 1 { arguments.operations / 10 } else { arguments.operations };
    round(server, connections, count.div_ceil(4), &operation).await?;
    let mut samples = Vec::new();
    for _ in 0..arguments.rounds {
        samples.push(round(server, connections, count, &operation).await?);
    }
    let of = |field: fn(&Sample) -> f64| median(samples.iter().map(field).collect());
    Ok(Sample {
        cpu_ms: of(|sample| sample.cpu_ms),
        p50_ms: of(|sample| sample.p50_ms),
        rate: of(|sample| sample.rate),
    })
}

async fn run(session: &mut Session, workflow: &str) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let body = json!({"inputData": {"value": 1}});
    let answer = session.post(&format!("/api/workflows/{workflow}/start-async"), &body).await?;
    ensure!(answer["status"] == "success", "{workflow}: {answer}");
    Ok(began.elapsed())
}

async fn resume(session: &mut Session) -> anyhow::Result<Duration> {
    let path = "/api/workflows/durable-suspend";
    let waiting = session.post(&format!("{path}/start-async"), &json!({"inputData": {"value": 1}})).await?;
    let run_id = waiting["runId"].as_str().unwrap_or_default();
    let began = Instant::now();
    let body = json!({"step": "ask", "resumeData": {"add": 5}});
    let answer = session.post(&format!("{path}/resume-async?runId={run_id}"), &body).await?;
    ensure!(answer["status"] == "success", "{answer}");
    Ok(began.elapsed())
}

async fn talk(session: &mut Session) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let thread = session.post("/api/memory/threads?agentId=echo-agent", &json!({"resourceId": "bench"})).await?;
    let id = thread["id"].as_str().unwrap_or_default();
    let message = json!({"role": "user", "content": "hello", "threadId": id, "resourceId": "bench"});
    session.post("/api/memory/save-messages?agentId=echo-agent", &json!({"messages": [message]})).await?;
    let listed = session.get(&format!("/api/memory/threads/{id}/messages?agentId=echo-agent")).await?;
    ensure!(listed["total"] == 1, "{listed}");
    Ok(began.elapsed())
}

async fn turn(session: &mut Session) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let thread = format!("turn-{}-{began:?}", std::process::id());
    let body = json!({"messages": "hello there", "memory": {"thread": thread, "resource": "bench"}});
    let answer = session.post("/api/agents/echo-agent/generate", &body).await?;
    ensure!(answer["text"] == "Echo: hello there", "{answer}");
    Ok(began.elapsed())
}
