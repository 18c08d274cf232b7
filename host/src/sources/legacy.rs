//! The client's side of the transport before Streamable HTTP: a stream of events from the server, each
//! message to it a request of its own, to the address the first event names.

use std::{collections::HashMap, io};

use futures::{Sink, SinkExt, Stream, StreamExt, sink, stream};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use sse_stream::{Sse, SseStream};

type Messages = std::pin::Pin<Box<dyn Stream<Item = ServerJsonRpcMessage> + Send>>;
type Sender = std::pin::Pin<Box<dyn Sink<ClientJsonRpcMessage, Error = io::Error> + Send>>;

/// Opens the stream and returns both directions.
pub(super) async fn connect(
    client: reqwest::Client,
    url: &str,
    headers: HashMap<HeaderName, HeaderValue>,
) -> Result<(Sender, Messages), String> {
    let headers: HeaderMap = headers.into_iter().collect();
    let request = client.get(url).headers(headers.clone()).header(header::ACCEPT, "text/event-stream");
    let response = request.send().await.and_then(reqwest::Response::error_for_status);
    let response = response.map_err(|error| error.without_url().to_string())?;
    let base = response.url().clone();
    let mut events = Box::pin(SseStream::from_bytes_stream(response.bytes_stream()));
    let endpoint = loop {
        match events.next().await {
            Some(Ok(Sse { event: Some(event), data: Some(data), .. })) if event == "endpoint" => break data,
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(format!("it does not stream events: {error}")),
            None => return Err("it ended before it said where to send messages".to_owned()),
        }
    };
    let endpoint = base.join(endpoint.trim()).map_err(|error| format!("it wants messages sent nowhere: {error}"))?;
    // Another origin would be sent the headers that are meant for this one.
    if endpoint.origin() != base.origin() {
        return Err("it wants messages sent to somebody else".to_owned());
    }
    let messages = stream::unfold(events, |mut events| async {
        loop {
            let event = events.next().await?.ok()?;
            // What is no message is nothing to end for: a server may say more than a client knows.
            if let Some(Ok(message)) = event.data.map(|data| serde_json::from_str(&data)) {
                return Some((message, events));
            }
        }
    });
    let sender = sink::unfold((client, endpoint, headers), |(client, endpoint, headers), message| async move {
        let request = client.post(endpoint.clone()).headers(headers.clone()).json(&message);
        let answered = request.send().await.and_then(reqwest::Response::error_for_status);
        answered.map_err(|error| io::Error::other(error.without_url()))?;
        Ok::<_, io::Error>((client, endpoint, headers))
    });
    Ok((Box::pin(sender.sink_map_err(io::Error::other)), Box::pin(messages)))
}
