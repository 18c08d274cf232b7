//! How long a start takes and how much memory a host needs.
//!
//! A start counts from the process's creation to the first answer with status 200, five
//! plugins loaded. The files are in the page cache: this measures the host, not the disk.

use std::{
    fs,
    time::{Duration, Instant},
};

use hotbay_tests::{TestHost, http::Outgoing, plugin_host, process};
use serde_json::json;

use crate::{load, report};

/// The most a start may take.
const START_MS: f64 = 150.0;
/// The most memory an idle host may have.
const IDLE_MB: f64 = 20.0;
/// How long a host idles until it has given back what it does not need (`host/src/idle.rs`).
const IDLE: Duration = Duration::from_secs(90);
/// How many requests the host has answered when its memory is looked at again.
const REQUESTS: usize = 10_000;

/// Measures both kinds of start, then memory.
pub(crate) async fn measure(starts: usize, record: &str) -> anyhow::Result<()> {
    let mut builder = crate::host(record);
    for plugin in &crate::PLUGINS[..2] {
        builder = builder.plugin(plugin);
    }
    let mut host = builder.start().await?;
    // Three more that are plugins of their own to the host: other bytes, other names.
    for name in ["one", "two", "three"] {
        plugin_host::put(&host.plugin_dir(), &format!("{name}.so"), &plugin_host::build_of(name, "1"));
    }
    let (mut warm, mut empty) = (Vec::new(), Vec::new());
    for _ in 0..starts {
        host.kill()?;
        fs::remove_dir_all(host.data_dir())?;
        fs::create_dir(host.data_dir())?;
        empty.push(start(&mut host).await?);
        host.kill()?;
        warm.push(start(&mut host).await?);
    }
    report::say(format!("\ncold start to the first 200, 5 plugins, medians of {starts}"));
    report::figure("start, data directory of an earlier start", report::median(warm), "ms", Some(START_MS));
    report::figure("start, empty data directory", report::median(empty), "ms", Some(START_MS));
    report::say("\nmemory (VmRSS), 5 plugins".to_owned());
    memory(&host, "after the start", None)?;
    tokio::time::sleep(IDLE).await;
    memory(&host, "idle, after 90 seconds", Some(IDLE_MB))?;
    let requests = [
        ("/api/agents", None, REQUESTS * 4 / 10),
        ("/api/tools/weather/execute", Some(json!({ "data": { "city": "Rome" } })), REQUESTS * 4 / 10),
        ("/api/agents/echo-agent/generate", Some(json!({ "messages": "hello" })), REQUESTS * 2 / 10),
    ];
    for (path, body, count) in requests {
        let body = body.map(|body| body.to_string().into());
        let request = load::Request { url: host.url(path), body };
        load::run(&request, host.process_id(), 32, count, 0).await?;
    }
    memory(&host, "after 10,000 requests", None)?;
    tokio::time::sleep(IDLE).await;
    memory(&host, "idle again, after 90 seconds", None)
}

/// Tells how much memory a host has, and how much of it is no page of a file.
fn memory(host: &TestHost, when: &str, target: Option<f64>) -> anyhow::Result<()> {
    report::figure(when, megabytes(process::resident(host.process_id())?), "MB", target);
    report::figure("  of it no pages of files", megabytes(process::anonymous(host.process_id())?), "MB", None);
    Ok(())
}

async fn start(host: &mut TestHost) -> anyhow::Result<f64> {
    let began = Instant::now();
    host.restart().await?;
    let took = began.elapsed();
    let (_, plugins) = host.get_json("/api/plugins").await?;
    let serving = plugins["plugins"].as_array().into_iter().flatten().filter(|plugin| plugin["state"] == "serving");
    anyhow::ensure!(serving.count() == 5, "not all plugins serve: {plugins}");
    host.send(Outgoing::get("/health")).await?;
    Ok(took.as_secs_f64() * 1e3)
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
