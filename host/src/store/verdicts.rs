//! What was said of traces: scores, by scorers, and feedback, by people. One row each; what is
//! not a column is a field of its document, and whoever looks for it reads the documents.

use sqlx::any::AnyRow;

use super::{
    database::{Database, column},
    error::StoreError,
    filter::Filter,
    statement::Statement,
};

/// Rows that are read at once.
const ROWS: usize = 500;

/// What was said of traces.
#[derive(Clone)]
pub struct Verdicts {
    pub(super) database: Database,
}

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictKind {
    /// A scorer.
    Score,
    /// Somebody.
    Feedback,
}

impl VerdictKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Feedback => "feedback",
        }
    }
}

/// What was said of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Who said it.
    pub kind: VerdictKind,
    /// Names it among those of its kind.
    pub id: String,
    /// The scorer, or what sort of feedback it is.
    pub about: String,
    /// The trace.
    pub trace_id: Option<String>,
    /// The span of the trace.
    pub span_id: Option<String>,
    /// The organization it belongs to.
    pub organization_id: Option<String>,
    /// Whom it belongs to.
    pub resource_id: Option<String>,
    /// When it was said, in milliseconds since 1970.
    pub at: i64,
    /// Sorts by when it came in, [`crate::types::id::fresh`].
    pub arrival: String,
    /// Everything that was said, JSON.
    pub document: String,
}

/// How verdicts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictOrder {
    /// The oldest first.
    Oldest,
    /// The newest first.
    Newest,
    /// As they came in.
    Arrival,
}

/// Which verdicts are read.
#[derive(Debug, Clone)]
pub struct VerdictQuery {
    /// Of this kind.
    pub kind: VerdictKind,
    /// About one of these, or about anything.
    pub about: Option<Vec<String>>,
    /// Of this trace.
    pub trace_id: Option<String>,
    /// Of this span.
    pub span_id: Option<String>,
    /// Not before.
    pub from: Option<i64>,
    /// Not after.
    pub to: Option<i64>,
    /// That came in after this one.
    pub after: Option<String>,
    /// In this order.
    pub order: VerdictOrder,
}

impl VerdictQuery {
    /// Returns the query for all of a kind.
    #[must_use]
    pub fn all(kind: VerdictKind, order: VerdictOrder) -> Self {
        Self { kind, about: None, trace_id: None, span_id: None, from: None, to: None, after: None, order }
    }

    fn statement(&self, behind: Option<&Verdict>) -> Statement {
        let mut filter = Filter::default();
        filter.and("kind = ?", [self.kind.as_str().into()]);
        if let Some(about) = &self.about {
            filter.and_one_of("about", about);
        }
        for (condition, value) in [("trace_id = ?", &self.trace_id), ("span_id = ?", &self.span_id)] {
            if let Some(value) = value {
                filter.and(condition, [value.into()]);
            }
        }
        for (condition, value) in [("at >= ?", self.from), ("at <= ?", self.to)] {
            if let Some(value) = value {
                filter.and(condition, [value.into()]);
            }
        }
        if let Some(after) = &self.after {
            filter.and("arrival > ?", [after.into()]);
        }
        let (order, further) = match self.order {
            VerdictOrder::Oldest => ("at, id", "(at > ? OR (at = ? AND id > ?))"),
            VerdictOrder::Newest => ("at DESC, id DESC", "(at < ? OR (at = ? AND id < ?))"),
            VerdictOrder::Arrival => ("arrival, id", "(arrival > ? OR (arrival = ? AND id > ?))"),
        };
        if let Some(behind) = behind {
            let place = match self.order {
                VerdictOrder::Arrival => [(&behind.arrival).into(), (&behind.arrival).into(), (&behind.id).into()],
                _ => [behind.at.into(), behind.at.into(), (&behind.id).into()],
            };
            filter.and(further, place);
        }
        filter.query(&format!("SELECT {COLUMNS} FROM verdicts"), &format!("ORDER BY {order} LIMIT {ROWS}"))
    }
}

