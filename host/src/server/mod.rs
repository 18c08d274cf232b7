//! A host and its socket: bound, served, ended in order.
//!
//! Who stops it and what is printed is the caller's: [`crate::serve`] and `hotbay dev`.
//! Connections are let in by `door`; what is read from one and written to it is watched by `line`;
//! the certificate of `tls` is shown on each.

mod door;
mod files;
mod line;
mod tls;

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{
    app::{App, AppState, StartError},
    config::Config,
    tasks::Tasks,
};
use door::Door;
use tls::Tls;
pub use tls::TlsError;

/// How long answers may go on once the server was told to stop; then streams are cut.
const ANSWERS: Duration = Duration::from_secs(2);
/// How long cut connections may take to go away.
const CONNECTIONS: Duration = Duration::from_secs(1);

/// A host that can be reached once it runs.
pub struct Server {
    app: AppState,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<(Arc<Tls>, TlsAcceptor)>,
}

/// Why a server does not start, or ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// TLS cannot begin.
    #[error("cannot speak TLS: {0}")]
    Tls(#[from] TlsError),
    /// A part of the host does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The socket failed.
    #[error("the server's socket failed: {0}")]
    Socket(io::Error),
}

impl Server {
    /// Binds the address and then starts the host, so that a taken port is told at once.
    ///
    /// # Errors
    ///
    /// If the address is taken, or the host does not start.
    pub async fn bind(mut config: Config) -> Result<Self, ServeError> {
        let address = config.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })?;
        let address = listener.local_addr().map_err(ServeError::Socket)?;
        let tls = match &config.tls {
            None => None,
            Some(settings) => {
                let tls = Tls::read(settings)?;
                let acceptor = tls.acceptor()?;
                Some((tls, acceptor))
            }
        };
        config.limits.connections = files::connections(config.limits.connections);
        if config.tls.is_none() && !address.ip().is_loopback() {
            tracing::warn!(
                "tokens and what is said are not encrypted on the way here: give --tls-cert and --tls-key, unless a proxy \
                 in front of this server does it"
            );
        }
        let app = App::start(config).await?;
        Ok(Self { app, listener, address, tls })
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the same as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Returns the host.
    #[must_use]
    pub fn app(&self) -> &AppState {
        &self.app
    }

    /// Answers until `stop` is done, then ends everything. Takes at most ten seconds for it.
    ///
    /// # Errors
    ///
    /// If the socket fails.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        let Self { app, listener, tls, .. } = self;
        let connections = Tasks::default();
        let acceptor = tls.map(|(tls, acceptor)| {
            app.tasks.spawn("tls-files", |cancel| tls.keep(cancel));
            acceptor
        });
        let door = Door::new(&app, connections.clone(), acceptor);
        tokio::select! {
            () = door.accept(&listener) => {}
            () = stop => tracing::info!("stopping"),
        }
        // Who connects from now on is refused by the system.
        drop(listener);
        if !connections.end(ANSWERS).await {
            // Streams end with their token; what still hangs then goes with the server.
            app.tasks.cancel();
            connections.shut_down(CONNECTIONS).await;
        }
        app.shut_down().await;
        Ok(())
    }
}

/// Returns an answer for those with whom no HTTP is spoken (yet). `headers` are whole lines.
fn answer(status: &str, headers: &str, error: &str) -> String {
    let body = serde_json::json!({ "error": error }).to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}connection: \
         close\r\n\r\n{body}"
    )
}
