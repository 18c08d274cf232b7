//! `hotbay dev` as a child process.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::cargo;
use crate::host::listen;
use crate::http::{Address, Outgoing};
use crate::plugin_host::artifact;
use crate::replay::client;
use crate::wait::eventually;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// `hotbay dev` in a plugin's directory, with data and a log of its own. Ends when dropped.
#[derive(Debug)]
pub struct DevHost {
    home: TempDir,
    child: Child,
    said: Option<oneshot::Receiver<String>>,
    address: Option<Address>,
}

impl DevHost {
    /// Starts it and waits until it answers, which it does once the plugin is built.
    ///
    /// # Panics
    ///
    /// When it does not answer in time.
    pub async fn start(directory: &Path, limit: Duration) -> Self {
        let mut host = Self::spawn(directory);
        let said = host.said.take().expect("it was just started");
        let url = match tokio::time::timeout(limit, said).await {
            Ok(Ok(url)) => url,
            Ok(Err(_)) => panic!("it ended without listening:\n{}", host.log()),
            Err(_) => panic!("it does not listen after {limit:?}:\n{}", host.log()),
        };
        host.address = Some(Address::parse(&url).expect("it prints a URL"));
        host
    }

    /// Starts it and waits for nothing.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(directory: &Path) -> Self {
        let home = TempDir::with_prefix("hotbay-dev-").expect("a temporary directory");
        let log = File::create(home.path().join("log")).expect("writable");
        let mut command = cargo::command(artifact("hotbay"), directory);
        command.args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(home.path().join("data"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("hotbay starts");
        let said = listen(child.stdout.take().expect("its output is piped"));
        Self { home, child, said: Some(said), address: None }
    }

    /// The host's process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// What it, and cargo with it, has written to standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read(self.home.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Waits until a text is in the log.
    ///
    /// # Panics
    ///
    /// When it is not there in time.
    pub async fn until_log(&self, text: &str, limit: Duration) {
        eventually(limit, || async { self.log().contains(text).then_some(()) }).await;
    }

    /// Sends a request and returns the JSON it is answered with.
    ///
    /// # Panics
    ///
    /// When the answer is not a JSON document with status 200.
    pub async fn send(&self, request: Outgoing) -> Value {
        let address = self.address.as_ref().expect("it was waited for");
        let answer = client::send(address, request, LIMIT, None).await;
        assert_eq!(answer.status, Some(200), "{:?} {}\n{}", answer.error, answer.text(), self.log());
        serde_json::from_str(&answer.text()).expect("the answer is JSON")
    }

    /// Sends what Ctrl-C sends, to this process alone, and waits for its end.
    ///
    /// # Panics
    ///
    /// When it runs on beyond the deadline.
    pub async fn interrupt(&mut self, deadline: Duration) -> ExitStatus {
        let sent = Command::new("kill").args(["-INT", &self.process_id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "the process runs");
        let child = &mut self.child;
        eventually(deadline, || std::future::ready(child.try_wait().expect("it is our child"))).await
    }
}

impl Drop for DevHost {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            crate::host::show(&self.log());
        }
    }
}
