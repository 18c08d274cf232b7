//! What every database must do, written once and run for SQLite and for PostgreSQL.
//!
//! A case is an `async fn(&Store)`, or `async fn(&Place)` if it opens the store itself; one
//! line in [`suite!`] makes a test of it for each database. Each test has a database of its
//! own. PostgreSQL's tests are compiled only if `HOTBAY_TEST_POSTGRES_URL` names a server
//! when the crate is built (`build.rs`); `cargo suite` says so when it does not.

mod batches;
mod embeddings;
mod opening;
pub(super) mod place;
mod runs;
mod threads;
mod times;
mod tokens;
mod verdicts;

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
        embeddings: [
            what_is_stored_for_a_space_is_due_there_once,
            what_changes_or_goes_is_due_again,
            what_is_taken_is_not_taken_twice,
            a_wish_that_comes_meanwhile_is_not_lost,
            what_may_be_there_is_known_before_it_is,
            everything_is_due_again_when_it_is_asked_for,
        ]
        runs: [
            run_totals_follow_what_is_written,
            run_totals_hold_when_many_write_at_once,
            a_run_stored_anew_is_not_taken_for_the_one_before,
            parts_claim_no_fewer_runs_than_they_show,
            names_that_run_into_each_other_are_counted_apart,
            runs_are_counted_by_workflow_and_status,
            steps_that_wait_are_found_for_several_runs,
            a_run_that_cannot_be_read_hides_no_other,
            listing_runs_does_not_depend_on_how_many_there_are,
        ]
        threads: [
            a_thread_is_replaced_by_one_with_its_id,
            a_thread_is_created_once,
            threads_are_listed_by_time_and_page,
            threads_are_found_by_metadata,
            totals_follow_what_is_written,
            parts_claim_no_fewer_threads_or_messages_than_they_show,
            messages_are_saved_in_place_of_those_with_their_ids,
            messages_are_listed_both_ways,
            messages_are_filtered,
            messages_are_found_with_their_neighbours,
            a_turn_comes_after_everything_the_thread_has,
            turns_that_end_at_once_do_not_mix,
            what_was_said_before_is_not_said_twice,
            a_turn_of_a_deleted_thread_is_gone,
            a_copy_has_everything_but_the_ids,
            working_memory_changes_are_not_lost,
            of_many_who_claim_a_suspended_run_one_gets_it,
            a_claimed_run_stays_until_its_end_is_stored,
            a_suspended_run_is_stored_with_its_turn,
            listing_does_not_depend_on_how_much_there_is,
        ]
        times: [
            runs_are_next_looked_for_when_they_wake_or_a_lease_ends,
            schedules_are_next_due_at_a_time_to_come,
        ]
        tokens: [
            a_token_comes_back_as_it_was_stored,
            a_revoked_token_stays_as_a_record_and_frees_its_name,
            when_a_token_was_used_never_goes_back,
        ]
        verdicts: [
            a_verdict_is_stored_once_and_comes_back_whole,
            verdicts_are_read_in_order_however_many_there_are,
            verdicts_are_found_by_what_they_are_about,
            verdicts_of_others_are_not_deleted,
            a_verdict_is_changed_by_one_of_two,
        ]
    }
    places {
        opening: [
            schema_is_applied_once,
            runs_of_an_older_schema_are_counted,
            two_hosts_at_once,
            newer_schema_is_refused,
            schema_of_another_build_is_refused,
            schema_applied_in_part_is_refused,
            unclean_end_loses_nothing,
            closing_keeps_what_was_acknowledged,
        ]
    }
}
