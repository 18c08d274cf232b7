//! Embeddings over the wire of OpenAI: `POST /embeddings`, all texts at once.

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::OpenAi;
use crate::model::{
    ModelError,
    embedder::{Embedder, Embeddings},
    retry::{Failure, retry},
};

/// An answer longer than this is an attack or a mistake: 2,048 texts of 4,096 numbers are 100 MB.
const LONGEST: usize = 128 << 20;

#[derive(Deserialize)]
struct Answer {
    data: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    index: usize,
    embedding: Vec<f32>,
}

#[async_trait]
impl Embedder for OpenAi {
    async fn embed(&self, texts: Vec<String>) -> Result<Embeddings, ModelError> {
        let deadline = Instant::now() + self.to.timeouts.overall;
        let body = json!({"model": self.model, "input": texts, "encoding_format": "float"});
        let body = Bytes::from(body.to_string());
        let attempts = retry(&self.to.model, self.to.max_retries, deadline, || self.attempt_to_embed(body.clone()));
        let mut data = match timeout_at(deadline, attempts).await {
            Ok(answered) => answered?.data,
            Err(_) => return Err(self.to.timed_out(self.to.timeouts.overall)),
        };
        // Servers need not keep the order.
        data.sort_by_key(|row| row.index);
        let rows: Vec<Vec<f32>> = data.into_iter().map(|row| row.embedding).collect();
        Embeddings::of_rows(&self.to.model, &rows, texts.len())
    }
}

impl OpenAi {
    async fn attempt_to_embed(&self, body: Bytes) -> Result<Answer, Failure> {
        let first_by = Instant::now() + self.to.timeouts.first_byte;
        let response = self.send("embeddings", "application/json", body, first_by).await?;
        let read = self.to.chunks(response, first_by).try_fold(Vec::new(), |mut body, chunk| async move {
            if body.len() + chunk.len() > LONGEST {
                return Err(self.to.garbled("an answer without end"));
            }
            body.extend_from_slice(&chunk);
            Ok(body)
        });
        let body = read.await.map_err(Failure::passing)?;
        serde_json::from_slice(&body)
            .map_err(|error| Failure::last(self.to.garbled(format_args!("what are no embeddings: {error}"))))
    }
}
