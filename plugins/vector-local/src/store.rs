//! The store: a directory with a directory for each index.
//!
//! Names that begin with a dot are of indexes on their way in or out; both ways are one rename.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::SystemTime,
};

use hotbay_plugin::{
    Error, Result,
    error::code,
    vector_store::{CreateIndex, check_index_name, unknown_index},
};
use uuid::Uuid;

use crate::{
    builder::Builder,
    index::{Index, Refusal, Settings},
    rows::disk,
};

/// How often an index that somebody else replaces all the time is opened again.
const ATTEMPTS: u32 = 16;

/// All indexes below a directory.
pub(crate) struct Store {
    directory: PathBuf,
    graph_from: usize,
    /// Those that are open. Held for a line; the slot of one is held while it is opened.
    open: Mutex<HashMap<String, Slot>>,
    builder: Builder,
}

type Slot = Arc<Mutex<Option<Arc<Index>>>>;

impl Store {
    pub(crate) fn open(directory: &Path, graph_from: usize) -> Result<Self> {
        let opened = || -> io::Result<Builder> {
            fs::create_dir_all(directory)?;
            let _lock = lock(directory)?;
            for entry in fs::read_dir(directory)? {
                let name = entry?.file_name();
                // Left by who ended before it was done.
                if name.to_str().is_some_and(|name| name.starts_with(".new-") || name.starts_with(".gone-")) {
                    fs::remove_dir_all(directory.join(name))?;
                }
            }
            Builder::start()
        };
        let builder = opened().map_err(|error| disk(&error))?;
        Ok(Self { directory: directory.to_owned(), graph_from, open: Mutex::default(), builder })
    }

    pub(crate) fn create(&self, index: &CreateIndex) -> Result<()> {
        check_index_name(&index.name)?;
        let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let created = u64::try_from(created).unwrap_or(u64::MAX);
        let settings = Settings { dimension: index.dimension, metric: index.metric, created };
        let made = || -> io::Result<()> {
            let _lock = lock(&self.directory)?;
            let path = self.directory.join(&index.name);
            if Index::settings_of(&path)?.is_some() {
                return Ok(());
            }
            let new = self.directory.join(format!(".new-{}", Uuid::new_v4()));
            fs::create_dir(&new)?;
            Index::create(&new, settings)?;
            fs::rename(&new, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        made().map_err(|error| disk(&error))
    }

    pub(crate) fn list(&self) -> Result<Vec<String>> {
        let listed = || -> io::Result<Vec<(u64, String)>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.directory)? {
                let Ok(name) = entry?.file_name().into_string() else { continue };
                if check_index_name(&name).is_ok()
                    && let Some(settings) = Index::settings_of(&self.directory.join(&name))?
                {
                    names.push((settings.created, name));
                }
            }
            names.sort();
            Ok(names)
        };
        let names = listed().map_err(|error| disk(&error))?;
        Ok(names.into_iter().map(|(_, name)| name).collect())
    }

    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        if check_index_name(name).is_err() {
            return Ok(());
        }
        let _lock = lock(&self.directory).map_err(|error| disk(&error))?;
        let path = self.directory.join(name);
        let gone = self.directory.join(format!(".gone-{}", Uuid::new_v4()));
        let index = self.index(name).ok();
        if let Some(index) = &index {
            index.is_closed.store(true, Ordering::Relaxed);
        }
        // Who writes to it now is done first. An index that cannot be opened is deleted all the same.
        let held = index.as_ref().and_then(|index| index.hold().ok());
        let deleted = match fs::rename(&path, &gone) {
            Ok(()) => File::open(&self.directory)
                .and_then(|directory| directory.sync_all())
                .and_then(|()| fs::remove_dir_all(&gone)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        drop(held);
        self.lock_open().remove(name);
        deleted.map_err(|error| disk(&error))
    }

    /// Does something with an index, opened again as often as somebody else replaces it meanwhile.
    pub(crate) fn with<T>(&self, name: &str, act: impl Fn(&Index) -> Result<T, Refusal>) -> Result<T> {
        for _ in 0..ATTEMPTS {
            let index = self.index(name)?;
            match act(&index) {
                Ok(done) => {
                    self.builder.look_at(&index);
                    return Ok(done);
                }
                Err(Refusal::Error(error)) => return Err(error),
                Err(Refusal::Stale) => self.forget(&index),
            }
        }
        let message = format!("index {name} is replaced all the time; try again");
        Err(Error::with_code(code::UNAVAILABLE, message).retryable())
    }

    fn index(&self, name: &str) -> Result<Arc<Index>> {
        if check_index_name(name).is_err() {
            return Err(unknown_index(name));
        }
        let slot = Arc::clone(self.lock_open().entry(name.to_owned()).or_default());
        let mut index = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*index {
            return Ok(Arc::clone(index));
        }
        match Index::open(&self.directory.join(name), name, self.graph_from) {
            Ok(opened) => Ok(Arc::clone(index.insert(Arc::new(opened)))),
            Err(error) => {
                self.lock_open().remove(name);
                Err(error)
            }
        }
    }

    fn forget(&self, index: &Arc<Index>) {
        index.is_closed.store(true, Ordering::Relaxed);
        let mut open = self.lock_open();
        let is_it = open.get(&index.name).is_some_and(|slot| {
            let slot = slot.try_lock();
            slot.is_ok_and(|slot| slot.as_ref().is_some_and(|known| Arc::ptr_eq(known, index)))
        });
        if is_it {
            open.remove(&index.name);
        }
    }

    fn lock_open(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        for slot in self.lock_open().values() {
            if let Some(index) = &*slot.lock().unwrap_or_else(PoisonError::into_inner) {
                index.is_closed.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Takes the lock on the directory: indexes come and go one at a time.
fn lock(directory: &Path) -> io::Result<File> {
    let file = File::create(directory.join(".lock"))?;
    file.lock()?;
    Ok(file)
}
