//! The door: takes connections, as many as may be, and speaks HTTP on each.
//!
//! Over TLS a client may choose HTTP/2, which it asks for while TLS begins; without TLS there is
//! HTTP/1.1 alone, so that nobody changes the protocol in the middle of a connection.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::Router;
use http::{HeaderValue, Request, header};
use hyper::{
    body::Incoming,
    rt,
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    line::{Line, Protocol, Pulse, Serving},
    tls::HTTP2,
};
use crate::{
    app::AppState,
    http::kept::Kept,
    limits::{Limit, Limits, Peer, Refused, Slot},
    tasks::Tasks,
};

/// How long nobody is let in when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(100);
/// So many requests of HTTP/2 go on at once on one connection.
const STREAMS: u32 = 128;
/// How often a connection of HTTP/2 is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);

/// Takes connections.
pub(super) struct Door {
    shared: Arc<Shared>,
    connections: Tasks,
}

struct Shared {
    limits: Arc<Limits>,
    router: TowerToHyperService<Router>,
    http1: http1::Builder,
    http2: http2::Builder<Spawner>,
    tls: Option<TlsAcceptor>,
}

/// Starts what HTTP/2 does besides reading.
#[derive(Clone)]
struct Spawner(Tasks);

impl<F: Future<Output = ()> + Send + 'static> rt::Executor<F> for Spawner {
    fn execute(&self, work: F) {
        self.0.spawn("http2-stream", |_| work);
    }
}

impl Door {
    /// Returns the door of a host, which speaks TLS if there is something to do it with. What is said on
    /// a connection is a task of `connections`.
    pub(super) fn new(app: &AppState, connections: Tasks, tls: Option<TlsAcceptor>) -> Self {
        let limits = Arc::clone(&app.limits);
        let settings = limits.settings();
        let mut http1 = http1::Builder::new();
        // What is late is known to the line, which tells what is waited for.
        http1.header_read_timeout(None).max_header_size(settings.header_bytes);
        if settings.headers != HEADERS {
            http1.max_headers(settings.headers);
        }
        let mut http2 = http2::Builder::new(Spawner(connections.clone()));
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(settings.header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        let router = TowerToHyperService::new(crate::http::router(AppState::clone(app)));
        Self { shared: Arc::new(Shared { limits, router, http1, http2, tls }), connections }
    }

    /// Takes connections for as long as it is polled.
    pub(super) async fn accept(&self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((socket, address)) => self.admit(socket, address),
                Err(error) if is_of_one_connection(&error) => tracing::debug!(%error, "a connection went away"),
                Err(error) => {
                    tracing::warn!(%error, "cannot take connections for a moment");
                    tokio::time::sleep(NO_ROOM).await;
                }
            }
        }
    }

    fn admit(&self, socket: TcpStream, address: SocketAddr) {
        let (slot, peer) = match self.shared.limits.connection(address.ip()) {
            Ok(admitted) => admitted,
            // Who expects TLS would not understand why.
            Err(_) if self.shared.tls.is_some() => return,
            Err(refused) => return refuse(&socket, refused),
        };
        // Small pieces of streams must not wait for each other.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let shared = Arc::clone(&self.shared);
        self.connections.spawn("connection", |cancel| shared.serve(socket, peer, slot, cancel));
    }
}

/// As many headers have room without asking for memory.
const HEADERS: usize = 100;

impl Shared {
    async fn serve(self: Arc<Self>, socket: TcpStream, peer: Peer, slot: Slot, cancel: CancellationToken) {
        match &self.tls {
            None => self.speak_http1(socket, peer, &cancel).await,
            Some(tls) => {
                let begun = tokio::time::timeout(self.limits.settings().handshake_time, tls.accept(socket));
                match cancel.run_until_cancelled(begun).await {
                    None => {}
                    Some(Err(_)) => self.limits.hit(Limit::HandshakeTime),
                    Some(Ok(Err(error))) => tracing::debug!(%error, "TLS did not begin"),
                    Some(Ok(Ok(socket))) if socket.get_ref().1.alpn_protocol() == Some(HTTP2) => {
                        self.speak_http2(socket, peer, &cancel).await;
                    }
                    Some(Ok(Ok(socket))) => self.speak_http1(socket, peer, &cancel).await,
                }
            }
        }
        drop(slot);
    }

    async fn speak_http1<S>(&self, socket: S, peer: Peer, cancel: &CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let pulse = Arc::new(Pulse::default());
        let line = Line::new(socket, Protocol::Http1, Arc::clone(&pulse), Arc::clone(&self.limits));
        let service = service(self.router.clone(), Arc::clone(&pulse), peer);
        let mut connection = self.http1.serve_connection(TokioIo::new(line), service);
        self.speak(Pin::new(&mut connection), &pulse, cancel, |connection| connection.graceful_shutdown()).await;
    }

    async fn speak_http2<S>(&self, socket: S, peer: Peer, cancel: &CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let pulse = Arc::new(Pulse::default());
        let line = Line::new(socket, Protocol::Http2, Arc::clone(&pulse), Arc::clone(&self.limits));
        let service = service(self.router.clone(), Arc::clone(&pulse), peer);
        let connection = std::pin::pin!(self.http2.serve_connection(TokioIo::new(line), service));
        self.speak(connection, &pulse, cancel, |connection| connection.graceful_shutdown()).await;
    }

    /// Speaks until a connection ends; has it end soon once it is told to.
    async fn speak<C: Future<Output = hyper::Result<()>>>(
        &self,
        mut connection: Pin<&mut C>,
        pulse: &Pulse,
        cancel: &CancellationToken,
        end_soon: impl FnOnce(Pin<&mut C>),
    ) {
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = cancel.cancelled() => {
                pulse.hurry();
                end_soon(connection.as_mut());
                connection.await
            }
        };
        let Err(error) = ended else { return };
        // hyper answers these by itself.
        if error.is_parse_too_large() {
            self.limits.hit(Limit::Headers);
        }
        tracing::debug!(%error, "a connection failed");
    }
}

/// Returns what answers the requests of one connection.
fn service(
    router: TowerToHyperService<Router>,
    pulse: Arc<Pulse>,
    peer: Peer,
) -> impl Service<
    Request<Incoming>,
    Response = http::Response<Kept<Serving>>,
    Error = Infallible,
    Future = impl Future<Output = Result<http::Response<Kept<Serving>>, Infallible>> + Send + 'static,
> {
    service_fn(move |mut request: Request<Incoming>| {
        let serving = pulse.begin();
        request.extensions_mut().insert(peer.clone());
        // Where such a body ends may have been seen otherwise in front of the host, if it came with a
        // length as well (which is not to be known here); nothing that follows it is a request.
        let is_last = request.headers().contains_key(header::TRANSFER_ENCODING);
        let answer = router.call(request);
        async move {
            let mut response = answer.await?.map(|body| Kept::new(body, serving));
            if is_last {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    })
}

/// Whether an error is about the connection that was to be taken, not about taking them.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Says why a connection is not taken, as far as that can be said without waiting for anybody.
fn refuse(socket: &TcpStream, refused: Refused) {
    let after = format!("retry-after: {}\r\n", refused.retry_after.as_secs().max(1));
    let answer = super::answer("503 Service Unavailable", &after, "there are too many connections; try again later");
    // The buffer of a new socket is empty, so all of it fits.
    if let Err(error) = socket.try_write(answer.as_bytes()) {
        tracing::debug!(%error, "who is not let in is not told why");
    }
}
