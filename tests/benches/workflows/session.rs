//! A connection that stays open, and many of them that do the same at once.

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
    Method,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, task::LocalSet};

/// The longest a round may take; reached only when the server hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// A connection.
pub(crate) struct Session {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
}

impl Session {
    async fn open(authority: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(authority).await.context("connect")?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // What goes wrong on a connection is reported to whoever waits for an answer on it.
        tokio::task::spawn_local(async move { driver.await.ok() });
        Ok(Self { sender, authority: authority.to_owned() })
    }

    /// Posts a document and returns the one that is answered with a 200.
    ///
    /// # Errors
    ///
    /// When there is no such answer.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask(Method::POST, path, Bytes::from(body.to_string())).await
    }

    /// Gets a document.
    ///
    /// # Errors
    ///
    /// As [`Session::post`].
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    async fn ask(&mut self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Value> {
        let mut request = hyper::Request::builder().method(method).uri(path).header(header::HOST, &self.authority);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::new(body))?).await?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await?.to_bytes();
        ensure!(status == 200, "{path} is answered {status}: {bytes:?}");
        Ok(serde_json::from_slice(&bytes)?)
    }
}

/// What one round showed.
pub(crate) struct Sample {
    /// The server's CPU time for each operation, in milliseconds.
    pub(crate) cpu_ms: f64,
    /// The latency half of the operations did not exceed, in milliseconds.
    pub(crate) p50_ms: f64,
    /// Operations each second.
    pub(crate) rate: f64,
}

/// Does something `count` times over `connections` connections. The operation says how long
/// it took, so that what only prepares it need not count.
///
/// # Errors
///
/// When one of them fails, or they do not end.
pub(crate) async fn round(
    server: (u32, &str),
    connections: usize,
    count: usize,
    operation: impl AsyncFn(&mut Session) -> anyhow::Result<Duration>,
) -> anyhow::Result<Sample> {
    let (id, authority) = server;
    let local = LocalSet::new();
    let work = local.run_until(async {
        let mut sessions = Vec::new();
        for _ in 0..connections {
            sessions.push(Session::open(authority).await?);
        }
        let left = Rc::new(Cell::new(count));
        let (before, began) = (process::cpu_time(id)?, Instant::now());
        let (left, operation) = (&left, &operation);
        let asking = sessions.into_iter().map(|mut session| async move {
            let mut times = Vec::new();
            while left.get() > 0 {
                left.set(left.get() - 1);
                times.push(operation(&mut session).await?);
            }
            Ok::<_, anyhow::Error>(times)
        });
        let times = futures::future::try_join_all(asking).await?;
        Ok::<_, anyhow::Error>((times.concat(), began.elapsed(), process::cpu_time(id)? - before))
    });
    let (mut times, elapsed, cpu) = tokio::time::timeout(LIMIT, work).await.context("the round never ended")??;
    times.sort_unstable();
    Ok(Sample {
        cpu_ms: cpu.as_secs_f64() * 1e3 / count as f64,
        p50_ms: times[count / 2].as_secs_f64() * 1e3,
        rate: count as f64 / elapsed.as_secs_f64(),
    })
}
