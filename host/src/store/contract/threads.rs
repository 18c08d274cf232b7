//! Threads, messages, working memory, suspended runs.

use std::time::Instant;

use futures::future::join_all;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    store::{Store, StoreError, SuspendedRow, runs::Lease},
    types::{
        id::{self, Millis},
        list::{Listed, Slice},
        thread::{Direction, MessageQuery, StoredMessage, Thread, ThreadOrder, ThreadQuery, TurnEntries, WorkingScope},
    },
};

pub(super) fn thread(id: &str, owner: &str, at: i64) -> Thread {
    Thread {
        id: id.to_owned(),
        resource_id: owner.to_owned(),
        title: format!("Title of {id}"),
        metadata: None,
        created_at: Millis(at),
        updated_at: Millis(at),
    }
}

pub(super) fn message(id: &str, thread: &str, at: i64) -> StoredMessage {
    let content = json!({"format": 2, "parts": [{"type": "text", "text": id}]});
    StoredMessage {
        id: id.to_owned(),
        thread_id: thread.to_owned(),
        resource_id: Some("u".to_owned()),
        role: "user".to_owned(),
        kind: "v2".to_owned(),
        content: RawValue::from_string(content.to_string()).unwrap(),
        created_at: Millis(at),
    }
}

pub(super) fn turn(thread: &str, appended: Vec<StoredMessage>) -> TurnEntries {
    TurnEntries { thread_id: thread.to_owned(), appended, changed: Vec::new(), space: None }
}

fn all(owner: Option<&str>) -> ThreadQuery {
    ThreadQuery {
        resource_id: owner.map(str::to_owned),
        metadata: Map::new(),
        order: ThreadOrder::CreatedAt,
        direction: Direction::Descending,
        slice: Slice { offset: 0, limit: 100 },
    }
}

async fn ids_of(store: &Store, query: &MessageQuery) -> Vec<String> {
    store.messages().list(query).await.unwrap().entries.into_iter().map(|entry| entry.id).collect()
}

async fn said(store: &Store, thread: &str) -> Vec<String> {
    ids_of(store, &MessageQuery::all(thread, Direction::Ascending)).await
}

async fn total(store: &Store, thread: &str) -> u64 {
    store.messages().list(&MessageQuery::last(thread, 0)).await.unwrap().total
}

pub(super) async fn a_thread_is_replaced_by_one_with_its_id(store: &Store) {
    let threads = store.threads();
    threads.put(&thread("t", "a", 1)).await.unwrap();
    let mut other = thread("t", "b", 2);
    other.metadata = json!({"x": "ä"}).as_object().cloned();
    threads.put(&other).await.unwrap();
    assert_eq!(threads.get("t").await.unwrap(), Some(other));
    assert_eq!(threads.list(&all(None)).await.unwrap().total, 1);
    assert_eq!(threads.list(&all(Some("a"))).await.unwrap().total, 0);
    assert_eq!(threads.list(&all(Some("b"))).await.unwrap().total, 1);
}

pub(super) async fn a_thread_is_created_once(store: &Store) {
    let candidates: Vec<_> = (0..8).map(|n| thread("t", &format!("owner-{n}"), n)).collect();
    let made = join_all(candidates.iter().map(|thread| async move { store.threads().create(thread).await })).await;
    assert_eq!(made.into_iter().filter(|made| *made.as_ref().unwrap()).count(), 1);
    assert_eq!(store.threads().list(&all(None)).await.unwrap().total, 1);
}

