//! Opens a build as a generation that can serve, here or in a process of its own.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use hotbay_plugin::manifest::Manifest;
use tokio::sync::oneshot;

use super::{LoadCode, LoadError, Supervisor, load::Prepared};
use crate::plugin::{
    bridge::{Components, InlineInstance},
    call::Instance,
    generation::{Generation, Identity},
    intake::{Mapped, Staged},
    isolated::{Launch, ProcessInstance},
    manifest,
    registry::Offer,
    services::HostHandle,
    settings::{Isolation, PluginOptions},
};

/// A build that can be opened.
pub(super) enum Build {
    /// In this process, where it is mapped.
    Mapped(Arc<Mapped>),
    /// In a process of its own, from the private copy.
    Isolated {
        /// BLAKE3 of the file.
        hash: Arc<str>,
        /// Its length in bytes.
        size: u64,
        /// The private copy.
        copy: PathBuf,
        /// What the probe learned.
        manifest: Arc<Manifest>,
    },
}

impl Build {
    fn identity(&self, file: &Path, number: u64) -> Identity {
        let (hash, size, manifest) = match self {
            Self::Mapped(mapped) => (&mapped.hash, mapped.size, Arc::clone(&mapped.image.manifest)),
            Self::Isolated { hash, size, manifest, .. } => (hash, *size, Arc::clone(manifest)),
        };
        let plugin = manifest.name.as_str().into();
        Identity { plugin, number, hash: Arc::clone(hash), file: file.to_owned(), size, manifest }
    }
}

impl Supervisor {
    /// Returns what a staged file is opened from. Maps it, unless it is to be isolated.
    pub(super) async fn build(&self, file: &Path, staged: &Staged) -> Result<Build, LoadError> {
        match self.settings.isolation(&staged.probed.manifest.name, file) {
            Isolation::Inline => Ok(Build::Mapped(self.intake.map(staged).await?)),
            Isolation::Process => Ok(Build::Isolated {
                hash: Arc::clone(&staged.hash),
                size: staged.size,
                copy: staged.copy.clone(),
                manifest: Arc::clone(&staged.probed.manifest),
            }),
        }
    }

    /// Opens a build. Does not change what serves.
    pub(super) async fn open(
        &self,
        file: &Path,
        build: Build,
        number: u64,
        file_hash: Option<Arc<str>>,
    ) -> Result<Prepared, LoadError> {
        let identity = build.identity(file, number);
        let plugin = Arc::clone(&identity.plugin);
        let options = self.settings.options(&plugin);
        manifest::check_config(&identity.manifest, &options.config)?;
        let lane = self.pool.lane(Arc::clone(&plugin), number);
        let host = HostHandle::new(
            Arc::clone(&plugin),
            number,
            Arc::clone(&self.services),
            Arc::clone(&self.pool),
            Arc::clone(&lane),
        );
        let instance: Result<Arc<dyn Instance>, LoadError> = match build {
            Build::Mapped(mapped) => {
                let opened = self.open_on_a_thread(mapped, &host, options.config.to_string().into_bytes()).await;
                opened.map(|components| {
                    let pool = Arc::clone(&self.pool);
                    Arc::new(InlineInstance::new(plugin, components, pool, lane, host.clone())) as _
                })
            }
            Build::Isolated { copy, .. } => {
                let launch = self.launch(&identity, copy, options);
                let started = ProcessInstance::start(launch, host.clone(), self.events.clone(), &self.spawner).await;
                started.map(|instance| Arc::new(instance) as _)
            }
        };
        let instance = instance.inspect_err(|_| host.revoke())?;
        let generation = Arc::new(Generation::new(identity, instance, Some(host), self.settings.call_deadline));
        match Offer::new(&generation) {
            Ok(offer) => Ok(Prepared { generation, offer, file_hash }),
            Err(error) => {
                self.retire(generation);
                Err(error)
            }
        }
    }

    fn launch(&self, identity: &Identity, file: PathBuf, options: PluginOptions) -> Launch {
        let settings = &self.settings;
        let idempotent = identity.manifest.tools.iter().filter(|tool| tool.idempotent).map(|tool| tool.id.clone());
        Launch {
            program: Arc::clone(&self.program),
            file,
            plugin: Arc::clone(&identity.plugin),
            generation: identity.number,
            config: options.config,
            env: options.env,
            limits: options.limits,
            account: settings.isolated_user.clone(),
            groups: self.intake.groups().cloned(),
            directory: self.intake.directory().join("work").join(&*identity.plugin),
            idempotent: idempotent.collect(),
            open_deadline: settings.open_deadline,
            stuck_grace: settings.stuck_grace,
            restart: settings.restart,
        }
    }

    /// Runs the plugin's `open` where it can block for as long as it likes.
    ///
    /// If it comes back after the deadline, what it opened is dropped on its own thread; if it
    /// never does, that thread is lost.
    async fn open_on_a_thread(
        &self,
        mapped: Arc<Mapped>,
        host: &HostHandle,
        config: Vec<u8>,
    ) -> Result<Components, LoadError> {
        let (give, take) = oneshot::channel();
        let host = host.to_abi();
        let plugin = Arc::clone(&mapped.plugin);
        thread::Builder::new()
            .name(String::from("plugin-open"))
            .spawn(move || drop(give.send(Components::open(&mapped.image, host, config))))
            .map_err(|error| LoadError::new(LoadCode::Io, format!("cannot start a thread to open it: {error}")))?;
        let deadline = self.settings.open_deadline;
        match tokio::time::timeout(deadline, take).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) => Err(LoadError::new(LoadCode::OpenFailed, format!("opening plugin `{plugin}` panicked"))),
            Err(_) => Err(LoadError::new(
                LoadCode::OpenTimeout,
                format!(
                    "its `open` did not return within {} s; it must not wait for anything that may not come",
                    deadline.as_secs_f32()
                ),
            )),
        }
    }
}
