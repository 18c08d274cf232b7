//! Listens to what happens on a server, and comes back when it was away.

use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use sse_stream::SseStream;
use tokio::time::{Instant, sleep, timeout};

use super::{Client, Teller, failure, root_cause};
use crate::{action::News, live::LiveEvent, store::Failure, want::Address};

/// The server says something at least this often, in seconds.
const HEARTBEAT: u64 = 5;
/// A server that says nothing for so long is away.
const SILENCE: Duration = Duration::from_secs(3 * HEARTBEAT);
/// Events are told together: at most so many, and none waits longer.
const BATCH: (usize, Duration) = (2000, Duration::from_millis(50));
/// How long until the next try: at first, and at most, in milliseconds.
const RETRY: (u64, u64) = (500, 5_000);

/// Listens until nobody listens to us.
pub(super) async fn watch(client: &Client, teller: &Teller) {
    let mut last_id = None;
    let mut failures = 0_u32;
    loop {
        let mut was_open = false;
        let failure = match listen(client, teller, &mut last_id, &mut was_open).await {
            Ok(()) => return,
            Err(failure) => failure,
        };
        failures = if was_open { 1 } else { failures.saturating_add(1) };
        let (first, most) = RETRY;
        let pause = (first << (failures - 1).min(6)).min(most);
        // Not all consoles come back at the same moment.
        let retry = pause + fastrand::u64(0..=pause / 4);
        if !teller.tell(News::Lost { failure, retry }).await {
            return;
        }
        sleep(Duration::from_millis(retry)).await;
    }
}

/// Listens until the server is away, which is an error, or nobody listens to us.
async fn listen(
    client: &Client,
    teller: &Teller,
    last_id: &mut Option<String>,
    was_open: &mut bool,
) -> Result<(), Failure> {
    let address = Address::new(&["events"]).with("heartbeat", HEARTBEAT.to_string());
    let mut request = client.http.get(client.url(&address)?);
    if let Some(id) = last_id {
        request = request.header("Last-Event-ID", id.as_str());
    }
    let Ok(response) = timeout(SILENCE, client.send(request)).await else { return Err(silent()) };
    let response = response?;
    *was_open = true;
    if !teller.tell(News::Connected).await {
        return Ok(());
    }
    // What is sent is heard here, also where it is only a comment: the server is there.
    let (heard, mut alive) = tokio::sync::watch::channel(());
    let bytes = response.bytes_stream().inspect(move |_| {
        heard.send_replace(());
    });
    let mut stream = std::pin::pin!(SseStream::from_bytes_stream(bytes));
    let (most, longest) = BATCH;
    let mut batch = Vec::new();
    let mut due: Option<Instant> = None;
    let failure = loop {
        let flush = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = stream.next() => match event {
                Some(Ok(event)) => {
                    if let Some(id) = event.id {
                        *last_id = Some(id);
                    }
                    if let Some(event) = read(event.event.as_deref(), event.data.as_deref()) {
                        batch.push(event);
                        due.get_or_insert_with(|| Instant::now() + longest);
                    }
                }
                Some(Err(sse_stream::Error::Body(error))) => break broken(error.as_ref()),
                Some(Err(error)) => break failure(format!("what the server tells reads like no events: {error}")),
                None => break failure("the server ended the stream of events".into()),
            },
            () = flush => {}
            heard = timeout(SILENCE, alive.changed()) => {
                if heard.is_err() {
                    break silent();
                }
                continue;
            }
        }
        if batch.len() >= most || due.is_some_and(|due| due <= Instant::now()) {
            due = None;
            // A console that is busy makes the server wait; it tells what was lost.
            if !teller.tell(News::Events(std::mem::take(&mut batch))).await {
                return Ok(());
            }
        }
    };
    // What came before the end is not told again: it was heard.
    if !batch.is_empty() && !teller.tell(News::Events(batch)).await {
        return Ok(());
    }
    Err(failure)
}

fn read(kind: Option<&str>, data: Option<&str>) -> Option<LiveEvent> {
    let kind = kind?;
    let value: Value = serde_json::from_str(data?).unwrap_or_default();
    Some(LiveEvent::of(kind, &value))
}

fn silent() -> Failure {
    failure("the server says nothing".into())
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Failure {
    match error.downcast_ref::<reqwest::Error>() {
        Some(error) => failure(root_cause(error)),
        None => failure(error.to_string()),
    }
}
