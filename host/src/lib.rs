//! Hotbay (architecture follows).

pub mod cli;
pub mod config;

pub mod app;
pub mod server;
pub mod tasks;

pub mod http;

pub mod engine;
pub mod services;

pub mod model;
pub mod plugin;

pub mod types;

mod scaffold;
mod signals;

use std::net::SocketAddr;

pub use server::ServeError;
use server::Server;

/// Serves until SIGINT or SIGTERM, then ends in order; a second signal ends at once.
///
/// Prints one line to standard output, `listening on http://ADDRESS`, once plugins are
/// loaded and requests are answered. Nothing else goes there.
///
/// # Errors
///
/// If the address is taken, a directory cannot be used, or the socket fails.
pub async fn serve(config: config::Config) -> Result<(), ServeError> {
    // Listened for first: a signal while plugins load ends the host just as well.
    let stop = signals::asked_to_stop();
    let mut stop = std::pin::pin!(stop);
    let server = tokio::select! {
        server = Server::bind(config) => server?,
        () = &mut stop => return Ok(()),
    };
    announce(server.address());
    server.run(stop).await
}

#[expect(clippy::print_stdout, reason = "the line other programs wait for")]
pub(crate) fn announce(address: SocketAddr) {
    println!("listening on http://{address}");
}