const COLUMNS: &str = "kind, id, about, trace_id, span_id, organization_id, resource_id, at, arrival, document";

impl Verdicts {
    /// Stores a verdict, in place of one of its kind and id.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn put(&self, verdict: &Verdict) -> Result<(), StoreError> {
        let put = Statement::composed(format!(
            "INSERT INTO verdicts ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (kind, id) DO UPDATE SET about = excluded.about, trace_id = excluded.trace_id, \
             span_id = excluded.span_id, organization_id = excluded.organization_id, \
             resource_id = excluded.resource_id, at = excluded.at, arrival = excluded.arrival, \
             document = excluded.document"
        ))
        .bind(verdict.kind.as_str())
        .bind(&verdict.id)
        .bind(&verdict.about)
        .bind(verdict.trace_id.as_deref())
        .bind(verdict.span_id.as_deref())
        .bind(verdict.organization_id.as_deref())
        .bind(verdict.resource_id.as_deref())
        .bind(verdict.at)
        .bind(&verdict.arrival)
        .bind(&verdict.document);
        self.database.write(put).await.map(drop)
    }

    /// Replaces what a verdict says, if it still says what it said before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it says something else by now, or is gone.
    pub async fn change(&self, before: &Verdict, document: &str) -> Result<(), StoreError> {
        let change = Statement::new("UPDATE verdicts SET document = $1 WHERE kind = $2 AND id = $3 AND document = $4")
            .bind(document)
            .bind(before.kind.as_str())
            .bind(&before.id)
            .bind(&before.document)
            .guard();
        self.database.write(change).await.map(drop)
    }

    /// Returns a verdict.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn get(&self, kind: VerdictKind, id: &str) -> Result<Option<Verdict>, StoreError> {
        let query = Statement::composed(format!("SELECT {COLUMNS} FROM verdicts WHERE kind = $1 AND id = $2"));
        self.database.row(query.bind(kind.as_str()).bind(id)).await?.as_ref().map(|row| read(kind, row)).transpose()
    }

    /// Removes verdicts, if they belong to this organization and to this owner, where that is said.
    ///
    /// # Errors
    /// If the store fails; nothing was removed then.
    pub async fn delete(
        &self,
        kind: VerdictKind,
        ids: &[String],
        organization_id: Option<&str>,
        resource_id: Option<&str>,
    ) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut filter = Filter::default();
        filter.and("kind = ?", [kind.as_str().into()]);
        filter.and_one_of("id", ids);
        for (condition, value) in [("organization_id = ?", organization_id), ("resource_id = ?", resource_id)] {
            if let Some(value) = value {
                filter.and(condition, [value.into()]);
            }
        }
        self.database.write(filter.query("DELETE FROM verdicts", "")).await.map(drop)
    }

    /// Calls `each` with every verdict asked for, in order, until it returns `false`.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn read(
        &self,
        query: &VerdictQuery,
        mut each: impl FnMut(Verdict) -> bool + Send,
    ) -> Result<(), StoreError> {
        if query.about.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        let mut behind = None;
        loop {
            let rows = self.database.rows(query.statement(behind.as_ref())).await?;
            for row in &rows {
                if !each(read(query.kind, row)?) {
                    return Ok(());
                }
            }
            behind = match rows.last() {
                Some(last) if rows.len() == ROWS => Some(read(query.kind, last)?),
                _ => return Ok(()),
            };
        }
    }
}

fn read(kind: VerdictKind, row: &AnyRow) -> Result<Verdict, StoreError> {
    Ok(Verdict {
        kind,
        id: column(row, "id")?,
        about: column(row, "about")?,
        trace_id: column(row, "trace_id")?,
        span_id: column(row, "span_id")?,
        organization_id: column(row, "organization_id")?,
        resource_id: column(row, "resource_id")?,
        at: column(row, "at")?,
        arrival: column(row, "arrival")?,
        document: column(row, "document")?,
    })
}
