//! Plugins in processes of their own: what a fault costs, what is left of a process, what it may use. How
//! one begins and ends is in [`ending`].

mod ending;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use hotbay::{
    plugin::{
        PluginChange,
        call::{Call, CallError},
        settings::{Isolation, PluginOptions, PluginSettings, RestartSettings},
    },
    types::plugin::{BreakerState, PluginState, PluginStatus},
};
use hotbay_tests::plugin_host::{PluginHost, artifact, build_of, eventually, hostile, isolate, put};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// As often as one likes, without a break.
const TIRELESS: RestartSettings = RestartSettings {
    delay: Duration::ZERO,
    longest_delay: Duration::ZERO,
    settled: Duration::from_secs(3600),
    crashes: usize::MAX,
    window: Duration::ZERO,
    rest: Duration::ZERO,
    patience: Duration::from_secs(20),
};

/// A plugin whose tools are faults.
fn faulty(name: &str, build: &str) -> Vec<u8> {
    hostile(&json!({"name": name, "build": build, "prefix": "bad:", "faults": true}))
}

/// A host of one plugin that is bad and, in the host's own process, one that is good.
async fn host(name: &str, change: impl FnOnce(&Path, &mut PluginSettings)) -> PluginHost {
    PluginHost::start_with(|directory, settings| {
        put(directory, "bad.so", &faulty(name, "1"));
        put(directory, "good.so", &build_of("good", "1"));
        isolate(Isolation::Process, directory, settings);
        settings.plugins.entry("good".into()).or_default().isolation = Some(Isolation::Inline);
        settings.restart = TIRELESS;
        change(directory, settings);
    })
    .await
}

fn options<'a>(name: &str, settings: &'a mut PluginSettings) -> &'a mut PluginOptions {
    settings.plugins.entry(name.into()).or_default()
}

/// The ids of the processes that run a plugin.
fn processes(name: &str) -> Vec<u32> {
    let is_runner = |id: &u32| {
        let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let arguments: Vec<_> = arguments.split(|byte| *byte == 0).collect();
        arguments.windows(2).any(|them| them == [b"plugin-runner", format!("--plugin={name}").as_bytes()])
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).filter(is_runner).collect()
}

async fn until_gone(process: u32) {
    eventually("the process is gone and reaped", || (!Path::new(&format!("/proc/{process}")).exists()).then_some(()))
        .await;
}

fn process(status: &PluginStatus) -> u32 {
    status.process.as_ref().and_then(|process| process.pid).expect("it has a process")
}

async fn others_answer(host: &PluginHost) {
    for number in 0..5 {
        assert_eq!(host.tool("good:echo", json!(number)).await.expect("others answer")["output"], number);
    }
}

fn how(error: &CallError) -> &str {
    match error {
        CallError::Crashed { how, .. } => how,
        other => panic!("not a crash: {other:?}"),
    }
}

fn kill(process: u32) {
    let process = nix::unistd::Pid::from_raw(process.cast_signed());
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).expect("it is there");
}

/// Commits a fault and checks what the call is told, and that everything else goes on.
async fn check_fault(fault: &str, input: Value, told: &str) {
    let name = format!("fault-{fault}");
    let host = host(&name, |_, settings| options(&name, settings).limits.memory = 256 << 20).await;
    let first = process(&host.plugins.get(&name).expect("listed"));
    assert_eq!(processes(&name), [first]);
    let mut events = host.plugins.subscribe();
    let other = host.tool("bad:sleep", json!({"ms": 60_000}));
    let fatal = async {
        let error = host.tool(&format!("bad:{fault}"), input).await.expect_err("it cannot answer");
        others_answer(&host).await;
        error
    };
    let (other, error) = tokio::join!(other, fatal);
    assert!(how(&error).contains(told), "{error}");
    assert!(error.to_string().starts_with(&format!("plugin `{name}` crashed (")), "{error}");
    assert!(how(&other.expect_err("it was in the same process")).contains(told));
    assert!(!error.is_retryable() && error.code() == "E_PLUGIN_CRASHED");
    assert_eq!(host.tool("bad:echo", json!(1)).await.expect("it is back")["output"], 1);
    until_gone(first).await;
    let event = events.recv().await.expect("it is told");
    assert!(matches!(event.change, PluginChange::Crashed { generation: 1, how } if how.contains(told)));
    let status = host.plugins.get(&name).expect("listed");
    let crashed = status.process.clone().expect("has a process");
    assert_eq!((status.state, crashed.crashes, crashed.restarts), (PluginState::Serving, 1, 1));
    assert_ne!(process(&status), first);
    host.plugins.shutdown(Duration::from_secs(1)).await;
    assert_eq!(processes(&name), [0; 0]);
}

