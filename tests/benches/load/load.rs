//! Asks a server the same thing many times over connections that stay open.
//!
//! A closed loop: each connection asks again as soon as it has its answer. The number of
//! requests and of connections is fixed, so a slow server is not asked less carefully.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use hotbay_tests::process;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Uri,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::LocalSet};

use crate::jobs;

/// The longest a round may take; reached only when a server hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// A request that is sent again and again.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) url: String,
    pub(crate) body: Option<Bytes>,
}

/// What one round showed.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// The server's CPU time for each request, in microseconds.
    pub(crate) cpu_us: f64,
    /// Requests each second.
    pub(crate) rate: f64,
    /// The latency half of the requests did not exceed, in microseconds.
    pub(crate) p50_us: f64,
    /// That 99 of 100 did not.
    pub(crate) p99_us: f64,
}

/// Sends `count` requests over `connections` connections.
///
/// # Errors
///
/// When an answer is not 200, not `frames` events long, or does not come.
pub(crate) async fn run(
    request: &Request,
    server: u32,
    connections: usize,
    count: usize,
    frames: usize,
) -> anyhow::Result<Sample> {
    let uri: Uri = request.url.parse()?;
    let authority = uri.authority().context("a server has an authority")?.to_string();
    let path = uri.path_and_query().context("a request has a path")?.to_string();
    let local = LocalSet::new();
    let work = local.run_until(async {
        let mut senders = Vec::new();
        for _ in 0..connections {
            senders.push(connect(&authority).await?);
        }
        let left = Rc::new(Cell::new(count));
        let (before, began) = (process::cpu_time(server)?, Instant::now());
        let asking = senders
            .into_iter()
            .map(|sender| ask(sender, Rc::clone(&left), path.clone(), authority.clone(), request.body.clone(), frames));
        let latencies = futures::future::try_join_all(asking).await?;
        Ok::<_, anyhow::Error>((latencies.concat(), began.elapsed(), process::cpu_time(server)? - before))
    });
    let (mut latencies, elapsed, cpu) = tokio::time::timeout(LIMIT, work).await.context("the round never ended")??;
    ensure!(latencies.len() == count, "{} answers to {count} requests", latencies.len());
    latencies.sort_unstable();
    let quantile = |share: f64| latencies[((count - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    Ok(Sample {
        cpu_us: cpu.as_secs_f64() * 1e6 / count as f64,
        rate: count as f64 / elapsed.as_secs_f64(),
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
    })
}

async fn connect(authority: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(authority).await.context("connect")?;
    stream.set_nodelay(true)?;
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    // What goes wrong on a connection is reported to whoever waits for an answer on it.
    tokio::task::spawn_local(async move { driver.await.ok() });
    Ok(sender)
}

async fn ask(
    mut sender: SendRequest<Full<Bytes>>,
    left: Rc<Cell<usize>>,
    path: String,
    authority: String,
    body: Option<Bytes>,
    frames: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while left.get() > 0 {
        left.set(left.get() - 1);
        let mut request = hyper::Request::builder()
            .uri(&path)
            .header(header::HOST, &authority)
            .header(header::AUTHORIZATION, jobs::AUTHORIZATION);
        if body.is_some() {
            request = request.method(Method::POST).header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body.clone().unwrap_or_default()))?;
        let began = Instant::now();
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let answer = answer.into_body().collect().await?.to_bytes();
        latencies.push(began.elapsed());
        ensure!(status == 200 && !answer.is_empty(), "{path} is answered {status}: {answer:?}");
        if frames > 0 {
            let ends = answer.windows(2).filter(|pair| pair == b"\n\n").count();
            ensure!(ends == frames, "{ends} events instead of {frames}");
        }
    }
    Ok(latencies)
}
