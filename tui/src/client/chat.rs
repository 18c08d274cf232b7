//! Listens to an agent's answer.

use futures::StreamExt;
use serde_json::Value;
use sse_stream::SseStream;

use super::{Client, Teller, asked, failure};
use crate::{
    action::{Ask, News},
    store::Failure,
};

/// Asks an agent and tells what it answers, piece by piece, and that it ended.
pub(super) async fn answer(client: &Client, teller: &Teller, chat: u64, agent: &str, ask: &Ask) {
    let failure = listen(client, teller, chat, agent, ask).await.err();
    let _told = teller.tell(News::ChatEnded { chat, failure }).await;
}

async fn listen(client: &Client, teller: &Teller, chat: u64, agent: &str, ask: &Ask) -> Result<(), Failure> {
    let (address, body) = asked(agent, ask);
    let response = client.send(client.http.post(client.url(&address)?).json(&body)).await?;
    let mut stream = std::pin::pin!(SseStream::from_bytes_stream(response.bytes_stream()));
    while let Some(event) = stream.next().await {
        let event = event.map_err(|error| failure(format!("the answer broke off: {error}")))?;
        let Some(data) = event.data else { continue };
        if data == "[DONE]" {
            break;
        }
        let chunk: Value = serde_json::from_str(&data).unwrap_or_default();
        if !teller.tell(News::Chunk { chat, chunk }).await {
            break;
        }
    }
    Ok(())
}