pub(super) async fn threads_are_listed_by_time_and_page(store: &Store) {
    let threads = store.threads();
    for (id, at) in [("one", 1), ("two", 2), ("three", 3), ("also-three", 3)] {
        threads.put(&thread(id, "u", at)).await.unwrap();
    }
    threads.update("one", Some("new title"), None).await.unwrap();
    let listed = |order, direction, offset, limit| {
        let query = ThreadQuery { order, direction, slice: Slice { offset, limit }, ..all(Some("u")) };
        async move {
            let listed = threads.list(&query).await.unwrap();
            assert_eq!(listed.total, 4);
            listed.entries.into_iter().map(|thread| thread.id).collect::<Vec<_>>()
        }
    };
    let by_creation = listed(ThreadOrder::CreatedAt, Direction::Descending, 0, 10).await;
    assert_eq!(by_creation, ["three", "also-three", "two", "one"]);
    assert_eq!(listed(ThreadOrder::CreatedAt, Direction::Ascending, 1, 2).await, ["two", "also-three"]);
    assert_eq!(listed(ThreadOrder::UpdatedAt, Direction::Descending, 0, 1).await, ["one"]);
    assert!(listed(ThreadOrder::CreatedAt, Direction::Ascending, 9, 2).await.is_empty());
    assert!(listed(ThreadOrder::CreatedAt, Direction::Ascending, 0, 0).await.is_empty());
}

pub(super) async fn threads_are_found_by_metadata(store: &Store) {
    let threads = store.threads();
    for n in 0..1100_i64 {
        let mut thread = thread(&format!("t-{n:04}"), if n % 2 == 0 { "even" } else { "odd" }, n / 3);
        thread.metadata = json!({"tag": n % 10, "n": n}).as_object().cloned();
        threads.put(&thread).await.unwrap();
    }
    threads.put(&thread("bare", "even", 0)).await.unwrap();
    let tagged = |tag: i64| json!({"tag": tag}).as_object().cloned().unwrap();
    let query = ThreadQuery { metadata: tagged(4), ..all(Some("even")) };
    let listed = threads.list(&query).await.unwrap();
    assert_eq!((listed.total, listed.entries.len()), (110, 100));
    assert_eq!(listed.entries[0].id, "t-1094");
    let query = ThreadQuery { slice: Slice { offset: 100, limit: 100 }, ..query };
    let listed = threads.list(&query).await.unwrap();
    assert_eq!(listed.entries.last().map(|thread| thread.id.as_str()), Some("t-0004"));
    let query = ThreadQuery { metadata: tagged(4), ..all(Some("odd")) };
    assert_eq!(threads.list(&query).await.unwrap().total, 0);
}

pub(super) async fn totals_follow_what_is_written(store: &Store) {
    let (threads, messages) = (store.threads(), store.messages());
    for id in ["t", "other"] {
        threads.put(&thread(id, "u", 1)).await.unwrap();
    }
    messages.save(vec![message("m1", "t", 1), message("m2", "t", 2), message("m3", "other", 3)], None).await.unwrap();
    assert_eq!((total(store, "t").await, total(store, "other").await), (2, 1));
    messages.save(vec![message("m1", "other", 1)], None).await.unwrap();
    assert_eq!((total(store, "t").await, total(store, "other").await), (1, 2));
    messages.remove(&["m2".to_owned(), "m3".to_owned(), "never".to_owned()]).await.unwrap();
    assert_eq!((total(store, "t").await, total(store, "other").await), (0, 1));
    threads.transfer("t", "v", None).await.unwrap();
    assert_eq!(threads.list(&all(Some("u"))).await.unwrap().total, 1);
    assert_eq!(threads.list(&all(Some("v"))).await.unwrap().total, 1);
    threads.remove("other").await.unwrap();
    assert_eq!(threads.list(&all(None)).await.unwrap().total, 1);
    assert_eq!(total(store, "other").await, 0);
    assert!(said(store, "other").await.is_empty());
    assert!(matches!(threads.remove("other").await, Err(StoreError::NotFound(_))));
}

pub(super) async fn parts_claim_no_fewer_threads_or_messages_than_they_show(store: &Store) {
    let grow = async |number: i64| store.threads().put(&thread(&format!("t{number}"), "u", number)).await.unwrap();
    check_while_it_grows(grow, async || store.threads().list(&all(None)).await.unwrap()).await;
    let grow = async |number: i64| {
        store.messages().save(vec![message(&format!("m{number}"), "t0", number)], None).await.unwrap();
    };
    let query = MessageQuery::last("t0", 100);
    check_while_it_grows(grow, async || store.messages().list(&query).await.unwrap()).await;
}

