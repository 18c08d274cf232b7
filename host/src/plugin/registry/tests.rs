use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use futures::future::BoxFuture;
use hotbay_plugin::manifest::Manifest;
use serde_json::json;

use super::*;
use crate::{
    plugin::{
        call::{Call, CallError, Instance, Reply, ReplyKind, Target},
        generation::{DrainDeadlines, Identity},
        in_flight::InFlightGuard,
    },
    types::plugin::GenerationState,
};

/// Answers with its number, and notices when it is called after its shutdown.
struct Numbered {
    number: u64,
    down: Arc<AtomicBool>,
}

impl Instance for Numbered {
    fn call(&self, _: Target, _: Call, guard: InFlightGuard) -> BoxFuture<'static, Result<Reply, CallError>> {
        let (number, down) = (self.number, Arc::clone(&self.down));
        Box::pin(async move {
            let _guard = guard;
            assert!(!down.load(Ordering::SeqCst), "called after the shutdown");
            tokio::task::yield_now().await;
            assert!(!down.load(Ordering::SeqCst), "shut down while a call was running");
            Ok(Reply { kind: ReplyKind::Value, body: number.to_string().into(), meta: vec![], vectors: vec![] })
        })
    }

    fn shutdown(&self, _: Duration) -> BoxFuture<'static, ()> {
        let down = Arc::clone(&self.down);
        Box::pin(async move { down.store(true, Ordering::SeqCst) })
    }
}

fn generation(plugin: &str, number: u64, manifest: serde_json::Value) -> Arc<Generation> {
    let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
    let identity = Identity {
        plugin: plugin.into(),
        number,
        hash: "".into(),
        file: "plugin.so".into(),
        size: 0,
        manifest: Arc::new(manifest),
    };
    Generation::with_instance(identity, Arc::new(Numbered { number, down: Arc::default() }))
}

fn offer(plugin: &str, manifest: serde_json::Value) -> Offer {
    Offer::new(&generation(plugin, 1, manifest)).expect("an offer")
}

const DEADLINES: DrainDeadlines = DrainDeadlines {
    calls: Duration::from_secs(20),
    streams: Duration::from_secs(20),
    shutdown: Duration::from_secs(5),
};

#[test]
fn entries_come_by_plugin_then_as_declared() {
    let (registry, mut offers) = (Registry::default(), Offers::default());
    let put = |offers: &mut Offers, plugin: &str, tools: serde_json::Value| {
        offers.put(&registry, &plugin.into(), offer(plugin, json!({"tools": tools}))).expect("no conflict");
    };
    put(&mut offers, "b", json!([{"id": "z"}, {"id": "y"}]));
    put(&mut offers, "a", json!([{"id": "x"}]));
    let snapshot = registry.snapshot();
    let ids: Vec<&str> = snapshot.tools.iter().map(|tool| &*tool.id).collect();
    assert_eq!(ids, ["x", "z", "y"]);
    assert_eq!(&**snapshot.tools.get("y").expect("there").generation.plugin(), "b");
    assert!(snapshot.tools.get("w").is_none());
    assert_eq!(snapshot.version, 2);
}

#[test]
fn a_name_of_another_plugin_is_refused_and_both_are_named() {
    let (registry, mut offers) = (Registry::default(), Offers::default());
    let first = offer("first", json!({"agents": [{"id": "helper"}]}));
    offers.put(&registry, &"first".into(), first).expect("alone");
    let second = offer("second", json!({"agents": [{"id": "helper"}]}));
    let error = offers.put(&registry, &"second".into(), second).expect_err("taken");
    assert_eq!(error.code, LoadCode::Conflict);
    for word in ["`helper`", "`first`", "`second`"] {
        assert!(error.message.contains(word), "{error}");
    }
    assert_eq!(registry.snapshot().plugins.len(), 1);
}

#[tokio::test]
async fn an_old_snapshot_keeps_its_generation_from_being_retired() {
    let (registry, mut offers) = (Registry::default(), Offers::default());
    let name: Arc<str> = "p".into();
    let tool = json!({"tools": [{"id": "t"}]});
    let first = generation("p", 1, tool.clone());
    offers.put(&registry, &name, Offer::new(&first).expect("an offer")).expect("alone");
    let held = registry.snapshot();
    let old = offers.put(&registry, &name, offer("p", tool)).expect("a swap").expect("the former");
    let retiring = old.retire(DEADLINES);
    let mut retiring = std::pin::pin!(retiring);
    assert!(futures::poll!(retiring.as_mut()).is_pending());
    assert_eq!(old.state(), GenerationState::Draining);
    let call = held.tools.get("t").expect("there").generation.call(Target::Tool("t".into()), Call::default());
    assert_eq!(call.await.expect("still serves").body, b"1");
    drop(held);
    retiring.await;
    assert_eq!(old.state(), GenerationState::Retired);
    let late = old.call(Target::Tool("t".into()), Call::default()).await;
    assert!(matches!(late, Err(CallError::Unavailable { .. })), "{late:?}");
}

/// The generation a tool is called on, by what the call belongs to.
fn serving(registry: &Registry, tool: &str, run: &str) -> Option<u64> {
    registry.snapshot_for(&Route::of_run(run)).tools.get(tool).map(|tool| tool.generation.number())
}

fn numbered(plugin: &str, number: u64, manifest: serde_json::Value) -> Offer {
    Offer::new(&generation(plugin, number, manifest)).expect("an offer")
}

