//! A host and its socket: bound, served, ended in order.
//!
//! Who stops it and what is printed is the caller's: [`crate::serve`] and `hotbay dev`.
//! Connections are let in by `door`; what is read from one and written to it is watched by `line`.

mod door;
mod files;
mod line;

use std::{future::Future, io, net::SocketAddr, time::Duration};

use tokio::net::TcpListener;

use crate::{
    app::{App, AppState, StartError},
    config::Config,
    tasks::Tasks,
};
use door::Door;

/// How long answers may go on once the server was told to stop; then streams are cut.
const ANSWERS: Duration = Duration::from_secs(2);
/// How long cut connections may take to go away.
const CONNECTIONS: Duration = Duration::from_secs(1);

/// A host that can be reached once it runs.
pub struct Server {
    app: AppState,
    listener: TcpListener,
    address: SocketAddr,
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
        config.limits.connections = files::connections(config.limits.connections);
        let app = App::start(config).await?;
        Ok(Self { app, listener, address })
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
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
        let Self { app, listener, .. } = self;
        let connections = Tasks::default();
        let door = Door::new(&app, connections.clone());
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
