//! Batches: written whole or not at all, alone and among others.

use futures::future::join_all;

use super::super::{
    Store, StoreError,
    database::column,
    statement::{Batch, Statement},
};
use crate::tasks::Tasks;

pub(super) fn insert(scope: &str, n: i64) -> Statement {
    Statement::new("INSERT INTO counts (scope, n) VALUES ($1, $2)").bind(scope).bind(n)
}

fn set(scope: &str, n: i64) -> Statement {
    Statement::new("UPDATE counts SET n = $2 WHERE scope = $1").bind(scope).bind(n)
}

fn add(scope: &str) -> Statement {
    Statement::new("INSERT INTO counts (scope, n) VALUES ($1, 1) ON CONFLICT (scope) DO UPDATE SET n = counts.n + 1")
        .bind(scope)
}

pub(super) async fn read(store: &Store, scope: &str) -> Option<i64> {
    let query = Statement::new("SELECT n FROM counts WHERE scope = $1").bind(scope);
    let row = store.database.row(query).await.unwrap();
    row.map(|row| column(&row, "n").unwrap())
}

pub(super) async fn write(store: &Store, scope: &str, n: i64) {
    store.database.write(insert(scope, n)).await.unwrap();
}

pub(super) async fn batch_is_written_whole_or_not_at_all(store: &Store) {
    assert_eq!(store.database.write([insert("a", 1), insert("b", 2)]).await.unwrap(), [1, 1]);
    let error = store.database.write([insert("c", 3), set("a", 9), insert("b", 4)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error:?}");
    assert_eq!((read(store, "a").await, read(store, "b").await), (Some(1), Some(2)));
    assert_eq!(read(store, "c").await, None);
}

pub(super) async fn guard_that_finds_nothing_stops_its_batch(store: &Store) {
    for batch in [[insert("a", 1), set("nobody", 2).guard()], [set("nobody", 2).guard(), insert("a", 1)]] {
        let error = store.database.write(batch).await.unwrap_err();
        assert!(matches!(error, StoreError::NotFound(_)), "{error:?}");
        assert_eq!(read(store, "a").await, None);
    }
    write(store, "taken", 1).await;
    let error = store.database.write([set("nobody", 2).guard(), insert("taken", 2)]).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound(_)), "what comes after a guard does not count: {error:?}");
    assert_eq!(store.problem().await, None, "a guard says nothing about the store");
}

pub(super) async fn guard_that_finds_something_lets_its_batch_through(store: &Store) {
    write(store, "a", 1).await;
    assert_eq!(store.database.write([set("a", 2).guard(), insert("b", 1)]).await.unwrap(), [1, 1]);
    assert_eq!((read(store, "a").await, read(store, "b").await), (Some(2), Some(1)));
}

pub(super) async fn conditions_look_at_the_statement_before(store: &Store) {
    write(store, "a", 1).await;
    let changes = store
        .database
        .write([
            set("nobody", 1),
            insert("skipped", 1).if_changed(),
            // The one before did not run, so it changed nothing.
            insert("skipped", 1).if_changed(),
            insert("made", 1),
            set("a", 2).if_changed(),
        ])
        .await
        .unwrap();
    assert_eq!(changes, [0, 0, 0, 1, 1]);
    assert_eq!(read(store, "skipped").await, None);
    assert_eq!((read(store, "made").await, read(store, "a").await), (Some(1), Some(2)));
}

/// The hundred batches wait for the writer together: nothing runs between their being handed over.
pub(super) async fn failing_batch_takes_no_other_with_it(store: &Store) {
    write(store, "taken", 1).await;
    let batches = (0..100).map(|number| match number {
        30 => store.database.write(insert("taken", 2)),
        60 => store.database.write(set("nobody", 2).guard()),
        _ => store.database.write(insert(&format!("row {number}"), number)),
    });
    let results = join_all(batches).await;
    for (number, result) in results.iter().enumerate() {
        match number {
            30 => assert!(matches!(result, Err(StoreError::Conflict(_))), "{result:?}"),
            60 => assert!(matches!(result, Err(StoreError::NotFound(_))), "{result:?}"),
            _ => assert_eq!(result.as_deref().unwrap(), [1], "{number}"),
        }
    }
    for number in 0..100 {
        let expected = (number != 30 && number != 60).then_some(number);
        assert_eq!(read(store, &format!("row {number}")).await, expected);
    }
    assert_eq!(read(store, "taken").await, Some(1));
}