/// Serves generation 1 of `p` with the tools a and b, and tries 2 with b and c on half of the calls.
fn trial() -> (Registry, Offers) {
    let (registry, mut offers) = (Registry::default(), Offers::default());
    let old = json!({"tools": [{"id": "a"}, {"id": "b"}], "vectorStores": [{"name": "v"}]});
    offers.put(&registry, &"p".into(), numbered("p", 1, old)).expect("alone");
    let new = json!({"tools": [{"id": "b"}, {"id": "c"}], "vectorStores": [{"name": "v"}, {"name": "w"}]});
    offers.try_out(&registry, &"p".into(), numbered("p", 2, new), 50.0).expect("it serves");
    (registry, offers)
}

#[test]
fn a_name_of_one_build_alone_is_there_for_those_who_have_that_build_and_nobody_loses_one() {
    let (registry, _offers) = trial();
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..100 {
        let run = format!("run-{number}");
        let found = ["a", "b", "c"].map(|tool| serving(&registry, tool, &run));
        assert_eq!(found, ["a", "b", "c"].map(|tool| serving(&registry, tool, &run)), "it stays where it is");
        seen.insert(found);
        let snapshot = registry.snapshot_for(&Route::of_run(&run));
        let store = |name: &str| snapshot.vector_stores.get(name).map(|store| store.generation.number());
        assert_eq!(store("v"), Some(1), "data stays with the build that has it");
        assert_eq!(store("w"), found[2], "a new store comes with its build");
    }
    assert_eq!(seen, [[Some(1), Some(1), None], [Some(1), Some(2), Some(2)]].into());
    assert_eq!(registry.snapshot().tools.get("b").expect("there").generation.number(), 1);
}

#[test]
fn a_trial_ends_with_one_build_for_all() {
    let (registry, mut offers) = trial();
    assert_eq!(offers.end_trial(&registry, "p").expect("there is one").number(), 2);
    assert!((0..100).all(|run| serving(&registry, "b", &run.to_string()) == Some(1)));
    assert!(offers.end_trial(&registry, "p").is_none());
    let (registry, mut offers) = trial();
    assert_eq!(offers.promote(&registry, &"p".into()).expect("there is one").number(), 1);
    assert!((0..100).all(|run| serving(&registry, "b", &run.to_string()) == Some(2)));
    assert!(registry.snapshot().tools.get("a").is_none());
}

#[test]
fn trials_of_several_plugins_mix_and_a_fourth_is_refused() {
    let (registry, mut offers) = (Registry::default(), Offers::default());
    let tool = |plugin: &str| json!({"tools": [{"id": plugin}]});
    for plugin in ["p", "q", "r", "s"] {
        offers.put(&registry, &plugin.into(), numbered(plugin, 1, tool(plugin))).expect("alone");
        let tried = offers.try_out(&registry, &plugin.into(), numbered(plugin, 2, tool(plugin)), 50.0);
        assert_eq!(tried.map_err(|error| error.code), if plugin == "s" { Err(LoadCode::State) } else { Ok(()) });
    }
    let runs = (0..500).map(|run| run.to_string());
    let seen: std::collections::BTreeSet<_> =
        runs.map(|run| ["p", "q", "r", "s"].map(|tool| serving(&registry, tool, &run))).collect();
    assert_eq!(seen.len(), 8, "each caller has a mixture: {seen:?}");
    assert_eq!(registry.snapshots_for(&Route::of_run("x")).len(), 8);
}

#[test]
fn a_name_of_another_plugin_is_refused_to_a_trial_and_a_name_of_a_trial_to_another_plugin() {
    let (registry, mut offers) = trial();
    let taken = offers.put(&registry, &"q".into(), offer("q", json!({"tools": [{"id": "c"}]})));
    assert_eq!(taken.expect_err("c is being tried").code, LoadCode::Conflict);
    offers.put(&registry, &"q".into(), offer("q", json!({"tools": [{"id": "d"}]}))).expect("free");
    let taken = offers.try_out(&registry, &"p".into(), offer("p", json!({"tools": [{"id": "d"}]})), 5.0);
    assert_eq!(taken.expect_err("d is q's").code, LoadCode::Conflict);
}

/// Many threads look up and call while one swaps as fast as it can: no call fails, none
/// reaches a generation that was shut down.
#[test]
fn no_call_is_lost_or_late_while_generations_are_swapped() {
    const SWAPS: u64 = if cfg!(miri) { 5 } else { 300 };
    let registry = Arc::new(Registry::default());
    let mut offers = Offers::default();
    let name: Arc<str> = "p".into();
    let tool = json!({"tools": [{"id": "t"}]});
    let first = generation("p", 0, tool.clone());
    offers.put(&registry, &name, Offer::new(&first).expect("an offer")).expect("alone");
    drop(first);
    let done = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicU64::new(0));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (registry, done, calls) = (Arc::clone(&registry), Arc::clone(&done), Arc::clone(&calls));
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
                while !done.load(Ordering::SeqCst) {
                    let snapshot = registry.snapshot();
                    let tool = snapshot.tools.get("t").expect("always there");
                    let call = tool.generation.call(Target::Tool("t".into()), Call::default());
                    runtime.block_on(call).expect("no call fails");
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    for number in 1..=SWAPS {
        let next = Offer::new(&generation("p", number, tool.clone())).expect("an offer");
        let old = offers.put(&registry, &name, next).expect("a swap").expect("the former");
        runtime.block_on(old.retire(DEADLINES));
        assert_eq!(old.in_flight(), 0);
    }
    done.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.join().expect("no caller saw a failure");
    }
    assert!(calls.load(Ordering::Relaxed) > 0);
}
