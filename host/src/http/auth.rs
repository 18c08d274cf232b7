//! Endpoints about callers: whether they must say who they are, who this one is, and their tokens.

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    access::{Asker, MaybeAsker},
    error::{ApiError, Invalid},
    extract::{Body, PathId},
};
use crate::{
    app::AppState,
    auth::token::TokenRequest,
    store::tokens::TokenRow,
    types::{
        caller::{Caller, Role},
        id::Millis,
    },
};

/// Whether callers must say who they are.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CapabilitiesResponse {
    /// They must.
    enabled: bool,
    /// How.
    login: Option<Login>,
    /// Who this caller is, if they say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<CallerResponse>,
}

/// How callers say who they are.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Login {
    /// Always `credentials`: a token.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Never: operators give out tokens.
    sign_up_enabled: bool,
}

/// Somebody who asks.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CallerResponse {
    /// Tells them from all others.
    id: String,
    /// What people call them.
    name: String,
    /// What they may do.
    role: Role,
    /// The one owner whose threads and runs they see and touch.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<String>,
}

impl From<&Caller> for CallerResponse {
    fn from(caller: &Caller) -> Self {
        Self {
            id: caller.id.to_string(),
            name: caller.name.to_string(),
            role: caller.role,
            resource_id: caller.owner.as_deref().map(str::to_owned),
        }
    }
}

/// A token to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewTokenRequest {
    /// What people call it: letters, digits, `-`, `_`, `.` and `@`.
    name: String,
    /// What its holder may do: viewer, operator or admin.
    role: Role,
    /// The one owner whose threads and runs its holder sees and touches.
    #[serde(default)]
    resource_id: Option<String>,
    /// From when on it lets nobody in, ISO 8601.
    #[serde(default)]
    #[schemars(schema_with = "time")]
    expires_at: Option<String>,
}

fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// All tokens there ever were, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TokensResponse {
    tokens: Vec<TokenResponse>,
}

/// A token that was just made.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct NewTokenResponse {
    /// What callers show. It is told this once.
    token: String,
    #[serde(flatten)]
    about: TokenResponse,
}

/// A token without its text.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenResponse {
    /// Names it for good.
    id: String,
    /// What people call it.
    name: String,
    /// What its holder may do.
    role: Role,
    /// The owner its holder is bound to.
    resource_id: Option<String>,
    /// When it was made, ISO 8601 as all times here.
    created_at: String,
    /// By whom.
    created_by: String,
    /// From when on it lets nobody in.
    expires_at: Option<String>,
    /// When it was last shown, to the minute.
    last_used_at: Option<String>,
    /// When it was revoked.
    revoked_at: Option<String>,
    /// By whom.
    revoked_by: Option<String>,
}

impl From<TokenRow> for TokenResponse {
    fn from(row: TokenRow) -> Self {
        let iso = |time: Option<Millis>| time.map(Millis::iso);
        let (revoked_at, revoked_by) = row.revoked.unzip();
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            resource_id: row.owner,
            created_at: row.created_at.iso(),
            created_by: row.created_by,
            expires_at: iso(row.expires_at),
            last_used_at: iso(row.last_used_at),
            revoked_at: iso(revoked_at),
            revoked_by,
        }
    }
}

/// A token lets nobody in any more.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RevokedResponse {
    /// Always.
    success: bool,
}

/// Tells whether callers must say who they are.
pub(super) async fn capabilities(
    State(app): State<AppState>,
    MaybeAsker(asker): MaybeAsker,
) -> Json<CapabilitiesResponse> {
    let enabled = app.auth.is_required();
    let login = enabled.then_some(Login { kind: "credentials", sign_up_enabled: false });
    Json(CapabilitiesResponse { enabled, login, user: asker.as_deref().map(CallerResponse::from) })
}

/// Returns who the caller is; nobody, if they do not say.
pub(super) async fn me(MaybeAsker(asker): MaybeAsker) -> Json<Option<CallerResponse>> {
    Json(asker.as_deref().map(CallerResponse::from))
}

/// Lists the tokens.
pub(super) async fn list(State(app): State<AppState>) -> Result<Json<TokensResponse>, ApiError> {
    let tokens = app.auth.tokens().all().await?;
    Ok(Json(TokensResponse { tokens: tokens.into_iter().map(TokenResponse::from).collect() }))
}

/// Makes a token.
pub(super) async fn create(
    State(app): State<AppState>,
    asker: Asker,
    Body(request): Body<NewTokenRequest>,
) -> Result<Json<NewTokenResponse>, ApiError> {
    if !app.auth.is_required() {
        // Whoever reaches this server now could keep a key for when it is closed.
        return Err(ApiError::conflict(
            "callers are not asked who they are, so nobody could tell who makes this; start the server with --auth, or \
             use `hotbay token new` where its data is",
        ));
    }
    let expires_at = match request.expires_at.as_deref().map(Millis::parse) {
        Some(None) => return Err(ApiError::invalid_field(Invalid::Body, "expiresAt", "expected a date")),
        Some(time) => time,
        None => None,
    };
    let wanted = TokenRequest { name: request.name, role: request.role, owner: request.resource_id, expires_at };
    let made = wanted.make(&asker.0.name).map_err(ApiError::bad_request)?;
    app.auth.tokens().put(&made.row).await?;
    app.auth.read().await?;
    Ok(Json(NewTokenResponse { token: made.text, about: made.row.into() }))
}

/// Makes a token let nobody in any more.
pub(super) async fn revoke(
    State(app): State<AppState>,
    asker: Asker,
    PathId(name): PathId,
) -> Result<Json<RevokedResponse>, ApiError> {
    app.auth.tokens().revoke(&name, &asker.0.name).await?;
    app.auth.read().await?;
    Ok(Json(RevokedResponse { success: true }))
}
