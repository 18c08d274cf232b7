//! How an operator ends the host.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for SIGINT or SIGTERM. From then on a second one ends the process at once.
pub(crate) async fn asked_to_stop() {
    let (Some(mut interrupt), Some(mut terminate)) = (listen(SignalKind::interrupt()), listen(SignalKind::terminate()))
    else {
        // The system's own handling of signals is still there.
        return std::future::pending().await;
    };
    either(&mut interrupt, &mut terminate).await;
    #[expect(clippy::disallowed_methods, reason = "must outlive whatever hangs, so nobody owns it")]
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        #[expect(clippy::exit, reason = "the operator asked twice and does not want to wait")]
        std::process::exit(130);
    });
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn listen(kind: SignalKind) -> Option<Signal> {
    signal(kind).inspect_err(|error| tracing::warn!(%error, "cannot listen for signals")).ok()
}
