//! What a database's errors mean to who asked.

use hotbay_plugin::{Error, error::code};

/// Why a statement did not do it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The table is not there any more: somebody deleted the index.
    Gone,
    /// A vector is not of the table's length. If the table is one of old, the index may be another one by now.
    Misfit(Error),
    /// Two writers were in each other's way, and this one gave way.
    Conflict,
    /// What the caller is told.
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return Self::Error(of_connection(&error));
        };
        let message = database.message();
        let failed = |code, why: &str| Self::Error(Error::with_code(code, format!("{why}: {message}")));
        let state = database.code().unwrap_or_default();
        match state.as_ref() {
            "42P01" | "3F000" => Self::Gone,
            "40P01" | "40001" => Self::Conflict,
            "53100" => Self::Error(unavailable(format!("PostgreSQL's disk is full: {message}"))),
            "55P03" => Self::Error(unavailable(format!("PostgreSQL is busy: {message}"))),
            "25006" => Self::Error(unavailable(format!("PostgreSQL cannot be written now: {message}"))),
            "3D000" => failed(code::CONFIG, "PostgreSQL does not have this database; check `url`"),
            "42501" => failed(code::CONFIG, "PostgreSQL does not let this user do it"),
            // What was given does not fit: numbers, text, sizes.
            _ if has_class(&state, &["22", "54"]) => failed(code::INPUT, "PostgreSQL cannot keep this"),
            _ if has_class(&state, &["28"]) => failed(code::CONFIG, "PostgreSQL refuses this user; check `url`"),
            // Connections, resources, somebody who stops the server.
            _ if has_class(&state, &["08", "25", "53", "57"]) => {
                Self::Error(unavailable(format!("PostgreSQL is not available now: {message}")))
            }
            _ => failed(code::FAILED, "PostgreSQL refused a statement"),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Error(error) | Failure::Misfit(error) => error,
            Failure::Gone => unavailable("the tables of this store are gone".to_owned()),
            Failure::Conflict => unavailable("others write to the same entries all the time; try again".to_owned()),
        }
    }
}

fn has_class(state: &str, classes: &[&str]) -> bool {
    classes.iter().any(|class| state.starts_with(class))
}

fn of_connection(error: &sqlx::Error) -> Error {
    match error {
        sqlx::Error::PoolTimedOut => {
            unavailable("PostgreSQL does not answer, or all connections to it are in use; try again".to_owned())
        }
        sqlx::Error::PoolClosed => unavailable("the store is shutting down".to_owned()),
        sqlx::Error::Io(error) => unavailable(format!("there is no connection to PostgreSQL ({error}); try again")),
        sqlx::Error::Tls(error) => unavailable(format!("there is no secure connection to PostgreSQL: {error}")),
        sqlx::Error::Configuration(error) => {
            Error::with_code(code::CONFIG, format!("PostgreSQL cannot be asked with this `url`: {error}"))
        }
        sqlx::Error::Protocol(error) => unavailable(format!("the connection to PostgreSQL broke ({error}); try again")),
        error => Error::new(format!("PostgreSQL answered something else than was asked: {error}")),
    }
}

fn unavailable(message: String) -> Error {
    Error::with_code(code::UNAVAILABLE, message).retryable()
}
