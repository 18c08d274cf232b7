//! What the store does in a second: messages of about 500 bytes, each acknowledged when it is
//! on the disk. `cargo bench -p hotbay-tests --bench store`; PostgreSQL is measured too where
//! `HOTBAY_TEST_POSTGRES_URL` names a database, which should be empty.
//!
//! Rows of one table, medians of [`ROUNDS`] rounds that take turns, so what else the machine
//! does falls on all of them. The disk's own `fdatasync` is measured among them.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark: its output is the table")]

use std::{
    fs::File,
    io::{Seek, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use hotbay::{
    store::{Store, StoreSettings},
    tasks::Tasks,
    types::{
        id::{Millis, fresh},
        list::Slice,
        thread::{Direction, MessageQuery, StoredMessage},
    },
};
use hotbay_tests::process;
use serde_json::{json, value::to_raw_value};
use tempfile::TempDir;
use tokio::sync::Mutex;

const ROUNDS: usize = 3;
/// How long each row is measured in a round.
const ROUND: Duration = Duration::from_secs(2);

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
enum Load {
    /// Writes of so many clients, committed together as they come.
    Grouped(usize),
    /// Writes of so many clients, each in a commit of its own.
    OneByOne(usize),
    /// One message by its id, by one client.
    Point,
    /// A page of 40 in the middle of a long thread, by one client.
    Page,
}

/// What came of a round.
#[derive(Clone, Copy)]
struct Round {
    per_second: f64,
    commits_per_second: f64,
    /// The process's CPU time for each, in microseconds: the clients are in it.
    cpu_us: f64,
    typical: Duration,
    late: Duration,
}

#[tokio::main]
async fn main() {
    // `cargo test --benches` must not take half a minute.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let home = TempDir::new().unwrap();
    println!(
        "{:<44} {:>10} {:>10} {:>8} {:>8} {:>10} {:>10}",
        "", "per s", "commits/s", "rows/c", "CPU us", "p50", "p99"
    );
    measure("sqlite", &home, None).await;
    match postgres() {
        Some(url) => measure("postgres", &home, Some(url)).await,
        None => println!("postgres: not measured, HOTBAY_TEST_POSTGRES_URL is not set"),
    }
}

#[expect(clippy::disallowed_methods, reason = "not the host: where the server is")]
fn postgres() -> Option<String> {
    std::env::var("HOTBAY_TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty())
}

async fn measure(name: &str, home: &TempDir, url: Option<String>) {
    let data = home.path().join(name);
    std::fs::create_dir(&data).unwrap();
    let (store, writer) = Store::open(&StoreSettings { data, url, fault: None }).await.unwrap();
    let tasks = Tasks::default();
    if let Some(writer) = writer {
        tasks.spawn("store-writer", |cancel| writer.run(cancel));
    }
    let loads = [
        ("1 client", Load::Grouped(1)),
        ("32 clients", Load::Grouped(32)),
        ("32 clients, one row a commit", Load::OneByOne(32)),
        ("128 clients", Load::Grouped(128)),
        ("read one message", Load::Point),
        ("read a page of 40", Load::Page),
    ];
    let thread = fresh();
    let ids: Vec<String> = (0..2000).map(|number| format!("{thread}-{number:05}")).collect();
    let history = ids.iter().map(|id| message(id.clone(), &thread)).collect();
    store.messages().save(history, None).await.unwrap();

    let mut syncs = Vec::new();
    let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); loads.len()];
    for _ in 0..ROUNDS {
        syncs.push(fdatasync(home));
        for ((_, load), rounds) in loads.iter().zip(&mut rounds) {
            rounds.push(run(&store, *load, &thread, &ids).await);
        }
    }
    let sync = median(syncs, |sync| sync.typical.as_secs_f64());
    println!(
        "{:<44} {:>10.0} {:>10} {:>8} {:>8.1} {:>10.2?} {:>10.2?}",
        "fdatasync of the same disk", sync.per_second, "", "", sync.cpu_us, sync.typical, sync.late
    );
    let mut rates = Vec::new();
    for ((what, load), rounds) in loads.iter().zip(rounds) {
        let round = median(rounds, |round| round.per_second);
        let (commits, grouped) = match load {
            Load::Point | Load::Page => (String::new(), String::new()),
            Load::Grouped(_) | Load::OneByOne(_) => (
                format!("{:.0}", round.commits_per_second),
                format!("{:.1}", round.per_second / round.commits_per_second),
            ),
        };
        println!(
            "{:<44} {:>10.0} {commits:>10} {grouped:>8} {:>8.1} {:>10.2?} {:>10.2?}",
            format!("{name}: {what}"),
            round.per_second,
            round.cpu_us,
            round.typical,
            round.late
        );
        rates.push(round.per_second);
    }
    println!("{:<44} {:>10.1}", format!("{name}: 32 clients together / one by one"), rates[1] / rates[2]);
    tasks.shut_down(Duration::from_secs(10)).await;
    store.close().await;
}

async fn run(store: &Store, load: Load, thread: &str, ids: &[String]) -> Round {
    let before = store.statistics();
    let (began, cpu) = (Instant::now(), cpu_time());
    let took = match load {
        Load::Grouped(clients) => write(store, clients, None).await,
        Load::OneByOne(clients) => write(store, clients, Some(Arc::default())).await,
        Load::Point => {
            read(async |turn| {
                let id = ids[turn * 7 % ids.len()].clone();
                assert_eq!(store.messages().get(&[id]).await.unwrap().len(), 1);
            })
            .await
        }
        Load::Page => {
            let slice = Slice { offset: 1000, limit: 40 };
            let query = MessageQuery { slice, ..MessageQuery::all(thread, Direction::Ascending) };
            read(async |_| assert_eq!(store.messages().list(&query).await.unwrap().entries.len(), 40)).await
        }
    };
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_time() - cpu);
    let after = store.statistics();
    round(took, seconds, cpu, after.commits - before.commits)
}

