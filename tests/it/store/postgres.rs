//! A PostgreSQL that dies under a host and comes back. `HOTBAY_TEST_POSTGRES_PROGRAMS` names
//! the directory of its programs; the server is the test's own.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use hotbay_tests::{TestHost, eventually};
use sqlx::{AnyConnection, Connection};
use tempfile::TempDir;

use super::{NOTICE, assert_no_panic, ledger::Ledger, until_not_ready, until_ready};

const NOBODY: u32 = 65534;

/// A server that ends with the test.
struct Server {
    home: TempDir,
    port: u16,
    running: Option<Child>,
}

impl Server {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { home, port: free, running: None };
        if server.is_root() {
            std::os::unix::fs::chown(server.home.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut initdb = server.program("initdb");
        initdb.args(["-U", "hotbay", "-A", "trust", "-E", "UTF8", "--locale=C", "-D"]).arg(server.data());
        let done = initdb.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        server
    }

    fn is_root(&self) -> bool {
        fs::metadata("/proc/self").unwrap().uid() == 0
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn url(&self) -> String {
        format!("postgres://hotbay@127.0.0.1:{}/postgres", self.port)
    }

    #[expect(clippy::disallowed_methods, reason = "not the host: where PostgreSQL's programs are")]
    fn program(&self, name: &str) -> Command {
        const VARIABLE: &str = "HOTBAY_TEST_POSTGRES_PROGRAMS";
        let programs = std::env::var_os(VARIABLE).unwrap_or_else(|| panic!("{VARIABLE} was set when this was built"));
        let mut command = Command::new(PathBuf::from(programs).join(name));
        command.current_dir(self.home.path());
        if self.is_root() {
            // They refuse to run as root.
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Starts it and waits until it answers.
    async fn start(&mut self) {
        let mut postgres = self.program("postgres");
        postgres.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]).args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ]);
        let log = File::options().create(true).append(true).open(self.home.path().join("log")).unwrap();
        self.running = Some(postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        sqlx::any::install_default_drivers();
        eventually(NOTICE, async || AnyConnection::connect(&self.url()).await.ok()).await;
    }

    /// Ends it at once, and with it every process it has started: as a crash of its machine would.
    async fn kill(&mut self) {
        let mut postgres = self.running.take().unwrap();
        postgres.kill().unwrap();
        postgres.wait().unwrap();
        // Its children end when they find it gone; until then they hold what the next one needs.
        eventually(NOTICE, async || {
            let mut processes = fs::read_dir("/proc").unwrap().flatten();
            let is_left = processes
                .any(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|directory| directory == self.data()));
            (!is_left).then_some(())
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(postgres) = &mut self.running {
            postgres.kill().ok();
            postgres.wait().ok();
        }
    }
}

#[tokio::test]
async fn killed_server_is_told_and_found_again() {
    let mut server = Server::new();
    server.start().await;
    let host = TestHost::builder().argument("--database-url").argument(&server.url()).start().await.unwrap();
    until_ready(&host).await;
    assert!(!host.data_dir().join("hotbay.db").exists());
    Ledger::begin(&host).await.unwrap();
    let mut ledger = Ledger::default();
    for number in 0..20 {
        assert_eq!(ledger.save(&host, &format!("before {number}")).await.unwrap().0, 200);
    }
    server.kill().await;
    let (status, error) = ledger.save(&host, "while it is gone").await.unwrap();
    assert_eq!((status, error.as_str()), (503, "the store is not available; try again"));
    let reason = until_not_ready(&host, "no connection to the database").await;
    assert!(reason.contains("refused"), "{reason}");
    server.start().await;
    until_ready(&host).await;
    assert_eq!(ledger.save(&host, "after").await.unwrap().0, 200);
    assert_eq!(ledger.check(&host).await, 21);
    assert_no_panic(&host.log());
}

#[tokio::test]
async fn server_that_does_not_answer_is_named_at_the_start() {
    let mut server = Server::new();
    let url = format!("{}?application_name=x", server.url().replace("hotbay@", "hotbay:secret@"));
    let error = TestHost::builder().argument("--database-url").argument(&url).start().await.unwrap_err();
    let message = format!("{error:#}");
    assert!(message.contains("PostgreSQL cannot be used") && message.contains("refused"), "{message}");
    assert!(!message.contains("secret"), "{message}");
    server.start().await;
    let url = server.url().replace("/postgres", "/nothing");
    let error = TestHost::builder().argument("--database-url").argument(&url).start().await.unwrap_err();
    let message = format!("{error:#}");
    assert!(message.contains("does not exist") && message.contains("check the database's URL"), "{message}");
}
