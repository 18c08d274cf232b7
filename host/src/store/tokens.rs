//! Tokens callers show: who each lets in, and its hash. Those that were revoked stay, as a record.

use sqlx::any::AnyRow;

use super::{
    Store,
    database::{Database, column},
    error::StoreError,
    statement::{Batch, Statement},
};
use crate::types::{caller::Role, id::Millis};

impl Store {
    /// Returns the tokens callers show.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        Tokens { database: self.database.clone() }
    }
}

/// Tokens callers show.
#[derive(Clone)]
pub struct Tokens {
    database: Database,
}

/// A stored token. The token itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Names it for good.
    pub id: String,
    /// What people call it. Of those that are not revoked no two have the same.
    pub name: String,
    /// BLAKE3 of the token, lower-case hex.
    pub hash: String,
    /// What its holder may do.
    pub role: Role,
    /// The owner its holder is bound to.
    pub owner: Option<String>,
    /// When it was made.
    pub created_at: Millis,
    /// By whom.
    pub created_by: String,
    /// From when on it lets nobody in.
    pub expires_at: Option<Millis>,
    /// When it was revoked, and by whom.
    pub revoked: Option<(Millis, String)>,
    /// When it was last shown, to the minute.
    pub last_used_at: Option<Millis>,
}

const COLUMNS: &str = "id, name, hash, role, resource_id, created_at, created_by, expires_at, revoked_at, revoked_by, \
                       last_used_at";

impl Tokens {
    /// Stores a token.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is one of this name that is not revoked.
    pub async fn put(&self, token: &TokenRow) -> Result<(), StoreError> {
        let put = Statement::new(
            "INSERT INTO tokens (id, name, hash, role, resource_id, created_at, created_by, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&token.id)
        .bind(&token.name)
        .bind(&token.hash)
        .bind(token.role.as_str())
        .bind(token.owner.as_deref())
        .bind(token.created_at.0)
        .bind(&token.created_by)
        .bind(token.expires_at.map(|time| time.0));
        self.database.write(put).await.map(drop).map_err(|error| match error {
            StoreError::Conflict(_) => StoreError::Conflict(format!(
                "there is a token `{}` already; revoke it first, or choose another name",
                token.name
            )),
            other => other,
        })
    }

    /// Returns those that are not revoked.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn standing(&self) -> Result<Vec<TokenRow>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM tokens WHERE revoked_at IS NULL ORDER BY name");
        self.database.rows(Statement::composed(query)).await?.iter().map(row).collect()
    }

    /// Returns all there ever were, the newest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn all(&self) -> Result<Vec<TokenRow>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM tokens ORDER BY created_at DESC, id DESC");
        self.database.rows(Statement::composed(query)).await?.iter().map(row).collect()
    }

    /// Makes the token of this name or id let nobody in any more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none that does.
    pub async fn revoke(&self, name_or_id: &str, by: &str) -> Result<(), StoreError> {
        let revoke = Statement::new(
            "UPDATE tokens SET revoked_at = $1, revoked_by = $2 WHERE revoked_at IS NULL AND (name = $3 OR id = $3)",
        );
        let revoke = revoke.bind(Millis::now().0).bind(by).bind(name_or_id).guard();
        self.database.write(revoke).await.map(drop).map_err(|error| match error {
            StoreError::NotFound(_) => {
                StoreError::NotFound(format!("there is no token `{name_or_id}` that is not revoked already"))
            }
            other => other,
        })
    }

    /// Notes when tokens were last shown.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn used(&self, times: impl IntoIterator<Item = (String, Millis)>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (id, at) in times {
            let used = "UPDATE tokens SET last_used_at = $1 WHERE id = $2 AND COALESCE(last_used_at, 0) < $1";
            batch.push(Statement::new(used).bind(at.0).bind(id));
        }
        self.database.write(batch).await.map(drop)
    }
}

fn row(row: &AnyRow) -> Result<TokenRow, StoreError> {
    let role: String = column(row, "role")?;
    let time = |name| -> Result<Option<Millis>, StoreError> { Ok(column::<Option<i64>>(row, name)?.map(Millis)) };
    let by: Option<String> = column(row, "revoked_by")?;
    Ok(TokenRow {
        id: column(row, "id")?,
        name: column(row, "name")?,
        hash: column(row, "hash")?,
        role: role.parse().map_err(|_| StoreError::Corrupt(format!("a token has the role `{role}`")))?,
        owner: column(row, "resource_id")?,
        created_at: Millis(column(row, "created_at")?),
        created_by: column(row, "created_by")?,
        expires_at: time("expires_at")?,
        revoked: time("revoked_at")?.map(|at| (at, by.unwrap_or_default())),
        last_used_at: time("last_used_at")?,
    })
}
