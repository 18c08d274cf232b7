//! Builds that are tried on a share of the calls. Those that are taken back after a plain swap are in
//! [`guard`], how people direct and see canaries in [`directed`].

mod directed;
mod guard;

use std::{collections::BTreeSet, fs, time::Duration};

use hotbay::{
    plugin::{
        call::Call,
        settings::{CanaryPlan, PluginSettings},
        trust::TrustedKey,
    },
    types::plugin::{CanaryState, GenerationState, PluginState, PluginStatus},
};
use hotbay_tests::plugin_host::{PluginHost, build_of, eventually, hostile, put};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(3600);

/// A build of `p` that does something else when it is asked for an echo.
fn faulty(build: &str, echo: &str) -> Vec<u8> {
    hostile(&doing(build, echo))
}

/// The same, and its calls are given up soon: not for builds that do something, however long it takes.
fn impatient(build: &str, echo: &str) -> Vec<u8> {
    let mut build = doing(build, echo);
    build["timeoutMs"] = json!(50);
    hostile(&build)
}

fn doing(build: &str, echo: &str) -> Value {
    json!({"name": "p", "build": build, "prefix": "p:", "as": {"echo": echo}})
}

fn hash_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

async fn host() -> PluginHost {
    host_with(|_| {}).await
}

async fn host_with(prepare: impl FnOnce(&mut PluginSettings)) -> PluginHost {
    PluginHost::start_with(|directory, settings| {
        put(directory, "p.so", &build_of("p", "A"));
        prepare(settings);
    })
    .await
}

fn half(time: Duration) -> CanaryPlan {
    CanaryPlan { percent: 50.0, time, min_calls: 20 }
}

/// Puts a build into place and waits until it is tried.
async fn try_out(host: &PluginHost, plan: CanaryPlan, bytes: &[u8]) -> PluginStatus {
    host.plugins.canary("p", plan, None).await.expect("it may be tried");
    host.put("p.so", bytes);
    until(host, CanaryState::Trying).await
}

async fn until(host: &PluginHost, state: CanaryState) -> PluginStatus {
    let is_so = |status: &PluginStatus| status.canary.as_ref().is_some_and(|canary| canary.state == state);
    host.until("p", state.as_str(), is_so).await
}

/// The build that answers a run; one that fails is none.
async fn build(host: &PluginHost, run: &str) -> Option<String> {
    let answer = host.tool_in(run, "p:echo", json!(null)).await.ok()?;
    Some(answer["build"].as_str()?.to_owned())
}

/// The builds that answer many runs.
async fn builds(host: &PluginHost) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for run in 0..100 {
        found.extend(build(host, &run.to_string()).await);
    }
    found
}

/// Calls it for one run after the other until the canary is over.
async fn call_until(host: &PluginHost, state: CanaryState) -> PluginStatus {
    let calls = async {
        for run in 0.. {
            // Failures are what some builds are for.
            drop(host.tool_in(&format!("run-{run}"), "p:echo", json!(null)).await);
        }
    };
    tokio::select! {
        () = calls => unreachable!("it calls for ever"),
        status = until(host, state) => status,
    }
}

fn reason(status: &PluginStatus) -> &str {
    status.canary.as_ref().and_then(|canary| canary.reason.as_deref()).expect("a reason")
}

/// Another plugin's file shows that whatever was put before has been looked at.
async fn looked(host: &PluginHost) {
    host.put("q.so", &build_of("q", "1"));
    host.until_state("q", PluginState::Serving).await;
}