/// Adds to a list and reads it whole meanwhile.
pub(super) async fn check_while_it_grows<T>(grow: impl AsyncFn(i64), whole: impl AsyncFn() -> Listed<T>) {
    let grown = std::cell::Cell::new(false);
    let growing = async {
        for number in 0..100 {
            grow(number).await;
        }
        grown.set(true);
    };
    let reading = async {
        while !grown.get() {
            let part = whole().await;
            assert!(part.total >= part.entries.len() as u64, "{} of {}", part.entries.len(), part.total);
        }
    };
    tokio::join!(growing, reading);
    assert_eq!(whole().await.entries.len(), 100);
}

pub(super) async fn messages_are_saved_in_place_of_those_with_their_ids(store: &Store) {
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    let twice = StoredMessage { role: "assistant".to_owned(), ..message("m1", "t", 9) };
    store.messages().save(vec![message("m1", "t", 1), message("m2", "t", 2), twice], None).await.unwrap();
    assert_eq!(said(store, "t").await, ["m2", "m1"]);
    assert_eq!(total(store, "t").await, 2);
    store.messages().save(Vec::new(), None).await.unwrap();
    let many: Vec<_> = (0..1203).map(|n| message(&format!("n-{n:04}"), "t", 100 + n)).collect();
    store.messages().save(many.clone(), None).await.unwrap();
    store.messages().save(many, None).await.unwrap();
    assert_eq!(total(store, "t").await, 1205);
    assert_eq!(said(store, "t").await.len(), 1205);
    let touched = store.threads().get("t").await.unwrap().unwrap();
    assert!(touched.updated_at > touched.created_at);
}

pub(super) async fn messages_are_listed_both_ways(store: &Store) {
    let entries = (0..5).map(|n| message(&format!("m{n}"), "t", n)).collect();
    store.messages().save(entries, None).await.unwrap();
    assert_eq!(ids_of(store, &MessageQuery::last("t", 2)).await, ["m4", "m3"]);
    let next = MessageQuery { slice: Slice { offset: 2, limit: 2 }, ..MessageQuery::last("t", 2) };
    assert_eq!(ids_of(store, &next).await, ["m2", "m1"]);
    let last = store.messages().last("t", 3).await.unwrap();
    assert_eq!(last.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["m4", "m3", "m2"]);
    let oldest = MessageQuery { slice: Slice { offset: 0, limit: 1 }, ..MessageQuery::all("t", Direction::Ascending) };
    assert_eq!(ids_of(store, &oldest).await, ["m0"]);
    assert!(ids_of(store, &MessageQuery::last("nowhere", 5)).await.is_empty());
}

pub(super) async fn messages_are_filtered(store: &Store) {
    let mut entries: Vec<_> = (0..6).map(|n| message(&format!("m{n}"), "t", n)).collect();
    entries[3].role = "assistant".to_owned();
    let content = json!({"format": 2, "parts": [], "metadata": {"mark": true}});
    entries[4].content = RawValue::from_string(content.to_string()).unwrap();
    store.messages().save(entries, None).await.unwrap();
    let base = MessageQuery::all("t", Direction::Ascending);
    let range = MessageQuery { from: Some(Millis(1)), to: Some(Millis(2)), ..base.clone() };
    let listed = store.messages().list(&range).await.unwrap();
    assert_eq!(listed.total, 2);
    assert_eq!(listed.entries.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["m1", "m2"]);
    let roles = MessageQuery { roles: vec!["assistant".to_owned(), "system".to_owned()], ..base.clone() };
    assert_eq!(ids_of(store, &roles).await, ["m3"]);
    let marked = MessageQuery { metadata: json!({"mark": true}).as_object().cloned().unwrap(), ..base };
    assert_eq!(ids_of(store, &marked).await, ["m4"]);
}

