//! Bytes on a socket: requests no client would send.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::http::Address;

/// How long an answer, or the end of a connection, may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A connection of bytes.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer of HTTP/1.1, taken apart as little as can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The lines of the head after the first, in lower case.
    pub headers: Vec<String>,
    /// The body.
    pub body: String,
}

impl RawAnswer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    /// The sentence of an error.
    pub fn error(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["error"].as_str().unwrap_or(&self.body).to_owned()
    }
}

impl Raw {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When nobody listens.
    pub async fn connect(address: &Address) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address.authority()).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// When the other end does not take them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        timeout(LIMIT, self.stream.write_all(bytes.as_ref())).await.context("nothing is taken any more")??;
        Ok(())
    }

    /// Says that nothing more comes.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub async fn finish(&mut self) -> anyhow::Result<()> {
        Ok(self.stream.shutdown().await?)
    }

    /// Reads one answer with a length, or that ends with the connection.
    ///
    /// # Errors
    ///
    /// When none comes in time, or the connection ends before its end.
    pub async fn answer(&mut self) -> anyhow::Result<RawAnswer> {
        timeout(LIMIT, self.read_answer()).await.context("no answer in time")?
    }

    /// Reads until the other end hangs up; a connection that breaks has ended as well.
    ///
    /// # Errors
    ///
    /// When it does not in time.
    pub async fn rest(&mut self) -> anyhow::Result<String> {
        let read = async { while self.more().await.unwrap_or_default() > 0 {} };
        timeout(LIMIT, read).await.context("the connection was not closed in time")?;
        Ok(String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned())
    }

    async fn read_answer(&mut self) -> anyhow::Result<RawAnswer> {
        let head = loop {
            if let Some(end) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                break String::from_utf8_lossy(&head).into_owned();
            }
            ensure!(self.more().await? > 0, "hung up before an answer");
        };
        let mut lines = head.trim_end().lines();
        let first = lines.next().unwrap_or_default();
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let headers = lines.map(str::to_ascii_lowercase).collect();
        let mut answer =
            RawAnswer { status: status.with_context(|| format!("`{first}`"))?, headers, body: String::new() };
        let length: Option<usize> = answer.header("content-length").and_then(|length| length.parse().ok());
        while length.is_none_or(|length| self.read.len() < length) {
            if self.more().await? == 0 {
                ensure!(length.is_none(), "hung up within an answer");
                break;
            }
        }
        let body: Vec<u8> = self.read.drain(..length.unwrap_or(self.read.len())).collect();
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    async fn more(&mut self) -> anyhow::Result<usize> {
        Ok(self.stream.read_buf(&mut self.read).await?)
    }
}

/// Sends bytes on a connection of its own and reads one answer.
///
/// # Errors
///
/// When there is none.
pub async fn exchange(address: &Address, bytes: impl AsRef<[u8]>) -> anyhow::Result<RawAnswer> {
    let mut raw = Raw::connect(address).await?;
    raw.send(bytes).await?;
    raw.answer().await
}
