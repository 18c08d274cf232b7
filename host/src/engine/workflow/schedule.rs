//! Workflows that start by themselves, as their plugins say.
//!
//! What a plugin says becomes a row once its workflow is there; the row says when it is due
//! next, so a host that was down starts what it missed once, and of several hosts one does.
//! The run's id is made of the schedule and the time, so it cannot be started twice.

use std::time::Duration;

use croner::Cron;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{StartMode, StartRequest, Workflows};
use crate::{
    engine::error::EngineError,
    store::{
        Mark, StoreError,
        schedules::{Definition, ScheduleRow},
    },
    types::id::Millis,
};

/// How often it is looked whether another process has changed a schedule.
const LOOK: Duration = Duration::from_secs(30);
/// How soon it is tried again after the store failed.
const AGAIN: Duration = Duration::from_secs(1);

impl Workflows {
    /// Starts what is due, until it is cancelled.
    pub async fn keep_time(self, cancel: CancellationToken) {
        let shared = &self.shared;
        let mut registry = shared.engine.subscribe();
        let mut is_stored = false;
        loop {
            let mut mark = shared.store.mark();
            let mut look = LOOK;
            let mut failed = |error: StoreError, what: &str| {
                tracing::warn!(%error, "{what}, trying again");
                (mark, look) = (Mark::default(), AGAIN);
            };
            if !is_stored {
                let stored = self.store_schedules().await;
                is_stored = stored.map_err(|error| failed(error, "schedules are not stored yet")).is_ok();
            }
            let next = self.start_due().await;
            let next = next.map_err(|error| failed(error, "what is due cannot be started")).unwrap_or_default();
            tokio::select! {
                () = mark.wait(look, next) => {}
                () = shared.schedule_news.notified() => {}
                _ = registry.changed() => is_stored = false,
                () = cancel.cancelled() => return,
            }
        }
    }

    /// Lists the schedules, of one workflow or of all.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn schedules(&self, workflow_id: Option<&str>) -> Result<Vec<ScheduleRow>, EngineError> {
        Ok(self.shared.schedules.list(workflow_id).await?)
    }

    /// Returns a schedule.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub async fn schedule(&self, id: &str) -> Result<ScheduleRow, EngineError> {
        let found = self.shared.schedules.get(id).await?;
        found.ok_or_else(|| StoreError::NotFound(format!("Schedule {id} not found")).into())
    }

    /// Stops a schedule from starting runs, or lets it from now on.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub async fn pause_schedule(&self, id: &str, is_paused: bool) -> Result<ScheduleRow, EngineError> {
        let row = self.schedule(id).await?;
        let now = Millis::now().0;
        let next = next_after(&row.definition, now).map_err(EngineError::Definition)?;
        self.shared.schedules.set_paused(id, is_paused, next, now).await?;
        self.shared.schedule_news.notify_one();
        self.schedule(id).await
    }

    /// Starts a schedule's workflow now, beside its times. Returns the run's id.
    ///
    /// # Errors
    /// If there is no such schedule, or its workflow does not start.
    pub async fn run_schedule(&self, id: &str) -> Result<String, EngineError> {
        let row = self.schedule(id).await?;
        let run = self.start(request(&row, None)).await?;
        Ok(run.run_id().to_owned())
    }

    /// Makes the rows say what the plugins that are there say.
    async fn store_schedules(&self) -> Result<(), StoreError> {
        let snapshot = self.shared.engine.snapshot();
        let stored = self.shared.schedules.list(None).await?;
        let now = Millis::now().0;
        for entry in &snapshot.workflows {
            let id = format!("wf_{}", entry.id);
            let Some(said) = &entry.manifest.schedule else {
                if stored.iter().any(|row| row.id == id) {
                    self.shared.schedules.delete(&id).await?;
                }
                continue;
            };
            let definition = Definition {
                cron: said.cron.clone(),
                timezone: said.timezone.clone(),
                input: said.input.clone().unwrap_or_else(|| json!({})),
            };
            if stored.iter().any(|row| row.id == id && row.definition == definition) {
                continue;
            }
            match next_after(&definition, now) {
                Ok(next) => self.shared.schedules.put(&id, &entry.id, &definition, next, now).await?,
                Err(reason) => {
                    tracing::error!(workflow.id = &*entry.id, reason, "a workflow does not start by itself");
                }
            }
        }
        Ok(())
    }

    /// Starts what is due. Returns when the next is.
    async fn start_due(&self) -> Result<Option<Millis>, StoreError> {
        let now = Millis::now().0;
        let snapshot = self.shared.engine.snapshot();
        for row in self.shared.schedules.due(now).await? {
            // Its plugin may come later; the time is kept for it.
            if snapshot.workflows.get(row.workflow_id.as_str()).is_none() {
                continue;
            }
            let next = next_after(&row.definition, now).unwrap_or(None);
            let run_id = format!("{}-{}", row.id, row.next_at.unwrap_or(now));
            // The run first: should the host die in between, the same run is found begun.
            match self.start(request(&row, Some(run_id.clone()))).await {
                Ok(_) | Err(EngineError::Conflict(_)) => {}
                Err(error) => tracing::warn!(schedule.id = row.id, %error, "a schedule started nothing"),
            }
            match self.shared.schedules.fire(&row, &run_id, next, now).await {
                // Another host was faster.
                Ok(()) | Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.shared.schedules.next_due(now).await?.map(Millis))
    }
}

