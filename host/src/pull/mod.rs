//! Files of models that run on this machine: fetched when somebody says so, checked, put in place.
//!
//! Owns which models can be had by name and where their files are below the data directory. Runs none
//! of them: a plugin does, `plugins/embed-minilm` for one. Nothing here happens unless `hotbay model pull`
//! asks for it.

mod check;
mod source;
#[cfg(test)]
mod tests;

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;
use tokio::{fs, io::AsyncWriteExt};

use check::Form;
pub(crate) use source::Source;

/// A file on its way has this at the beginning of its name.
const UNFINISHED: &str = ".pull-";

/// A model whose files can be had by name.
#[derive(Debug)]
pub(crate) struct Known {
    /// What it is called in commands, and its directory.
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) purpose: &'static str,
    /// The URL its files' names are appended to.
    hub: &'static str,
    files: &'static [(&'static str, Form)],
}

/// Every model that can be had by name.
pub(crate) const KNOWN: [Known; 1] = [Known {
    name: "all-minilm-l6-v2",
    purpose: "embedder local/all-minilm-l6-v2 of the plugin hotbay-embed-minilm, 91 MB",
    hub: "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main",
    files: &[("tokenizer.json", Form::Json), ("model.safetensors", Form::Safetensors)],
}];

/// Why a model was not pulled; whatever was in place before still is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    /// Nothing is known of this name.
    #[error("there is no model `{name}` to pull: `hotbay model list` names those there are")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Another process is at it.
    #[error("another `hotbay model pull` is at work in {}: let it end first", directory.display())]
    Busy {
        /// The directory of models.
        directory: PathBuf,
    },
    /// The source does not have it, or did not give all of it.
    #[error("{message}")]
    Source {
        /// One sentence, and what to do.
        message: String,
    },
    /// What came is not what it should be.
    #[error("{from} is not a whole file of its kind, {reason}: pull again, or from elsewhere with --from")]
    Damaged {
        /// Where it came from.
        from: String,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be kept.
    #[error("cannot write {}: {}", path.display(), disk(source))]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn disk(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("{error}; make room, or name another directory with --data")
        }
        _ => error.to_string(),
    }
}

/// What there is to tell while files come in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress<'a> {
    /// The file is whole already and stays as it is.
    Kept {
        /// Where it is.
        path: &'a Path,
    },
    /// So much of a file is here.
    Coming {
        /// The file's name.
        file: &'a str,
        /// Bytes that are here.
        bytes: u64,
        /// Bytes of the whole, if the source says.
        of: Option<u64>,
    },
    /// The file is in place.
    Done {
        /// Where it is.
        path: &'a Path,
        /// Its length.
        bytes: u64,
        /// Its BLAKE3 hash, in hexadecimal.
        blake3: &'a str,
    },
}

impl Known {
    /// Finds a model by its name.
    ///
    /// # Errors
    /// [`PullError::Unknown`].
    pub(crate) fn of(name: &str) -> Result<&'static Self, PullError> {
        KNOWN.iter().find(|known| known.name == name).ok_or_else(|| PullError::Unknown { name: name.to_owned() })
    }

    /// Returns where the files are below a data directory.
    pub(crate) fn directory(&self, data: &Path) -> PathBuf {
        data.join("models").join(self.name)
    }

    /// Returns the URL its makers publish it at.
    pub(crate) fn hub(&self) -> Source {
        Source::Url(self.hub.to_owned())
    }

    /// Says whether every file is there and whole.
    pub(crate) fn is_here(&self, data: &Path) -> bool {
        let directory = self.directory(data);
        self.files.iter().all(|(name, form)| form.check(&directory.join(name)).is_ok())
    }
}

/// Brings the files of a model into a data directory; those that are there and whole stay.
///
/// Dropping the future leaves no part of a file behind.
///
/// # Errors
/// The first file that could not be had; the ones before it are in place.
pub(crate) async fn pull(
    known: &Known,
    from: &Source,
    data: &Path,
    mut tell: impl FnMut(Progress<'_>),
) -> Result<(), PullError> {
    let directory = known.directory(data);
    fs::create_dir_all(&directory).await.map_err(|source| PullError::Disk { path: directory.clone(), source })?;
    // Released by the system with the file, however this ends.
    let _lock = lock(&directory)?;
    for (name, form) in known.files {
        let path = directory.join(name);
        if checked(*form, &path).await.is_ok() {
            tell(Progress::Kept { path: &path });
        } else {
            let (bytes, hash) = fetch(from, name, *form, &path, &mut tell).await?;
            tell(Progress::Done { path: &path, bytes, blake3: &hash });
        }
    }
    Ok(())
}

/// Keeps other processes out, then removes what one of them left that was killed.
fn lock(directory: &Path) -> Result<File, PullError> {
    let failed = |source| PullError::Disk { path: directory.to_owned(), source };
    let lock = File::create(directory.join(".lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(PullError::Busy { directory: directory.to_owned() }),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    for entry in directory.read_dir().map_err(failed)?.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            std::fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(lock)
}

/// Fetches one file beside its place, and moves it there when it is whole and on the disk.
async fn fetch(
    from: &Source,
    name: &str,
    form: Form,
    path: &Path,
    tell: &mut impl FnMut(Progress<'_>),
) -> Result<(u64, String), PullError> {
    let failed = |source| PullError::Disk { path: path.to_owned(), source };
    let directory = path.parent().unwrap_or(path);
    let mut body = from.open(name).await?;
    // Removes itself when it is dropped.
    let part = NamedTempFile::with_prefix_in(UNFINISHED, directory).map_err(failed)?;
    let mut file = fs::File::from_std(part.reopen().map_err(failed)?);
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
    while let Some(piece) = body.next().await? {
        file.write_all(&piece).await.map_err(failed)?;
        hasher.update(&piece);
        bytes += piece.len() as u64;
        tell(Progress::Coming { file: name, bytes, of: body.length() });
    }
    file.sync_all().await.map_err(failed)?;
    body.complete(bytes)?;
    let whole = checked(form, part.path()).await;
    whole.map_err(|reason| PullError::Damaged { from: body.into_name(), reason })?;
    let done = part.persist(path).map_err(|error| failed(error.error))?;
    // Made for its writer alone; whoever runs the host reads it.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    done.set_permissions(readable).map_err(failed)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    Ok((bytes, hasher.finalize().to_hex().to_string()))
}

/// Checks a file off the async threads.
async fn checked(form: Form, path: &Path) -> Result<(), String> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || form.check(&path)).await.map_err(|error| error.to_string())?
}
