//! From a file somebody dropped into a directory to an image in the host's memory.
//!
//! Reads the file once; what is checked, hashed, probed and mapped are the same bytes,
//! in a private copy named by their hash, so nothing that happens to the author's file
//! afterwards reaches the host. Opening a plugin is [`super::bridge`]'s.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    ops::Deref,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hotbay_plugin::manifest::Manifest;
use memmap2::MmapMut;
use serde::{Deserialize, Serialize};

use super::{
    control_group::ControlGroups,
    elf,
    error::{LoadCode, LoadError},
    loader::Image,
    manifest, ownership,
    probe::{Probed, Prober},
    process,
    settings::PluginSettings,
    trust::{self, TrustSettings},
};
use crate::types::plugin::PluginTrust;

/// A file that passed everything but was not mapped yet.
#[derive(Debug, Clone)]
pub(crate) struct Staged {
    /// BLAKE3 of the file, lower-case hex.
    pub(crate) hash: Arc<str>,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// The private copy.
    pub(crate) copy: PathBuf,
    /// What the probe learned.
    pub(crate) probed: Probed,
    /// Who vouches for it, if anybody was asked.
    pub(crate) trust: Option<PluginTrust>,
}

/// A file whose private copy is there.
struct Copied {
    hash: Arc<str>,
    size: u64,
    copy: PathBuf,
    trust: Option<PluginTrust>,
}

/// A mapped image; stays until the process ends.
pub(crate) struct Mapped {
    /// The plugin's functions.
    pub(crate) image: Image,
    /// BLAKE3 of the file.
    pub(crate) hash: Arc<str>,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// The name in its manifest.
    pub(crate) plugin: Arc<str>,
}

/// Takes files in; shared by all loads.
pub(crate) struct Intake {
    /// Where private copies are.
    copies: PathBuf,
    prober: Prober,
    /// Identifies the host's build: a verdict of another build says nothing about this one.
    build_id: String,
    max_file_bytes: u64,
    max_generations: usize,
    any_owner: bool,
    trust: TrustSettings,
    /// Every image by hash. Grows only: images are never unloaded. Held for a few lines.
    mapped: Mutex<HashMap<Arc<str>, Arc<Mapped>>>,
    /// Hashes of copies that are opened here or in processes, or were. Held for one line.
    taken: Mutex<HashSet<Arc<str>>>,
    serial: AtomicU64,
}

/// A positive verdict kept beside the copy, so that the next start need not probe again.
#[derive(Serialize, Deserialize)]
struct KeptVerdict {
    build_id: String,
    abi_minor: u32,
    manifest: Arc<Manifest>,
}