#[tokio::test]
async fn a_build_that_is_tried_gets_its_share_and_every_run_stays_where_it_is() {
    let host = host().await;
    let plan = CanaryPlan { percent: 20.0, time: LONG, min_calls: 1 };
    let status = try_out(&host, plan, &build_of("p", "B")).await;
    assert_eq!((status.version.as_str(), status.generation, status.state), ("A", Some(1), PluginState::Serving));
    let canary = status.canary.expect("it is tried");
    assert_eq!((canary.generation, canary.version.as_deref()), (Some(2), Some("B")));
    let mut new = 0;
    for run in 0..500 {
        let run = format!("run-{run}");
        let answered = build(&host, &run).await;
        assert_eq!(answered, build(&host, &run).await, "{run}");
        new += u32::from(answered.as_deref() == Some("B"));
    }
    assert!((60..140).contains(&new), "{new} of 500 are not 20 percent");
    let canary = host.plugins.get("p").and_then(|status| status.canary).expect("it is tried");
    let (new_calls, old_calls) = (canary.new.expect("counted").calls, canary.old.expect("counted").calls);
    assert_eq!((new_calls, new_calls + old_calls), (u64::from(new) * 2, 1000));
    // What belongs to no run is answered by the old build.
    assert_eq!(host.tool("p:echo", json!(null)).await.expect("answers")["build"], "A");
}

#[tokio::test]
async fn a_good_build_is_promoted_by_itself() {
    let host = host().await;
    try_out(&host, half(Duration::from_millis(200)), &build_of("p", "B")).await;
    let status = call_until(&host, CanaryState::Promoted).await;
    assert_eq!((status.version.as_str(), status.generation, &status.last_error), ("B", Some(2), &None));
    assert_eq!(builds(&host).await, ["B".to_owned()].into());
    host.until("p", "A is retired", |status| status.generations[1].state == GenerationState::Retired).await;
    // It is the file's build, so it serves after a restart as well, and can be gone back from.
    host.plugins.rollback("p").await.expect("A served before");
    host.plugins.rollback("p").await.expect("and B");
    let host = host.restart().await;
    assert_eq!(builds(&host).await, ["B".to_owned()].into());
}

#[tokio::test]
async fn a_bad_build_is_rolled_back_and_not_loaded_again_until_its_bytes_change() {
    let host = host().await;
    let bad = faulty("B", "fail");
    try_out(&host, half(LONG), &bad).await;
    let status = call_until(&host, CanaryState::RolledBack).await;
    assert_eq!((status.version.as_str(), status.generation), ("A", Some(1)));
    assert!(reason(&status).contains("calls failed"), "{status:?}");
    assert_eq!(builds(&host).await, ["A".to_owned()].into());
    host.until("p", "the reason", |status| status.last_error.as_ref().is_some_and(|it| it.code == "E_ROLLED_BACK"))
        .await;
    assert_eq!(host.plugins.rollback("p").await.expect_err("B never served").code.as_str(), "E_STATE");
    let host = host.restart().await;
    assert_eq!(builds(&host).await, ["A".to_owned()].into(), "nor after a restart");
    host.put("p.so", &bad);
    looked(&host).await;
    assert_eq!(builds(&host).await, ["A".to_owned()].into());
    host.put("p.so", &build_of("p", "C"));
    host.until("p", "C serves", |status| status.version == "C").await;
}

#[tokio::test]
async fn calls_that_hang_count_as_failed_whether_they_run_out_of_time_or_nobody_waits() {
    let host = host().await;
    try_out(&host, half(LONG), &impatient("B", "pending")).await;
    let status = call_until(&host, CanaryState::RolledBack).await;
    assert!(reason(&status).starts_with("5 of 5 calls failed"), "{status:?}");

    let status = try_out(&host, CanaryPlan { percent: 100.0, ..half(LONG) }, &impatient("C", "pending")).await;
    let snapshot = host.plugins.registry().snapshot_for(&hotbay::plugin::registry::Route::of_run("x"));
    let tool = snapshot.tools.get("p:echo").expect("there");
    assert_eq!(Some(tool.generation.number()), status.canary.expect("tried").generation);
    for _ in 0..5 {
        let target = hotbay::plugin::call::Target::Tool(tool.id.clone());
        let call = tool.generation.call(target, Call { deadline: Some(LONG), ..Call::default() });
        assert!(futures::FutureExt::now_or_never(call).is_none(), "it hangs");
    }
    until(&host, CanaryState::RolledBack).await;
}

