//! Opens a mapped image as a generation that can serve.

use std::{path::Path, sync::Arc, thread};

use tokio::sync::oneshot;

use super::{LoadCode, LoadError, Mapped, Prepared, Supervisor};
use crate::plugin::{
    bridge::{Components, InlineInstance},
    generation::{Generation, Identity},
    manifest,
    registry::Offer,
    services::HostHandle,
    settings::Isolation,
};

impl Supervisor {
    /// Opens an image. Does not change what serves.
    pub(super) async fn open(
        &self,
        file: &Path,
        mapped: Arc<Mapped>,
        number: u64,
        file_hash: Option<Arc<str>>,
    ) -> Result<Prepared, LoadError> {
        let plugin = Arc::clone(&mapped.plugin);
        let options = self.settings.options(&plugin);
        if options.isolation == Isolation::Process {
            return Err(LoadError::new(
                LoadCode::Config,
                "`isolation = \"process\"` is not available in this version; set it to \"inline\"",
            ));
        }
        manifest::check_config(&mapped.image.manifest, &options.config)?;
        let identity = Identity {
            plugin: Arc::clone(&plugin),
            number,
            hash: Arc::clone(&mapped.hash),
            file: file.to_owned(),
            size: mapped.size,
            manifest: Arc::new(mapped.image.manifest.clone()),
        };
        let lane = self.pool.lane(Arc::clone(&plugin), number);
        let host = HostHandle::new(
            Arc::clone(&plugin),
            number,
            Arc::clone(&self.services),
            Arc::clone(&self.pool),
            Arc::clone(&lane),
        );
        let components = self.open_on_a_thread(mapped, &host, options.config.to_string().into_bytes()).await;
        let components = components.inspect_err(|_| host.revoke())?;
        let instance = InlineInstance::new(plugin, components, Arc::clone(&self.pool), lane, host.clone());
        let generation =
            Arc::new(Generation::new(identity, Arc::new(instance), Some(host), self.settings.call_deadline));
        match Offer::new(&generation) {
            Ok(offer) => Ok(Prepared { generation, offer, file_hash }),
            Err(error) => {
                self.retire(generation);
                Err(error)
            }
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
            .spawn(move || drop(give.send(Components::open(&mapped, host, config))))
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
