//! What happens to every request, outermost first: it gets an id; it is a span and one
//! record in the log; browsers are told which origins may ask; a panic becomes a 500 (which
//! a browser may read too); callers say who they are, and what is too much is turned away; JSON is
//! read; what directs the server is noted; streams end when their reader is let in no more.
//!
//! One function does it all. As layers of their own these steps cost as much as the rest of
//! a short request: the router keeps each layer in a box of its own and copies all of them
//! for each request.

use std::{any::Any, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Instant};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use http::{HeaderName, HeaderValue, Method, header};
use tracing::{Instrument, Span};

use super::{
    access,
    audit::Act,
    cors::Cors,
    error::{ApiError, Cause},
    extract::{self, Most},
    lapse, limited,
    metrics::{Requests, Route},
    not_found,
};
use crate::{app::AppState, auth::Auth, limits::Limits, types::id};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Puts the middleware around the routes.
pub(super) fn wrap(router: Router<AppState>, app: &AppState, requests: &Arc<Requests>) -> Router<AppState> {
    let around = Arc::new(Around {
        cors: Cors::new(&app.config.cors_origins, app.auth.is_required()),
        requests: Arc::clone(requests),
        auth: app.auth.clone(),
        limits: Arc::clone(&app.limits),
        most: Most { bytes: app.config.body_limit, depth: app.limits.settings().json_depth },
    });
    router.layer(from_fn(move |request, next| answer(Arc::clone(&around), request, next)))
}

/// What all requests have in common.
struct Around {
    cors: Cors,
    requests: Arc<Requests>,
    auth: Auth,
    limits: Arc<Limits>,
    /// What a JSON body may be.
    most: Most,
}

/// What answers a request that was let in.
pub(super) struct Rest {
    next: Next,
    /// What its body may be, if its handler takes JSON.
    json: Option<Most>,
}

impl Rest {
    /// Answers it.
    pub(super) async fn run(self, limits: &Limits, request: Request) -> Response {
        let Some(most) = self.json else { return self.next.run(request).await };
        match extract::read_json(most, limits, request).await {
            Ok(request) => self.next.run(request).await,
            Err(error) => error.into_response(),
        }
    }
}

async fn answer(around: Arc<Around>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let counted = around.requests.find(&request);
    let id = request.headers().get(REQUEST_ID).cloned().or_else(fresh_id);
    let span = span(&request, id.as_ref());
    // Pinned here and below: what wraps a future takes it, and the state of this is some kilobytes.
    let answer = pin!(guarded(&around, counted, request, next));
    let mut response = answer.instrument(span.clone()).await;
    span.in_scope(|| log(&response, began));
    counted.answered(response.status(), began.elapsed());
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
    tracing::info_span!("request", http.method = %request.method(), http.path = request.uri().path(), request.id = id)
}

fn log(response: &Response, began: Instant) {
    let status = response.status().as_u16();
    let latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match response.extensions().get::<Cause>() {
        Some(cause) if response.status().is_server_error() => {
            tracing::error!(http.status = status, latency_ms, error = %cause, "a request failed");
        }
        // That the host is not ready is an answer; what it lacks is logged when it is found.
        _ => tracing::debug!(http.status = status, latency_ms, "a request was answered"),
    }
}

/// Answers a request as its origin may see it, whatever its handler does.
async fn guarded(around: &Around, route: &Route, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    if request.method() == Method::OPTIONS {
        // A preflight is answered for any path; other questions about options are for nobody.
        if !Cors::is_preflight(request.method(), request.headers()) {
            return not_found().await;
        }
        let mut response = Response::default();
        around.cors.answer_preflight(origin.as_ref(), response.headers_mut());
        return response;
    }
    let answer = pin!(admitted(around, route, request, next));
    let answered = AssertUnwindSafe(answer).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|panic| panicked(&*panic));
    around.cors.mark(origin.as_ref(), response.headers_mut());
    response
}

/// Answers a request if its caller may make it and does not ask too much, and takes note of those that
/// direct the server.
async fn admitted(around: &Around, route: &Route, mut request: Request, next: Next) -> Response {
    let Around { auth, limits, .. } = around;
    let admission = access::admit(auth, route.access, &mut request).await;
    let act = Act::of(route, &request);
    let response = match admission {
        Ok(shown) => {
            let rest = Rest { next, json: route.takes_json.then_some(around.most) };
            lapse::end_with(auth, shown, limited::answer(limits, route.work, request, rest).await)
        }
        // Who is turned away has asked, too.
        Err(error) => limited::refuse(limits, &request, error).into_response(),
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
