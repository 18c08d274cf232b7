//! What every database must do, written once and run for SQLite and for PostgreSQL.
//!
//! A case is an `async fn(&Store)`, or `async fn(&Place)` if it opens the store itself; one
//! line in [`suite!`] makes a test of it for each database. Each test has a database of its
//! own. PostgreSQL's tests are compiled only if `HOTBAY_TEST_POSTGRES_URL` names a server
//! when the crate is built (`build.rs`); `cargo suite` says so when it does not.

mod batches;
mod opening;
pub(super) mod place;

use place::Place;
pub(super) use place::open;

/// Makes a test of each case and database.
macro_rules! suite {
    (
        stores { $($family:ident: [$($case:ident),+ $(,)?])+ }
        places { $($opened:ident: [$($opening:ident),+ $(,)?])+ }
    ) => {
        suite!(@backend sqlite, { $($family: [$($case),+])+ }, { $($opened: [$($opening),+])+ });
        #[cfg(hotbay_test_postgres)]
        suite!(@backend postgres, { $($family: [$($case),+])+ }, { $($opened: [$($opening),+])+ });
    };
    (
        @backend $backend:ident,
        { $($family:ident: [$($case:ident),+])+ },
        { $($opened:ident: [$($opening:ident),+])+ }
    ) => {
        mod $backend {
            use super::Place;

            $(mod $family {
                $(#[tokio::test]
                async fn $case() {
                    super::Place::$backend().await.with_store(super::super::$family::$case).await;
                })+
            })+
            $(mod $opened {
                $(#[tokio::test]
                async fn $opening() {
                    super::Place::$backend().await.with_place(super::super::$opened::$opening).await;
                })+
            })+
        }
    };
}

suite! {
    stores {
        batches: [
            batch_is_written_whole_or_not_at_all,
            guard_that_finds_nothing_stops_its_batch,
            guard_that_finds_something_lets_its_batch_through,
            conditions_look_at_the_statement_before,
            failing_batch_takes_no_other_with_it,
            failing_batch_leaves_nothing_behind_among_others,
            batch_sees_what_batches_before_it_wrote,
            acknowledged_write_is_seen_at_once,
            writers_at_once_lose_nothing,
            writers_that_cross_each_other_all_finish,
            caller_that_gives_up_leaves_no_half_batch,
            every_kind_of_text_comes_back,
        ]
    }
    places {
        opening: [
            schema_is_applied_once,
            two_hosts_at_once,
            newer_schema_is_refused,
            schema_of_another_build_is_refused,
            schema_applied_in_part_is_refused,
            unclean_end_loses_nothing,
            closing_keeps_what_was_acknowledged,
        ]
    }
}
