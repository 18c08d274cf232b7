//! `hotbay dev` as a developer uses it: save, and the answer changes; break it, and it does not.

use std::{fs, path::Path, time::Duration};

use hotbay_tests::{cargo, dev_host::DevHost, eventually, http::Outgoing};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A build on a busy machine; all tests that build plugins wait for each other.
const BUILT: Duration = Duration::from_secs(300);

async fn words(host: &DevHost) -> Value {
    let answer = host.send(Outgoing::post("/api/tools/counter-in-dev/execute", &json!({ "data": { "text": "a b" } })));
    answer.await["words"].clone()
}

async fn until_words(host: &DevHost, expected: u64) {
    eventually(BUILT, || async { (words(host).await == expected).then_some(()) }).await;
}

async fn generation(host: &DevHost) -> Value {
    let plugin = host.send(Outgoing::get("/api/plugins/counter-in-dev")).await;
    assert_eq!(plugin["state"], "serving", "{plugin:#}");
    plugin["generation"].clone()
}

fn save(directory: &Path, code: &str) {
    fs::write(directory.join("src/lib.rs"), code).unwrap();
}

#[tokio::test]
async fn saved_source_is_swapped_in_and_a_broken_one_is_not() {
    let home = TempDir::new().unwrap();
    let directory = cargo::new_plugin(home.path(), "counter-in-dev", "tool");
    let code = fs::read_to_string(directory.join("src/lib.rs")).unwrap();
    let adding = |number: u32| {
        let changed = code.replace("split_whitespace().count()", &format!("split_whitespace().count() + {number}"));
        assert_ne!(changed, code);
        changed
    };
    let mut host = DevHost::start(&directory, BUILT).await;
    assert_eq!((words(&host).await, generation(&host).await), (json!(2), json!(1)));

    save(&directory, &adding(40));
    until_words(&host, 42).await;
    assert_eq!(generation(&host).await, 2);

    save(&directory, &format!("{}\nfn broken() -> u32 {{ \"no number\" }}\n", adding(50)));
    host.until_log("what was built before goes on serving", BUILT).await;
    assert!(host.log().contains("mismatched types"), "{}", host.log());
    assert_eq!((words(&host).await, generation(&host).await), (json!(42), json!(2)));

    save(&directory, &adding(70));
    until_words(&host, 72).await;
    assert_eq!(generation(&host).await, 3);
    assert_eq!(host.interrupt(Duration::from_secs(15)).await.code(), Some(0), "{}", host.log());
}

/// Says who it is, and then takes longer than the test.
const STUCK_BUILD: &str = r#"
fn main() {
    std::fs::write("pid.partial", std::process::id().to_string()).unwrap();
    std::fs::rename("pid.partial", "pid").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(300));
}
"#;

#[tokio::test]
async fn interrupted_build_leaves_no_process_behind() {
    let home = TempDir::new().unwrap();
    let directory = cargo::new_plugin(home.path(), "stuck-in-dev", "tool");
    fs::write(directory.join("build.rs"), STUCK_BUILD).unwrap();
    let mut host = DevHost::spawn(&directory);
    let script = eventually(BUILT, || async { fs::read_to_string(directory.join("pid")).ok() }).await;
    let cargo = parent(&script).expect("the build script runs");
    assert_eq!(parent(&cargo).as_deref(), Some(host.process_id().to_string().as_str()), "cargo is the host's child");
    assert_eq!(host.interrupt(Duration::from_secs(15)).await.code(), Some(0), "{}", host.log());
    for process in [script, cargo] {
        eventually(Duration::from_secs(10), || async { parent(&process).is_none().then_some(()) }).await;
    }
}

/// The parent of a process, if that still runs.
fn parent(process: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned());
    // One that ended stays listed until its parent asks how.
    if field("State:")?.starts_with('Z') { None } else { field("PPid:") }
}
