//! Runs of workflows: listed, counted, found when nobody drives them.

use std::time::{Duration, Instant};

use futures::future::join_all;

use super::threads::check_while_it_grows;
use crate::{
    store::{
        Store, StoreError,
        runs::{Change, Lease, NewRun, Progress, RunFilter, RunHead, RunRow},
        statement::Statement,
    },
    types::run::{RunInput, RunOutcome, RunStatus, StepRecord, StepStatus},
};

const STATUSES: [RunStatus; 4] = [RunStatus::Pending, RunStatus::Running, RunStatus::Success, RunStatus::Canceled];

fn of(workflow_id: &str) -> RunFilter<'_> {
    RunFilter { workflow_id: Some(workflow_id), ..RunFilter::default() }
}

async fn with_run<T>(
    store: &Store,
    run: (&str, &str, Option<&str>),
    write: impl AsyncFnOnce(&Store, NewRun<'_>) -> T,
) -> T {
    let input = RunInput::default();
    let (run_id, workflow_id, resource_id) = run;
    let status = RunStatus::Pending;
    let run = NewRun { run_id, workflow_id, resource_id, graph_hash: "", input: &input, status, state: None };
    write(store, run).await
}

/// Stores a run, made at `now`. Whether there was none of its id.
pub(super) async fn insert(store: &Store, run_id: &str, workflow: &str, owner: Option<&str>, now: i64) -> bool {
    let write = async |store: &Store, run: NewRun<'_>| store.runs().insert(&run, Lease::NONE, now).await;
    match with_run(store, (run_id, workflow, owner), write).await {
        Ok(()) => true,
        Err(StoreError::NotFound(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn row(store: &Store, run_id: &str) -> Option<RunRow> {
    store.runs().get(run_id).await.unwrap()
}

/// Begins a run anew for somebody, unless others change it at the same time.
async fn overwrite(store: &Store, run_id: &str, owner: Option<&str>) {
    let Some(before) = row(store, run_id).await else { return };
    let write = async |store: &Store, run: NewRun<'_>| store.runs().overwrite(&run, &before, Lease::NONE, 9).await;
    let written = with_run(store, (run_id, &before.workflow_id, owner), write).await;
    assert!(matches!(written, Ok(_) | Err(StoreError::NotFound(_))), "{written:?}");
}

async fn end(store: &Store, run_id: &str, status: RunStatus) {
    let Some(before) = row(store, run_id).await else { return };
    let settled = store.runs().settle(&before, status, &RunOutcome::default(), 9).await;
    assert!(matches!(settled, Ok(()) | Err(StoreError::NotFound(_))), "{settled:?}");
}

/// Checks every kind of list of a workflow's runs against the rows themselves.
pub(super) async fn check(store: &Store, workflow: &str, runs: usize) {
    check_lists(store, of(workflow), runs).await;
}

/// As [`check`], of the runs of all workflows.
async fn check_all(store: &Store, runs: usize) {
    check_lists(store, RunFilter::default(), runs).await;
}

fn head(row: &RunRow) -> RunHead {
    let row = row.clone();
    RunHead {
        run_id: row.run_id,
        workflow_id: row.workflow_id,
        resource_id: row.resource_id,
        status: row.status,
        wake_at: row.wake_at,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

async fn check_lists(store: &Store, of: RunFilter<'_>, runs: usize) {
    let everything = store.runs().list(&of).await.unwrap();
    assert_eq!((everything.entries.len(), everything.total), (runs, runs as u64), "{of:?}");
    assert!(everything.entries.is_sorted_by_key(|run| std::cmp::Reverse((run.created_at, run.run_id.clone()))));
    for owner in [None, Some("a"), Some("b")] {
        for status in STATUSES.map(Some).into_iter().chain([None]) {
            for (from, to) in [(None, None), (Some(2), None), (None, Some(3)), (Some(2), Some(3))] {
                let fits = |run: &&RunRow| {
                    owner.is_none_or(|owner| run.resource_id.as_deref() == Some(owner))
                        && status.is_none_or(|status| run.status == status)
                        && from.is_none_or(|from| run.created_at >= from)
                        && to.is_none_or(|to| run.created_at <= to)
                };
                let expected: Vec<&str> =
                    everything.entries.iter().filter(fits).map(|run| run.run_id.as_str()).collect();
                let wanted = RunFilter { resource_id: owner, status, from, to, ..of.clone() };
                let found = store.runs().list(&wanted).await.unwrap();
                let ids: Vec<&str> = found.entries.iter().map(|run| run.run_id.as_str()).collect();
                assert_eq!((ids, found.total), (expected.clone(), expected.len() as u64), "{wanted:?}");
                let heads = store.runs().heads(&wanted).await.unwrap();
                let rows: Vec<RunHead> = found.entries.iter().map(head).collect();
                assert_eq!((heads.entries, heads.total), (rows, found.total), "{wanted:?}");
                let page = RunFilter { limit: Some(1), offset: 1, ..wanted };
                let found = store.runs().list(&page).await.unwrap();
                let ids: Vec<&str> = found.entries.iter().map(|run| run.run_id.as_str()).collect();
                assert_eq!(ids, expected.iter().skip(1).take(1).copied().collect::<Vec<_>>(), "{page:?}");
                assert_eq!(found.total, expected.len() as u64, "{page:?}");
            }
        }
    }
}

pub(super) async fn run_totals_follow_what_is_written(store: &Store) {
    check(store, "w", 0).await;
    for (run, owner, now) in [("1", None, 1), ("2", Some("a"), 2), ("3", Some("a"), 3), ("4", Some("b"), 4)] {
        assert!(insert(store, run, "w", owner, now).await);
        assert!(!insert(store, run, "w", owner, now).await, "stored twice");
        assert!(!insert(store, run, "other", Some("b"), now).await, "stored twice");
    }
    assert!(insert(store, "5", "other", Some("a"), 5).await);
    check(store, "w", 4).await;
    check(store, "other", 1).await;
    check_all(store, 5).await;
    let before = row(store, "2").await.unwrap();
    let fence = store.runs().claim(&before, Lease { owner: "h", until: 9 }, &Change::default(), 9).await.unwrap();
    check(store, "w", 4).await;
    let ended = Progress { status: Some(RunStatus::Success), release: true, ..Progress::default() };
    store.runs().advance("2", fence, ended, 9).await.unwrap();
    check(store, "w", 4).await;
    // To somebody else, to nobody, to somebody again.
    for owner in [Some("b"), Some("b"), None, Some("a")] {
        overwrite(store, "2", owner).await;
        check(store, "w", 4).await;
    }
    let write = async |store: &Store, run: NewRun<'_>| store.runs().overwrite(&run, &before, Lease::NONE, 9).await;
    let late = with_run(store, ("2", "w", Some("b")), write).await;
    assert!(matches!(late, Err(StoreError::NotFound(_))), "{late:?}");
    check(store, "w", 4).await;
    end(store, "1", RunStatus::Canceled).await;
    check(store, "w", 4).await;
    for run in ["1", "2"] {
        assert!(store.runs().delete(run).await.unwrap());
        assert!(!store.runs().delete(run).await.unwrap(), "removed twice");
    }
    check(store, "w", 2).await;
    check(store, "other", 1).await;
    check_all(store, 3).await;
}

/// The run that `before` was read of is removed, and another of its name is somebody else's.
pub(super) async fn a_run_stored_anew_is_not_taken_for_the_one_before(store: &Store) {
    assert!(insert(store, "1", "w", Some("a"), 1).await);
    let before = row(store, "1").await.unwrap();
    assert!(store.runs().delete("1").await.unwrap());
    assert!(insert(store, "1", "w", Some("b"), 1).await);
    let write = async |store: &Store, run: NewRun<'_>| store.runs().overwrite(&run, &before, Lease::NONE, 9).await;
    let late = with_run(store, ("1", "w", None), write).await;
    assert!(matches!(late, Err(StoreError::NotFound(_))), "{late:?}");
    check(store, "w", 1).await;
}

/// Each run is stored, begun anew, ended and removed by several at once, which all may lose.
pub(super) async fn run_totals_hold_when_many_write_at_once(store: &Store) {
    let ids: Vec<String> = (0..12).map(|number| format!("run {number}")).collect();
    for round in 0..6 {
        let writes = ids.iter().enumerate().map(|(index, run)| async move {
            let owner = [None, Some("a"), Some("b")][(index + round) % 3];
            let again = [Some("b"), None, Some("a")][(index + round) % 3];
            tokio::join!(
                insert(store, run, "w", owner, 1),
                insert(store, run, "w", again, 2),
                overwrite(store, run, again),
                overwrite(store, run, owner),
                end(store, run, RunStatus::Success),
                async {
                    if (index + round) % 4 == 0 {
                        let runs = store.runs();
                        // Both may: it can have been stored again between them.
                        let (one, other) = tokio::join!(runs.delete(run), runs.delete(run));
                        assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
                    }
                },
            )
        });
        join_all(writes).await;
        let there = join_all(ids.iter().map(|run| row(store, run))).await.into_iter().flatten().count();
        check(store, "w", there).await;
        check_all(store, there).await;
    }
}

pub(super) async fn parts_claim_no_fewer_runs_than_they_show(store: &Store) {
    let grow = async |number: i64| assert!(insert(store, &format!("run {number}"), "w", None, number).await);
    check_while_it_grows(grow, async || store.runs().heads(&RunFilter::default()).await.unwrap()).await;
}

pub(super) async fn names_that_run_into_each_other_are_counted_apart(store: &Store) {
    let runs =
        [("a", None), ("a", Some("b/c")), ("a/b", Some("c")), ("a/b", None), ("1/a", Some("")), ("\u{e9}", Some("b"))];
    for (number, (workflow, owner)) in runs.iter().enumerate() {
        assert!(insert(store, &format!("run {number}"), workflow, *owner, 1).await);
    }
    let total = async |workflow_id, resource_id| {
        store.runs().list(&RunFilter { resource_id, ..of(workflow_id) }).await.unwrap().total
    };
    check_all(store, runs.len()).await;
    for (owner, runs) in [("b", 1), ("b/c", 1), ("c", 1), ("", 1), ("a", 0)] {
        let wanted = RunFilter { resource_id: Some(owner), ..RunFilter::default() };
        assert_eq!(store.runs().heads(&wanted).await.unwrap().total, runs, "{owner}");
    }
    for (workflow, runs) in [("a", 2), ("a/b", 2), ("1/a", 1), ("\u{e9}", 1), ("a/b/c", 0)] {
        assert_eq!(total(workflow, None).await, runs, "{workflow}");
    }
    for (workflow, owner) in runs {
        if let Some(owner) = owner {
            assert_eq!(total(workflow, Some(owner)).await, 1, "{workflow} {owner}");
        }
    }
    for number in 0..runs.len() {
        assert!(store.runs().delete(&format!("run {number}")).await.unwrap());
    }
    for (workflow, owner) in runs {
        assert_eq!((total(workflow, None).await, total(workflow, owner).await), (0, 0), "{workflow} {owner:?}");
    }
}

pub(super) async fn runs_are_counted_by_workflow_and_status(store: &Store) {
    for (run, workflow, status) in [
        ("1", "w", RunStatus::Success),
        ("2", "w", RunStatus::Success),
        ("3", "w", RunStatus::Failed),
        ("4", "v", RunStatus::Failed),
    ] {
        insert(store, run, workflow, None, 1).await;
        end(store, run, status).await;
    }
    insert(store, "5", "gone", None, 1).await;
    end(store, "5", RunStatus::Failed).await;
    let workflows = ["w", "v", "none"].map(str::to_owned);
    let mut counts = store.runs().counts(&workflows, &[RunStatus::Failed, RunStatus::Success]).await.unwrap();
    counts.sort_by_key(|(workflow, status, _)| (workflow.clone(), status.as_str()));
    let expected = [("v", RunStatus::Failed, 1), ("w", RunStatus::Failed, 1), ("w", RunStatus::Success, 2)];
    assert_eq!(counts, expected.map(|(workflow, status, count)| (workflow.to_owned(), status, count)));
}

pub(super) async fn steps_that_wait_are_found_for_several_runs(store: &Store) {
    for run in ["1", "2", "3"] {
        insert(store, run, "w", None, 1).await;
        let before = row(store, run).await.unwrap();
        let fence = store.runs().claim(&before, Lease { owner: "h", until: 9 }, &Change::default(), 2).await.unwrap();
        let record = |step: &str, status, waits_inside: Option<&str>| StepRecord {
            step: step.to_owned(),
            status,
            waits_inside: waits_inside.map(str::to_owned),
            // Looks as if the step waited.
            payload: Some(serde_json::json!({"status": "suspended"})),
            ..StepRecord::default()
        };
        let records = [
            ("0", record("looked", StepStatus::Success, None)),
            ("1", record("inner", StepStatus::Suspended, Some("ask"))),
            ("1.0", record("inner.ask", StepStatus::Suspended, None)),
            ("2[0]", record("each", StepStatus::Suspended, None)),
            ("2[1]", record("each", StepStatus::Suspended, None)),
        ];
        let records = if run == "3" { &records[..1] } else { &records[..] };
        let records = records.iter().map(|(path, record)| (*path, record)).collect();
        store.runs().advance(run, fence, Progress { records, ..Progress::default() }, 3).await.unwrap();
    }
    let found = store.runs().waiting_at(&["1", "3", "none"]).await.unwrap();
    let steps: Vec<&str> = found["1"].iter().map(String::as_str).collect();
    assert_eq!((found.len(), steps), (1, vec!["each", "inner.ask"]));
}

pub(super) async fn a_run_that_cannot_be_read_hides_no_other(store: &Store) {
    for run in ["damaged", "whole"] {
        insert(store, run, "w", None, 1).await;
        let before = row(store, run).await.unwrap();
        store.runs().claim(&before, Lease { owner: "h", until: 1 }, &Change::default(), 1).await.unwrap();
    }
    let damage = Statement::new("UPDATE workflow_runs SET request = '{' WHERE run_id = 'damaged'");
    store.database.write(damage).await.unwrap();
    let found = store.runs().abandoned(&["w"], 9, 0, 9).await.unwrap();
    let read: Vec<_> = found.iter().map(|run| (run.run_id.as_str(), run.row.is_ok())).collect();
    assert_eq!(read, [("damaged", false), ("whole", true)]);
}

/// Puts runs of a workflow into the store at once, a tenth of them ended.
async fn fill(store: &Store, workflow: &str, runs: i64) {
    let fill = format!(
        "INSERT INTO workflow_runs (run_id, workflow_id, resource_id, status, graph_hash, request, chunks, owner, \
         lease_until, fence, cancel_requested, created_at, updated_at) \
         WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {runs}) \
         SELECT '{workflow} ' || n, '{workflow}', 'a', CASE WHEN n % 10 = 0 THEN 'success' ELSE 'suspended' END, '', \
         '{{}}', 0, '', 0, 1, 0, n, n FROM numbers"
    );
    let mut batch = crate::store::statement::Batch::from(Statement::composed(fill));
    for scope in [format!("runs/5/{workflow}"), format!("runs/5/{workflow}/a")] {
        batch.push(Statement::new("INSERT INTO counts (scope, n) VALUES ($1, $2)").bind(scope).bind(runs));
    }
    store.database.write(batch).await.unwrap();
}

pub(super) async fn listing_runs_does_not_depend_on_how_many_there_are(store: &Store) {
    const MANY: u32 = 100_000;
    let typical = async |wanted: RunFilter<'_>, total: u64| {
        let mut times = Vec::new();
        for _ in 0..15 {
            let began = Instant::now();
            let page = RunFilter { limit: Some(20), ..wanted.clone() };
            let found = match wanted.workflow_id {
                Some(_) => store.runs().list(&page).await.map(|found| (found.entries.len(), found.total)).unwrap(),
                None => store.runs().heads(&page).await.map(|found| (found.entries.len(), found.total)).unwrap(),
            };
            times.push(began.elapsed());
            assert_eq!(found, (20, total), "{wanted:?}");
        }
        times.sort_unstable();
        times[times.len() / 2]
    };
    let all = RunFilter::default;
    let owned = |of: RunFilter<'static>| RunFilter { resource_id: Some("a"), ..of };
    fill(store, "small", 200).await;
    let few_of_all = [typical(all(), 200).await, typical(owned(all()), 200).await];
    fill(store, "large", MANY.into()).await;
    let every = u64::from(MANY) + 200;
    for (few, wanted) in few_of_all.into_iter().zip([all(), owned(all())]) {
        let many = typical(wanted.clone(), every).await;
        println!("{few:?} for 200 runs, {many:?} for 100,200: {wanted:?}");
        assert!(many < few * 10, "{few:?} for 200 runs, {many:?} for 100,200: {wanted:?}");
    }
    for (small, large) in [(of("small"), of("large")), (owned(of("small")), owned(of("large")))] {
        let (few, many) = (typical(small, 200).await, typical(large.clone(), MANY.into()).await);
        // A list that counted or sorted its rows would take a hundred times as long.
        assert!(many < few * 10, "{few:?} for 200 runs, {many:?} for 100,000: {large:?}");
    }
    for (wanted, runs) in
        [(of("large"), u64::from(MANY)), (owned(of("large")), u64::from(MANY)), (all(), every), (owned(all()), every)]
    {
        let by_status = RunFilter { status: Some(RunStatus::Suspended), ..wanted.clone() };
        let took = typical(by_status.clone(), runs / 10 * 9).await;
        println!("{took:?} for a page of 100,000 runs, {by_status:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        let by_time = RunFilter { from: Some(1), to: Some(MANY.into()), ..wanted };
        let took = typical(by_time.clone(), runs).await;
        println!("{took:?} for a page of 100,000 runs, {by_time:?}");
        // Rows themselves would be read for each: that takes many times as long.
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}
