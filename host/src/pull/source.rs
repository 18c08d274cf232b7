//! Where files come from: a URL or a directory, one piece after the other.

use std::{fmt, io, path::PathBuf, time::Duration};

use bytes::Bytes;
use reqwest::{Response, StatusCode};
use tokio::{fs::File, io::AsyncReadExt, time::timeout};

use super::PullError;
use crate::model;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(15);
/// How long nothing may come; the whole may take as long as it takes.
const IDLE: Duration = Duration::from_secs(60);
/// How much of a file is read at once.
const PIECE: usize = 256 << 10;

const OTHERWISE: &str = "have the files from elsewhere and name their directory with --from";

/// Where the files of a model are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Files' names are appended to this URL.
    Url(String),
    /// A directory on this machine.
    Directory(PathBuf),
}

impl Source {
    /// Reads what `--from` says.
    pub(crate) fn parse(text: &str) -> Self {
        if text.starts_with("http://") || text.starts_with("https://") {
            Self::Url(text.to_owned())
        } else {
            Self::Directory(text.into())
        }
    }

    /// Opens one file.
    pub(super) async fn open(&self, name: &str) -> Result<Body, PullError> {
        match self {
            Self::Url(base) => over_http(format!("{}/{name}", base.trim_end_matches('/'))).await,
            Self::Directory(directory) => {
                let path = directory.join(name);
                let opened = async {
                    let file = File::open(&path).await?;
                    let length = file.metadata().await?.len();
                    Ok((file, length))
                };
                let (file, length) = opened.await.map_err(|error| unreadable(&path.display(), &error))?;
                Ok(Body { name: path.display().to_string(), length: Some(length), flow: Flow::File(file) })
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(base) => f.write_str(base),
            Self::Directory(directory) => directory.display().fmt(f),
        }
    }
}

/// One file as it comes.
pub(super) struct Body {
    /// Its URL or path.
    name: String,
    length: Option<u64>,
    flow: Flow,
}

enum Flow {
    Http(Response),
    File(File),
}

impl Body {
    /// Returns how long it will be, if the source says.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns its URL or path.
    pub(super) fn into_name(self) -> String {
        self.name
    }

    /// Returns the next piece, nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, PullError> {
        match &mut self.flow {
            Flow::Http(response) => match timeout(IDLE, response.chunk()).await {
                Ok(Ok(piece)) => Ok(piece),
                Ok(Err(error)) => Err(broken_off(&self.name, &model::error_chain(&error.without_url()))),
                Err(_) => Err(broken_off(&self.name, &format!("nothing came for {} s", IDLE.as_secs()))),
            },
            Flow::File(file) => {
                let mut piece = Vec::with_capacity(PIECE);
                let read = file.take(PIECE as u64).read_to_end(&mut piece).await;
                let read = read.map_err(|error| unreadable(&self.name, &error))?;
                Ok((read > 0).then(|| piece.into()))
            }
        }
    }

    /// Checks that as much came as was announced.
    pub(super) fn complete(&self, bytes: u64) -> Result<(), PullError> {
        match self.length {
            Some(length) if length != bytes => Err(broken_off(&self.name, &format!("{bytes} bytes of {length} came"))),
            Some(_) | None => Ok(()),
        }
    }
}

async fn over_http(url: String) -> Result<Body, PullError> {
    let client = model::http_client(CONNECT).map_err(|error| PullError::Source { message: error.to_string() })?;
    let response = match timeout(IDLE, client.get(&url).send()).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            let reason = model::error_chain(&error.without_url());
            return Err(PullError::Source { message: format!("cannot reach {url}: {reason}; {OTHERWISE}") });
        }
        Err(_) => {
            let message = format!("{url} did not answer within {} s; {OTHERWISE}", IDLE.as_secs());
            return Err(PullError::Source { message });
        }
    };
    let remedy = match response.status() {
        status if status.is_success() => {
            return Ok(Body { name: url, length: response.content_length(), flow: Flow::Http(response) });
        }
        StatusCode::NOT_FOUND => "the URL given with --from is the one that the files' names are appended to",
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => "try again later",
        _ => OTHERWISE,
    };
    Err(PullError::Source { message: format!("{url} answered {}; {remedy}", response.status()) })
}

fn broken_off(name: &str, reason: &str) -> PullError {
    PullError::Source { message: format!("{name} broke off: {reason}; pull again") }
}

fn unreadable(name: &impl fmt::Display, error: &io::Error) -> PullError {
    PullError::Source { message: format!("cannot read {name}: {error}") }
}
