//! Who may call an endpoint, whether this caller is one of them, and what of it is theirs.
//!
//! What each endpoint needs is said in the route table. A caller who is bound to one owner may call
//! only what belongs to nobody and what keeps to the caller's own, and the latter's handlers ask
//! [`Asker`]; so what nobody has thought about is closed to them.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use axum::extract::{FromRequestParts, Request};
use http::{Extensions, HeaderMap, Method, StatusCode, header, request::Parts};

use super::{endpoint::Argument, error::ApiError, extract::pairs};
use crate::{
    auth::Auth,
    memory::MemoryError,
    types::caller::{Caller, Role},
};

/// What a token without a name of its scheme may begin with, exactly.
const SCHEME: &str = "Bearer ";
/// The parameter of a query that has a token, for clients that cannot set headers.
pub(super) const PARAMETER: &str = "apiKey";

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    /// The least role; anybody may, also who does not say who they are, if absent.
    pub(super) role: Option<Role>,
    /// What is seen and touched by it.
    pub(super) reach: Reach,
}

/// What is seen and touched by an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// What belongs to nobody in particular.
    Common,
    /// What belongs to the caller's owner, if they are bound to one: the handler sees to that.
    Own,
    /// What belongs to all: it is not for callers bound to one owner.
    All,
}

impl Access {
    /// Anybody may.
    pub(super) const OPEN: Self = Self { role: None, reach: Reach::Common };

    /// Returns what an endpoint of a method needs about which nothing more is said.
    pub(super) fn of(method: &Method) -> Self {
        let role = if *method == Method::GET { Role::Viewer } else { Role::Operator };
        Self { role: Some(role), reach: Reach::All }
    }

    /// Whether calls are noted for good: those that direct the server are.
    pub(super) fn is_audited(self, method: &Method) -> bool {
        self.role == Some(Role::Admin) && *method != Method::GET && *method != Method::HEAD
    }

    fn check(self, caller: &Caller) -> Result<(), ApiError> {
        if let Some(needed) = self.role
            && caller.role < needed
        {
            let sentence = format!("this needs the role `{needed}`; `{}` is a {}", caller.name, caller.role);
            return Err(ApiError::forbidden(sentence));
        }
        match &caller.owner {
            Some(owner) if self.reach == Reach::All => Err(ApiError::forbidden(format!(
                "`{}` is bound to the resource `{owner}`, and this shows or changes what belongs to all",
                caller.name
            ))),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reach = match self.reach {
            Reach::Common => "common",
            Reach::Own => "own",
            Reach::All => "all",
        };
        match self.role {
            Some(role) => write!(f, "{role:8} {reach}"),
            None => f.write_str("anybody"),
        }
    }
}

/// What somebody showed who was let in.
pub(super) struct Shown(pub(super) String);

/// Finds out who asks, and whether they may. Returns what they showed, if they had to.
pub(super) async fn admit(auth: &Auth, access: Access, request: &mut Request) -> Result<Option<Shown>, ApiError> {
    if !auth.is_required() {
        return Ok(None);
    }
    let shown = token(request.headers(), request.uri().query());
    let admitted = match &shown {
        Some(shown) => auth.who(shown).await,
        None => None,
    };
    let caller = admitted.map(|admitted| admitted.caller);
    match &caller {
        Some(caller) => request.extensions_mut().insert(Arc::clone(caller)).map_or((), drop),
        None => request.extensions_mut().insert(Nobody).map_or((), drop),
    }
    if access.role.is_none() {
        return Ok(None);
    }
    access.check(&*caller.ok_or_else(unknown)?)?;
    Ok(shown.map(Shown))
}

fn unknown() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "Invalid or expired token")
}

/// Returns the token a request shows.
fn token(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let value = value.to_str().ok()?;
        // As recorded, the scheme may be left out.
        return Some(value.strip_prefix(SCHEME).unwrap_or(value).to_owned());
    }
    let query = query.filter(|query| query.contains(PARAMETER))?;
    pairs(query).into_iter().find(|(name, _)| name == PARAMETER).map(|(_, value)| value)
}

/// Who asks, for handlers. Where nobody is asked who they are, it is anyone.
#[derive(Debug, Clone)]
pub(super) struct Asker(pub(super) Arc<Caller>);

/// Callers are asked who they are, and this one did not say.
#[derive(Debug, Clone, Copy)]
struct Nobody;

impl Asker {
    /// Returns who asks; anyone, if nobody said.
    pub(super) fn of(extensions: &Extensions) -> Self {
        static ANYONE: LazyLock<Arc<Caller>> = LazyLock::new(|| Arc::new(Caller::anyone()));
        Self(Arc::clone(extensions.get::<Arc<Caller>>().unwrap_or(&ANYONE)))
    }

    /// Returns the owner a request is about: the one it names, which must be the asker's own if they
    /// are bound to one; that one if it names none.
    pub(super) fn owner(&self, named: Option<String>) -> Result<Option<String>, ApiError> {
        match (&self.0.owner, named) {
            (Some(own), Some(named)) if **own != named => Err(MemoryError::Denied.into()),
            (Some(own), _) => Ok(Some(own.to_string())),
            (None, named) => Ok(named),
        }
    }

    /// Makes sure that what belongs to this owner may be seen and touched.
    pub(super) fn check(&self, what: &str, owner: Option<&str>) -> Result<(), ApiError> {
        if self.0.may_touch(owner) {
            return Ok(());
        }
        Err(ApiError::forbidden(format!("Access denied: {what} belongs to a different resource")))
    }

    /// Whether they are bound to one owner.
    pub(super) fn is_bound(&self) -> bool {
        self.0.owner.is_some()
    }
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if parts.extensions.get::<Nobody>().is_some() {
            return Err(unknown());
        }
        Ok(Self::of(&parts.extensions))
    }
}

impl Argument for Asker {}

/// Who asks, if they say so, for endpoints that are open.
#[derive(Debug, Clone)]
pub(super) struct MaybeAsker(pub(super) Option<Arc<Caller>>);

impl<S: Sync> FromRequestParts<S> for MaybeAsker {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<Arc<Caller>>().cloned()))
    }
}

impl Argument for MaybeAsker {}
