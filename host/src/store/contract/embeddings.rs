//! What is due to be embedded.

use serde_json::json;

use super::threads::{message, thread, turn};
use crate::{
    store::{DueEmbedding, Store},
    types::{id::Millis, recall::RecallSpace, thread::TurnEntries},
};

fn space(embedder: &str) -> RecallSpace {
    RecallSpace { vector_store: "local".to_owned(), embedder: embedder.to_owned() }
}

/// Far enough that nobody else takes what was taken.
fn later() -> Millis {
    Millis(Millis::now().0 + 600_000)
}

async fn take(store: &Store, space: &RecallSpace) -> Vec<DueEmbedding> {
    let mut taken = store.embeddings().take(space, 1000, later()).await.unwrap();
    taken.sort_by(|one, other| one.message_id.cmp(&other.message_id));
    taken
}

async fn due(store: &Store, space: &RecallSpace) -> Vec<String> {
    take(store, space).await.into_iter().map(|row| row.message_id).collect()
}

/// Takes what is due and has it be there in so many pieces.
async fn embed(store: &Store, space: &RecallSpace, pieces: u64) {
    let rows: Vec<_> = take(store, space).await.into_iter().map(|row| (row, pieces)).collect();
    store.embeddings().settle(space, &rows).await.unwrap();
}

pub(super) async fn what_is_stored_for_a_space_is_due_there_once(store: &Store) {
    let (one, other) = (space("a/b"), space("a/c"));
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    store.messages().save(vec![message("m1", "t", 1)], None).await.unwrap();
    assert_eq!(store.embeddings().spaces().await.unwrap(), []);
    store.messages().save(vec![message("m2", "t", 2)], Some(&one)).await.unwrap();
    // What a turn sends along was there before.
    let entries =
        TurnEntries { space: Some(one.clone()), ..turn("t", vec![message("m2", "t", 2), message("m3", "t", 3)]) };
    store.messages().append(Some(&entries), None, None).await.unwrap();
    let copies = [message("c1", "copy", 1)];
    store.threads().create_copy(&thread("copy", "u", 5), "t", &copies, Some(&other)).await.unwrap();
    let spaces = store.embeddings().due_spaces().await.unwrap();
    assert_eq!(spaces.iter().map(|(space, _)| space).collect::<Vec<_>>().len(), 2);
    embed(store, &one, 2).await;
    assert_eq!(due(store, &other).await, ["c1"]);
    store.messages().append(Some(&entries), None, None).await.unwrap();
    assert!(due(store, &one).await.is_empty(), "what is said again is embedded again");
    let states = store.embeddings().spaces().await.unwrap();
    assert_eq!(states.iter().map(|state| (state.messages, state.waiting)).collect::<Vec<_>>(), [(2, 0), (1, 1)]);
}

pub(super) async fn what_changes_or_goes_is_due_again(store: &Store) {
    let space = space("a/b");
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    let all = (1..=5).map(|n| message(&format!("m{n}"), "t", n)).collect();
    store.messages().save(all, Some(&space)).await.unwrap();
    embed(store, &space, 3).await;
    // Replaced by somebody who says nothing about spaces, changed by a turn, deleted.
    store.messages().save(vec![message("m1", "t", 1)], None).await.unwrap();
    let entries = TurnEntries { changed: vec![message("m2", "t", 2)], ..turn("t", Vec::new()) };
    store.messages().append(Some(&entries), None, None).await.unwrap();
    store.messages().remove(&["m3".to_owned(), "nobody".to_owned()]).await.unwrap();
    let taken = take(store, &space).await;
    assert_eq!(
        taken.iter().map(|row| (row.message_id.as_str(), row.pieces)).collect::<Vec<_>>(),
        [("m1", 3), ("m2", 3), ("m3", 3)]
    );
    store.embeddings().settle(&space, &[(taken[0].clone(), 1), (taken[1].clone(), 1)]).await.unwrap();
    store.embeddings().forget(&space, &taken[2..]).await.unwrap();
    assert_eq!(store.embeddings().spaces().await.unwrap()[0].messages, 4);
    store.threads().transfer("t", "v", None).await.unwrap();
    assert_eq!(due(store, &space).await, ["m1", "m2", "m4", "m5"]);
    store.threads().remove("t").await.unwrap();
    assert_eq!(due(store, &space).await, ["m1", "m2", "m4", "m5"]);
}

