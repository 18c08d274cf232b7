//! Plugins whose processes have control groups: nothing they start gets away, and all of it is limited together.
//!
//! Groups are made where this system has those of version 2 mounted. Where the tests may not make any
//! they show that a host says so.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use hotbay::plugin::settings::{Isolation, PluginSettings};
use hotbay_tests::{
    TestHost,
    plugin_host::{PluginHost, SOON, eventually, hostile, isolate, put},
    wait,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

/// A group of a test's own, removed with what is in it.
struct Group(PathBuf);

impl Group {
    /// Makes one; if this may not be done, shows that a host cannot either.
    async fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mounted = mounted();
        let name = format!("hotbay-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = mounted.clone().map(|mounted| mounted.join(name));
        if let Some(path) = path.filter(|path| fs::create_dir(path).is_ok()) {
            return Some(Self(path));
        }
        let place = mounted.unwrap_or_else(|| "/".into());
        let error = refusal(&place).await;
        assert!(error.contains("isolated_cgroup"), "{error}");
        None
    }

    /// The groups in it, and who is in them.
    fn groups(&self) -> Vec<(PathBuf, Vec<u32>)> {
        let entries = fs::read_dir(&self.0).unwrap().flatten().map(|entry| entry.path());
        let with_processes = |path: PathBuf| {
            let processes = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
            (path, processes.lines().map(|pid| pid.parse().unwrap()).collect())
        };
        entries.filter(|path| path.is_dir()).map(with_processes).collect()
    }

    fn offers(&self, controller: &str) -> bool {
        let offered = fs::read_to_string(self.0.join("cgroup.controllers")).unwrap();
        offered.split_whitespace().any(|offered| offered == controller)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for (path, _) in self.groups() {
            fs::remove_dir(path).unwrap_or_default();
        }
        fs::remove_dir(&self.0).unwrap_or_default();
    }
}

/// Where control groups of version 2 are mounted.
fn mounted() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.find(|mount| mount.get(2) == Some(&"cgroup2")).map(|mount| mount[1].into())
}

/// What a host says that cannot use a directory.
async fn refusal(directory: &Path) -> String {
    let directory = directory.to_str().unwrap();
    let started = TestHost::builder().argument("--isolated-cgroup").argument(directory).start().await;
    started.expect_err("it does not start").to_string()
}

fn bad() -> Vec<u8> {
    hostile(&json!({"name": "bad", "prefix": "bad-", "faults": true}))
}

async fn host(group: Option<&Group>, change: impl FnOnce(&mut PluginSettings)) -> PluginHost {
    PluginHost::start_with(|directory, settings| {
        put(directory, "bad.so", &bad());
        isolate(Isolation::Process, directory, settings);
        settings.isolated_cgroup = group.map(|group| group.0.clone());
        settings.plugins.entry("bad".into()).or_default().limits.processes = true;
        change(settings);
    })
    .await
}

/// Why the plugin does not serve.
fn reason(host: &PluginHost) -> String {
    host.plugins.get("bad").expect("listed").last_error.expect("it was refused").message
}

/// Has the plugin start a process that leaves the group of the plugin's processes. Returns its id.
async fn leave(host: &PluginHost) -> u32 {
    let answer = host.tool("bad-leave_child", json!({"apart": true})).await.expect("it may");
    u32::try_from(answer["output"].as_u64().unwrap()).unwrap()
}