pub(super) async fn messages_are_found_with_their_neighbours(store: &Store) {
    store.messages().save((0..5).map(|n| message(&format!("m{n}"), "t", n / 2)).collect(), None).await.unwrap();
    let around = async |id: &str, before, after| {
        let entries = store.messages().around("t", id, before, after).await.unwrap();
        entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
    };
    assert_eq!(around("m2", 1, 1).await, ["m1", "m2", "m3"]);
    assert_eq!(around("m0", 5, 0).await, ["m0"]);
    assert!(around("m9", 1, 1).await.is_empty());
    assert!(store.messages().around("other", "m1", 1, 1).await.unwrap().is_empty());
    assert_eq!(store.messages().get(&["m1".to_owned(), "m9".to_owned()]).await.unwrap().len(), 1);
    let page = store.messages().search_page("u", Some("t"), Some(&(Millis(1), "m3".to_owned()))).await.unwrap();
    assert_eq!(page.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["m2", "m1", "m0"]);
}

pub(super) async fn a_turn_comes_after_everything_the_thread_has(store: &Store) {
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    store.messages().save(vec![message("late", "t", 1000)], None).await.unwrap();
    let early = turn("t", vec![message("b", "t", 10), message("a", "t", 2000)]);
    store.messages().append(Some(&early), None, None).await.unwrap();
    let listed = store.messages().list(&MessageQuery::all("t", Direction::Ascending)).await.unwrap();
    let placed: Vec<_> = listed.entries.iter().map(|entry| (entry.id.as_str(), entry.created_at.0)).collect();
    assert_eq!(placed, [("late", 1000), ("b", 1001), ("a", 2000)]);
    assert_eq!(listed.total, 3);
}

pub(super) async fn turns_that_end_at_once_do_not_mix(store: &Store) {
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    let turns: Vec<_> = (0..32)
        .map(|n| turn("t", (0..3).map(|part| message(&format!("{n}-{part}"), "t", 1 + part * 5)).collect()))
        .collect();
    let written =
        join_all(turns.iter().map(|turn| async move { store.messages().append(Some(turn), None, None).await })).await;
    assert!(written.iter().all(Result::is_ok));
    let said = said(store, "t").await;
    assert_eq!(said.len(), 96);
    for turn in said.chunks(3) {
        let (n, _) = turn[0].split_once('-').unwrap();
        assert_eq!(turn, [format!("{n}-0"), format!("{n}-1"), format!("{n}-2")]);
    }
    assert_eq!(total(store, "t").await, 96);
}

pub(super) async fn what_was_said_before_is_not_said_twice(store: &Store) {
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    store
        .messages()
        .append(Some(&turn("t", vec![message("q", "t", 1), message("a", "t", 2)])), None, None)
        .await
        .unwrap();
    let again = StoredMessage { role: "assistant".to_owned(), ..message("q", "t", 3) };
    let mut next = turn("t", vec![again, message("q2", "t", 4)]);
    next.changed.push(StoredMessage { content: message("changed", "t", 0).content, ..message("a", "t", 0) });
    next.changed.push(message("never", "t", 0));
    store.messages().append(Some(&next), None, None).await.unwrap();
    let listed = store.messages().list(&MessageQuery::all("t", Direction::Ascending)).await.unwrap();
    assert_eq!(listed.total, 3);
    assert_eq!(listed.entries.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["q", "a", "q2"]);
    assert_eq!(listed.entries[0].role, "user");
    assert!(listed.entries[1].content.get().contains("changed"));
}

pub(super) async fn a_turn_of_a_deleted_thread_is_gone(store: &Store) {
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    store.threads().remove("t").await.unwrap();
    let row = SuspendedRow::new("run".to_owned(), "agent".to_owned(), "{}".to_owned());
    store.messages().append(Some(&turn("t", vec![message("m", "t", 1)])), Some(&row), None).await.unwrap();
    assert!(said(store, "t").await.is_empty());
    assert_eq!(total(store, "t").await, 0);
    assert!(store.suspended().get("run").await.unwrap().is_some());
}