pub(super) async fn what_is_taken_is_not_taken_twice(store: &Store) {
    let space = space("a/b");
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    let all = (0..40).map(|n| message(&format!("m{n:02}"), "t", n)).collect();
    store.messages().save(all, Some(&space)).await.unwrap();
    let takers = (0..8).map(|_| async { store.embeddings().take(&space, 10, later()).await.unwrap() });
    let taken: Vec<DueEmbedding> = futures::future::join_all(takers).await.concat();
    let mut ids: Vec<_> = taken.iter().map(|row| row.message_id.as_str()).collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "one was taken twice");
    store.embeddings().give_back(&space, &taken).await.unwrap();
    assert_eq!(due(store, &space).await.len(), 40);
    // Whoever took them is gone, and its time is over.
    let over = Millis(Millis::now().0 - 1);
    let (fresh, all) = (vec![message("late", "t", 99)], store.embeddings());
    store.messages().save(fresh, Some(&space)).await.unwrap();
    assert_eq!(all.take(&space, 1000, over).await.unwrap().len(), 1);
    assert_eq!(due(store, &space).await, ["late"]);
}

pub(super) async fn a_wish_that_comes_meanwhile_is_not_lost(store: &Store) {
    let space = space("a/b");
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    store.messages().save(vec![message("m", "t", 1)], Some(&space)).await.unwrap();
    let slow = take(store, &space).await;
    let mut said = message("m", "t", 1);
    said.content = serde_json::value::to_raw_value(&json!({"format": 2, "parts": []})).unwrap();
    store.messages().save(vec![said], Some(&space)).await.unwrap();
    store.embeddings().settle(&space, &[(slow[0].clone(), 7)]).await.unwrap();
    let again = take(store, &space).await;
    assert_eq!((again.len(), again[0].pieces), (1, 7), "what the slow one wrote is old, and must be known of");
    // The slow one cannot forget what is not its to forget, nor give it back.
    store.embeddings().forget(&space, &slow).await.unwrap();
    store.embeddings().give_back(&space, &slow).await.unwrap();
    assert!(due(store, &space).await.is_empty());
    store.embeddings().settle(&space, &[(again[0].clone(), 0)]).await.unwrap();
    assert_eq!(store.embeddings().spaces().await.unwrap()[0].waiting, 0);
}

pub(super) async fn everything_is_due_again_when_it_is_asked_for(store: &Store) {
    let space = space("a/b");
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    let all = (0..1201).map(|n| message(&format!("m{n:04}"), "t", n)).collect();
    store.messages().save(all, None).await.unwrap();
    store.messages().save(vec![message("m0003", "t", 3)], Some(&space)).await.unwrap();
    embed(store, &space, 4).await;
    let (mut pages, mut last) = (0, String::new());
    while let Some(id) = store.embeddings().renew(&space, &last).await.unwrap() {
        (pages, last) = (pages + 1, id);
    }
    assert_eq!((pages, last.as_str()), (3, "m1200"));
    let rows = store.embeddings().take(&space, 5000, later()).await.unwrap();
    assert_eq!(rows.len(), 1201);
    assert_eq!(rows.iter().find(|row| row.message_id == "m0003").unwrap().pieces, 4, "they would stay for ever");
}

pub(super) async fn what_may_be_there_is_known_before_it_is(store: &Store) {
    let space = space("a/b");
    store.threads().put(&thread("t", "u", 1)).await.unwrap();
    store.messages().save(vec![message("m", "t", 1)], Some(&space)).await.unwrap();
    let taken = take(store, &space).await;
    store.messages().save(vec![message("m", "t", 1)], Some(&space)).await.unwrap();
    // Whoever took it goes on although somebody wished for it meanwhile, and dies then.
    store.embeddings().expect(&space, &[(&taken[0], 3)]).await.unwrap();
    store.embeddings().expect(&space, &[(&taken[0], 2)]).await.unwrap();
    assert_eq!(take(store, &space).await[0].pieces, 3);
}