fn request(row: &ScheduleRow, run_id: Option<String>) -> StartRequest {
    let mut request_context = serde_json::Map::new();
    request_context.insert("scheduleId".to_owned(), Value::String(row.id.clone()));
    StartRequest {
        workflow_id: row.workflow_id.clone(),
        run_id,
        input: Some(row.definition.input.clone()),
        request_context,
        mode: StartMode::Fresh,
        ..StartRequest::default()
    }
}

/// Returns when a schedule is due after a time; `None` if never again.
fn next_after(definition: &Definition, now: i64) -> Result<Option<i64>, String> {
    let cron: Cron =
        definition.cron.parse().map_err(|error| format!("`{}` is no schedule: {error}", definition.cron))?;
    let zone = match &definition.timezone {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(name).map_err(|error| format!("`{name}` is no time zone: {error}"))?,
    };
    let now = Timestamp::from_millisecond(now).map_err(|error| error.to_string())?.to_zoned(zone);
    Ok(cron.find_next_occurrence(&now, false).ok().map(|next| next.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cron: &str, timezone: Option<&str>, after: &str, expected: &str) {
        let definition =
            Definition { cron: cron.to_owned(), timezone: timezone.map(str::to_owned), input: Value::Null };
        let after = Millis::parse(after).unwrap();
        let next = next_after(&definition, after.0).unwrap().map(|millis| Millis(millis).iso());
        assert_eq!(next.as_deref(), Some(expected));
    }

    #[test]
    fn schedules_are_due_at_their_time() {
        check("0 9 * * *", None, "2026-05-01T08:59:59Z", "2026-05-01T09:00:00.000Z");
        check("0 9 * * *", None, "2026-05-01T09:00:00Z", "2026-05-02T09:00:00.000Z");
        check("*/15 * * * *", None, "2026-05-01T08:59:59Z", "2026-05-01T09:00:00.000Z");
        check("0 0 1 1 *", None, "2026-05-01T09:00:00Z", "2027-01-01T00:00:00.000Z");
    }

    #[test]
    fn times_are_those_of_the_zone() {
        // Summer and winter.
        check("0 9 * * *", Some("Europe/Paris"), "2026-07-01T00:00:00Z", "2026-07-01T07:00:00.000Z");
        check("0 9 * * *", Some("Europe/Paris"), "2026-12-01T00:00:00Z", "2026-12-01T08:00:00.000Z");
    }

    #[test]
    fn what_is_no_schedule_is_said() {
        let wrong = |cron: &str, timezone: Option<&str>| {
            let timezone = timezone.map(str::to_owned);
            next_after(&Definition { cron: cron.to_owned(), timezone, input: Value::Null }, 0).unwrap_err()
        };
        assert!(wrong("every day", None).starts_with("`every day` is no schedule"));
        assert!(wrong("0 9 * * *", Some("Mars/Olympus")).starts_with("`Mars/Olympus` is no time zone"));
    }
}
