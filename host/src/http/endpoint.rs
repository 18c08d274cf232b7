//! One row of the route table, and what it becomes: a route, and an entry of the API's
//! description. What an endpoint takes is read off its handler's arguments, so the
//! description cannot drift from the code.

use std::{fmt, pin::Pin, sync::Arc};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request, State},
    handler::Handler,
    response::Response,
    routing::{MethodFilter, MethodRouter, on},
};
use http::{HeaderMap, Method};
use schemars::JsonSchema;

use super::{
    access::{Access, Reach},
    extract::Shape,
    limited::Work,
    metrics::{self, Requests},
    middleware::{Front, Wrapped},
    openapi::{self, Description},
    sse::EVENT_STREAM,
};
use crate::{app::AppState, types::caller::Role};

/// What a handler reads from a request.
#[derive(Debug, Default, Clone)]
pub(super) struct Takes {
    /// The shape of the JSON body.
    pub(super) body: Option<&'static Shape>,
    /// The shape of the query.
    pub(super) query: Option<&'static Shape>,
}

/// An argument of a handler, as far as the description of the API is concerned.
pub(super) trait Argument {
    /// Adds what it reads to `takes`.
    fn describe(_takes: &mut Takes) {}
}

impl<S> Argument for State<S> {}
impl Argument for HeaderMap {}
impl<T> Argument for Extension<T> {}
impl Argument for Request {}
impl Argument for bytes::Bytes {}

/// The arguments of a handler.
pub(super) trait Arguments {
    /// Returns what they read together.
    fn takes() -> Takes;
}

impl Arguments for ((),) {
    fn takes() -> Takes {
        Takes::default()
    }
}

macro_rules! arguments {
    ($($name:ident)+) => {
        // The first type is how axum tells handlers apart, not an argument.
        impl<M, $($name: Argument),+> Arguments for (M, $($name,)+) {
            fn takes() -> Takes {
                let mut takes = Takes::default();
                $($name::describe(&mut takes);)+
                takes
            }
        }
    };
}
arguments!(A);
arguments!(A B);
arguments!(A B C);
arguments!(A B C D);
arguments!(A B C D E);
arguments!(A B C D E F);

/// What an endpoint answers on success.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Answers {
    /// A JSON document nothing is said about.
    #[default]
    AnyJson,
    /// A JSON document of this shape.
    Json(&'static Shape),
    /// Server-sent events.
    Events,
    /// JSON documents, each followed by a separator.
    Chunks,
    /// Text.
    Text,
}

/// What a handler returns, as axum boxes it.
pub(super) type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A handler, whatever its arguments.
///
/// Around each type of handler axum puts several of its own, and of each of them the compiler finds once more
/// that all a request may come to wait for can be sent. Of this type there is one.
#[derive(Clone)]
pub(super) struct AnyHandler(Arc<dyn Fn(Request, AppState) -> Answering + Send + Sync>);

impl AnyHandler {
    /// Forgets what the handler takes.
    pub(super) fn new<H, T>(handler: H) -> Self
    where
        H: Handler<T, AppState, Future = Answering>,
    {
        Self(Arc::new(move |request, app| handler.clone().call(request, app)))
    }

    /// Has it answer.
    pub(super) fn answer(&self, request: Request, app: AppState) -> Answering {
        (self.0)(request, app)
    }
}

/// A method and a path, who answers, and what is said about it.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) method: Method,
    /// With parameters as `:name`.
    pub(super) path: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) takes: Takes,
    pub(super) answers: Answers,
    /// Who may call it. If nothing is said: viewers what is read, operators what is not, and nobody who is
    /// bound to one owner.
    pub(super) access: Access,
    pub(super) work: Work,
    filter: MethodFilter,
    handler: AnyHandler,
}

