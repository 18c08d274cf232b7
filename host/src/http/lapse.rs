//! Streams end when what their reader showed lets nobody in any more. What a stream says then is its
//! maker's affair: it puts a [`Farewell`] beside its answer, or says nothing.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body as _, Frame, SizeHint};

use super::access::Shown;
use crate::auth::Auth;

/// Why a stream ends.
pub(super) const SENTENCE: &str = "the token has expired or was revoked";

/// The last a stream says to a reader who is let in no more: whole frames of its wire.
#[derive(Debug, Clone)]
pub(super) struct Farewell(pub(super) Bytes);

/// Ends an answer of unknown length when what was shown for it lets nobody in any more.
pub(super) fn end_with(auth: &Auth, shown: Option<Shown>, mut response: Response) -> Response {
    let farewell = response.extensions_mut().remove::<Farewell>();
    let Some(shown) = shown.filter(|_| response.body().size_hint().exact().is_none()) else { return response };
    let auth = auth.clone();
    let lapse = Box::pin(async move { auth.lapse(&shown.0).await });
    response.map(|body| Body::new(Ending { body: Some(body), lapse, farewell }))
}

/// A body that may end before its time.
struct Ending {
    /// Gone once its reader is let in no more, and what it runs with it.
    body: Option<Body>,
    lapse: BoxFuture<'static, ()>,
    farewell: Option<Farewell>,
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if this.lapse.as_mut().poll(cx).is_ready() {
            this.body = None;
            return Poll::Ready(this.farewell.take().map(|farewell| Ok(Frame::data(farewell.0))));
        }
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
