//! What every database must do alike: tests over a [`Store`], run on each.

mod threads;

use super::{Store, StoreSettings};

/// Runs tests on a fresh store in a directory of its own.
async fn on_sqlite<F: Future<Output = ()>>(test: impl FnOnce(Store) -> F) {
    let data = tempfile::tempdir().unwrap();
    let settings = StoreSettings { data: data.path().to_owned(), url: None, fault: None };
    let (store, writer) = Store::open(&settings).await.unwrap();
    let tasks = crate::tasks::Tasks::default();
    tasks.spawn("store-writer", |cancel| writer.unwrap().run(cancel));
    test(store.clone()).await;
    tasks.shut_down(std::time::Duration::from_secs(10)).await;
    store.close().await;
}

macro_rules! on_sqlite {
    ($family:ident: $($name:ident)+) => {$(
        #[tokio::test]
        async fn $name() {
            on_sqlite(|store| async move { $family::$name(&store).await }).await;
        }
    )+};
}

on_sqlite!(threads:
    a_thread_is_replaced_by_one_with_its_id
    a_thread_is_created_once
    threads_are_listed_by_time_and_page
    threads_are_found_by_metadata
    totals_follow_what_is_written
    messages_are_saved_in_place_of_those_with_their_ids
    messages_are_listed_both_ways
    messages_are_filtered
    messages_are_found_with_their_neighbours
    a_turn_comes_after_everything_the_thread_has
    turns_that_end_at_once_do_not_mix
    what_was_said_before_is_not_said_twice
    a_turn_of_a_deleted_thread_is_gone
    a_copy_has_everything_but_the_ids
    working_memory_changes_are_not_lost
    of_many_who_take_a_suspended_run_one_gets_it
    a_suspended_run_is_stored_with_its_turn
    listing_does_not_depend_on_how_much_there_is
);
