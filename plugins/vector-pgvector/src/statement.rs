//! A statement that is put together: text, and the values that are bound to it.

use hotbay_plugin::{Error, Result};
use sqlx::{Arguments, AssertSqlSafe, Encode, Postgres, Type, postgres::PgArguments, query::Query};

/// A statement and its values. What comes from a caller is bound, always.
#[derive(Default)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    values: PgArguments,
}

impl Statement {
    /// Returns a statement without values yet.
    pub(crate) fn of(sql: String) -> Self {
        Self { sql, values: PgArguments::default() }
    }

    /// Binds a value and returns its place in the text.
    pub(crate) fn bind<'t, T: Encode<'t, Postgres> + Type<Postgres>>(&mut self, value: T) -> Result<String> {
        self.values.add(value).map_err(|error| Error::input(format!("PostgreSQL cannot be given this: {error}")))?;
        Ok(format!("${}", self.values.len()))
    }

    /// Returns it as a query. It is not kept by the server: hardly two of them are the same.
    pub(crate) fn query(self) -> Query<'static, Postgres, PgArguments> {
        sqlx::query_with(AssertSqlSafe(self.sql), self.values).persistent(false)
    }
}

/// Quotes a name.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