#[tokio::test]
async fn invalid_memory_access_costs_the_calls_in_its_process() {
    check_fault("segv", json!({}), "signal 11, invalid memory access").await;
}

#[tokio::test]
async fn access_beyond_a_file_costs_the_calls_in_its_process() {
    check_fault("bus", json!({}), "signal 7").await;
}

#[tokio::test]
async fn abort_costs_the_calls_in_its_process() {
    check_fault("abort", json!({}), "signal 6, abort").await;
}

#[tokio::test]
async fn exit_costs_the_calls_in_its_process() {
    check_fault("exit", json!({"code": 0}), "exit code 0").await;
}

#[tokio::test]
async fn stack_overflow_costs_the_calls_in_its_process() {
    check_fault("overflow", json!({}), "stack overflow").await;
}

#[tokio::test]
async fn memory_is_bounded_and_asking_for_more_costs_the_calls_in_its_process() {
    check_fault("oom", json!({}), "signal 6, no more memory").await;
}

#[tokio::test]
async fn bytes_that_are_no_frame_cost_the_calls_in_its_process() {
    check_fault("garbage", json!({}), "what makes no sense").await;
}

#[tokio::test]
async fn a_frame_that_is_too_long_costs_the_calls_in_its_process() {
    check_fault("oversize", json!({}), "longer than").await;
}

#[tokio::test]
async fn an_answer_to_no_call_costs_the_calls_in_its_process() {
    check_fault("forge", json!({}), "is not in it").await;
}

#[tokio::test]
async fn hanging_up_costs_the_calls_in_its_process() {
    check_fault("hang_up", json!({}), "").await;
}

#[tokio::test]
async fn more_chunks_than_there_is_credit_for_end_the_process() {
    let host = host("flood", |_, _| {}).await;
    let (sink, _chunks) = mpsc::channel(1);
    let call = Call { sink: Some(sink), ..Call::default() };
    // Nobody reads: the call waits for its reader, and the fault is seen all the same.
    let call = host.raw("bad:flood", call);
    let seen = host.until("flood", "it crashed", |status| status.process.as_ref().is_some_and(|it| it.crashes == 1));
    tokio::select! {
        _ = call => panic!("its first chunk was not read"),
        status = seen => assert!(status.process.unwrap().last_crash.unwrap().contains("more chunks than it may")),
    }
    others_answer(&host).await;
}

#[tokio::test]
async fn an_endless_loop_is_killed_a_grace_after_its_deadline_and_others_may_try_again() {
    let host = host("spinning", |_, _| {}).await;
    let first = process(&host.plugins.get("spinning").unwrap());
    let other = host.tool("bad:sleep", json!({"ms": 60_000}));
    let spin = host.raw("bad:spin", Call { deadline: Some(Duration::from_millis(100)), ..Call::default() });
    let (other, spun) = tokio::join!(other, spin);
    assert!(matches!(spun, Err(CallError::TimedOut { .. })), "{spun:?}");
    let other = other.expect_err("it was in the same process");
    assert!(how(&other).contains("a cancelled call did not return") && other.is_retryable(), "{other}");
    host.tool("bad:echo", json!(1)).await.expect("it is back");
    until_gone(first).await;
    others_answer(&host).await;
}