fn is_alive(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Who has ended and was not waited for by its new parent yet is not alive.
    state.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

#[tokio::test]
async fn whoever_left_is_ended_with_the_process_it_was_started_by() {
    let Some(group) = Group::new().await else { return };
    let host = host(Some(&group), |_| {}).await;
    let first = host.plugins.get("bad").unwrap().process.unwrap().pid.unwrap();
    let left = leave(&host).await;
    let groups = group.groups();
    let [(path, processes)] = groups.as_slice() else { panic!("one group, the probe's is gone: {groups:?}") };
    assert!(processes.contains(&first) && processes.contains(&left), "{processes:?}");
    assert!(path.file_name().unwrap().to_str().unwrap().starts_with("bad."), "{path:?}");
    host.tool("bad-abort", json!({})).await.expect_err("it crashes");
    eventually("the one that left ends", || (!is_alive(left)).then_some(())).await;
    host.tool("bad-echo", json!(1)).await.expect("it is back");
    eventually("the group is gone", || (!path.exists()).then_some(())).await;
    // The next one has another.
    let left = leave(&host).await;
    assert!(group.groups().iter().any(|(_, processes)| processes.contains(&left)));
    host.plugins.shutdown(Duration::from_secs(1)).await;
    assert!(!is_alive(left), "nobody is left");
    assert!(group.groups().is_empty(), "nothing is left");
}

#[tokio::test]
async fn without_a_control_group_whoever_left_goes_on() {
    let host = host(None, |_| {}).await;
    let left = leave(&host).await;
    host.tool("bad-abort", json!({})).await.expect_err("it crashes");
    host.tool("bad-echo", json!(1)).await.expect("it is back");
    assert!(is_alive(left), "if it ends the tests above show nothing");
    kill(Pid::from_raw(left.cast_signed()), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn what_a_host_leaves_that_is_killed_is_ended_by_the_next() {
    let Some(group) = Group::new().await else { return };
    let settings = "[plugins.bad.limits]\nprocesses = true\n";
    let builder = TestHost::builder().config_text(settings).isolated();
    let builder = builder.argument("--isolated-cgroup").argument(group.0.to_str().unwrap());
    let mut host = builder.start().await.unwrap();
    put(&host.plugin_dir(), "bad.so", &bad());
    let serves = || async {
        let plugin = host.get_json("/api/plugins/bad").await.unwrap().1;
        (plugin["state"] == "serving").then_some(())
    };
    wait::eventually(SOON, serves).await;
    let body = json!({"data": {"apart": true}});
    let (status, answer) = host.post_json("/api/tools/bad-leave_child/execute", &body).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    let left = u32::try_from(answer["output"].as_u64().unwrap()).unwrap();
    host.kill().unwrap();
    assert!(is_alive(left), "nobody has seen to it");
    let before: Vec<PathBuf> = group.groups().into_iter().map(|(path, _)| path).collect();
    host.restart().await.unwrap();
    assert!(!is_alive(left));
    assert!(!before.is_empty() && before.iter().all(|path| !path.exists()), "{before:?}");
}

#[tokio::test]
async fn all_of_a_plugin_is_limited_together() {
    let Some(group) = Group::new().await else { return };
    let limits = |settings: &mut PluginSettings| {
        let limits = &mut settings.plugins.entry("bad".into()).or_default().limits;
        limits.memory = 400 << 20;
        limits.cpus = Some(250);
    };
    let host = host(Some(&group), limits).await;
    if !group.offers("cpu") {
        let error = reason(&host);
        assert!(error.contains("no `cpu` to offer"), "{error}");
        assert!(group.groups().is_empty(), "what was begun is undone");
        return;
    }
    let groups = group.groups();
    let [(path, _)] = groups.as_slice() else { panic!("{groups:?}") };
    let read = |name: &str| fs::read_to_string(path.join(name)).unwrap().trim().to_owned();
    assert_eq!(read("cpu.max"), "25000 100000");
    if group.offers("pids") {
        assert_eq!(read("pids.max"), "1024");
    }
    if group.offers("memory") {
        assert_eq!(read("memory.max"), (400 << 20).to_string());
        // Each of them may have so much; all of them may not.
        let child = || host.tool("bad-leave_child", json!({"apart": true, "bytes": 250 << 20}));
        child().await.expect("there is room for one");
        let error = child().await.expect_err("there is none for two").to_string();
        assert!(error.contains("signal 9, no more memory"), "{error}");
        host.tool("bad-echo", json!(1)).await.expect("it is back");
        eventually("all of them are gone", || (!path.exists()).then_some(())).await;
    }
    if group.offers("pids") {
        let answer = host.tool("bad-fork_bomb", json!({"count": 3000})).await.unwrap()["output"].take();
        assert!((500..1024).contains(&answer["made"].as_u64().unwrap()), "{answer}");
    }
}

#[tokio::test]
async fn what_is_no_control_group_is_refused_at_the_start() {
    let home = tempfile::TempDir::new().unwrap();
    let error = refusal(home.path()).await;
    assert!(error.contains("no control group of version 2"), "{error}");
    let limits = |settings: &mut PluginSettings| {
        settings.plugins.entry("bad".into()).or_default().limits.cpus = Some(250);
    };
    let error = reason(&host(None, limits).await);
    assert!(error.contains("`limits.cpus` needs the setting `isolated_cgroup`"), "{error}");
}
