//! Which scores or which feedback are wanted.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::document;
use crate::{
    http::{
        error::{ApiError, Invalid},
        observability::{context::ContextQuery, range::DateRange, series::Before},
    },
    store::{
        Store,
        verdicts::{Verdict, VerdictKind, VerdictOrder, VerdictQuery},
    },
};

/// Which are wanted; each parameter that is given must hold.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::http) struct Filters {
    #[serde(flatten)]
    context: ContextQuery,
    /// When it was said.
    pub(super) timestamp: Option<DateRange>,
    /// The span.
    span_id: Option<String>,
    /// The scorer, or one of several.
    scorer_id: Option<OneOrMany>,
    /// Where a score comes from.
    score_source: Option<String>,
    /// What sort of feedback, or one of several.
    feedback_type: Option<OneOrMany>,
    /// Where feedback comes from.
    feedback_source: Option<String>,
    /// Whose feedback.
    feedback_user_id: Option<String>,
    /// Whether somebody looked at it.
    #[schemars(schema_with = "review_status")]
    review_status: Option<String>,
    /// What the metadata must hold.
    #[schemars(schema_with = "object")]
    metadata: Option<Map<String, Value>>,
}

/// A text or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::http) enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

pub(super) fn review_status(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "enum": document::REVIEW_STATUSES})
}

fn object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object"})
}

impl Filters {
    /// Returns the same of another time, if this one has both its ends.
    pub(super) fn before(&self, period: Before) -> Result<Option<Self>, ApiError> {
        let timestamp = period.of(self.timestamp.as_ref())?;
        Ok(timestamp.map(|timestamp| Self { timestamp: Some(timestamp), ..self.clone() }))
    }

    /// Returns what of this the store looks for.
    pub(super) fn query(&self, kind: VerdictKind, part: Invalid) -> Result<VerdictQuery, ApiError> {
        let name = if part == Invalid::Query { "timestamp" } else { "filters.timestamp" };
        let between = self.timestamp.as_ref().map(|range| range.between(part, name)).transpose()?.unwrap_or_default();
        let about = match kind {
            VerdictKind::Score => &self.scorer_id,
            VerdictKind::Feedback => &self.feedback_type,
        };
        let about = about.clone().map(|about| match about {
            OneOrMany::One(only) => vec![only],
            OneOrMany::Many(all) => all,
        });
        Ok(VerdictQuery {
            about,
            trace_id: self.context.trace_id.clone(),
            span_id: self.span_id.clone(),
            from: between.from.map(|at| at.0),
            to: between.to.map(|at| at.0),
            ..VerdictQuery::all(kind, VerdictOrder::Newest)
        })
    }

    /// Whether a document has everything that is asked for.
    fn is_met(&self, document: &Map<String, Value>) -> bool {
        let own = [
            ("scoreSource", &self.score_source),
            ("feedbackSource", &self.feedback_source),
            ("feedbackUserId", &self.feedback_user_id),
            (document::REVIEW_STATUS, &self.review_status),
        ];
        let mut texts = self.context.named().into_iter().chain(own);
        let has = |name: &str, wanted: &str| document.get(name).and_then(Value::as_str) == Some(wanted);
        let has_tag = |wanted: &String| {
            let tags = document.get("tags").and_then(Value::as_array);
            tags.is_some_and(|tags| tags.iter().any(|tag| tag == wanted))
        };
        let metadata = document.get("metadata");
        texts.all(|(name, wanted)| wanted.as_deref().is_none_or(|wanted| has(name, wanted)))
            && self.context.tags.iter().flatten().all(has_tag)
            && self.metadata.iter().flatten().all(|(name, wanted)| metadata.and_then(|it| it.get(name)) == Some(wanted))
    }

    /// Calls `each` with everything of a query that is wanted, until it returns `false`.
    pub(super) async fn read(
        &self,
        store: &Store,
        query: &VerdictQuery,
        mut each: impl FnMut(Verdict, Map<String, Value>) -> bool + Send,
    ) -> Result<(), ApiError> {
        let mut failed = None;
        let verdicts = store.verdicts();
        let read = verdicts.read(query, |verdict| match document::read(&verdict) {
            Ok(document) => !self.is_met(&document) || each(verdict, document),
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        read.await?;
        failed.map_or(Ok(()), Err)
    }
}