/// As above, but those that fail have changed something before.
pub(super) async fn failing_batch_leaves_nothing_behind_among_others(store: &Store) {
    write(store, "taken", 1).await;
    let batches = (0..100).map(|number| {
        let mut batch = Batch::from([insert(&format!("first {number}"), number), add("total")]);
        match number % 10 {
            3 => batch.push(insert("taken", 2)),
            7 => batch.push(set("nobody", 2).guard()),
            _ => batch.push(insert(&format!("last {number}"), number)),
        }
        store.database.write(batch)
    });
    let results = join_all(batches).await;
    for (number, result) in (0..).zip(&results) {
        let fails = matches!(number % 10, 3 | 7);
        assert_eq!(result.is_err(), fails, "{number}: {result:?}");
        let expected = (!fails).then_some(number);
        assert_eq!(read(store, &format!("first {number}")).await, expected);
        assert_eq!(read(store, &format!("last {number}")).await, expected);
    }
    assert_eq!(read(store, "total").await, Some(80));
}

pub(super) async fn batch_sees_what_batches_before_it_wrote(store: &Store) {
    write(store, "a", 1).await;
    store.database.write(set("a", 2)).await.unwrap();
    let moved = Statement::new("UPDATE counts SET n = 3 WHERE scope = 'a' AND n = 2").guard();
    store.database.write(moved.clone()).await.unwrap();
    let error = store.database.write(moved).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound(_)), "{error:?}");
}

pub(super) async fn acknowledged_write_is_seen_at_once(store: &Store) {
    for number in 0..200 {
        let scope = format!("row {number}");
        write(store, &scope, number).await;
        assert_eq!(read(store, &scope).await, Some(number));
    }
}

pub(super) async fn writers_at_once_lose_nothing(store: &Store) {
    let tasks = Tasks::default();
    let mut done = Vec::new();
    for writer in 0..32 {
        let (store, (sender, receiver)) = (store.clone(), tokio::sync::oneshot::channel());
        done.push(receiver);
        tasks.spawn("writer", |_| async move {
            for _ in 0..20 {
                store.database.write([add("all"), add(&format!("writer {writer}"))]).await.unwrap();
            }
            sender.send(()).unwrap();
        });
    }
    for writer in done {
        writer.await.unwrap();
    }
    assert_eq!(read(store, "all").await, Some(640));
    for writer in 0..32 {
        assert_eq!(read(store, &format!("writer {writer}")).await, Some(20));
    }
}

/// On PostgreSQL these lock each other out, and one of two is made to try again.
pub(super) async fn writers_that_cross_each_other_all_finish(store: &Store) {
    store.database.write([insert("left", 0), insert("right", 0)]).await.unwrap();
    let batches = (0..8).map(|number| match number % 2 {
        0 => store.database.write([add("left"), add("right")]),
        _ => store.database.write([add("right"), add("left")]),
    });
    for result in join_all(batches).await {
        result.unwrap();
    }
    assert_eq!((read(store, "left").await, read(store, "right").await), (Some(8), Some(8)));
}

pub(super) async fn caller_that_gives_up_leaves_no_half_batch(store: &Store) {
    for number in 0..20 {
        let (first, last) = (format!("first {number}"), format!("last {number}"));
        let write = store.database.write([insert(&first, number), insert(&last, number)]);
        // Polled a few times, then dropped.
        let polled = std::pin::pin!(write);
        futures::future::select(polled, Box::pin(tokio::task::yield_now())).await;
        // What is handed over later is written later.
        write_after(store, number).await;
        assert_eq!(read(store, &first).await.is_some(), read(store, &last).await.is_some());
    }
}

async fn write_after(store: &Store, number: i64) {
    write(store, &format!("after {number}"), number).await;
}

pub(super) async fn every_kind_of_text_comes_back(store: &Store) {
    for text in ["", "'; DROP TABLE counts; --", "$1 ? :x", "\u{1F980} e\u{301}", "a\nb\t\"c\""] {
        write(store, text, 7).await;
        assert_eq!(read(store, text).await, Some(7), "{text:?}");
    }
    write(store, "largest", i64::MAX).await;
    write(store, "smallest", i64::MIN).await;
    assert_eq!((read(store, "largest").await, read(store, "smallest").await), (Some(i64::MAX), Some(i64::MIN)));
}
