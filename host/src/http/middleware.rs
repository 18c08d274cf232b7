//! What happens to every request, outermost first: it gets an id; it is a span and one
//! record in the log; browsers are told which origins may ask; a panic becomes a 500 (which
//! a browser may read too); callers say who they are, and what is too much is turned away; JSON is
//! read; what directs the server is noted; streams end when their reader is let in no more.
//!
//! One function does it all, inside of the router: as layers around it these steps cost as much as the
//! rest of a short request, for the router keeps each layer in a box of its own, copies all of them for
//! each request, and moves the request through them. Here it stays where it is until its handler takes it.

use std::{
    any::Any,
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    task::{Poll, ready},
    time::{Duration, Instant},
};

use axum::{
    extract::Request,
    handler::Handler,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use http::{HeaderName, HeaderValue, Method, header};
use tracing::Span;

use super::{
    access,
    audit::Act,
    cors::Cors,
    endpoint::{Answering, AnyHandler},
    error::{ApiError, Cause},
    extract::{self, Most},
    lapse, limited,
    metrics::Route,
    not_found,
};
use crate::{app::AppState, auth::Auth, limits::Limits, types::id};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What all requests have in common.
pub(super) struct Front {
    cors: Cors,
    auth: Auth,
    limits: Arc<Limits>,
    /// What a JSON body may be.
    most: Most,
}

impl Front {
    /// Returns what stands before the handlers of a host.
    pub(super) fn new(app: &AppState) -> Self {
        Self {
            cors: Cors::new(&app.config.cors_origins, app.auth.is_required()),
            auth: app.auth.clone(),
            limits: Arc::clone(&app.limits),
            most: Most { bytes: app.config.body_limit, depth: app.limits.settings().json_depth },
        }
    }
}

/// A handler, and what happens to every request before and after it.
#[derive(Clone)]
pub(super) struct Wrapped(Arc<Parts>);

struct Parts {
    front: Arc<Front>,
    route: Arc<Route>,
    handler: AnyHandler,
}

impl Wrapped {
    /// Puts everything around the handler of a route.
    pub(super) fn new(front: &Arc<Front>, route: &Arc<Route>, handler: AnyHandler) -> Self {
        Self(Arc::new(Parts { front: Arc::clone(front), route: Arc::clone(route), handler }))
    }
}

impl Handler<(), AppState> for Wrapped {
    type Future = Answering;

    fn call(self, request: Request, app: AppState) -> Answering {
        Box::pin(answer(self.0, request, app))
    }
}

/// A request on its way to its handler.
pub(super) struct Asked<'a> {
    pub(super) request: Request,
    app: AppState,
    parts: &'a Parts,
}

impl Asked<'_> {
    /// Has the handler answer. There is no request afterwards.
    pub(super) async fn answer(&mut self) -> Response {
        let Parts { front, route, handler } = self.parts;
        if route.takes_json
            && let Err(error) = extract::read_json(front.most, &front.limits, &mut self.request).await
        {
            return error.into_response();
        }
        handler.answer(std::mem::take(&mut self.request), AppState::clone(&self.app)).await
    }
}

async fn answer(parts: Arc<Parts>, request: Request, app: AppState) -> Response {
    let began = Instant::now();
    let id = request.headers().get(REQUEST_ID).cloned().or_else(fresh_id);
    let span = span(&request, id.as_ref());
    let mut asked = Asked { request, app, parts: &parts };
    // Pinned here and below: what wraps a future takes it, and the state of this is some kilobytes.
    let mut answer = pin!(guarded(&mut asked));
    let mut response = poll_fn(|cx| {
        // By hand: `Instrument` enters once more to drop what has ended.
        let _entered = span.enter();
        let response = ready!(answer.as_mut().poll(cx));
        let elapsed = began.elapsed();
        log(&response, elapsed);
        parts.route.answered(response.status(), elapsed);
        Poll::Ready(response)
    })
    .await;
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn fresh_id() -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(bytes::Bytes::from(id::fresh())).ok()
}

fn span(request: &Request, id: Option<&HeaderValue>) -> Span {
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    // The path alone: a query may hold a key.
    tracing::info_span!(
        "request",
        http.method = request.method().as_str(),
        http.path = request.uri().path(),
        request.id = id
    )
}

fn log(response: &Response, elapsed: Duration) {
    let status = response.status().as_u16();
    let latency_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    match response.extensions().get::<Cause>() {
        Some(cause) if response.status().is_server_error() => {
            tracing::error!(http.status = status, latency_ms, error = %cause, "a request failed");
        }
        // That the host is not ready is an answer; what it lacks is logged when it is found.
        _ => tracing::debug!(http.status = status, latency_ms, "a request was answered"),
    }
}

/// Answers a request as its origin may see it, whatever its handler does.
async fn guarded(asked: &mut Asked<'_>) -> Response {
    let (request, front) = (&asked.request, &asked.parts.front);
    let origin = request.headers().get(header::ORIGIN).cloned();
    if request.method() == Method::OPTIONS {
        // A preflight is answered for any path; other questions about options are for nobody.
        if !Cors::is_preflight(request.method(), request.headers()) {
            return not_found().await;
        }
        let mut response = Response::default();
        front.cors.answer_preflight(origin.as_ref(), response.headers_mut());
        return response;
    }
    let answer = pin!(admitted(asked));
    let answered = AssertUnwindSafe(answer).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|panic| panicked(&*panic));
    front.cors.mark(origin.as_ref(), response.headers_mut());
    response
}

/// Answers a request if its caller may make it and does not ask too much, and takes note of those that
/// direct the server.
async fn admitted(asked: &mut Asked<'_>) -> Response {
    let Parts { front, route, .. } = asked.parts;
    let Front { auth, limits, .. } = &**front;
    let admission = access::admit(auth, route.access, &mut asked.request).await;
    let act = Act::of(route, &asked.request);
    let response = match admission {
        Ok(shown) => lapse::end_with(auth, shown, limited::answer(limits, route.work, asked).await),
        // Who is turned away has asked, too.
        Err(error) => limited::refuse(limits, &asked.request, error).into_response(),
    };
    if let Some(act) = act {
        act.note(response.status());
    }
    response
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let message = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => (*message).to_owned(),
        (None, Some(message)) => message.clone(),
        (None, None) => "the panic carried no text".to_owned(),
    };
    ApiError::internal(format!("a handler panicked: {message}")).into_response()
}