#[tokio::test]
async fn a_slow_build_is_rolled_back_at_the_end() {
    let host = host().await;
    // Both are asked to sleep; the new one does it twenty times as long.
    let slow = hostile(&json!({"name": "p", "build": "B", "prefix": "p:", "as": {"sleep": "sleep_long"}}));
    try_out(&host, half(Duration::from_millis(1500)), &slow).await;
    let runs: Vec<String> = (0..100).map(|run| run.to_string()).collect();
    let calls = async {
        loop {
            let all = runs.iter().map(|run| host.tool_in(run, "p:sleep", json!({"ms": 5})));
            assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
        }
    };
    let status = tokio::select! {
        () = calls => unreachable!("it calls for ever"),
        status = until(&host, CanaryState::RolledBack) => status,
    };
    assert!(reason(&status).contains("95 of 100 calls took up to"), "{status:?}");
}

#[tokio::test]
async fn a_build_nobody_called_is_not_promoted() {
    let host = host().await;
    try_out(&host, half(Duration::from_millis(30)), &build_of("p", "B")).await;
    let status = until(&host, CanaryState::RolledBack).await;
    assert_eq!(reason(&status), "it had 0 calls, 20 are needed to judge it");
}

#[tokio::test]
async fn an_abort_lets_calls_under_way_end_where_they_began() {
    let host = host().await;
    try_out(&host, CanaryPlan { percent: 100.0, ..half(LONG) }, &build_of("p", "B")).await;
    let mut call = Box::pin(host.tool_in("run", "p:sleep", json!({"ms": 300})));
    assert!(futures::poll!(call.as_mut()).is_pending());
    host.plugins.abort("p").await.expect("it is tried");
    assert_eq!(builds(&host).await, ["A".to_owned()].into());
    assert_eq!(call.await.expect("it ends well")["build"], "B");
    let status = until(&host, CanaryState::Aborted).await;
    assert_eq!((reason(&status), &status.last_error), ("somebody asked", &None));
    let error = host.plugins.abort("p").await.expect_err("it is over");
    assert_eq!(error.code.as_str(), "E_STATE");
    // Asked for again, the same build is tried at once: its file is there.
    host.plugins.canary("p", half(LONG), None).await.expect("it may be tried");
    let status = until(&host, CanaryState::Trying).await;
    assert_eq!(status.canary.and_then(|canary| canary.version).as_deref(), Some("B"));
}

#[tokio::test]
async fn a_build_that_comes_meanwhile_is_tried_in_its_place_and_the_old_one_ends_it() {
    let host = host().await;
    try_out(&host, half(LONG), &build_of("p", "B")).await;
    host.put("p.so", &build_of("p", "C"));
    let is_c = |status: &PluginStatus| status.canary.as_ref().is_some_and(|it| it.version.as_deref() == Some("C"));
    host.until("p", "C is tried", is_c).await;
    assert_eq!(builds(&host).await, ["A".to_owned(), "C".to_owned()].into());
    host.put("p.so", &build_of("p", "A"));
    let status = until(&host, CanaryState::Aborted).await;
    assert_eq!(status.generation, Some(1), "what serves is not loaded again");
    assert_eq!(builds(&host).await, ["A".to_owned()].into());
}

#[tokio::test]
async fn a_reload_during_a_canary_swaps_in_full() {
    let host = host().await;
    try_out(&host, half(LONG), &build_of("p", "B")).await;
    host.plugins.reload("p").await.expect("it loads");
    let status = until(&host, CanaryState::Aborted).await;
    assert_eq!(status.version, "B");
    assert_eq!(builds(&host).await, ["B".to_owned()].into());
}

#[tokio::test]
async fn a_disabled_plugin_takes_its_canary_along() {
    let host = host().await;
    try_out(&host, half(LONG), &build_of("p", "B")).await;
    host.plugins.disable("p").await.expect("it can be");
    let status = until(&host, CanaryState::Aborted).await;
    assert_eq!(status.state, PluginState::Disabled);
    assert!(host.plugins.registry().snapshot_for(&hotbay::plugin::registry::Route::of_run("x")).tools.is_empty());
    host.until("p", "both are retired", |status| {
        status.generations.iter().all(|generation| generation.state == GenerationState::Retired)
    })
    .await;
    assert_eq!(host.plugins.canary("p", half(LONG), None).await.expect_err("disabled").code.as_str(), "E_STATE");
}

