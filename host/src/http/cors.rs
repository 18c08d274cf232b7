//! Which origins' pages may read answers: the headers browsers look for.
//!
//! Everything is made once; a request only copies it.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

const VARY: HeaderValue =
    HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers");
const METHODS: HeaderValue = HeaderValue::from_static("GET,POST,PUT,PATCH,DELETE,OPTIONS");
// What begins with `mcp-`, and where a stream was left, is what clients of MCP say.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "content-type,authorization,a2a-version,x-mastra-client-type,x-mastra-dev-playground,\
     last-event-id,mcp-session-id,mcp-protocol-version,mcp-method,mcp-name",
);
const EXPOSED: HeaderValue = HeaderValue::from_static("content-length,x-requested-with,mcp-session-id");
/// An hour.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");

/// The origins that may read answers.
#[derive(Debug)]
pub(super) enum Cors {
    /// All.
    Any,
    /// All, each told by its name, with credentials: as the reference answers where callers say who they are.
    AnyNamed,
    /// These, with credentials.
    Only(Vec<HeaderValue>),
}

impl Cors {
    /// Reads the setting: none, or `*` among them, are all.
    pub(super) fn new(origins: &[String], asks_who: bool) -> Self {
        if origins.is_empty() || origins.iter().any(|origin| origin == "*") {
            return if asks_who { Self::AnyNamed } else { Self::Any };
        }
        // Origins that cannot be a header's value cannot be asked from either.
        Self::Only(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect())
    }

    /// Whether a browser asks what it may ask.
    pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
        method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// Adds what the answer to a preflight says.
    pub(super) fn answer_preflight(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        self.name_origin(origin, headers);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }

    /// Adds what any other answer says.
    pub(super) fn mark(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        self.name_origin(origin, headers);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }

    fn name_origin(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        const ANY: HeaderValue = HeaderValue::from_static("*");
        const TRUE: HeaderValue = HeaderValue::from_static("true");
        const ORIGIN: HeaderName = header::ACCESS_CONTROL_ALLOW_ORIGIN;
        // Appended: what an answer depends on besides stays said.
        headers.append(header::VARY, VARY);
        match self {
            Self::Any => {
                headers.insert(ORIGIN, ANY);
            }
            Self::AnyNamed => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
                headers.insert(ORIGIN, origin.cloned().unwrap_or(ANY));
            }
            Self::Only(origins) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
                if let Some(origin) = origin.filter(|origin| origins.contains(origin)) {
                    headers.insert(ORIGIN, origin.clone());
                }
            }
        }
    }
}
