//! Embedders: models that make vectors of texts, whoever computes them.
//!
//! Owns the trait and what its answers are held to. Found by name through
//! [`super::catalog::Models::embedder`], as chat models are.

use async_trait::async_trait;

use super::ModelError;

/// A model that makes vectors of texts.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Returns a vector for each text, in their order.
    async fn embed(&self, texts: Vec<String>) -> Result<Embeddings, ModelError>;
}

/// Vectors of texts, all of one length.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// All vectors, one after the other.
    pub rows: Vec<f32>,
    /// How long each of them is; not 0.
    pub dimension: usize,
}

impl Embeddings {
    /// Returns the vectors of `texts` texts, if they are as many, of one length, and of numbers.
    ///
    /// # Errors
    /// [`ModelError::Garbled`], which names the model.
    pub(super) fn checked(model: &str, rows: Vec<f32>, texts: usize) -> Result<Self, ModelError> {
        let dimension = rows.len().checked_div(texts).unwrap_or_default();
        let garbled = |what: &str| Err(ModelError::Garbled(format!("embedder `{model}` answered {what}")));
        if dimension == 0 || dimension * texts != rows.len() {
            return garbled(&format!("{} numbers for {texts} texts", rows.len()));
        }
        if !rows.iter().all(|value| value.is_finite()) {
            return garbled("vectors that hold no numbers");
        }
        Ok(Self { rows, dimension })
    }

    /// As [`Embeddings::checked`], of vectors that are apart.
    pub(super) fn of_rows(model: &str, rows: &[Vec<f32>], texts: usize) -> Result<Self, ModelError> {
        if rows.len() != texts {
            return Err(ModelError::Garbled(format!(
                "embedder `{model}` answered {} vectors for {texts} texts",
                rows.len()
            )));
        }
        if rows.windows(2).any(|pair| matches!(pair, [one, next] if one.len() != next.len())) {
            return Err(ModelError::Garbled(format!("embedder `{model}` answered vectors of different lengths")));
        }
        Self::checked(model, rows.concat(), texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_that_do_not_add_up_are_refused() {
        let of = |rows: &[&[f32]], texts| {
            let rows: Vec<Vec<f32>> = rows.iter().map(|row| row.to_vec()).collect();
            Embeddings::of_rows("p/m", &rows, texts).map_err(|error| error.to_string())
        };
        let embeddings = of(&[&[1.0, 2.0], &[3.0, 4.0]], 2).unwrap();
        assert_eq!(embeddings, Embeddings { rows: vec![1.0, 2.0, 3.0, 4.0], dimension: 2 });
        assert_eq!(of(&[&[1.0]], 2).unwrap_err(), "embedder `p/m` answered 1 vectors for 2 texts");
        let uneven = of(&[&[1.0], &[1.0, 2.0]], 2).unwrap_err();
        assert_eq!(uneven, "embedder `p/m` answered vectors of different lengths");
        assert_eq!(of(&[&[], &[]], 2).unwrap_err(), "embedder `p/m` answered 0 numbers for 2 texts");
        assert_eq!(of(&[&[f32::NAN]], 1).unwrap_err(), "embedder `p/m` answered vectors that hold no numbers");
        let error = Embeddings::checked("p/m", vec![1.0; 3], 2).unwrap_err().to_string();
        assert_eq!(error, "embedder `p/m` answered 3 numbers for 2 texts");
    }
}
