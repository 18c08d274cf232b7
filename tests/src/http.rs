//! One HTTP/1.1 request on a connection of its own, or on one that is kept, and nothing in between.
//!
//! No pool, no redirects, no decoding, no retry: a test sees the server's bytes.
//! Deadlines are the caller's; see [`crate::replay::client`] and [`crate::sse`].

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Where a server listens: what `http://127.0.0.1:4111/base` says, taken apart.
#[derive(Clone, Debug)]
pub struct Address {
    authority: String,
    prefix: String,
}

impl Address {
    /// Reads a base URL; its path becomes a prefix of every request's path.
    ///
    /// # Errors
    ///
    /// When it is not an `http://` URL.
    pub fn parse(base: &str) -> anyhow::Result<Self> {
        let uri: Uri = base.parse().with_context(|| format!("`{base}` is not a URL"))?;
        ensure!(uri.scheme_str() == Some("http"), "`{base}` is not an http:// URL");
        let host = uri.host().with_context(|| format!("`{base}` names no host"))?;
        let port = uri.port_u16().unwrap_or(80);
        Ok(Self { authority: format!("{host}:{port}"), prefix: uri.path().trim_end_matches('/').to_owned() })
    }

    /// Its host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The URL of a path on this server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{}{path}", self.authority, self.prefix)
    }
}

/// A request as it will go over the wire.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// The method, `GET` when empty.
    pub method: String,
    /// Path and query; characters a request line cannot hold are percent-encoded.
    pub path: String,
    /// Headers; `host` and `content-length` are added when absent.
    pub headers: Vec<(String, String)>,
    /// The body; its type is JSON unless the headers say otherwise.
    pub body: Option<Vec<u8>>,
}

impl Outgoing {
    /// A `GET` of a path.
    pub fn get(path: &str) -> Self {
        Self { path: path.to_owned(), ..Self::default() }
    }

    /// A `POST` of a JSON value.
    pub fn post(path: &str, body: &serde_json::Value) -> Self {
        Self {
            method: "POST".to_owned(),
            path: path.to_owned(),
            body: Some(body.to_string().into_bytes()),
            ..Self::default()
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn into_request(self, address: &Address) -> anyhow::Result<Request<Full<Bytes>>> {
        let method = if self.method.is_empty() { Method::GET } else { self.method.parse()? };
        let path = format!("{}{}", address.prefix, encoded(&self.path));
        let uri: Uri = path.parse().with_context(|| format!("`{path}` cannot be a request's path"))?;
        let has_body = self.body.is_some();
        let body = self.body.unwrap_or_default();
        let length = body.len();
        let mut request = Request::new(Full::new(Bytes::from(body)));
        let expects_body = !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        for (name, value) in self.headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).with_context(|| format!("header `{name}`"))?;
            headers.append(HeaderName::from_bytes(name.as_bytes())?, value);
        }
        if has_body && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if (has_body || expects_body) && !headers.contains_key(CONTENT_LENGTH) {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        if !headers.contains_key(HOST) {
            headers.insert(HOST, HeaderValue::from_str(&address.authority)?);
        }
        Ok(request)
    }
}

/// An answer whose head has come; dropping it closes the connection.
#[derive(Debug)]
pub struct Incomplete {
    /// Status, headers and the body still to be read.
    pub response: Response<Incoming>,
    /// Drives the connection; the set aborts the task when it is dropped.
    connection: JoinSet<()>,
}

impl Incomplete {
    /// The next piece of the body, `None` at its end.
    ///
    /// # Errors
    ///
    /// When the connection breaks inside the body.
    pub async fn chunk(&mut self) -> anyhow::Result<Option<Bytes>> {
        while let Some(frame) = self.response.body_mut().frame().await {
            // Trailers are no part of what the tests look at.
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        self.connection.abort_all();
        Ok(None)
    }
}

/// A connection that takes one request after the other.
#[derive(Debug)]
pub struct Connection {
    address: Address,
    sender: http1::SendRequest<Full<Bytes>>,
    /// Drives the connection; the set aborts the task when it is dropped.
    driver: JoinSet<()>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When nobody listens.
    pub async fn open(address: &Address) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&address.authority).await.context("no answer")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.context("no answer")?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // What goes wrong here is reported to whoever reads the answer.
            connection.await.ok();
        });
        Ok(Self { address: address.clone(), sender, driver })
    }

    /// Sends a request and gives the status and the whole body of the answer.
    ///
    /// # Errors
    ///
    /// When the server has closed the connection, or does so inside the answer.
    pub async fn send(&mut self, request: Outgoing) -> anyhow::Result<(u16, Bytes)> {
        self.sender.ready().await.context("the connection was closed")?;
        let response = self.sender.send_request(request.into_request(&self.address)?).await.context("no answer")?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// Connects, sends, and waits for the head of the answer.
///
/// # Errors
///
/// When nobody listens, the request cannot be written, or the connection ends inside the head.
pub async fn send(address: &Address, request: Outgoing) -> anyhow::Result<Incomplete> {
    let request = request.into_request(address)?;
    let Connection { mut sender, driver, .. } = Connection::open(address).await?;
    let response = sender.send_request(request).await.context("no answer")?;
    Ok(Incomplete { response, connection: driver })
}

/// Percent-encodes what may not stand in a request line and leaves the rest as it is.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for character in path.chars() {
        if character.is_ascii_graphic() && !"\"<>{}^`".contains(character) {
            out.push(character);
        } else {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_once() {
        assert_eq!(encoded("/a b/\u{e9}?x={\"y\":%20}"), "/a%20b/%C3%A9?x=%7B%22y%22:%20%7D");
    }

    #[test]
    fn addresses_keep_their_prefix() {
        let address = Address::parse("http://127.0.0.1:80/base/").unwrap();
        assert_eq!(address.url("/x"), "http://127.0.0.1:80/base/x");
        assert!(Address::parse("https://127.0.0.1").is_err());
        assert!(Address::parse("127.0.0.1:80").is_err());
    }
}
