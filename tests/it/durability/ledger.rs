//! What really ran, as the plugin has written it down.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

/// One beginning or end of a body.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Line {
    pub(super) run: Option<String>,
    pub(super) step: String,
    pub(super) key: Option<String>,
    pub(super) attempt: u32,
    pub(super) at: String,
    #[serde(default)]
    pub(super) ok: Option<bool>,
}

impl Line {
    /// Returns the run, empty for what belongs to none.
    pub(super) fn run(&self) -> &str {
        self.run.as_deref().unwrap_or_default()
    }
}

/// Reads the ledger, the oldest line first. None is an empty one.
pub(super) fn lines(path: &Path) -> Vec<Line> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Reads the ledger, by run. What belongs to no run is left out.
pub(super) fn read(path: &Path) -> BTreeMap<String, Vec<Line>> {
    let mut runs: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for line in lines(path) {
        if let Some(run) = line.run.clone() {
            runs.entry(run).or_default().push(line);
        }
    }
    runs
}

/// Checks that nothing of a run went back: once a body of a later group has begun, the results
/// of the earlier groups were stored, so none of their bodies begins again.
#[track_caller]
pub(super) fn check_forward(run: &str, lines: &[Line], groups: &[&[&str]]) {
    let mut reached = 0;
    for line in lines.iter().filter(|line| line.at == "start") {
        let Some(group) = groups.iter().position(|group| group.contains(&line.step.as_str())) else { continue };
        assert!(group >= reached, "{run}: `{}` began again after a later step had: {lines:#?}", line.step);
        reached = group;
    }
}

/// Checks that every execution has one key, that keys name the run, and that attempts count
/// failures alone: a repetition after a kill has the number of the attempt it repeats.
#[track_caller]
pub(super) fn check_keys(run: &str, lines: &[Line]) {
    let mut failures: BTreeMap<&str, u32> = BTreeMap::new();
    for line in lines {
        let Some(key) = &line.key else { continue };
        assert!(key.starts_with(&format!("{run}/")), "{run}: {line:?}");
        let failed = failures.entry(key).or_default();
        if line.at == "start" {
            // A failure may have been written down and not stored; then its attempt is made again.
            assert!(line.attempt <= *failed + 1 && line.attempt >= 1, "{run}: {line:?} after {failed} failures");
        } else if line.ok == Some(false) {
            *failed = (*failed).max(line.attempt);
        }
    }
}
