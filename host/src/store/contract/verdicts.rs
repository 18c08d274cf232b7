//! Scores and feedback.

use crate::store::{
    Store, StoreError,
    verdicts::{Verdict, VerdictKind, VerdictOrder, VerdictQuery},
};

fn verdict(id: &str, at: i64) -> Verdict {
    Verdict {
        kind: VerdictKind::Score,
        id: id.to_owned(),
        about: "quality".to_owned(),
        trace_id: Some("t".to_owned()),
        span_id: None,
        organization_id: None,
        resource_id: Some("ada".to_owned()),
        at,
        arrival: format!("arrival-{id}"),
        document: format!("{{\"id\":\"{id}\"}}"),
    }
}

async fn ids(store: &Store, query: &VerdictQuery) -> Vec<String> {
    let mut ids = Vec::new();
    let verdicts = store.verdicts();
    let read = verdicts.read(query, |verdict| {
        ids.push(verdict.id);
        true
    });
    read.await.unwrap();
    ids
}

fn all(order: VerdictOrder) -> VerdictQuery {
    VerdictQuery::all(VerdictKind::Score, order)
}

pub(super) async fn a_verdict_is_stored_once_and_comes_back_whole(store: &Store) {
    let verdicts = store.verdicts();
    verdicts.put(&verdict("a", 1)).await.unwrap();
    let other = Verdict { about: "ä".to_owned(), trace_id: None, at: i64::MAX, ..verdict("a", 2) };
    verdicts.put(&other).await.unwrap();
    assert_eq!(verdicts.get(VerdictKind::Score, "a").await.unwrap(), Some(other));
    assert_eq!(verdicts.get(VerdictKind::Feedback, "a").await.unwrap(), None, "it is of another kind");
    assert_eq!(ids(store, &all(VerdictOrder::Oldest)).await, ["a"]);
}

pub(super) async fn verdicts_are_read_in_order_however_many_there_are(store: &Store) {
    let mut expected: Vec<(i64, String)> = (0..1003_i64).map(|n| (n % 7, format!("{:04}", n * 37 % 1003))).collect();
    for (at, id) in &expected {
        store.verdicts().put(&verdict(id, *at)).await.unwrap();
    }
    let of = |all: &[(i64, String)]| all.iter().map(|(_, id)| id.clone()).collect::<Vec<_>>();
    expected.sort_unstable();
    assert_eq!(ids(store, &all(VerdictOrder::Oldest)).await, of(&expected));
    let some = VerdictQuery { from: Some(2), to: Some(3), ..all(VerdictOrder::Oldest) };
    let inside: Vec<_> = expected.iter().filter(|(at, _)| (2..=3).contains(at)).cloned().collect();
    assert_eq!(ids(store, &some).await, of(&inside));
    expected.reverse();
    assert_eq!(ids(store, &all(VerdictOrder::Newest)).await, of(&expected));
    expected.sort_unstable_by(|(_, left), (_, right)| left.cmp(right));
    assert_eq!(ids(store, &all(VerdictOrder::Arrival)).await, of(&expected));
    let late = VerdictQuery { after: Some("arrival-1000".to_owned()), ..all(VerdictOrder::Arrival) };
    assert_eq!(ids(store, &late).await, ["1001", "1002"]);
}

pub(super) async fn verdicts_are_found_by_what_they_are_about(store: &Store) {
    let verdicts = store.verdicts();
    verdicts.put(&verdict("a", 1)).await.unwrap();
    verdicts.put(&Verdict { about: "speed".to_owned(), ..verdict("b", 2) }).await.unwrap();
    verdicts.put(&Verdict { trace_id: Some("u".to_owned()), ..verdict("c", 3) }).await.unwrap();
    verdicts.put(&Verdict { span_id: Some("s".to_owned()), ..verdict("d", 4) }).await.unwrap();
    verdicts.put(&Verdict { kind: VerdictKind::Feedback, ..verdict("e", 5) }).await.unwrap();
    let about = |about: &[&str]| {
        let about = about.iter().map(|it| (*it).to_owned()).collect();
        VerdictQuery { about: Some(about), ..all(VerdictOrder::Oldest) }
    };
    assert_eq!(ids(store, &about(&["speed"])).await, ["b"]);
    assert_eq!(ids(store, &about(&["speed", "quality"])).await, ["a", "b", "c", "d"]);
    assert!(ids(store, &about(&[])).await.is_empty());
    let of_trace = VerdictQuery { trace_id: Some("t".to_owned()), ..all(VerdictOrder::Newest) };
    assert_eq!(ids(store, &of_trace).await, ["d", "b", "a"]);
    let of_span = VerdictQuery { span_id: Some("s".to_owned()), ..of_trace };
    assert_eq!(ids(store, &of_span).await, ["d"]);
}

pub(super) async fn verdicts_of_others_are_not_deleted(store: &Store) {
    let verdicts = store.verdicts();
    verdicts.put(&verdict("a", 1)).await.unwrap();
    verdicts.put(&Verdict { resource_id: Some("bob".to_owned()), ..verdict("b", 2) }).await.unwrap();
    verdicts.put(&Verdict { kind: VerdictKind::Feedback, ..verdict("a", 3) }).await.unwrap();
    let both = ["a".to_owned(), "b".to_owned()];
    verdicts.delete(VerdictKind::Score, &[], None, None).await.unwrap();
    verdicts.delete(VerdictKind::Score, &both, Some("somebody else's"), None).await.unwrap();
    assert_eq!(ids(store, &all(VerdictOrder::Oldest)).await, ["a", "b"]);
    verdicts.delete(VerdictKind::Score, &both, None, Some("bob")).await.unwrap();
    assert_eq!(ids(store, &all(VerdictOrder::Oldest)).await, ["a"]);
    verdicts.delete(VerdictKind::Score, &both, None, None).await.unwrap();
    assert!(ids(store, &all(VerdictOrder::Oldest)).await.is_empty());
    assert!(verdicts.get(VerdictKind::Feedback, "a").await.unwrap().is_some());
}

pub(super) async fn a_verdict_is_changed_by_one_of_two(store: &Store) {
    let verdicts = store.verdicts();
    let before = verdict("a", 1);
    verdicts.put(&before).await.unwrap();
    verdicts.change(&before, "1").await.unwrap();
    assert!(matches!(verdicts.change(&before, "2").await, Err(StoreError::NotFound(_))));
    assert_eq!(verdicts.get(VerdictKind::Score, "a").await.unwrap().unwrap().document, "1");
}
