//! Commits of the embedded database: many batches in one transaction.
//!
//! Everything here blocks, and runs on one thread from the first statement of a commit to the
//! last: a statement takes a few microseconds, handing it to another thread takes many more.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{CachedStatement, Connection, ToSql, types::ToSqlOutput};

use super::{
    error::StoreError,
    fault::{Fault, Point},
    mark, sqlite,
    statement::{Batch, Parameter, Rule, Statement},
    writer::{Changes, has_changed},
};

/// Prepared statements that are kept: more than there are different texts of writes.
const PREPARED: usize = 128;

/// What the batches of one commit came to.
pub(super) struct Written {
    pub(super) outcomes: Vec<Result<Changes, StoreError>>,
    /// How long the commit took, if there was one.
    pub(super) took: Option<Duration>,
}

/// The connection that writes.
pub(super) struct GroupWriter {
    /// `None` once it cannot be used any more.
    connection: Option<Connection>,
    file: PathBuf,
    fault: Fault,
}

/// How a batch that fails is undone without the others of its commit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// Not at all: most that fail have changed nothing, and undoing costs every batch two statements.
    Nothing,
    /// By a savepoint for each batch.
    Savepoint,
}

/// Why nothing of a group was written.
enum Abort {
    /// The store cannot be written; nor could each batch alone, and each would wait for that in vain.
    Store(StoreError),
    /// A batch failed halfway and could not be undone.
    Halfway,
}

impl From<rusqlite::Error> for Abort {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A batch that failed, and whether it had changed something before.
struct Stopped {
    error: StoreError,
    has_changed: bool,
}

impl GroupWriter {
    /// Connects to a file that is there.
    pub(super) fn open(file: &Path, fault: Fault) -> Result<Self, StoreError> {
        Ok(Self { connection: Some(connect(file)?), file: file.to_owned(), fault })
    }

    /// Writes batches; those that succeed are on the disk when this returns.
    pub(super) fn write(&mut self, group: &[&Batch]) -> Written {
        let mut written = self.commit(group, Undo::Nothing);
        if matches!(written, Err(Abort::Halfway)) {
            written = self.commit(group, Undo::Savepoint);
        }
        written.unwrap_or_else(|abort| {
            let error = match abort {
                Abort::Store(error) => error,
                Abort::Halfway => StoreError::Refused("a batch cannot be undone".into()),
            };
            Written { outcomes: vec![Err(error); group.len()], took: None }
        })
    }

    /// Closes the file, with everything in it.
    pub(super) fn close(self) -> Result<(), StoreError> {
        match self.connection {
            Some(connection) => connection.close().map_err(|(_, error)| error.into()),
            None => Ok(()),
        }
    }

    fn commit(&mut self, group: &[&Batch], undo: Undo) -> Result<Written, Abort> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.file).map_err(Abort::Store)?,
        };
        let written = self.transaction(&connection, group, undo);
        // What makes SQLite give a transaction up has rolled it back already.
        let is_whole = connection.is_autocommit() || run(&connection, "ROLLBACK").is_ok();
        self.connection = is_whole.then_some(connection);
        written
    }

    /// Writes a group in one transaction, which is left open if nothing of it is to be kept.
    fn transaction(&self, connection: &Connection, group: &[&Batch], undo: Undo) -> Result<Written, Abort> {
        let began = Instant::now();
        run(connection, "BEGIN IMMEDIATE")?;
        let mut outcomes = Vec::with_capacity(group.len());
        for batch in group {
            outcomes.push(one(connection, batch, undo)?);
        }
        if outcomes.iter().all(Result::is_err) {
            // Nothing to commit is nothing to wait for the disk for.
            return Ok(Written { outcomes, took: None });
        }
        let is_change = outcomes.iter().flatten().any(has_changed);
        if is_change {
            self.fault.at(Point::BeforeCommit);
        }
        let handed_over = Instant::now();
        run(connection, "COMMIT")?;
        if handed_over.elapsed() > mark::SLOW
            && let Err(error) = mark::touch(&sqlite::log_of(&self.file))
        {
            tracing::warn!(%error, "who looks for what was written may find it only with the next write");
        }
        if is_change {
            self.fault.at(Point::AfterCommit);
        }
        Ok(Written { outcomes, took: Some(began.elapsed()) })
    }
}

fn connect(file: &Path) -> Result<Connection, StoreError> {
    let connection = sqlite::open_writer(file)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// Writes a batch among others.
fn one(connection: &Connection, batch: &Batch, undo: Undo) -> Result<Result<Changes, StoreError>, Abort> {
    if undo == Undo::Savepoint {
        run(connection, "SAVEPOINT batch")?;
    }
    let outcome = match apply(connection, batch) {
        Ok(changes) => Ok(changes),
        // What keeps one batch from the file keeps all others, too.
        Err(Stopped { error: error @ StoreError::Unavailable(_), .. }) => return Err(Abort::Store(error)),
        Err(Stopped { error, has_changed }) => {
            match undo {
                Undo::Nothing if has_changed => return Err(Abort::Halfway),
                Undo::Nothing => {}
                Undo::Savepoint => run(connection, "ROLLBACK TO batch")?,
            }
            Err(error)
        }
    };
    if undo == Undo::Savepoint {
        run(connection, "RELEASE batch")?;
    }
    Ok(outcome)
}

/// Runs the statements of a batch in turn.
fn apply(connection: &Connection, batch: &Batch) -> Result<Changes, Stopped> {
    let mut changes = Changes::with_capacity(batch.statements.len());
    // Of the statement before; 0 if it did not run.
    let mut before = 0;
    for statement in &batch.statements {
        if statement.rule == Rule::IfChanged && before == 0 {
            changes.push(0);
            continue;
        }
        let changed = execute(connection, statement)
            .map_err(|error| Stopped { error: error.into(), has_changed: has_changed(&changes) })?;
        if statement.rule == Rule::Guard && changed == 0 {
            return Err(Stopped { error: StoreError::guarded(), has_changed: has_changed(&changes) });
        }
        before = changed;
        changes.push(changed);
    }
    Ok(changes)
}

fn execute(connection: &Connection, statement: &Statement) -> rusqlite::Result<u64> {
    let mut prepared = connection.prepare_cached(statement.sql())?;
    for place in 1..=prepared.parameter_count() {
        let value = number(&prepared, place).and_then(|number| statement.parameters().get(number));
        let Some(value) = value else { return Err(rusqlite::Error::InvalidParameterCount(place, 0)) };
        prepared.raw_bind_parameter(place, value)?;
    }
    prepared.raw_execute().map(|changed| changed as u64)
}

/// Returns which value stands at a place: SQLite takes `$3` for a name, and numbers names as they come.
fn number(prepared: &CachedStatement<'_>, place: usize) -> Option<usize> {
    prepared.parameter_name(place)?.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
}

impl ToSql for Parameter {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => text.to_sql(),
            Self::Integer(number) => number.to_sql(),
        }
    }
}