pub(super) async fn a_copy_has_everything_but_the_ids(store: &Store) {
    let threads = store.threads();
    threads.put(&thread("t", "u", 1)).await.unwrap();
    let notes = |_: Option<&str>| Ok::<_, StoreError>("notes".to_owned());
    threads.change_working_memory(&WorkingScope::Thread("t".to_owned()), notes).await.unwrap();
    let copies = [message("c1", "copy", 1), message("c2", "copy", 2)];
    threads.create_copy(&thread("copy", "u", 5), "t", &copies, None).await.unwrap();
    assert_eq!(said(store, "copy").await, ["c1", "c2"]);
    assert_eq!(
        threads.working_memory(&WorkingScope::Thread("copy".to_owned())).await.unwrap().as_deref(),
        Some("notes")
    );
    let again = threads.create_copy(&thread("copy", "u", 5), "t", &[message("c3", "copy", 3)], None).await;
    assert!(matches!(again, Err(StoreError::Conflict(message)) if message == "Thread with id copy already exists"));
    assert_eq!(said(store, "copy").await, ["c1", "c2"]);
    assert_eq!(total(store, "copy").await, 2);
}

pub(super) async fn working_memory_changes_are_not_lost(store: &Store) {
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    for scope in [WorkingScope::Thread("t".to_owned()), WorkingScope::Owner("u".to_owned())] {
        let threads = store.threads();
        assert_eq!(threads.working_memory(&scope).await.unwrap(), None);
        let add = |n: usize| {
            let scope = scope.clone();
            async move {
                let change = |before: Option<&str>| Ok::<_, StoreError>(format!("{}[{n}]", before.unwrap_or_default()));
                store.threads().change_working_memory(&scope, change).await.unwrap();
            }
        };
        join_all((0..4).map(add)).await;
        let text = threads.working_memory(&scope).await.unwrap().unwrap();
        assert!((0..4).all(|n| text.contains(&format!("[{n}]"))), "{text}");
    }
    let nowhere = WorkingScope::Thread("nowhere".to_owned());
    let change = |_: Option<&str>| Ok::<_, StoreError>("x".to_owned());
    assert!(matches!(store.threads().change_working_memory(&nowhere, change).await, Err(StoreError::NotFound(_))));
}

