//! An address that stays while what is behind it comes and goes.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// Passes connections on to a server, if there is one; ends them if there is none.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    target: watch::Sender<Option<SocketAddr>>,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Listens on a free port, with nothing behind it.
    ///
    /// # Errors
    ///
    /// If there is no port.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (target, seen) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(pass(listener, seen));
        Ok(Self { address, target, _tasks: tasks })
    }

    /// Says what is behind it from now on. Connections to what was before end.
    pub fn lead_to(&self, target: Option<SocketAddr>) {
        self.target.send_replace(target);
    }

    /// Returns its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn pass(listener: TcpListener, seen: watch::Receiver<Option<SocketAddr>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((mut incoming, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let mut seen = seen.clone();
        let Some(target) = *seen.borrow_and_update() else { continue };
        connections.spawn(async move {
            let Ok(mut outgoing) = TcpStream::connect(target).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut incoming, &mut outgoing) => {}
                _ = seen.changed() => {}
            }
        });
    }
}
