//! The endpoints other services send their spans and log records to: OTLP over HTTP.
//!
//! The one place whose errors are not [`ApiError`](super::error::ApiError)'s: the protocol has a
//! shape of its own for them, `google.rpc.Status` in the encoding of the request, and says which
//! statuses senders try again after. A request is answered once its records are on the disk.
//! `https://opentelemetry.io/docs/specs/otlp/#otlphttp`

use std::io::Read;

use axum::{
    extract::{FromRequest, Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    app::AppState,
    config::OtlpProtocol,
    observe::otlp::{
        bounds::{self, Sent},
        content_type, decode, encode,
        incoming::{self, Taken},
        messages::{LogsRequest, LogsResponse, RejectedLogs, RejectedSpans, RpcStatus, TracesRequest, TracesResponse},
    },
    types::id::Millis,
};

/// After how many seconds a sender may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Codes of gRPC.
const INVALID_ARGUMENT: i32 = 3;
const RESOURCE_EXHAUSTED: i32 = 8;
const INTERNAL: i32 = 13;
const UNAVAILABLE: i32 = 14;

/// Takes spans of other services.
pub(super) async fn traces(State(app): State<AppState>, request: Request) -> Response {
    answer(&app, request, async |protocol, body| {
        let with_content = app.observe.recorder().records_content();
        let read = move |request| incoming::spans(request, Millis::now(), with_content);
        let taken = read_request::<TracesRequest, _>(protocol, body, limit(&app), Sent::Spans, read).await?;
        let (rejected_spans, error_message) = (taken.refused(), taken.why);
        if !taken.records.is_empty() {
            app.observe.recorder().batch(Vec::new(), taken.records).await.map_err(Refusal::unavailable)?;
        }
        let partial_success = (rejected_spans > 0).then_some(RejectedSpans { rejected_spans, error_message });
        Ok(encode(protocol, &TracesResponse { partial_success }))
    })
    .await
}

/// Takes log records of other services.
pub(super) async fn logs(State(app): State<AppState>, request: Request) -> Response {
    answer(&app, request, async |protocol, body| {
        let read = |request| incoming::logs(request, Millis::now());
        let taken = read_request::<LogsRequest, _>(protocol, body, limit(&app), Sent::Logs, read).await?;
        let (rejected_log_records, error_message) = (taken.refused(), taken.why);
        if !taken.records.is_empty() {
            app.observe.recorder().batch(taken.records, Vec::new()).await.map_err(Refusal::unavailable)?;
        }
        let partial_success =
            (rejected_log_records > 0).then_some(RejectedLogs { rejected_log_records, error_message });
        Ok(encode(protocol, &LogsResponse { partial_success }))
    })
    .await
}

/// A body as it came, and whether it is compressed.
struct Posted {
    bytes: Bytes,
    is_gzip: bool,
}

/// Why a request is not taken.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: i32,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: i32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID_ARGUMENT, message)
    }

    fn too_long(limit: usize) -> Self {
        let message = format!("the body is longer than {limit} bytes, unpacked; send smaller batches");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, RESOURCE_EXHAUSTED, message)
    }

    fn too_many(message: String) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, RESOURCE_EXHAUSTED, message)
    }

    fn unavailable(message: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, message)
    }

    fn response(self, protocol: OtlpProtocol) -> Response {
        let body = encode(protocol, &RpcStatus { code: self.code, message: self.message });
        let mut response = respond(self.status, protocol, body);
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

fn respond(status: StatusCode, protocol: OtlpProtocol, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, content_type(protocol))], body).into_response()
}

async fn answer(
    app: &AppState,
    request: Request,
    take: impl AsyncFnOnce(OtlpProtocol, Posted) -> Result<Vec<u8>, Refusal>,
) -> Response {
    let Some(protocol) = protocol_of(request.headers()) else {
        let message = "the content type must be application/x-protobuf or application/json";
        let refusal = Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_ARGUMENT, message);
        return refusal.response(OtlpProtocol::Json);
    };
    let taken = async {
        // Before the body is read: what cannot be kept need not be.
        check_room(app)?;
        let body = read_body(app, request).await?;
        take(protocol, body).await
    };
    match taken.await {
        Ok(body) => respond(StatusCode::OK, protocol, body),
        Err(refusal) => refusal.response(protocol),
    }
}

fn protocol_of(headers: &HeaderMap) -> Option<OtlpProtocol> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = value.split(';').next().unwrap_or_default().trim();
    [OtlpProtocol::Protobuf, OtlpProtocol::Json].into_iter().find(|it| kind.eq_ignore_ascii_case(content_type(*it)))
}

fn limit(app: &AppState) -> usize {
    app.config.body_limit
}

/// Other services wait before the host's own records are shed.
fn check_room(app: &AppState) -> Result<(), Refusal> {
    let recorder = app.observe.recorder();
    if !recorder.is_on() {
        return Err(Refusal::unavailable("nothing is recorded here".to_owned()));
    }
    let (waiting, room) = recorder.depth();
    if waiting > room / 2 {
        let message = "more is recorded than can be written, send it again later";
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, RESOURCE_EXHAUSTED, message));
    }
    Ok(())
}

async fn read_body(app: &AppState, request: Request) -> Result<Posted, Refusal> {
    let is_gzip = match request.headers().get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => false,
        Some(b"gzip") => true,
        Some(_) => {
            let message = "the content encoding must be gzip or none";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_ARGUMENT, message));
        }
    };
    let read = Bytes::from_request(request, &()).await;
    let bytes = read.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::too_long(limit(app)),
        _ => Refusal::malformed("the body broke off"),
    })?;
    Ok(Posted { bytes, is_gzip })
}

/// Unpacks, decodes and maps a body, away from the threads that answer: megabytes take a while.
async fn read_request<M, T>(
    protocol: OtlpProtocol,
    body: Posted,
    limit: usize,
    sent: Sent,
    read: impl FnOnce(M) -> Taken<T> + Send + 'static,
) -> Result<Taken<T>, Refusal>
where
    M: Message + Default + Serialize + DeserializeOwned,
    T: Send + 'static,
{
    let work = move || {
        let unpacked = if body.is_gzip { unpack(&body.bytes, limit)?.into() } else { body.bytes };
        bounds::check(protocol, &unpacked, sent).map_err(Refusal::too_many)?;
        let request = decode(protocol, &unpacked)
            .map_err(|error| Refusal::malformed(format!("the body cannot be read: {error}")))?;
        Ok(read(request))
    };
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, "the body cannot be read")))
}

/// Unpacks a body, never beyond the limit: a kilobyte may hold a gigabyte.
fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut unpacked = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(packed)
        .take(most)
        .read_to_end(&mut unpacked)
        .map_err(|error| Refusal::malformed(format!("the body is not gzip: {error}")))?;
    if unpacked.len() > limit { Err(Refusal::too_long(limit)) } else { Ok(unpacked) }
}
