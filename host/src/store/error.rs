//! How the store fails, and what a database's own error means.

use std::sync::Arc;

/// A read or a write that did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is no such row, or it is no longer what the write was made for.
    #[error("{0}")]
    NotFound(String),
    /// The row is there already, or somebody else's.
    #[error("{0}")]
    Conflict(String),
    /// The database cannot be used now; the same call may work later.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// What is stored cannot be read.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The host and the database do not fit each other.
    #[error("{0}")]
    Schema(String),
    /// A defect of the host itself.
    #[error("the store refused a statement: {0}")]
    Refused(Arc<str>),
}

impl StoreError {
    /// Whether the same call may work later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Returns that nothing more fits on the disk.
    pub(super) fn full(why: impl std::fmt::Display) -> Self {
        Self::Unavailable(format!("the disk is full ({why}): free space, what was acknowledged is kept"))
    }

    /// Says where it happened, for errors that are the database's.
    pub(super) fn at(self, place: impl std::fmt::Display) -> Self {
        match self {
            Self::Unavailable(why) => Self::Unavailable(format!("{place}: {why}")),
            Self::Corrupt(why) => Self::Corrupt(format!("{place}: {why}")),
            other => other,
        }
    }

    /// Returns that a guard found nothing to change.
    pub(super) fn guarded() -> Self {
        Self::NotFound("what was to be changed is gone or has changed".to_owned())
    }

    /// Returns what is stored and cannot be read, in words.
    pub(crate) fn unreadable(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Corrupt(format!("{what} cannot be read: {error}"))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return match error {
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt(error.to_string()),
                sqlx::Error::ColumnNotFound(_) | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
                    Self::Refused(error.to_string().into())
                }
                sqlx::Error::PoolTimedOut => Self::Unavailable("the database does not answer in time".to_owned()),
                sqlx::Error::PoolClosed => Self::Unavailable("the host is shutting down".to_owned()),
                sqlx::Error::Io(error) => Self::Unavailable(format!("no connection to the database ({error})")),
                _ => Self::Unavailable(error.to_string()),
            };
        };
        let meaning = database.code().as_deref().map_or(Meaning::Other, meaning);
        meaning.of(database.message().to_owned(), database.is_unique_violation())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error() {
            Some(failure) => {
                let code = failure.extended_code;
                let message = match &error {
                    rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
                    _ => error.to_string(),
                };
                sqlite_meaning(code).of(message, [PRIMARY_KEY, UNIQUE].contains(&code))
            }
            None => Self::Refused(error.to_string().into()),
        }
    }
}

/// SQLite's codes of a row that is there already.
const PRIMARY_KEY: i32 = 1555;
const UNIQUE: i32 = 2067;

enum Meaning {
    Full,
    Locked,
    ReadOnly,
    Disk,
    Access,
    Corrupt,
    Lost,
    Other,
}

impl Meaning {
    /// Returns the error of a failure that the database says this of.
    fn of(self, message: String, is_there: bool) -> StoreError {
        let unavailable = StoreError::Unavailable;
        match self {
            Self::Full => StoreError::full(message),
            Self::Locked => {
                unavailable(format!("another program holds the database ({message}): end it, or wait for it"))
            }
            Self::ReadOnly => {
                unavailable(format!("the database cannot be written ({message}): let this user write to it"))
            }
            Self::Disk => unavailable(format!("the disk failed ({message}): check it, its free space and its limits")),
            Self::Access => unavailable(format!("{message}: check the database's URL")),
            Self::Corrupt => StoreError::Corrupt(format!("{message}; stop the host and restore a backup")),
            Self::Lost => unavailable(message),
            Self::Other if is_there => StoreError::Conflict(message),
            Self::Other => StoreError::Refused(message.into()),
        }
    }
}

/// Sorts the codes of both databases: numbers are [SQLite's][1], five characters are
/// [PostgreSQL's][2].
///
/// Whatever makes SQLite roll a transaction back by itself must not be `Other`, or the writer
/// would go on outside of one.
///
/// [1]: https://www.sqlite.org/rescode.html
/// [2]: https://www.postgresql.org/docs/current/errcodes-appendix.html
fn meaning(code: &str) -> Meaning {
    if code.len() == 5 {
        return match code {
            "53100" => Meaning::Full,
            "55P03" => Meaning::Locked,
            "25006" | "42501" => Meaning::ReadOnly,
            "3D000" => Meaning::Access,
            "XX001" | "XX002" => Meaning::Corrupt,
            _ if code.starts_with("28") => Meaning::Access,
            // Nothing was heard in the middle of a transaction for too long.
            "25P03" | "25P04" => Meaning::Lost,
            _ if ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)) => Meaning::Lost,
            _ => Meaning::Other,
        };
    }
    sqlite_meaning(code.parse().unwrap_or(0))
}

fn sqlite_meaning(code: i32) -> Meaning {
    // Extended codes have the primary one in their low byte.
    match code & 0xff {
        13 => Meaning::Full,
        5 | 6 => Meaning::Locked,
        8 | 3 | 23 => Meaning::ReadOnly,
        11 | 26 => Meaning::Corrupt,
        10 => Meaning::Disk,
        7 | 9 | 14 => Meaning::Lost,
        _ => Meaning::Other,
    }
}
