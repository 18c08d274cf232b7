//! Spans that have not ended, so that a host that dies leaves word of them.

use super::{
    Store,
    database::{Database, column},
    error::StoreError,
    statement::{Batch, Statement},
};

impl Store {
    /// Returns the spans that have not ended.
    pub(crate) fn open_spans(&self) -> OpenSpans<'_> {
        OpenSpans { database: &self.database }
    }
}

/// The open spans of a store.
#[derive(Clone, Copy)]
pub(crate) struct OpenSpans<'a> {
    database: &'a Database,
}

impl OpenSpans<'_> {
    /// Keeps spans of a host, each by its id as a JSON document, and forgets those that ended.
    ///
    /// # Errors
    /// If the store fails; nothing was changed then.
    pub(crate) async fn change(
        &self,
        owner: &str,
        opened: &[(String, String)],
        ended: &[String],
    ) -> Result<(), StoreError> {
        let put = opened.iter().map(|(span_id, span)| {
            Statement::new(
                "INSERT INTO open_spans (span_id, owner, span) VALUES ($1, $2, $3) \
                 ON CONFLICT (span_id) DO UPDATE SET span = EXCLUDED.span",
            )
            .bind(span_id)
            .bind(owner)
            .bind(span)
        });
        let remove =
            ended.iter().map(|span_id| Statement::new("DELETE FROM open_spans WHERE span_id = $1").bind(span_id));
        let mut batch = Batch::default();
        put.chain(remove).for_each(|statement| batch.push(statement));
        self.database.write(batch).await.map(drop)
    }

    /// Returns the spans a host has kept, each by its id.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn of(&self, owner: &str) -> Result<Vec<(String, String)>, StoreError> {
        let query = Statement::new("SELECT span_id, span FROM open_spans WHERE owner = $1 ORDER BY span_id");
        let rows = self.database.rows(query.bind(owner)).await?;
        rows.iter().map(|row| Ok((column(row, "span_id")?, column(row, "span")?))).collect()
    }
}
