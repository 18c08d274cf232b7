//! What a request must get past before it is answered: how much is asked of the host already, by
//! whom, and how long it may take. What these are is in [`crate::limits`]; here they get statuses.
//!
//! Routes differ in what they ask for, see [`Work`]. A stream holds its places until its last byte
//! is sent, everything else until it is answered.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Sleep;

use super::{client::account_of, error::ApiError, kept::Kept, middleware::Asked};
use crate::limits::{BodyBytes, Limit, Limits, Refused, RunSlot, Slot};

/// What answering asks of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Work {
    /// Nothing to speak of, or it is how an operator helps a host that has too much to do: always answered.
    Vital,
    /// A look at something, or a change.
    #[default]
    Short,
    /// A run.
    Run,
    /// A stream of what happens anyway.
    Stream,
    /// A run that is streamed.
    StreamedRun,
}

impl Work {
    /// The same, but streamed.
    pub(super) fn streamed(self) -> Self {
        match self {
            Self::Run | Self::StreamedRun => Self::StreamedRun,
            Self::Vital | Self::Short | Self::Stream => Self::Stream,
        }
    }

    /// The same, but run.
    pub(super) fn run(self) -> Self {
        match self {
            Self::Stream | Self::StreamedRun => Self::StreamedRun,
            Self::Vital | Self::Short | Self::Run => Self::Run,
        }
    }
}

/// Answers a request if it is not too much.
pub(super) async fn answer(limits: &Arc<Limits>, work: Work, asked: &mut Asked<'_>) -> Response {
    match admit(limits, work, asked).await {
        Ok(response) => {
            if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
                limits.hit(Limit::Body);
            }
            response
        }
        Err(refused) => refused.into_response(),
    }
}

/// Returns the answer to who is not let in: they are counted, so that guessing has a rate as well.
pub(super) fn refuse(limits: &Limits, request: &Request, error: ApiError) -> ApiError {
    match limits.rate(&account_of(request, limits)) {
        Ok(()) => error,
        Err(refused) => refused.into(),
    }
}

async fn admit(limits: &Arc<Limits>, work: Work, asked: &mut Asked<'_>) -> Result<Response, ApiError> {
    let settings = limits.settings();
    let length = asked.request.uri().path_and_query().map_or(0, |it| it.as_str().len());
    if length > settings.url_bytes {
        limits.hit(Limit::Url);
        let message = format!("the URL is longer than {} bytes", settings.url_bytes);
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, message));
    }
    let body = watch(limits, &mut asked.request);
    let response = match work {
        Work::Vital => asked.answer().await,
        Work::Short => {
            limits.rate(&account_of(&asked.request, limits))?;
            let _slot = limits.request()?;
            within(limits, settings.request_time, pin!(asked.answer())).await?
        }
        Work::Run | Work::Stream | Work::StreamedRun => {
            let held = Held::take(limits, work, &asked.request)?;
            let answer = pin!(asked.answer());
            let answer = within(limits, settings.wait_time, answer);
            let response = match &held.run {
                Some(run) => run.clone().scope(answer).await?,
                None => answer.await?,
            };
            held.until_sent(response)
        }
    };
    // Whoever read the body was told only that it broke off.
    match body.and_then(|body| body.problem()) {
        Some(problem) => Err(problem),
        None => Ok(response),
    }
}