macro_rules! methods {
    ($($name:ident $filter:ident)+) => {$(
        #[doc = concat!("Begins a row of the table: `", stringify!($filter), "`.")]
        pub(super) fn $name<H, T>(path: &'static str, handler: H) -> Endpoint
        where
            H: Handler<T, AppState, Future = Answering>,
            T: Arguments,
        {
            Endpoint::new(Method::$filter, MethodFilter::$filter, path, T::takes(), AnyHandler::new(handler))
        }
    )+};
}
methods!(get GET post POST patch PATCH delete DELETE);

impl Endpoint {
    fn new(method: Method, filter: MethodFilter, path: &'static str, takes: Takes, handler: AnyHandler) -> Self {
        let access = Access::of(&method);
        Self {
            method,
            path,
            tag: "",
            summary: "",
            takes,
            answers: Answers::default(),
            access,
            work: Work::default(),
            filter,
            handler,
        }
    }

    /// Lets anybody call it, also who does not say who they are.
    pub(super) fn open(mut self) -> Self {
        self.access = Access::OPEN;
        self
    }

    /// Lets everybody with this role call it, whatever its method.
    pub(super) fn needs(mut self, role: Role) -> Self {
        self.access.role = Some(role);
        self
    }

    /// Says that nothing of it belongs to anybody in particular.
    pub(super) fn common(mut self) -> Self {
        self.access.reach = Reach::Common;
        self
    }

    /// Says that its handler keeps to what is the caller's own.
    pub(super) fn own(mut self) -> Self {
        self.access.reach = Reach::Own;
        self
    }

    /// Says what it is for, in one sentence.
    pub(super) fn says(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Says what a success looks like.
    pub(super) fn answers<T: JsonSchema + 'static>(mut self) -> Self {
        self.answers = Answers::Json(Shape::of::<T>());
        self
    }

    /// Says that it answers with server-sent events.
    pub(super) fn streams(mut self) -> Self {
        self.answers = Answers::Events;
        self.work = self.work.streamed();
        self
    }

    /// Says that it answers with JSON documents, each followed by the byte 0x1E.
    pub(super) fn chunks(mut self) -> Self {
        self.answers = Answers::Chunks;
        self.work = self.work.streamed();
        self
    }

    /// Says that it runs something.
    pub(super) fn runs(mut self) -> Self {
        self.work = self.work.run();
        self
    }

    /// Says that it is answered however much there is to do.
    pub(super) fn always(mut self) -> Self {
        self.work = Work::Vital;
        self
    }

    /// Says that it answers with text.
    pub(super) fn text(mut self) -> Self {
        self.answers = Answers::Text;
        self
    }

    /// Returns the route. Each layer costs every request of it, so it has those it needs only.
    fn route(&self, template: &str, common: &Common) -> MethodRouter<AppState> {
        let counted = common.requests.of(template, &self.method);
        let mut route = on(self.filter, Wrapped::new(&common.front, counted, self.handler.clone()));
        // JSON is read before the route is asked.
        if self.takes.body.is_none() && self.method != Method::GET {
            route = route.layer(DefaultBodyLimit::max(common.body_limit));
        }
        if self.path == openapi::PATH {
            route = route.layer(Extension(Arc::clone(&common.description)));
        }
        if self.path == metrics::PATH {
            route = route.layer(Extension(Arc::clone(&common.requests)));
        }
        route
    }

    /// Returns the content type of a success.
    pub(super) fn content_type(&self) -> &'static str {
        match self.answers {
            Answers::Events => EVENT_STREAM,
            Answers::Chunks | Answers::Text => "text/plain",
            Answers::AnyJson | Answers::Json(_) => "application/json",
        }
    }

    /// Returns the path with parameters as `{name}`.
    pub(super) fn template(&self) -> String {
        let segments: Vec<String> = self
            .path
            .split('/')
            .map(|segment| match segment.strip_prefix(':') {
                Some(name) => format!("{{{name}}}"),
                None => segment.to_owned(),
            })
            .collect();
        segments.join("/")
    }

    /// Returns the names of the path's parameters.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|segment| segment.strip_prefix(':'))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Gives rows their tag.
pub(super) fn tagged<const N: usize>(tag: &'static str, endpoints: [Endpoint; N]) -> Vec<Endpoint> {
    endpoints.into_iter().map(|endpoint| Endpoint { tag, ..endpoint }).collect()
}

/// What routes are given besides the request.
pub(super) struct Common {
    /// The longest a body may be, in bytes.
    pub(super) body_limit: usize,
    /// The description of the API.
    pub(super) description: Arc<Description>,
    /// What is counted of requests.
    pub(super) requests: Arc<Requests>,
    /// What stands before all handlers.
    pub(super) front: Arc<Front>,
}

/// Returns the routes of these rows, under a prefix.
///
/// Not nested: a nested route would take its prefix off each request.
pub(super) fn routes(prefix: &str, endpoints: &[Endpoint], common: &Common) -> Router<AppState> {
    endpoints.iter().fold(Router::new(), |router, endpoint| {
        let template = format!("{prefix}{}", endpoint.template());
        router.route(&template, endpoint.route(&template, common))
    })
}
