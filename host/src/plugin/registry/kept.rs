//! Documents made of a snapshot, kept with it: what never changes need not be written twice.

use std::{
    collections::HashMap,
    fmt,
    sync::{PoisonError, RwLock},
};

use bytes::Bytes;

/// Documents by kind and name.
///
/// They go when their snapshot goes, so nobody has to say when one is out of date. Only what
/// is made of the snapshot alone may be kept, and only under names the snapshot has: then
/// they are as many as its entries.
#[derive(Default)]
pub struct Kept {
    // Written once for each document; held for a look-up.
    documents: RwLock<HashMap<&'static str, HashMap<String, Bytes>>>,
}

impl Kept {
    /// Returns a document, made by `make` if it was not asked for before.
    pub fn document(&self, kind: &'static str, name: &str, make: impl FnOnce() -> Vec<u8>) -> Bytes {
        let documents = self.documents.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = documents.get(kind).and_then(|documents| documents.get(name)) {
            return document.clone();
        }
        drop(documents);
        // Made without the lock: two may do it at once, and both make the same.
        let document = Bytes::from(make());
        let mut documents = self.documents.write().unwrap_or_else(PoisonError::into_inner);
        documents.entry(kind).or_default().entry(name.to_owned()).or_insert(document).clone()
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_made_once() {
        let kept = Kept::default();
        assert_eq!(kept.document("agent", "a", || b"first".to_vec()), "first");
        assert_eq!(kept.document("agent", "a", || unreachable!("it is kept")), "first");
    }

    #[test]
    fn kinds_and_names_are_apart() {
        let kept = Kept::default();
        for (kind, name) in [("agent", "a"), ("agent", "b"), ("tool", "a")] {
            let text = format!("{kind} {name}");
            assert_eq!(kept.document(kind, name, || text.clone().into_bytes()), text);
        }
    }
}
