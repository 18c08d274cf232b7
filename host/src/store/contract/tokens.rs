//! Tokens callers show.

use crate::{
    store::{
        Store, StoreError,
        tokens::{TokenRow, Tokens},
    },
    types::{caller::Role, id::Millis},
};

fn token(name: &str) -> TokenRow {
    TokenRow {
        id: format!("id-{name}"),
        name: name.to_owned(),
        hash: format!("hash-{name}"),
        role: Role::Operator,
        owner: None,
        created_at: Millis(1),
        created_by: "ada".to_owned(),
        expires_at: None,
        revoked: None,
        last_used_at: None,
    }
}

async fn standing(tokens: &Tokens) -> Vec<String> {
    tokens.standing().await.unwrap().into_iter().map(|token| token.name).collect()
}

pub(super) async fn a_token_comes_back_as_it_was_stored(store: &Store) {
    let tokens = store.tokens();
    let bound = TokenRow { owner: Some("ann".to_owned()), expires_at: Some(Millis(i64::MAX)), ..token("b") };
    for row in [&bound, &token("a")] {
        tokens.put(row).await.unwrap();
    }
    assert_eq!(tokens.standing().await.unwrap(), [token("a"), bound]);
}

pub(super) async fn a_revoked_token_stays_as_a_record_and_frees_its_name(store: &Store) {
    let tokens = store.tokens();
    tokens.put(&token("ci")).await.unwrap();
    let again = TokenRow { id: "other".to_owned(), hash: "other".to_owned(), created_at: Millis(2), ..token("ci") };
    let taken = tokens.put(&again).await.unwrap_err();
    assert!(matches!(&taken, StoreError::Conflict(why) if why.contains("`ci`")), "{taken}");
    tokens.revoke("ci", "bob").await.unwrap();
    assert_eq!(standing(&tokens).await, [""; 0]);
    let gone = tokens.revoke("ci", "bob").await.unwrap_err();
    assert!(matches!(gone, StoreError::NotFound(_)), "{gone}");
    tokens.put(&again).await.unwrap();
    tokens.revoke("other", "bob").await.unwrap();
    let all = tokens.all().await.unwrap();
    assert_eq!(all.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["other", "id-ci"]);
    assert!(all.iter().all(|row| row.revoked.as_ref().is_some_and(|(_, by)| by == "bob")), "{all:?}");
}

pub(super) async fn when_a_token_was_used_never_goes_back(store: &Store) {
    let tokens = store.tokens();
    tokens.put(&token("a")).await.unwrap();
    for at in [5, 3] {
        tokens.used([("id-a".to_owned(), Millis(at)), ("nobody".to_owned(), Millis(9))]).await.unwrap();
    }
    assert_eq!(tokens.standing().await.unwrap()[0].last_used_at, Some(Millis(5)));
}
