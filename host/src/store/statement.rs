//! Writes as data: statements with their values, put together to batches.
//!
//! A batch can be tried again, alone or among others, which is what lets the writer commit
//! many at once.

use std::borrow::Cow;

use sqlx::{
    AssertSqlSafe, SqlSafeStr, SqlStr,
    any::{Any, AnyArguments},
    query::Query,
};

/// A value of a statement.
#[derive(Debug, Clone)]
pub(crate) enum Parameter {
    Text(Option<String>),
    Integer(Option<i64>),
}

impl From<&str> for Parameter {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Parameter {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&String> for Parameter {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<Option<String>> for Parameter {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<Option<&str>> for Parameter {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<i64> for Parameter {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<Option<i64>> for Parameter {
    fn from(number: Option<i64>) -> Self {
        Self::Integer(number)
    }
}

/// When a statement runs, and what must come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// It runs; whatever it changes is fine.
    Plain,
    /// It must change something, else nothing of its batch is written.
    Guard,
    /// It runs if the statement before it ran and changed something.
    IfChanged,
}

/// One statement and its values. `$1`, `$2` in the text on both databases.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    sql: Cow<'static, str>,
    parameters: Vec<Parameter>,
    pub(super) rule: Rule,
}

impl Statement {
    /// Returns a statement of a fixed text.
    pub(crate) fn new(sql: &'static str) -> Self {
        Self { sql: Cow::Borrowed(sql), parameters: Vec::new(), rule: Rule::Plain }
    }

    /// Returns a statement whose text was put together, of fixed pieces and placeholders only.
    pub(crate) fn composed(sql: String) -> Self {
        Self { sql: Cow::Owned(sql), parameters: Vec::new(), rule: Rule::Plain }
    }

    /// Adds the next value.
    pub(crate) fn bind(mut self, value: impl Into<Parameter>) -> Self {
        self.parameters.push(value.into());
        self
    }

    /// Makes it a guard: it must change something, else its batch writes nothing and
    /// fails with [`super::StoreError::NotFound`].
    pub(crate) fn guard(mut self) -> Self {
        self.rule = Rule::Guard;
        self
    }

    /// Lets it run only if the statement before it changed something.
    pub(crate) fn if_changed(mut self) -> Self {
        self.rule = Rule::IfChanged;
        self
    }

    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    pub(super) fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    pub(super) fn query(&self) -> Query<'static, Any, AnyArguments> {
        let sql: SqlStr = match &self.sql {
            Cow::Borrowed(sql) => (*sql).into_sql_str(),
            Cow::Owned(sql) => AssertSqlSafe(sql.clone()).into_sql_str(),
        };
        self.parameters.iter().fold(sqlx::query(sql), |query, parameter| match parameter {
            Parameter::Text(text) => query.bind(text.clone()),
            Parameter::Integer(number) => query.bind(*number),
        })
    }
}

/// Statements that are written together or not at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub(super) statements: Vec<Statement>,
}

impl Batch {
    /// Adds a statement.
    pub(crate) fn push(&mut self, statement: Statement) {
        self.statements.push(statement);
    }
}

impl From<Statement> for Batch {
    fn from(statement: Statement) -> Self {
        Self { statements: vec![statement] }
    }
}

impl<const N: usize> From<[Statement; N]> for Batch {
    fn from(statements: [Statement; N]) -> Self {
        Self { statements: statements.into() }
    }
}