#[tokio::test]
async fn after_a_restart_the_old_build_serves_and_the_new_one_can_be_tried_again() {
    let host = host().await;
    try_out(&host, half(LONG), &build_of("p", "B")).await;
    let host = host.restart().await;
    // The host may have died over it, so the next build is tried, and this one when somebody asks.
    let status = until(&host, CanaryState::Waiting).await;
    assert_eq!(status.version, "A");
    assert_eq!(builds(&host).await, ["A".to_owned()].into());
    host.plugins.canary("p", half(LONG), None).await.expect("it may be tried");
    until(&host, CanaryState::Trying).await;
    assert_eq!(builds(&host).await, ["A".to_owned(), "B".to_owned()].into());
    host.plugins.promote("p").await.expect("it is tried");
    assert_eq!(builds(&host).await, ["B".to_owned()].into());
    let host = host.restart().await;
    assert_eq!(builds(&host).await, ["B".to_owned()].into());
}

#[tokio::test]
async fn what_is_waited_for_is_tried_after_a_restart() {
    let host = host().await;
    let plan = CanaryPlan { percent: 30.5, time: LONG, min_calls: 7 };
    host.plugins.canary("p", plan, None).await.expect("it may be tried");
    let host = host.restart().await;
    let canary = until(&host, CanaryState::Waiting).await.canary.expect("it waits");
    assert_eq!((canary.percent, canary.for_ms, canary.min_calls), (30.5, 3_600_000, 7));
    // One comes while no host is there.
    let host = host.restart_with(|directory, _| drop(put(directory, "p.so", &build_of("p", "B")))).await;
    let status = until(&host, CanaryState::Trying).await;
    let canary = status.canary.expect("it is tried");
    assert_eq!((status.version.as_str(), canary.version.as_deref(), canary.percent), ("A", Some("B"), 30.5));
    assert_eq!(builds(&host).await, ["A".to_owned(), "B".to_owned()].into());
    // The one that is tried is held back, another is tried as if it had come meanwhile.
    let host = host.restart().await;
    until(&host, CanaryState::Waiting).await;
    assert_eq!(builds(&host).await, ["A".to_owned()].into());
    host.put("p.so", &build_of("p", "C"));
    let status = until(&host, CanaryState::Trying).await;
    assert_eq!(status.canary.expect("it is tried").version.as_deref(), Some("C"));
    // What is over is over.
    host.plugins.abort("p").await.expect("it is tried");
    let host = host.restart().await;
    assert_eq!(host.plugins.get("p").expect("listed").canary, None);
    assert_eq!(builds(&host).await, ["A".to_owned()].into());
    host.put("p.so", &build_of("p", "D"));
    host.until("p", "D serves", |status| status.version == "D").await;
}

#[tokio::test]
async fn a_build_that_came_meanwhile_serves_if_the_one_before_does_not_load_any_more() {
    let host = host().await;
    host.plugins.canary("p", half(LONG), None).await.expect("it may be tried");
    let host = host
        .restart_with(|directory, settings| {
            put(directory, "p.so", &build_of("p", "B"));
            let copy = settings.data.join("plugins").join(format!("{}.so", hash_of(&build_of("p", "A"))));
            fs::remove_file(copy).expect("it was kept");
        })
        .await;
    let status = until(&host, CanaryState::Waiting).await;
    assert_eq!(status.version, "B");
    assert_eq!(builds(&host).await, ["B".to_owned()].into());
}

