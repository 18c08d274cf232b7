//! Embeddings of hosted providers.

use std::collections::HashMap;

use async_trait::async_trait;
use genai::{
    Client, Headers, ServiceTarget,
    embed::{EmbedOptions, EmbedRequest, EmbedResponse},
};
use tokio::time::{Instant, timeout_at};

use super::Gateway;
use crate::model::{
    ModelError,
    embedder::{Embedder, Embeddings},
    hosted,
    retry::{Failure, retry},
};

#[async_trait]
impl Embedder for Gateway {
    async fn embed(&self, texts: Vec<String>) -> Result<Embeddings, ModelError> {
        let deadline = Instant::now() + self.to.timeouts.overall;
        let client = Client::builder()
            .with_reqwest(self.to.client.clone())
            .build()
            .map_err(|error| self.read_error(error).error)?;
        let target = self.target(&client).await?;
        let mut options =
            EmbedOptions::new().with_headers(Headers::from(self.headers.iter().cloned().collect::<HashMap<_, _>>()));
        if let Some(listed) = hosted::embedder(&self.provider, &self.model).filter(|it| it.is_told_dimensions) {
            options = options.with_dimensions(listed.dimensions);
        }
        let attempts = retry(&self.to.model, self.to.max_retries, deadline, || {
            self.attempt_to_embed(&client, target.clone(), &texts, &options)
        });
        let answer = match timeout_at(deadline, attempts).await {
            Ok(answered) => answered?,
            Err(_) => return Err(self.to.timed_out(self.to.timeouts.overall)),
        };
        let mut embeddings = answer.embeddings;
        embeddings.sort_by_key(|embedding| embedding.index);
        let rows: Vec<Vec<f32>> = embeddings.into_iter().map(|embedding| embedding.vector).collect();
        Embeddings::of_rows(&self.to.model, &rows, texts.len())
    }
}

impl Gateway {
    async fn attempt_to_embed(
        &self,
        client: &Client,
        target: ServiceTarget,
        texts: &[String],
        options: &EmbedOptions,
    ) -> Result<EmbedResponse, Failure> {
        let limit = self.to.timeouts.first_byte;
        let asked = client.exec_embed(target, EmbedRequest::new_batch(texts.to_vec()), Some(options));
        match timeout_at(Instant::now() + limit, asked).await {
            Err(_) => Err(Failure::last(self.to.timed_out(limit))),
            Ok(answered) => answered.map_err(|error| self.read_error(error)),
        }
    }
}
