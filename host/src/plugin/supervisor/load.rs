//! From a file to what serves: staged, given its number, opened, committed.
//!
//! How a build is opened is in [`super::open`], how one is tried first in [`super::canary`].

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::future::join_all;

use super::{
    Generation, LoadError, PluginChange, Supervisor, Why, canary::Former, ledger::Decision, load_span::LoadSpan,
};
use crate::{
    plugin::{intake::Staged, registry::Offer, settings::CanaryPlan},
    types::plugin::CanaryState,
};

/// A file that may be opened under the number it was given.
struct Reserved {
    staged: Staged,
    number: u64,
    /// How it is tried, if it does not take over at once.
    plan: Option<CanaryPlan>,
    /// The build that is opened in its place.
    serves: Option<String>,
}

/// An open generation that does not serve yet.
pub(super) struct Prepared {
    pub(super) generation: Arc<Generation>,
    pub(super) offer: Offer,
    /// The hash of the plugin's file, if this is what was loaded.
    pub(super) file_hash: Option<Arc<str>>,
}

impl Supervisor {
    /// Loads many files at once; names are given away in the order of the files.
    pub(crate) async fn load_all(&self, files: Vec<PathBuf>) {
        let turns: Vec<_> = files.iter().map(|file| self.turn(file)).collect();
        let _turns = join_all(turns.iter().map(|turn| turn.lock())).await;
        let spans: Vec<_> = files.iter().map(|file| LoadSpan::begin(&self.recorder, file)).collect();
        let staged = join_all(files.iter().map(|file| self.intake.stage(file))).await;
        let mut opening = Vec::new();
        for ((file, span), staged) in files.iter().zip(spans).zip(staged) {
            match staged.and_then(|staged| self.reserve(file, staged, Why::Changed)) {
                Ok(Some(reserved)) => opening.push(async move { (file, span, self.prepare(file, reserved).await) }),
                Ok(None) => span.forget(),
                Err(error) => {
                    span.end(Err(&error));
                    self.failed(file, error);
                }
            }
        }
        for (file, span, prepared) in join_all(opening).await {
            let loaded = prepared.and_then(|prepared| {
                span.opened(&prepared.generation);
                let name = Arc::clone(prepared.generation.plugin());
                self.commit(file, prepared).map(|()| name)
            });
            span.end(loaded.as_ref().map(drop));
            match loaded {
                Ok(name) => self.remember(&name).await,
                Err(error) => self.failed(file, error),
            }
            self.try_next(file).await;
        }
        self.return_memory();
    }

    /// Loads one file and lets it serve. A failure is recorded, too.
    pub(crate) async fn load(&self, file: &Path, why: Why) -> Result<(), LoadError> {
        let turn = self.turn(file);
        let _turn = turn.lock().await;
        let loaded = self.load_in_turn(file, why).await.inspect_err(|error| self.failed(file, error.clone()));
        self.try_next(file).await;
        self.return_memory();
        loaded
    }

    /// Tries the file's build if it came while no host was there to try it.
    async fn try_next(&self, file: &Path) {
        if !self.ledger().takes_next(file) {
            return;
        }
        // In a box: it is rare, and every load would be larger by it.
        if let Err(error) = Box::pin(self.load_in_turn(file, Why::Tried)).await {
            self.failed(file, error);
        }
    }

    pub(super) async fn load_in_turn(&self, file: &Path, why: Why) -> Result<(), LoadError> {
        let span = LoadSpan::begin(&self.recorder, file);
        let loaded = self.load_recorded(file, why, &span).await;
        match &loaded {
            Ok(false) => span.forget(),
            Ok(true) => span.end(Ok(())),
            Err(error) => span.end(Err(error)),
        }
        loaded.map(drop)
    }

    /// Returns whether there was anything to load.
    async fn load_recorded(&self, file: &Path, why: Why, span: &LoadSpan) -> Result<bool, LoadError> {
        let staged = self.intake.stage(file).await?;
        let name = staged.probed.manifest.name.clone();
        let Some(reserved) = self.reserve(file, staged, why)? else {
            self.remember(&name).await;
            return Ok(false);
        };
        let (plan, hash) = (reserved.plan, Arc::clone(&reserved.staged.hash));
        let prepared = self.prepare(file, reserved).await?;
        span.opened(&prepared.generation);
        match plan {
            None => self.commit(file, prepared)?,
            Some(plan) => {
                // Remembered first: should the host die over this build, the old one serves after it.
                let before = self.ledger().note_file(&name, &hash);
                self.remember(&name).await;
                if let Err(error) = self.try_out(prepared, plan) {
                    if let Some(before) = before {
                        self.ledger().note_file(&name, &before);
                    }
                    self.remember(&name).await;
                    return Err(error);
                }
            }
        }
        self.remember(&name).await;
        Ok(true)
    }