#[tokio::test]
async fn a_build_that_is_trusted_no_longer_does_not_serve_after_a_restart() {
    let keys: [minisign::KeyPair; 2] =
        std::array::from_fn(|_| minisign::KeyPair::generate_unencrypted_keypair().expect("random"));
    let sign = |pair: &minisign::KeyPair, bytes: &[u8]| {
        minisign::sign(None, &pair.sk, bytes, None, None).expect("a signature").to_bytes()
    };
    let trusted = |pair: &minisign::KeyPair| TrustedKey::parse(None, &pair.pk.to_base64()).expect("a key");
    let (a, b) = (build_of("p", "A"), build_of("p", "B"));
    let host = PluginHost::start_with(|directory, settings| {
        settings.trust.keys = vec![trusted(&keys[0])];
        put(directory, "p.so.minisig", &sign(&keys[0], &a));
        put(directory, "p.so", &a);
    })
    .await;
    put(&host.directory, "p.so.minisig", &sign(&keys[0], &b));
    try_out(&host, half(LONG), &b).await;
    let host = host.restart_with(|_, settings| settings.trust.keys = vec![trusted(&keys[0])]).await;
    assert_eq!(builds(&host).await, ["A".to_owned()].into(), "its signature was kept");
    // The first key is withdrawn, and the file's build signed with another one.
    let host = host
        .restart_with(|directory, settings| {
            settings.trust.keys = vec![trusted(&keys[1])];
            put(directory, "p.so.minisig", &sign(&keys[1], &b));
        })
        .await;
    assert_eq!(builds(&host).await, ["B".to_owned()].into());
}

#[tokio::test]
async fn a_build_of_before_can_be_tried_by_its_hash() {
    let host = host().await;
    host.put("p.so", &build_of("p", "B"));
    host.until("p", "B serves", |status| status.version == "B").await;
    let (a, b) = (hash_of(&build_of("p", "A")), hash_of(&build_of("p", "B")));
    for (build, words) in [(b.as_str(), "serves already"), ("", "2 builds"), ("xyz", "0 builds")] {
        let error = host.plugins.canary("p", half(LONG), Some(build)).await.expect_err(build);
        assert!(error.message.contains(words) || build.is_empty(), "{error}");
    }
    host.plugins.canary("p", half(LONG), a.get(..12)).await.expect("it may be tried");
    assert_eq!(builds(&host).await, ["A".to_owned(), "B".to_owned()].into());
    host.plugins.promote("p").await.expect("it is tried");
    let host = host.restart().await;
    assert_eq!(builds(&host).await, ["A".to_owned()].into(), "what was promoted serves, not the file's build");
}

#[tokio::test]
async fn plans_that_make_no_sense_are_refused() {
    let host = host().await;
    for plan in [
        CanaryPlan { percent: 0.0, ..half(LONG) },
        CanaryPlan { percent: 100.5, ..half(LONG) },
        CanaryPlan { percent: f64::NAN, ..half(LONG) },
        half(Duration::ZERO),
        CanaryPlan { min_calls: 0, ..half(LONG) },
    ] {
        let error = host.plugins.canary("p", plan, None).await.expect_err("no sense");
        assert_eq!(error.code.as_str(), "E_STATE", "{plan:?}");
    }
    assert_eq!(
        host.plugins.canary("x", half(LONG), None).await.expect_err("unknown").code.as_str(),
        "E_UNKNOWN_PLUGIN"
    );
    assert_eq!(host.plugins.promote("p").await.expect_err("nothing is tried").code.as_str(), "E_STATE");
}

#[tokio::test]
async fn a_new_build_that_does_not_load_is_told_and_the_next_one_tried() {
    let host = host().await;
    host.plugins.canary("p", half(LONG), None).await.expect("it may be tried");
    host.put("p.so", b"a build that went wrong");
    host.until("p", "the failure", |status| status.last_error.is_some()).await;
    host.put("p.so", &build_of("p", "B"));
    let status = until(&host, CanaryState::Trying).await;
    assert_eq!((status.version.as_str(), status.last_error), ("A", None));
}

#[tokio::test]
async fn old_state_files_are_read() {
    let host = PluginHost::start_with(|directory, settings| {
        put(directory, "p.so", &build_of("p", "A"));
        let copies = settings.data.join("plugins");
        fs::create_dir_all(&copies).expect("writable");
        fs::write(copies.join("state.json"), r#"{"disabled": ["p"]}"#).expect("writable");
    })
    .await;
    assert_eq!(host.plugins.get("p").expect("listed").state, PluginState::Disabled);
    eventually("nothing serves", || host.plugins.registry().snapshot().tools.is_empty().then_some(())).await;
}