#[tokio::test]
async fn a_call_that_ends_within_the_grace_costs_nothing() {
    let host = host("late", |_, settings| settings.stuck_grace = Duration::from_secs(10)).await;
    let first = process(&host.plugins.get("late").unwrap());
    let block = Call { body: br#"{"ms": 300}"#.to_vec(), deadline: Some(Duration::from_millis(50)), ..Call::default() };
    host.raw("bad:block", block).await.expect_err("times out");
    host.until("late", "nothing in flight", |status| status.generations[0].in_flight == 0).await;
    assert_eq!(process(&host.plugins.get("late").unwrap()), first);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_an_error_of_its_call_alone() {
    let host = host("huge", |_, _| {}).await;
    let first = process(&host.plugins.get("huge").unwrap());
    let error = host.tool("bad:huge", json!({"bytes": 100_000_000})).await.expect_err("too long");
    assert!(matches!(&error, CallError::Failed { .. }) && error.to_string().contains("answer in parts"), "{error}");
    let error =
        host.raw("bad:echo", Call { body: vec![b' '; 65 << 20], ..Call::default() }).await.expect_err("too long");
    assert_eq!(error.code(), "E_INPUT");
    host.tool("bad:echo", json!(1)).await.expect("it goes on");
    assert_eq!(process(&host.plugins.get("huge").unwrap()), first);
}

#[tokio::test]
async fn calls_that_may_be_repeated_say_so_when_their_process_crashes() {
    let bytes = hostile(&json!({"name": "again", "prefix": "bad:", "faults": true, "idempotent": true}));
    let host = PluginHost::start_with(|directory, settings| {
        put(directory, "bad.so", &bytes);
        isolate(Isolation::Process, directory, settings);
    })
    .await;
    let error = host.tool("bad:abort", json!({})).await.expect_err("crashes");
    assert!(error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn no_process_can_be_started_unless_it_is_allowed() {
    let host = host("lonely", |_, _| {}).await;
    let answer = host.tool("bad:fork_bomb", json!({})).await.expect("it is refused, not killed");
    assert_eq!(answer["output"]["made"], 0, "{answer}");
    assert!(answer["output"]["error"].as_str().unwrap().contains("not permitted"), "{answer}");
    let error = host.tool("bad:spawn", json!({})).await.expect_err("refused");
    assert!(error.to_string().contains("not permitted"), "{error}");
    // Threads are no processes.
    host.tool("bad:sleep", json!({"ms": 1})).await.expect("it starts a thread for this");
}

#[tokio::test]
async fn processes_that_are_allowed_end_with_the_one_that_started_them() {
    let host = host("parent", |_, settings| options("parent", settings).limits.processes = true).await;
    assert_eq!(host.tool("bad:spawn", json!({})).await.unwrap()["output"], "hello\n");
    let left = host.tool("bad:leave_child", json!({})).await.unwrap()["output"].as_u64().unwrap() as u32;
    host.tool("bad:abort", json!({})).await.expect_err("crashes");
    until_gone(left).await;
    let left = host.tool("bad:leave_child", json!({})).await.unwrap()["output"].as_u64().unwrap() as u32;
    host.plugins.shutdown(Duration::from_secs(1)).await;
    until_gone(left).await;
}

#[tokio::test]
async fn open_files_are_bounded_and_calls_go_on_without_any_left() {
    // With the least of everything that can be set.
    let host = host("leaky", |_, settings| {
        let limits = &mut options("leaky", settings).limits;
        (limits.open_files, limits.memory) = (16, 32 << 20);
    })
    .await;
    let answer = host.tool("bad:leak_files", json!({})).await.unwrap();
    assert!((5..16).contains(&answer["output"]["leaked"].as_u64().unwrap()), "{answer}");
    assert!(answer["output"]["error"].as_str().unwrap().contains("Too many open files"), "{answer}");
    host.tool("bad:echo", json!(1)).await.expect("a call needs no descriptor");
}

#[tokio::test]
async fn a_process_has_nothing_of_the_hosts_but_what_it_is_given() {
    let host = host("bare", |_, settings| {
        let options = options("bare", settings);
        options.env.insert("GIVEN".into(), "by the operator".into());
        options.limits.memory = 300 << 20;
        options.limits.open_files = 77;
        options.limits.cpu = Some(Duration::from_secs(55));
    })
    .await;
    let seen = host.tool("bad:surroundings", json!({})).await.unwrap()["output"].take();
    assert_eq!(seen["environment"], json!({"GIVEN": "by the operator"}));
    let directory = seen["directory"].as_str().unwrap();
    assert!(directory.ends_with("data/plugins/work/bare"), "{directory}");
    assert_eq!(seen["noNewPrivileges"], true);
    let limits = seen["limits"].as_str().unwrap();
    let limit =
        |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(limit("Max data size")[3], (300 << 20).to_string());
    assert_eq!(limit("Max open files")[3], "77");
    assert_eq!(limit("Max cpu time")[3], "55");
    assert_eq!(limit("Max core file size")[4], "0");
    let open: Vec<&str> = seen["open"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let of = |kind: &str| open.iter().filter(|it| it.starts_with(kind)).count();
    // The connection twice, to read and to write; what it prints to; what is read to see this.
    assert_eq!((of("socket:"), of("pipe:"), of("/dev/null")), (2, 2, 1), "{open:?}");
    // Where its threads sleep, and what wakes them.
    assert_eq!((of("anon_inode:[eventpoll]"), of("anon_inode:[eventfd]")), (1, 1), "{open:?}");
    assert_eq!(open.len(), 8, "{open:?}");
}

#[tokio::test]
async fn a_process_killed_from_outside_is_back_before_anybody_can_tell() {
    let host = host("struck", |_, _| {}).await;
    let mut slowest = Duration::ZERO;
    for round in 1..=5 {
        let running =
            host.until("struck", "it runs", |status| status.process.as_ref().is_some_and(|it| it.pid.is_some()));
        kill(process(&running.await));
        // Until the host has noticed, a call may go into the process that is no more.
        host.until("struck", "noticed", |status| status.process.as_ref().is_some_and(|it| it.crashes == round)).await;
        let began = Instant::now();
        host.tool("bad:echo", json!(1)).await.expect("it waits for the next process");
        slowest = slowest.max(began.elapsed());
    }
    println!("from a crash that was noticed to an answer: {slowest:?} at most");
    let status = host.plugins.get("struck").unwrap().process.unwrap();
    assert_eq!(status.last_crash.as_deref(), Some("signal 9, killed"));
}

#[tokio::test]
async fn a_host_that_was_upgraded_under_its_feet_starts_processes_all_the_same() {
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("hotbay");
    fs::copy(artifact("hotbay"), &program).unwrap();
    let host = host("upgraded", |_, settings| settings.probe_exe.clone_from(&program)).await;
    fs::remove_file(&program).unwrap();
    fs::write(&program, "another version").unwrap();
    host.tool("bad:abort", json!({})).await.expect_err("crashes");
    host.tool("bad:echo", json!(1)).await.expect("it is back");
}

#[tokio::test]
async fn too_many_crashes_open_the_breaker_and_a_reload_closes_it() {
    let host = host("breaking", |_, settings| {
        settings.restart =
            RestartSettings { crashes: 3, delay: Duration::from_millis(1), ..RestartSettings::default() };
    })
    .await;
    for _ in 0..3 {
        let error = host.tool("bad:abort", json!({})).await.expect_err("crashes");
        assert!(matches!(error, CallError::Crashed { .. }), "{error}");
    }
    let breaker = |status: &PluginStatus| status.process.as_ref().map(|process| process.breaker);
    let status = host.until("breaking", "open", |status| breaker(status) == Some(BreakerState::Open)).await;
    assert_eq!(status.process.unwrap().pid, None);
    let error = host.tool("bad:echo", json!(1)).await.expect_err("nothing is started");
    assert!(matches!(&error, CallError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("crashed too often") && error.to_string().contains("plugin reload breaking"));
    others_answer(&host).await;
    host.plugins.reload("breaking").await.expect("a fresh generation");
    assert_eq!(host.tool("bad:echo", json!(1)).await.expect("answers")["output"], 1);
    let status = host.plugins.get("breaking").unwrap();
    assert_eq!((breaker(&status), status.generation), (Some(BreakerState::Closed), Some(2)));
}

#[tokio::test]
async fn an_open_breaker_lets_one_process_show_that_it_is_well() {
    let rest = Duration::from_millis(300);
    let host = host("resting", |_, settings| {
        settings.restart = RestartSettings { crashes: 1, rest, ..RestartSettings::default() };
    })
    .await;
    let until = |what: &'static str, wanted: BreakerState| {
        host.until("resting", what, move |status| status.process.as_ref().is_some_and(|it| it.breaker == wanted))
    };
    host.tool("bad:abort", json!({})).await.expect_err("crashes");
    until("half-open", BreakerState::HalfOpen).await;
    // One that crashes before it has answered anything is not well.
    let running = host.until("resting", "it runs", |status| status.process.as_ref().is_some_and(|it| it.pid.is_some()));
    kill(process(&running.await));
    until("open again", BreakerState::Open).await;
    until("half-open again", BreakerState::HalfOpen).await;
    host.until("resting", "it runs", |status| status.process.as_ref().is_some_and(|it| it.pid.is_some())).await;
    host.tool("bad:echo", json!(1)).await.expect("answers");
    until("closed", BreakerState::Closed).await;
}

#[tokio::test]
async fn a_thousand_faults_in_a_row_leave_nothing_behind() {
    let faults = option_env!("HOTBAY_TEST_FAULTS").map_or(1_000, |count| count.parse().expect("a number"));
    let host = host("thousandth", |_, _| {}).await;
    let began = Instant::now();
    let (mut others, mut slowest) = (0, Duration::ZERO);
    for number in 0..faults {
        let fault = ["segv", "abort", "exit", "garbage", "overflow"][number % 5];
        let error = host.tool(&format!("bad:{fault}"), json!({})).await.expect_err("crashes");
        assert!(matches!(error, CallError::Crashed { .. }), "{number}: {error}");
        let crashed = Instant::now();
        assert_eq!(host.tool("bad:echo", json!(number)).await.expect("it is back")["output"], number);
        slowest = slowest.max(crashed.elapsed());
        host.tool("good:echo", json!(number)).await.expect("others answer");
        others += 1;
    }
    println!("{faults} faults in {:?}; back within {slowest:?}", began.elapsed());
    assert_eq!(others, faults);
    let status = host.plugins.get("thousandth").unwrap().process.unwrap();
    assert_eq!((status.crashes, status.restarts), (faults as u64, faults as u64));
    eventually("one process is left", || (processes("thousandth").len() == 1).then_some(())).await;
}

#[tokio::test]
async fn faults_under_load_cost_others_nothing() {
    let host = host("loaded", |_, _| {}).await;
    let load = async {
        for round in 0..50 {
            let calls = (0..20).map(|number| host.tool("good:echo", json!(round * 100 + number)));
            for answer in futures::future::join_all(calls).await {
                answer.expect("others answer");
            }
        }
    };
    let faults = async {
        for _ in 0..15 {
            let crowd = (0..10).map(|_| host.tool("bad:sleep", json!({"ms": 5_000})));
            let crowd = futures::future::join_all(crowd);
            let (crowd, fault) = tokio::join!(crowd, host.tool("bad:segv", json!({})));
            assert!(fault.is_err() && crowd.iter().all(Result::is_err));
        }
    };
    tokio::join!(load, faults);
    assert_eq!(host.plugins.get("good").unwrap().generations[0].errors, 0);
}
