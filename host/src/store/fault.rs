//! Faults on purpose: where a test may have the host die as by a power cut.
//!
//! There in builds with debug assertions only; in others nothing is compiled and nothing
//! can be set.

/// A place a test may stop the host at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// Everything of a commit is written but the commit.
    BeforeCommit,
    /// It is on the disk, nobody was told.
    AfterCommit,
}

pub(super) use imp::Fault;

#[cfg(debug_assertions)]
mod imp {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use super::Point;

    /// Dies at a commit that was chosen before. Cheap to clone.
    #[derive(Clone, Default)]
    pub(in crate::store) struct Fault {
        chosen: Option<(u64, Point)>,
        commits: Arc<AtomicU64>,
    }

    impl Fault {
        /// Reads `before:N` or `after:N`: the N-th commit of this process that changes a row, from 1.
        pub(in crate::store) fn parse(text: Option<&str>) -> Self {
            let chosen = text.and_then(|text| {
                let (point, number) = text.split_once(':')?;
                let point = match point {
                    "before" => Point::BeforeCommit,
                    "after" => Point::AfterCommit,
                    _ => return None,
                };
                Some((number.parse().ok()?, point))
            });
            Self { chosen, commits: Arc::default() }
        }

        /// Dies here if this is the place.
        pub(in crate::store) fn at(&self, point: Point) {
            let Some((number, chosen)) = self.chosen else { return };
            let commits = match point {
                Point::BeforeCommit => self.commits.fetch_add(1, Ordering::SeqCst) + 1,
                Point::AfterCommit => self.commits.load(Ordering::SeqCst),
            };
            if point == chosen && commits == number {
                die();
            }
        }
    }

    /// Ends the process without any of its own code, as SIGKILL from outside would.
    fn die() {
        let own = std::process::id().to_string();
        let killed = std::process::Command::new("kill").args(["-KILL", &own]).status();
        tracing::error!(?killed, "the host should be dead");
        loop {
            std::thread::park();
        }
    }
}

#[cfg(not(debug_assertions))]
mod imp {
    use super::Point;

    /// Nothing.
    #[derive(Clone, Default)]
    pub(in crate::store) struct Fault;

    impl Fault {
        pub(in crate::store) fn parse(_text: Option<&str>) -> Self {
            Self
        }

        #[expect(clippy::unused_self, reason = "the same calls as with faults")]
        pub(in crate::store) fn at(&self, _point: Point) {}
    }
}