    fn reserve(&self, file: &Path, staged: Staged, why: Why) -> Result<Option<Reserved>, LoadError> {
        // Bound before: the ledger is not to be held while it is acted upon.
        let decision = self.ledger().reserve(file, &staged, why)?;
        match decision {
            Decision::Open { number } => Ok(Some(Reserved { staged, number, plan: None, serves: None })),
            Decision::Try { number, plan } => Ok(Some(Reserved { staged, number, plan: Some(plan), serves: None })),
            Decision::Hold { number, serves } => {
                Ok(Some(Reserved { staged, number, plan: None, serves: Some(serves) }))
            }
            Decision::Back => {
                let name = &staged.probed.manifest.name;
                self.end_canary(name, CanaryState::Aborted, "its file has the build again that serves");
                Ok(None)
            }
            Decision::Unchanged | Decision::Disabled => Ok(None),
        }
    }

    async fn prepare(&self, file: &Path, reserved: Reserved) -> Result<Prepared, LoadError> {
        if let Some(serves) = &reserved.serves {
            match self.prepare_held(file, &reserved, serves).await {
                Ok(prepared) => return Ok(prepared),
                Err(error) => tracing::warn!(
                    file = %file.display(), hash = serves, code = %error.code, %error,
                    "the build that served when the host stopped does not load, its file's is taken"
                ),
            }
        }
        let build = self.build(file, &reserved.staged).await?;
        self.open(file, build, reserved.number, Some(reserved.staged.hash)).await
    }

    /// Opens the build that served in place of the file's when the host stopped.
    async fn prepare_held(&self, file: &Path, reserved: &Reserved, serves: &str) -> Result<Prepared, LoadError> {
        let kept = self.intake.stage_kept(serves).await?;
        self.ledger().vouch(&kept);
        let build = self.build(file, &kept).await?;
        let hash = Arc::clone(&reserved.staged.hash);
        let prepared = self.open(file, build, reserved.number, Some(hash)).await?;
        tracing::info!(
            plugin.name = %prepared.generation.plugin(), file = %file.display(), hash = serves,
            "another build than its file's serves: that one was rolled back, or is only tried"
        );
        Ok(prepared)
    }

    /// Makes a prepared generation serve, in one step, and retires the former one. A build that was
    /// tried meanwhile is given up: this one was asked for.
    pub(super) fn commit(&self, file: &Path, prepared: Prepared) -> Result<(), LoadError> {
        let Prepared { generation, offer, file_hash } = prepared;
        let is_of_file = file_hash.as_ref() == Some(&generation.identity().hash);
        let former = self.ledger().commit(&self.registry, file, &generation, offer, file_hash);
        match former {
            Ok(former) => {
                if self.ledger().tried(generation.plugin()).is_some() {
                    self.end_canary(generation.plugin(), CanaryState::Aborted, "another build was asked for");
                }
                let trust = self.ledger().trust(&generation.identity().hash).map(ToString::to_string);
                tracing::info!(
                    plugin.name = %generation.plugin(),
                    plugin.generation = generation.number(),
                    plugin.version = %generation.manifest().version,
                    plugin.trust = trust,
                    "plugin serves"
                );
                self.tell(generation.plugin(), PluginChange::Serving { generation: generation.number() });
                let hash = &generation.identity().hash;
                let replaced = former.iter().find(|old| old.plugin() == generation.plugin());
                let replaced = replaced.filter(|old| is_of_file && old.identity().hash != *hash);
                if let Some(former) = replaced.and_then(|old| Former::of(old)) {
                    self.guard(&generation, former);
                }
                for old in former {
                    self.retire(old);
                }
                Ok(())
            }
            Err(error) => {
                self.retire(generation);
                Err(error)
            }
        }
    }
}
