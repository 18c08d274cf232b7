//! When something is to be done next.

use serde_json::Value;

use super::runs::insert;
use crate::{
    store::{
        Store,
        runs::{Change, Lease, Progress},
        schedules::Definition,
    },
    types::run::RunStatus,
};

async fn take(store: &Store, run_id: &str, until: i64) {
    insert(store, run_id, "w", None, 1).await;
    let before = store.runs().get(run_id).await.unwrap().unwrap();
    store.runs().claim(&before, Lease { owner: "h", until }, &Change::default(), 1).await.unwrap();
}

async fn wait(store: &Store, run_id: &str, wake_at: i64) {
    let fence = store.runs().get(run_id).await.unwrap().unwrap().fence;
    let status = Some(RunStatus::Waiting);
    let progress = Progress { status, wake_at: Some(Some(wake_at)), release: true, ..Progress::default() };
    store.runs().advance(run_id, fence, progress, 1).await.unwrap();
}

pub(super) async fn runs_are_next_looked_for_when_they_wake_or_a_lease_ends(store: &Store) {
    let next = async |now| store.runs().next_wake(now).await.unwrap();
    assert_eq!(next(1).await, None);
    insert(store, "nobody began it", "w", None, 1).await;
    assert_eq!(next(1).await, None);
    take(store, "driven", 100).await;
    take(store, "waits", 10).await;
    wait(store, "waits", 50).await;
    take(store, "waits longer", 10).await;
    wait(store, "waits longer", 200).await;
    // Then it is one nobody drives, and at no time before.
    for (now, expected) in [(1, Some(50)), (49, Some(50)), (50, Some(101)), (100, Some(101)), (101, Some(200))] {
        assert_eq!(next(now).await, expected, "at {now}");
    }
    // What was to go on before and did not is no reason to look at once, again and again.
    assert_eq!(next(200).await, None);
    let run_ids = async |now| {
        let found = store.runs().abandoned(&["w"], now, 0, 9).await.unwrap();
        found.into_iter().map(|run| run.run_id).collect::<Vec<_>>()
    };
    assert_eq!(run_ids(49).await, Vec::<String>::new());
    assert_eq!(run_ids(50).await, ["waits"]);
    assert_eq!(run_ids(100).await, ["waits"]);
    assert_eq!(run_ids(101).await, ["waits", "driven"]);
    assert_eq!(run_ids(200).await, ["waits", "waits longer", "driven"]);
}

pub(super) async fn schedules_are_next_due_at_a_time_to_come(store: &Store) {
    let schedules = store.schedules();
    let next = async |now| schedules.next_due(now).await.unwrap();
    assert_eq!(next(0).await, None);
    let definition = Definition { cron: "* * * * *".to_owned(), timezone: None, input: Value::Null };
    for (id, next_at) in [("early", Some(10)), ("late", Some(20)), ("never", None)] {
        schedules.put(id, "w", &definition, next_at, 1).await.unwrap();
    }
    for (now, expected) in [(9, Some(10)), (10, Some(20)), (20, None)] {
        assert_eq!(next(now).await, expected, "at {now}");
    }
    schedules.set_paused("late", true, Some(20), 1).await.unwrap();
    assert_eq!(next(10).await, None);
}