/// Waits for an answer as long as it may take. Pinned: its state is some kilobytes, which would be copied on the way.
async fn within(
    limits: &Limits,
    time: Duration,
    mut answer: Pin<&mut impl Future<Output = Response>>,
) -> Result<Response, ApiError> {
    // Most answers are not waited for; a timer, and the time, are for those that are.
    let mut timer = pin!(None::<Sleep>);
    poll_fn(|cx| {
        if let Poll::Ready(response) = answer.as_mut().poll(cx) {
            return Poll::Ready(Ok(response));
        }
        if timer.is_none() {
            timer.set(Some(tokio::time::sleep(time)));
        }
        ready!(timer.as_mut().as_pin_mut().map_or(Poll::Pending, |timer| timer.poll(cx)));
        limits.hit(Limit::RequestTime);
        let message = format!("the answer took longer than {} s", time.as_secs_f64());
        Poll::Ready(Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, message)))
    })
    .await
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let Refused { limit, retry_after } = refused;
        match limit {
            Limit::ClientRate => Self::too_many("you ask too often; slow down", retry_after),
            Limit::ClientRuns => Self::too_many("you have as many runs as you may have at once", retry_after),
            Limit::ClientStreams => Self::too_many("you read as many streams as you may at once", retry_after),
            Limit::Runs => Self::unavailable("there are too many runs; try again later", retry_after),
            Limit::Streams => Self::unavailable("there are too many streams; try again later", retry_after),
            Limit::Bodies => Self::unavailable("too much is being sent here; try again later", retry_after),
            _ => Self::unavailable("there is too much to do; try again later", retry_after),
        }
    }
}

/// The places of a run, a stream, or both.
struct Held {
    run: Option<RunSlot>,
    _stream: Option<Slot>,
}

impl Held {
    fn take(limits: &Arc<Limits>, work: Work, request: &Request) -> Result<Self, Refused> {
        let account = account_of(request, limits);
        limits.rate(&account)?;
        let runs = matches!(work, Work::Run | Work::StreamedRun);
        let streams = matches!(work, Work::Stream | Work::StreamedRun);
        let run = if runs { Some(limits.run(&account)?) } else { None };
        let stream = if streams { Some(limits.stream(&account)?) } else { None };
        Ok(Self { run, _stream: stream })
    }

    /// Gives the places back once the answer is sent, if it is one of unknown length.
    fn until_sent(self, response: Response) -> Response {
        if response.body().size_hint().exact().is_some() {
            return response;
        }
        response.map(|body| Body::new(Kept::new(body, self)))
    }
}

/// What is known of a body while it comes.
struct Watch {
    limits: Arc<Limits>,
    taken: BodyBytes,
    problem: AtomicU8,
}

/// What a body broke off for, as a watch notes it.
const LATE: u8 = 1;
const NO_ROOM: u8 = 2;

/// A body that comes in time, and for which there is room; else it breaks off.
struct WatchedBody {
    body: Body,
    watch: Arc<Watch>,
    /// How long it may take, from when it is first waited for.
    time: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Watches the body of a request, if it has one.
fn watch(limits: &Arc<Limits>, request: &mut Request) -> Option<Arc<Watch>> {
    if request.body().is_end_stream() {
        return None;
    }
    let watch = Watch { limits: Arc::clone(limits), taken: limits.body(), problem: AtomicU8::new(0) };
    let watch = Arc::new(watch);
    let time = limits.settings().body_time;
    let body = std::mem::take(request.body_mut());
    *request.body_mut() = Body::new(WatchedBody { body, watch: Arc::clone(&watch), time, timer: None });
    Some(watch)
}

impl Watch {
    fn broke_off(&self, why: u8) -> axum::Error {
        self.problem.store(why, Ordering::Relaxed);
        axum::Error::new("the body broke off")
    }

    /// Returns why it broke off, if that is not the client's own doing.
    fn problem(&self) -> Option<ApiError> {
        match self.problem.load(Ordering::Relaxed) {
            LATE => {
                self.limits.hit(Limit::BodyTime);
                Some(ApiError::new(StatusCode::REQUEST_TIMEOUT, "the request's body did not come in time"))
            }
            NO_ROOM => {
                self.limits.hit(Limit::Bodies);
                Some(Refused { limit: Limit::Bodies, retry_after: Duration::from_secs(1) }.into())
            }
            _ => None,
        }
    }
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                Poll::Ready(Some(if this.watch.taken.add(length) {
                    Ok(frame)
                } else {
                    Err(this.watch.broke_off(NO_ROOM))
                }))
            }
            Poll::Ready(other) => Poll::Ready(other),
            Poll::Pending => {
                let time = this.time;
                // Most bodies are there when they are asked for.
                let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
                timer.as_mut().poll(cx).map(|()| Some(Err(this.watch.broke_off(LATE))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
