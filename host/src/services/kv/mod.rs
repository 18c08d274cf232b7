//! `kv.*`: keys and values of a plugin, one file for each plugin.
//!
//! Small on purpose: settings, cursors, caches. The whole of a plugin's values is in memory
//! once it was asked for; each change is written beside the file and renamed over it, so a
//! crash leaves the old values or the new ones.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use hotbay_plugin::{Error, error::code};
use serde::Deserialize;
use serde_json::Value;

use super::{answer, parse};

/// So much one plugin may keep.
const LIMIT: usize = 1 << 20;

type Values = BTreeMap<String, Value>;

/// All plugins' values.
pub(super) struct KeyValues {
    directory: PathBuf,
    /// By plugin. Held for one line.
    stores: Mutex<HashMap<Arc<str>, Arc<Store>>>,
}

/// One plugin's values.
struct Store {
    file: PathBuf,
    /// Read from the file at the first use. Held while the file is written, on a thread that
    /// may block, so changes are in the file in their order.
    values: Mutex<Option<Values>>,
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

#[derive(Deserialize)]
struct Entry {
    key: String,
    value: Value,
}

#[derive(Deserialize)]
struct Prefix {
    #[serde(default)]
    prefix: String,
}

impl KeyValues {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, stores: Mutex::default() }
    }

    pub(super) async fn request(&self, plugin: &Arc<str>, op: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
        let store = self.store(plugin);
        match op {
            "kv.get" => {
                let Key { key } = parse(body)?;
                answer(&blocking(move || store.read(|values| values.get(&key).cloned())).await?)
            }
            "kv.set" => {
                let Entry { key, value } = parse(body)?;
                blocking(move || store.change(|values| values.insert(key, value.clone()).as_ref() != Some(&value)))
                    .await?;
                Ok(b"null".to_vec())
            }
            "kv.delete" => {
                let Key { key } = parse(body)?;
                blocking(move || store.change(|values| values.remove(&key).is_some())).await?;
                Ok(b"null".to_vec())
            }
            _ => {
                let Prefix { prefix } = parse(body)?;
                let keys = move |values: &Values| {
                    values.keys().filter(|key| key.starts_with(&prefix)).cloned().collect::<Vec<_>>()
                };
                answer(&blocking(move || store.read(keys)).await?)
            }
        }
    }

    fn store(&self, plugin: &Arc<str>) -> Arc<Store> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Store { file: self.directory.join(file_name(plugin)), values: Mutex::default() });
        Arc::clone(stores.entry(Arc::clone(plugin)).or_insert_with(new))
    }
}

impl Store {
    fn read<T>(&self, look: impl FnOnce(&Values) -> T) -> Result<T, Error> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(look(self.loaded(&mut values)?))
    }

    /// Changes the values and writes them; nothing is changed if they cannot be written.
    fn change(&self, apply: impl FnOnce(&mut Values) -> bool) -> Result<(), Error> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = self.loaded(&mut values)?.clone();
        if !apply(&mut changed) {
            return Ok(());
        }
        let text = serde_json::to_vec(&changed)?;
        if text.len() > LIMIT {
            return Err(Error::input(format!(
                "the values of this plugin would be {} bytes, {LIMIT} is the most: keep larger things elsewhere",
                text.len()
            )));
        }
        write(&self.file, &text).map_err(|error| self.unusable("write", &error))?;
        *values = Some(changed);
        Ok(())
    }

    fn loaded<'a>(&self, values: &'a mut Option<Values>) -> Result<&'a Values, Error> {
        let read = match values.take() {
            Some(values) => values,
            None => match fs::read(&self.file) {
                Ok(text) => {
                    serde_json::from_slice(&text).map_err(|error| self.unusable("read", &io::Error::from(error)))?
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Values::new(),
                Err(error) => return Err(self.unusable("read", &error)),
            },
        };
        Ok(values.insert(read))
    }

    fn unusable(&self, what: &str, error: &io::Error) -> Error {
        tracing::error!(file = %self.file.display(), %error, "cannot {what} a plugin's values");
        Error::with_code(code::UNAVAILABLE, format!("the host cannot {what} the plugin's values, its log says why"))
            .retryable()
    }
}

/// Replaces the file in one step.
fn write(file: &Path, text: &[u8]) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let temporary = file.with_extension("json.tmp");
    let mut written = fs::File::create(&temporary)?;
    written.write_all(text)?;
    written.sync_all()?;
    fs::rename(&temporary, file)?;
    // Without this the rename itself may be lost with the power.
    fs::File::open(directory)?.sync_all()
}

/// Plugins' names are checked when they load; whatever else comes here stays in the directory.
fn file_name(plugin: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name: String =
        plugin.chars().map(|c| if is_plain(c) { c.to_string() } else { format!("%{:x}", c as u32) }).collect();
    format!("{name}.json")
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::new("the host failed to use the plugin's values, its log says why")))
}

#[cfg(test)]
mod tests;
