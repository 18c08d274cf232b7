//! `mock/ngram`: vectors of the letters a text is made of.
//!
//! No language model: texts are near each other if they share words, whatever these mean. Each word
//! and each three letters of one add to the number their hash names; the vector has length 1.

use async_trait::async_trait;

use crate::model::{
    ModelError,
    embedder::{Embedder, Embeddings},
};

/// The part of its name after the `/`.
pub(in crate::model) const MODEL: &str = "ngram";

/// How long its vectors are.
const DIMENSION: usize = 256;
/// How much a whole word counts beside three letters of one.
const WORD: f32 = 2.0;

/// The embedder.
pub(in crate::model) struct Ngram;

#[async_trait]
impl Embedder for Ngram {
    async fn embed(&self, texts: Vec<String>) -> Result<Embeddings, ModelError> {
        let rows = texts.iter().flat_map(|text| vector(text)).collect();
        Embeddings::checked("mock/ngram", rows, texts.len())
    }
}

fn vector(text: &str) -> [f32; DIMENSION] {
    let mut row = [0.0; DIMENSION];
    let text = text.to_lowercase();
    for word in text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        row[place(word)] += WORD;
        let letters: Vec<char> = [' '].into_iter().chain(word.chars()).chain([' ']).collect();
        for three in letters.windows(3) {
            row[place(&three.iter().collect::<String>())] += 1.0;
        }
    }
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        row.iter_mut().for_each(|value| *value /= length);
    } else {
        // A text without letters is near others without, and a vector must have a direction.
        row[0] = 1.0;
    }
    row
}

fn place(part: &str) -> usize {
    let hash = blake3::hash(part.as_bytes());
    usize::from(hash.as_bytes()[0]) % DIMENSION
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: &str, other: &str) -> f32 {
        vector(one).iter().zip(vector(other)).map(|(one, other)| one * other).sum()
    }

    #[test]
    fn texts_that_share_words_are_nearer() {
        let asked = "what colour is my bicycle";
        assert!(near(asked, "My bicycle is green.") > near(asked, "The meeting is on Thursday.") + 0.1);
        assert!((near(asked, asked) - 1.0).abs() < 1e-5);
        assert!((near("", "...") - 1.0).abs() < 1e-5);
    }
}