/// The CPU time this process has used.
fn cpu_time() -> Duration {
    process::cpu_time(std::process::id()).unwrap()
}

/// Has clients write one message after the other; with `turns`, only one of them at a time.
async fn write(store: &Store, clients: usize, turns: Option<Arc<Mutex<()>>>) -> Vec<Duration> {
    let tasks = Tasks::default();
    let end = Instant::now() + ROUND;
    let clients = (0..clients).map(|_| {
        let (store, turns) = (store.clone(), turns.clone());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        tasks.spawn("client", move |_| async move {
            let thread = fresh();
            let mut took = Vec::new();
            while Instant::now() < end {
                let began = Instant::now();
                let _turn = match &turns {
                    Some(turns) => Some(turns.lock().await),
                    None => None,
                };
                store.messages().save(vec![message(fresh(), &thread)], None).await.unwrap();
                took.push(began.elapsed());
            }
            sender.send(took).unwrap();
        });
        receiver
    });
    let clients: Vec<_> = clients.collect();
    join_all(clients).await.into_iter().flat_map(Result::unwrap).collect()
}

async fn read(mut once: impl AsyncFnMut(usize)) -> Vec<Duration> {
    let end = Instant::now() + ROUND / 2;
    let mut took = Vec::new();
    while Instant::now() < end {
        let began = Instant::now();
        once(took.len()).await;
        took.push(began.elapsed());
    }
    took
}

fn message(id: String, thread: &str) -> StoredMessage {
    let text = "The sky is clear and the wind is weak. ".repeat(9);
    let content = json!({"format": 2, "parts": [{"type": "text", "text": text}], "content": "about the weather"});
    StoredMessage {
        id,
        thread_id: thread.to_owned(),
        resource_id: Some("somebody".to_owned()),
        role: "user".to_owned(),
        kind: "v2".to_owned(),
        content: to_raw_value(&content).unwrap(),
        created_at: Millis::now(),
    }
}

/// Appends a page and waits for the disk, again and again.
fn fdatasync(home: &TempDir) -> Round {
    let mut file = File::create(home.path().join("sync")).unwrap();
    let mut took = Vec::new();
    let (began, cpu) = (Instant::now(), cpu_time());
    while began.elapsed() < ROUND / 2 {
        // Over the same megabyte, as a log that is written again and again.
        if took.len() % 256 == 0 {
            file.rewind().unwrap();
        }
        let one = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        took.push(one.elapsed());
    }
    round(took, began.elapsed().as_secs_f64(), cpu_time() - cpu, 0)
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn round(mut took: Vec<Duration>, seconds: f64, cpu: Duration, commits: u64) -> Round {
    took.sort_unstable();
    Round {
        per_second: took.len() as f64 / seconds,
        commits_per_second: commits as f64 / seconds,
        cpu_us: cpu.as_secs_f64() * 1e6 / took.len() as f64,
        typical: took[took.len() / 2],
        late: took[took.len() * 99 / 100],
    }
}

fn median(mut rounds: Vec<Round>, by: impl Fn(&Round) -> f64) -> Round {
    rounds.sort_by(|one, other| by(one).total_cmp(&by(other)));
    rounds[rounds.len() / 2]
}
