//! A host and its socket: bound, served, ended in order.
//!
//! Who stops it and what is printed is the caller's: [`crate::serve`] and `hotbay dev`.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{App, AppState, StartError},
    config::Config,
    http,
};

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
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        let address = config.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })?;
        let address = listener.local_addr().map_err(ServeError::Socket)?;
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
        let stopping = CancellationToken::new();
        let listener = self.listener.tap_io(|socket| {
            // Small pieces of streams must not wait for each other.
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
        });
        let serve = axum::serve(listener, http::router(AppState::clone(&self.app)))
            .with_graceful_shutdown(stopping.clone().cancelled_owned());
        let mut serve = std::pin::pin!(serve.into_future());
        let result = tokio::select! {
            result = &mut serve => result,
            () = stop => {
                tracing::info!("stopping");
                stopping.cancel();
                match tokio::time::timeout(ANSWERS, &mut serve).await {
                    Ok(result) => result,
                    Err(_) => {
                        // Streams end with their token; what still hangs then goes with the server.
                        self.app.tasks.cancel();
                        tokio::time::timeout(CONNECTIONS, &mut serve).await.unwrap_or(Ok(()))
                    }
                }
            }
        };
        self.app.shut_down().await;
        result.map_err(ServeError::Socket)
    }
}