pub(super) async fn of_many_who_claim_a_suspended_run_one_gets_it(store: &Store) {
    let row = waiting();
    store.messages().append(None, Some(&row), None).await.unwrap();
    let read = store.suspended().get("run").await.unwrap().unwrap();
    assert_eq!((read.agent_id.as_str(), read.state.as_str()), ("agent", r#"{"a":1}"#));
    assert!(!read.is_claimed());
    let claim = async || store.suspended().claim(&read, &read.attempt(), LONG).await;
    let claimed = join_all((0..8).map(|_| claim())).await;
    assert_eq!(claimed.iter().filter(|claimed| claimed.is_ok()).count(), 1);
    let held = store.suspended().get("run").await.unwrap().unwrap();
    assert!(held.is_claimed());
    assert!(matches!(store.suspended().claim(&held, &held.attempt(), LONG).await, Err(StoreError::NotFound(_))));
    // It waits again: who read it before has read something else.
    store.messages().append(None, Some(&waiting()), None).await.unwrap();
    assert!(matches!(store.suspended().claim(&read, &read.attempt(), LONG).await, Err(StoreError::NotFound(_))));
    assert!(!store.suspended().get("run").await.unwrap().unwrap().is_claimed());
}

pub(super) async fn a_claimed_run_stays_until_its_end_is_stored(store: &Store) {
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    let (suspended, messages) = (store.suspended(), store.messages());
    messages.append(None, Some(&waiting()), None).await.unwrap();
    let claim = async |lease| {
        let row = suspended.get("run").await.unwrap().unwrap();
        let claim = row.attempt();
        suspended.claim(&row, &claim, lease).await.map(|()| claim)
    };
    // Given back, by its holder or by its host, it can be claimed again; the state is untouched.
    let given_back = claim(LONG).await.unwrap();
    suspended.give_back(&given_back).await.unwrap();
    let left = claim(LONG).await.unwrap();
    suspended.give_back_all("another").await.unwrap();
    assert!(claim(LONG).await.is_err());
    suspended.give_back_all(LONG.owner).await.unwrap();
    // An end that has come is as good, but for those who keep their claim.
    let late = claim(Lease { until: 1, ..LONG }).await.unwrap();
    suspended.keep(&late, LONG).await.unwrap();
    assert!(claim(LONG).await.is_err());
    suspended.keep(&late, Lease { until: 1, ..LONG }).await.unwrap();
    let holder = claim(LONG).await.unwrap();
    assert_eq!(suspended.get("run").await.unwrap().unwrap().state, r#"{"a":1}"#);

    // Of all who had it, only the last one may say what came of it.
    let end = turn("t", vec![message("end", "t", 1)]);
    for former in [&given_back, &left, &late] {
        assert!(matches!(suspended.keep(former, LONG).await, Err(StoreError::NotFound(_))));
        suspended.give_back(former).await.unwrap();
        let refused = messages.append(Some(&end), None, Some(former)).await;
        assert!(matches!(refused, Err(StoreError::NotFound(_))));
    }
    assert!(said(store, "t").await.is_empty());
    assert!(suspended.get("run").await.unwrap().unwrap().is_claimed());
    // It waits once more, for something else.
    messages.append(None, Some(&SuspendedRow { state: "{}".to_owned(), ..waiting() }), Some(&holder)).await.unwrap();
    assert!(messages.append(Some(&end), None, Some(&holder)).await.is_err());
    let again = claim(LONG).await.unwrap();
    messages.append(Some(&end), None, Some(&again)).await.unwrap();
    assert_eq!(said(store, "t").await, ["end"]);
    assert!(suspended.get("run").await.unwrap().is_none());
    suspended.give_back(&again).await.unwrap();
}

/// A lease that does not end during a test.
const LONG: Lease<'_> = Lease { owner: "host", until: i64::MAX };

fn waiting() -> SuspendedRow {
    SuspendedRow::new("run".to_owned(), "agent".to_owned(), json!({"a": 1}).to_string())
}

pub(super) async fn a_suspended_run_is_stored_with_its_turn(store: &Store) {
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    let row = SuspendedRow::new("run".to_owned(), "agent".to_owned(), Value::Null.to_string());
    store.messages().append(Some(&turn("t", vec![message("q", "t", 1)])), Some(&row), None).await.unwrap();
    assert_eq!(said(store, "t").await, ["q"]);
    assert!(store.suspended().get("run").await.unwrap().is_some());
    assert!(store.suspended().get("other").await.unwrap().is_none());
}

/// Compares lists over 200 rows with lists over 20,000; both in one run, so a slow machine is slow for both.
pub(super) async fn listing_does_not_depend_on_how_much_there_is(store: &Store) {
    let fill = async |thread_id: &str, entries: i64| {
        for first in (0..entries).step_by(2000) {
            let last = entries.min(first + 2000);
            let some = (first..last).map(|n| message(&format!("{thread_id}-{}", id::fresh()), thread_id, n)).collect();
            store.messages().save(some, None).await.unwrap();
        }
    };
    fill("small", 200).await;
    fill("large", 20_000).await;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..40 {
        for (thread, times) in ["small", "large"].iter().zip(&mut times) {
            let began = Instant::now();
            let listed = store.messages().list(&MessageQuery::last(*thread, 40)).await.unwrap();
            times.push(began.elapsed());
            assert_eq!(listed.entries.len(), 40);
        }
    }
    let [small, large] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    // A list that counted or sorted its rows would take a hundred times as long.
    assert!(large < small * 10, "{small:?} for 200 messages, {large:?} for 20,000");
}
