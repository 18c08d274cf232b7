//! Where messages are found by their meaning.

/// Longest part of an embedder's name in the name of an index.
const NAME: usize = 40;

/// A vector store and the embedder whose vectors it keeps: messages are near each other only among
/// those one embedder has seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecallSpace {
    /// The vector store.
    pub vector_store: String,
    /// The embedder, `provider/model`.
    pub embedder: String,
}

impl RecallSpace {
    /// Returns the name of its index in the vector store: one each embedder.
    #[must_use]
    pub fn index(&self) -> String {
        let word = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' };
        let name: String = self.embedder.chars().take(NAME).map(word).collect();
        let hash = blake3::hash(self.embedder.as_bytes()).to_hex();
        format!("memory_{name}_{}", hash.chars().take(8).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use hotbay_plugin::vector_store::check_index_name;

    use super::*;

    #[test]
    fn each_embedder_has_an_index_a_store_takes() {
        let of =
            |embedder: &str| RecallSpace { vector_store: "local".to_owned(), embedder: embedder.to_owned() }.index();
        for embedder in ["local/all-minilm-l6-v2", "x/ä", &"long/".repeat(50)] {
            check_index_name(&of(embedder)).unwrap();
        }
        assert_ne!(of("a/b-c"), of("a/b_c"));
    }
}
