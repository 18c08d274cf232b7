//! The record of what directs the server: who did what, when, and what came of it.
//!
//! Such records are of the log, under the component `hotbay::audit`, and found there like all others.

use std::sync::Arc;

use axum::extract::Request;
use http::StatusCode;

use super::{access::Asker, metrics::Route};
use crate::types::caller::Caller;

/// Something that somebody does to the server.
pub(super) struct Act {
    by: Arc<Caller>,
    what: String,
    path: String,
}

impl Act {
    /// Returns what a request does to the server, if it directs it.
    pub(super) fn of(route: &Route, request: &Request) -> Option<Self> {
        if !route.access.is_audited(request.method()) {
            return None;
        }
        let by = Asker::of(request.extensions()).0;
        let what = format!("{} {}", request.method(), route.template);
        Some(Self { by, what, path: request.uri().path().to_owned() })
    }

    /// Takes note of it.
    pub(super) fn note(self, status: StatusCode) {
        if status == StatusCode::UNAUTHORIZED {
            // Nobody did nothing; those are counted, and anybody could fill the log with them.
            return;
        }
        let result = match status.as_u16() {
            200..=299 => "done",
            403 => "refused",
            _ => "failed",
        };
        let Caller { id, name, role, .. } = &*self.by;
        let (name, id, role) = (&**name, &**id, role.as_str());
        let (action, path, status) = (&*self.what, &*self.path, status.as_u16());
        tracing::info!(
            target: "hotbay::audit",
            {
                audit.actor = name,
                audit.actor_id = id,
                audit.role = role,
                audit.action = action,
                audit.result = result,
                http.path = path,
                http.status = status,
            },
            "somebody directed the server"
        );
    }
}
