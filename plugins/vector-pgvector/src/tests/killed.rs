//! A server that dies in the middle and comes back. `HOTBAY_TEST_PGVECTOR_PROGRAMS` names the directory of its
//! programs; the server is the test's own.

use std::{
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use hotbay_plugin::{
    error::code,
    testing::TestHost,
    vector_store::{Entry, Metric, Query, Upsert},
};
use serde_json::json;
use tempfile::TempDir;

use super::{ids, open, variable};

const NOBODY: u32 = 65534;

/// A server that ends with the test.
struct Server {
    home: TempDir,
    port: u16,
}

impl Server {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if home.path().metadata().unwrap().uid() == 0 {
            chown(home.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let server = Self { home, port };
        server.run("initdb", &["-U", "hotbay", "-A", "trust", "-E", "UTF8", "--locale=C"]);
        server
    }

    fn start(&self) {
        let options = format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories=", self.port);
        let log = self.home.path().join("log");
        self.run("pg_ctl", &["-w", "-l", log.to_str().unwrap(), "-o", &options, "start"]);
    }

    /// Ends all its processes without a word to anybody; it recovers from its log when it is started again.
    fn kill(&self) {
        self.run("pg_ctl", &["-w", "-m", "immediate", "stop"]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(PathBuf::from(variable("HOTBAY_TEST_PGVECTOR_PROGRAMS")).join(program));
        command.current_dir(self.home.path()).arg("-D").arg(self.home.path().join("data")).args(arguments);
        if self.home.path().metadata().unwrap().uid() == NOBODY {
            // They refuse to run as root.
            command.uid(NOBODY).gid(NOBODY);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().unwrap();
        assert!(status.success(), "{program}: {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.home.path().join("data/postmaster.pid").exists() {
            self.kill();
        }
    }
}

#[test]
fn server_that_is_killed_is_told_and_found_again_with_all_that_was_acknowledged() {
    let server = Server::new();
    let url = format!("postgres://hotbay@127.0.0.1:{}/postgres", server.port);
    let (plugin, store) = open(&TestHost::new(), &json!({ "url": url, "timeout_seconds": 1 }));
    let error = store.list_indexes().unwrap_err();
    assert!(error.code == code::UNAVAILABLE && error.retryable, "before it is started: {error}");
    server.start();
    store.create_index("docs", 2, Metric::Cosine).unwrap();
    let is_over = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut acknowledged, mut failures) = (Vec::new(), 0);
            for number in 0.. {
                let names = [format!("{number}/0"), format!("{number}/1")];
                let entries = names.iter().map(|name| Entry::new(name, vec![1.0, 0.5])).collect();
                match store.upsert(&Upsert::new("docs", entries)) {
                    Ok(_) => acknowledged.extend(names),
                    Err(error) => {
                        assert!(error.code == code::UNAVAILABLE && error.retryable, "{error}");
                        failures += 1;
                    }
                }
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
            (acknowledged, failures)
        });
        for _ in 0..3 {
            let count = || store.describe_index("docs").map(|stats| stats.count);
            let before = count().unwrap_or_default();
            let began = Instant::now();
            while count().is_ok_and(|count| count < before + 20) {
                assert!(began.elapsed() < Duration::from_secs(30), "nothing is written");
            }
            server.kill();
            let error = store.query(&Query::new("docs", vec![1.0, 0.0], 1)).unwrap_err();
            assert!(error.code == code::UNAVAILABLE && error.retryable, "{error}");
            server.start();
            while store.query(&Query::new("docs", vec![1.0, 0.0], 1)).is_err() {
                assert!(began.elapsed() < Duration::from_secs(60), "it does not recover");
            }
        }
        is_over.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    let (acknowledged, failures) = acknowledged;
    let there: std::collections::HashSet<String> = ids(&store, "docs", &[1.0, 0.0], 100_000).into_iter().collect();
    assert!(failures > 0 && acknowledged.len() > 60, "{failures} failures, {} acknowledged", acknowledged.len());
    for name in &acknowledged {
        assert!(there.contains(name), "{name} was acknowledged");
    }
    assert!(there.len().is_multiple_of(2), "a batch is there in part");
    drop(store);
    plugin.shutdown().unwrap();
}