impl Intake {
    /// Makes the directory for copies.
    pub(crate) fn new(settings: &PluginSettings) -> Result<Self, LoadError> {
        let copies = std::path::absolute(settings.data.join("plugins"))
            .map_err(|error| LoadError::io("resolve", &settings.data, &error))?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&copies)
            .map_err(|error| LoadError::io("create", &copies, &error))?;
        // What is mapped is opened by its name there.
        ownership::check_directory(&copies, settings.any_owner)?;
        Ok(Self {
            copies,
            prober: Prober {
                executable: settings.probe_exe.clone(),
                deadline: settings.probe_deadline,
                account: settings.isolated_user.clone(),
                groups: ControlGroups::open(settings.isolated_cgroup.as_deref())?,
            },
            build_id: build_id(&settings.probe_exe),
            max_file_bytes: settings.max_file_bytes,
            max_generations: settings.max_generations,
            any_owner: settings.any_owner,
            trust: settings.trust.clone(),
            mapped: Mutex::default(),
            taken: Mutex::default(),
            serial: AtomicU64::new(0),
        })
    }

    /// Returns the directory of the private copies.
    pub(crate) fn directory(&self) -> &Path {
        &self.copies
    }

    /// Returns where processes that map plugins get groups.
    pub(crate) fn groups(&self) -> Option<&Arc<ControlGroups>> {
        self.prober.groups.as_ref()
    }

    /// Checks, copies and probes a file.
    pub(crate) async fn stage(self: &Arc<Self>, file: &Path) -> Result<Staged, LoadError> {
        let (intake, path) = (Arc::clone(self), file.to_owned());
        self.stage_copied(move || intake.copy(&path)).await
    }

    /// Stages the private copy of a build that was loaded before, by its hash.
    ///
    /// Who vouched for it then is asked again: keys and hashes may be others since.
    pub(crate) async fn stage_kept(self: &Arc<Self>, hash: &str) -> Result<Staged, LoadError> {
        let (intake, hash) = (Arc::clone(self), hash.to_owned());
        self.stage_copied(move || intake.kept_copy(&hash)).await
    }

    async fn stage_copied(
        &self,
        copy: impl FnOnce() -> Result<Copied, LoadError> + Send + 'static,
    ) -> Result<Staged, LoadError> {
        let work = tokio::task::spawn_blocking(copy);
        let copied =
            work.await.map_err(|_| LoadError::new(LoadCode::Io, "reading the file was interrupted, try again"))??;
        let Copied { hash, size, copy, trust } = copied;
        let probed = match self.known(&hash) {
            Some(mapped) => {
                Probed { abi_minor: mapped.image.root.abi_minor(), manifest: Arc::clone(&mapped.image.manifest) }
            }
            None => self.probe(&copy).await?,
        };
        manifest::check(&probed.manifest)?;
        self.taken().insert(Arc::clone(&hash));
        Ok(Staged { hash, size, copy, probed, trust })
    }

    fn taken(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Maps a staged file, or returns the image if these bytes are mapped already.
    pub(crate) async fn map(self: &Arc<Self>, staged: &Staged) -> Result<Arc<Mapped>, LoadError> {
        let (intake, staged) = (Arc::clone(self), staged.clone());
        tokio::task::spawn_blocking(move || intake.map_now(&staged))
            .await
            .map_err(|_| LoadError::new(LoadCode::Io, "mapping the file was interrupted, try again"))?
    }

    /// Returns how many images of a plugin are mapped, and the length of their files.
    pub(crate) fn usage(&self, plugin: &str) -> (usize, u64) {
        let mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        mapped
            .values()
            .filter(|image| *image.plugin == *plugin)
            .fold((0, 0), |(count, bytes), image| (count + 1, bytes + image.size))
    }

    /// Returns the image of these bytes, if they are mapped.
    pub(crate) fn known(&self, hash: &str) -> Option<Arc<Mapped>> {
        self.mapped.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    /// Deletes copies that nothing in this host uses and nobody has touched for long. Blocks.
    ///
    /// Another host over the same directory keeps its mappings; it copies again what it loads again.
    pub(crate) fn delete_unused(&self, older_than: Duration) -> io::Result<()> {
        for entry in fs::read_dir(&self.copies)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let hash = name.split('.').next().unwrap_or_default();
            let is_ours = [".so", ".probe.json", ".minisig", ".tmp"].iter().any(|end| name.ends_with(end));
            if !is_ours || self.taken().contains(hash) {
                continue;
            }
            let age = fs::metadata(&path)?.modified()?.elapsed().unwrap_or_default();
            if age > older_than {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn map_now(&self, staged: &Staged) -> Result<Arc<Mapped>, LoadError> {
        if let Some(mapped) = self.known(&staged.hash) {
            return Ok(mapped);
        }
        let plugin: Arc<str> = staged.probed.manifest.name.as_str().into();
        let (count, _) = self.usage(&plugin);
        if count >= self.max_generations {
            return Err(LoadError::new(
                LoadCode::GenerationBudget,
                format!(
                    "{count} builds of plugin `{plugin}` are mapped already and cannot be unloaded; restart the host to \
                     load another, or raise max_generations"
                ),
            ));
        }
        let mut image = Image::map(&staged.copy)?;
        manifest::check(&image.manifest)?;
        // It is the same but for what the plugin finds out where it runs; there may be much in it.
        if image.manifest == staged.probed.manifest {
            image.manifest = Arc::clone(&staged.probed.manifest);
        }
        let mapped = Arc::new(Mapped { image, hash: Arc::clone(&staged.hash), size: staged.size, plugin });
        let mut all = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        // Mapping the same path twice gives the same image, so whoever was first is as good.
        Ok(Arc::clone(all.entry(Arc::clone(&staged.hash)).or_insert(mapped)))
    }

    async fn probe(&self, copy: &Path) -> Result<Probed, LoadError> {
        let kept = copy.with_extension("probe.json");
        if let Some(probed) = self.kept_verdict(&kept) {
            return Ok(probed);
        }
        let probed = self.prober.probe(copy).await?;
        let verdict = KeptVerdict {
            build_id: self.build_id.clone(),
            abi_minor: probed.abi_minor,
            manifest: Arc::clone(&probed.manifest),
        };
        // Losing it costs one more probe at the next start.
        if let Ok(text) = serde_json::to_vec(&verdict)
            && let Err(error) = self.write_new(&kept, &text, 0o600)
        {
            tracing::debug!(file = %kept.display(), %error, "cannot keep a probe's verdict");
        }
        Ok(probed)
    }

    fn kept_verdict(&self, file: &Path) -> Option<Probed> {
        let verdict: KeptVerdict = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        (verdict.build_id == self.build_id)
            .then_some(Probed { abi_minor: verdict.abi_minor, manifest: verdict.manifest })
    }

    /// Reads and checks the file, and makes sure its private copy is there. Blocks.
    fn copy(&self, file: &Path) -> Result<Copied, LoadError> {
        let bytes = self.read(file)?;
        elf::check(&bytes)?;
        let hash = blake3::hash(&bytes).to_hex();
        // Read after the bytes: one that comes with the next build fits neither, and is looked at again.
        let signature = match self.trust.keys.is_empty() {
            true => None,
            false => trust::read_signature(&trust::signature_file(file))?,
        };
        let trust = self.trust.vouch(&hash, &bytes, signature.as_deref())?;
        let copy = self.copies.join(format!("{hash}.so"));
        if !is_same(&copy, &bytes) {
            self.write_new(&copy, &bytes, 0o500)
                .map_err(|error| LoadError::io("write the private copy", &copy, &error))?;
        }
        if let (Some(PluginTrust::Signature { .. }), Some(signature)) = (&trust, signature) {
            let kept = copy.with_extension("minisig");
            self.write_new(&kept, signature.as_bytes(), 0o400)
                .map_err(|error| LoadError::io("keep the signature in", &kept, &error))?;
        }
        Ok(Copied { hash: hash.as_str().into(), size: bytes.len() as u64, copy, trust })
    }

    /// Finds the private copy of a build and checks it as a file that has just come. Blocks.
    fn kept_copy(&self, hash: &str) -> Result<Copied, LoadError> {
        let copy = self.copies.join(format!("{hash}.so"));
        if let Some(mapped) = self.known(hash).filter(|_| !self.trust.is_on()) {
            return Ok(Copied { hash: Arc::clone(&mapped.hash), size: mapped.size, copy, trust: None });
        }
        let bytes = self.read(&copy)?;
        if blake3::hash(&bytes).to_hex().as_str() != hash {
            let reason = format!("the host's copy {} is not what it was; load the build's file again", copy.display());
            return Err(LoadError::new(LoadCode::Untrusted, reason));
        }
        let trust =
            self.trust.vouch(hash, &bytes, trust::read_signature(&copy.with_extension("minisig"))?.as_deref())?;
        Ok(Copied { hash: hash.into(), size: bytes.len() as u64, copy, trust })
    }

    fn read(&self, path: &Path) -> Result<FileBytes, LoadError> {
        let io = |error: &io::Error| LoadError::io("read", path, error);
        // Without O_NONBLOCK a named pipe would hold this thread until somebody writes to it.
        let mut file =
            fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(|error| io(&error))?;
        let facts = file.metadata().map_err(|error| io(&error))?;
        if !facts.is_file() {
            return Err(LoadError::new(LoadCode::NotElf, "it is not a regular file; put the library itself there"));
        }
        ownership::check_file(path, &facts, self.any_owner)?;
        if facts.len() > self.max_file_bytes {
            return Err(LoadError::new(
                LoadCode::Untrusted,
                format!(
                    "it has {} bytes, more than the {} allowed; strip it, or raise the limit",
                    facts.len(),
                    self.max_file_bytes
                ),
            ));
        }
        FileBytes::read(&mut file, facts.len()).map_err(|error| io(&error))
    }

    /// Writes a file so that it is either there whole or not at all, also after a power cut.
    fn write_new(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let temporary = self.copies.join(format!(".{}.{serial}.tmp", std::process::id()));
        let write = || {
            let mut file = fs::File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            fs::File::open(&self.copies)?.sync_all()
        };
        write().inspect_err(|_| drop(fs::remove_file(&temporary)))
    }
}

/// A file's bytes in memory of their own, which goes back to the system at once: an allocator keeps what it was given
/// back, and the files of a host's plugins are most of what it needs to start.
struct FileBytes {
    memory: MmapMut,
    /// How many of them there are.
    length: usize,
}

impl FileBytes {
    /// Reads a file to its end, or as far as it went when its length was asked for.
    fn read(file: &mut fs::File, length: u64) -> io::Result<Self> {
        // There are no mappings of nothing.
        let mut memory = MmapMut::map_anon(usize::try_from(length.max(1)).map_err(io::Error::other)?)?;
        let read = io::copy(&mut file.take(length), &mut &mut memory[..])?;
        Ok(Self { memory, length: usize::try_from(read).map_err(io::Error::other)? })
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

/// Whether a copy made earlier holds exactly these bytes. A copy is never trusted by its name.
fn is_same(copy: &Path, bytes: &[u8]) -> bool {
    let Ok(facts) = fs::symlink_metadata(copy) else { return false };
    facts.is_file()
        && facts.uid() == process::user()
        && facts.mode() & 0o222 == 0
        && facts.len() == bytes.len() as u64
        && fs::File::open(copy).is_ok_and(|copy| holds(copy, bytes))
}

/// Piece by piece: a second buffer of a plugin's size is not needed.
fn holds(file: fs::File, mut bytes: &[u8]) -> bool {
    let mut reader = BufReader::with_capacity(64 << 10, file);
    loop {
        let Ok(piece) = reader.fill_buf() else { return false };
        let length = piece.len();
        if length == 0 {
            return bytes.is_empty();
        }
        let Some(rest) = bytes.strip_prefix(piece) else { return false };
        bytes = rest;
        reader.consume(length);
    }
}

/// Names the build of the host by what changes with each build of its executable.
fn build_id(executable: &Path) -> String {
    let facts = fs::metadata(executable);
    let (size, time) = facts.map_or((0, 0), |facts| (facts.size(), facts.mtime_nsec() ^ (facts.mtime() << 20)));
    format!("{}-{size:x}-{time:x}", env!("CARGO_PKG_VERSION"))
}
