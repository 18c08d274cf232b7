//! A process of the host that becomes another user before it maps a plugin.
//!
//! Then the kernel keeps from the plugin what the host may read: the data directory, keys, other
//! programs. The file itself is in a directory of the host's alone; it is opened before, and mapped
//! through its descriptor. Only root may become somebody else.

use std::{
    fs::{File, Permissions},
    io,
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use nix::{
    sys::prctl,
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};

use super::{process, settings::Account};

/// Whom a process of the host is to become, if anybody, as the host tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct AccountArguments {
    /// The number of the user to become
    #[arg(long, requires_all = ["group", "file"])]
    user: Option<u32>,
    /// The number of the group to become
    #[arg(long, requires = "user")]
    group: Option<u32>,
    /// What to open before
    #[arg(long, requires = "user")]
    file: Option<PathBuf>,
}

/// A file that was opened when that was still allowed.
pub(crate) struct OpenFile {
    path: PathBuf,
    /// Also who looks for symbols later opens it by its path.
    _file: File,
}

impl OpenFile {
    /// Where it can be opened again.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl AccountArguments {
    pub(crate) fn new(account: Option<&Account>, file: &Path) -> Self {
        account.map_or_else(Self::default, |Account { user, group, .. }| Self {
            user: Some(*user),
            group: Some(*group),
            file: Some(file.to_owned()),
        })
    }

    pub(crate) fn add_to(&self, command: &mut Command) {
        let Self { user: Some(user), group: Some(group), file: Some(file) } = self else { return };
        command.arg(format!("--user={user}")).arg(format!("--group={group}"));
        command.arg("--file").arg(file);
    }

    /// Opens the file and becomes the user, for good. To be called while there is one thread.
    ///
    /// That the process ends with its parent is forgotten by this, and has to be said afterwards.
    pub(crate) fn become_it(&self) -> io::Result<Option<OpenFile>> {
        let Self { user: Some(user), group: Some(group), file: Some(file) } = self else { return Ok(None) };
        let file = File::open(file)?;
        // Whoever is not the host does not get to it by name.
        file.set_permissions(Permissions::from_mode(0o444))?;
        // All plugins together.
        process::limit(libc::RLIMIT_NPROC, process::TASKS)?;
        let (user, group) = (Uid::from_raw(*user), Gid::from_raw(*group));
        setgroups(&[])?;
        setresgid(group, group, group)?;
        setresuid(user, user, user)?;
        // Else what it has open belongs to root, and cannot be opened again. It leaves no core files.
        prctl::set_dumpable(true)?;
        Ok(Some(OpenFile { path: format!("/proc/self/fd/{}", file.as_raw_fd()).into(), _file: file }))
    }
}
