//! What a replay found, step by step, as it is printed and as it is asserted.

use std::fmt;

use super::differences::Listing;
use super::mismatch::Mismatch;
use super::player::Played;

/// The outcome of one session.
#[derive(Debug)]
pub struct Report {
    /// The area.
    pub area: String,
    /// Every step that was judged, in order.
    pub cases: Vec<Case>,
    /// Entries of the differences file that match no step.
    pub unmatched: Vec<String>,
}

/// The outcome of one step.
#[derive(Debug)]
pub struct Case {
    /// The step's name.
    pub name: String,
    /// How it went.
    pub verdict: Verdict,
    /// Paths of the answer that the recording does not have.
    pub extra: Vec<String>,
    /// What differs, the first of it in the verdict's line.
    pub mismatches: Vec<Mismatch>,
    /// The answer, as far as it came.
    pub answer: serde_json::Value,
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is as recorded.
    Passed,
    /// It is not as recorded, or not as the differences file says.
    Failed,
    /// It differs from the recording as the differences file says; the reason.
    Listed(String),
    /// The differences file lists it, but it is as recorded.
    ListedInVain,
}

impl Case {
    /// Weighs what was played against what is listed.
    pub fn new(name: &str, played: Played, listing: Option<&Listing>) -> Self {
        let Played { answer, judgement, instead } = played;
        let passes = judgement.is_match();
        let (verdict, mismatches) = match (listing, instead) {
            (None, _) if passes => (Verdict::Passed, Vec::new()),
            (None, _) => (Verdict::Failed, judgement.mismatches),
            (Some(_), _) if passes => (Verdict::ListedInVain, Vec::new()),
            (Some(_), Some(instead)) if !instead.is_match() => (Verdict::Failed, instead.mismatches),
            (Some(Listing { expect: Some(_), .. }), None) => (Verdict::Failed, judgement.mismatches),
            (Some(listing), _) => (Verdict::Listed(listing.reason.clone()), judgement.mismatches),
        };
        Self { name: name.to_owned(), verdict, extra: judgement.extra, mismatches, answer: answer.to_value() }
    }

    /// A step whose answer could not be taken back.
    pub fn not_undone(name: &str, reason: &str) -> Self {
        let mismatches = vec![Mismatch::new("undo", "200".to_owned(), reason.to_owned())];
        let (extra, answer) = (Vec::new(), serde_json::Value::Null);
        Self { name: name.to_owned(), verdict: Verdict::Failed, extra, mismatches, answer }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.verdict {
            Verdict::Passed => write!(f, "ok {name}"),
            Verdict::Listed(reason) => write!(f, "listed {name}: {reason}"),
            Verdict::ListedInVain => write!(f, "FAIL {name}: it passes, remove it from differences.toml"),
            Verdict::Failed => match self.mismatches.first() {
                Some(mismatch) => write!(f, "FAIL {name}: {mismatch}"),
                None => write!(f, "FAIL {name}"),
            },
        }
    }
}

impl Report {
    /// Whether nothing failed, something was played, and every entry of the differences file was of use.
    pub fn is_success(&self) -> bool {
        self.failed() == 0 && !self.cases.is_empty() && self.unmatched.is_empty()
    }

    /// How many steps are as recorded.
    pub fn passed(&self) -> usize {
        self.count(|verdict| *verdict == Verdict::Passed)
    }

    /// How many steps failed.
    pub fn failed(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Failed | Verdict::ListedInVain))
    }

    /// How many steps differ as listed.
    pub fn listed(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Listed(_)))
    }

    fn count(&self, wanted: impl Fn(&Verdict) -> bool) -> usize {
        self.cases.iter().filter(|case| wanted(&case.verdict)).count()
    }
}

/// The lines worth reading in a test's output: all but what passed, and the sums.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in self.cases.iter().filter(|case| case.verdict != Verdict::Passed) {
            writeln!(f, "{case}")?;
        }
        for name in &self.unmatched {
            writeln!(f, "FAIL {name}: it is in differences.toml but in no session")?;
        }
        let (passed, failed, listed) = (self.passed(), self.failed(), self.listed());
        write!(f, "{}: {passed} passed, {failed} failed, {listed} listed", self.area)
    }
}
