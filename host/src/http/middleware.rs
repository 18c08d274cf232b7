//! What happens to every request, outermost first: it gets an id; it is a span and one
//! record in the log; browsers are told which origins may ask; a panic becomes a 500 (which
//! a browser may read too); the length of bodies is limited.

use std::{any::Any, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method, header};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
    request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    trace::TraceLayer,
};
use tracing::Span;

use super::{
    error::{ApiError, Cause},
    not_found,
};
use crate::{app::AppState, types::id};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(3600);

/// Puts the middleware around the routes.
pub(super) fn wrap(router: Router<AppState>, app: &AppState) -> Router<AppState> {
    // A layer wraps those before it: read from the bottom.
    router
        .layer(DefaultBodyLimit::max(app.config.body_limit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(cors(&app.config.cors_origins))
        .layer(from_fn(only_preflights))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_response(log)
                .on_body_chunk(())
                .on_eos(())
                .on_failure(()),
        )
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, FreshId))
}

#[derive(Debug, Clone, Copy)]
struct FreshId;

impl MakeRequestId for FreshId {
    fn make_request_id<B>(&mut self, _: &http::Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&id::fresh()).ok().map(RequestId::new)
    }
}

fn span(request: &Request) -> Span {
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    // The path alone: a query may hold a key.
    tracing::info_span!("request", http.method = %request.method(), http.path = request.uri().path(), request.id = id)
}

fn log(response: &http::Response<Body>, latency: Duration, _: &Span) {
    let status = response.status().as_u16();
    let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    match response.extensions().get::<Cause>() {
        Some(cause) if response.status().is_server_error() => {
            tracing::error!(http.status = status, latency_ms, error = %cause, "a request failed");
        }
        // That the host is not ready is an answer; what it lacks is logged when it is found.
        _ => tracing::debug!(http.status = status, latency_ms, "a request was answered"),
    }
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let message = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => (*message).to_owned(),
        (None, Some(message)) => message.clone(),
        (None, None) => "the panic carried no text".to_owned(),
    };
    ApiError::internal(format!("a handler panicked: {message}")).into_response()
}

/// Lets `OPTIONS` through to the CORS layer only if a browser asks; it would answer any.
async fn only_preflights(request: Request, next: Next) -> Response {
    let is_preflight = request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && !is_preflight {
        return not_found().await;
    }
    next.run(request).await
}

fn cors(origins: &[String]) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS])
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            HeaderName::from_static("a2a-version"),
            HeaderName::from_static("x-mastra-client-type"),
            HeaderName::from_static("x-mastra-dev-playground"),
        ])
        .expose_headers([header::CONTENT_LENGTH, HeaderName::from_static("x-requested-with")])
        .max_age(PREFLIGHT_MAX_AGE);
    if origins.is_empty() || origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(AllowOrigin::any());
    }
    // Origins that cannot be a header's value cannot be asked from either.
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    layer.allow_origin(AllowOrigin::list(origins)).allow_credentials(true)
}
