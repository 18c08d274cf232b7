//! Maps a private copy of a plugin file and checks that it speaks this host's ABI.
//!
//! The only place that calls the dynamic loader. Runs twice for each file: first in
//! the probe child ([`super::probe`]), then here. What comes before (checks, the copy)
//! is in [`super::intake`]; opening the plugin and calling it in [`super::bridge`].
#![expect(unsafe_code, reason = "maps libraries and believes their headers once they were checked")]

use std::{
    mem::ManuallyDrop,
    path::Path,
    sync::{Arc, PoisonError},
};

use hotbay_plugin::{
    abi::{
        ABI_MAJOR, RootRef,
        abi_stable::{
            StableAbi,
            library::{AbiHeaderRef, LibHeader, ROOT_MODULE_LOADER_NAME_WITH_NUL},
            sabi_types::VersionNumber,
        },
    },
    manifest::Manifest,
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::{
    error::{LoadCode, LoadError},
    layout, process,
};

/// A mapped plugin: its root module and what it says about itself.
pub(crate) struct Image {
    /// The table of the plugin's functions.
    pub(crate) root: RootRef,
    /// The manifest, parsed but not validated.
    pub(crate) manifest: Arc<Manifest>,
    // Never unloaded: code of the plugin may be on a stack or behind a pointer nobody can
    // count (its threads, thread-locals, wakers), so the mapping stays for the host's life.
    _library: ManuallyDrop<Library>,
}

impl Image {
    /// Maps the file at `path`, which must be absolute and private to the host.
    ///
    /// A file that is damaged where no check sees it kills the process; hence the probe.
    pub(crate) fn map(path: &Path) -> Result<Self, LoadError> {
        debug_assert!(path.is_absolute(), "a bare name would be searched in the library path");
        let flags = RTLD_NOW | RTLD_LOCAL | libc::RTLD_NODELETE;
        let mapping = process::MAPPING.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: loading a library runs its constructors. They are the plugin's code, which the
        // operator trusts with the host's rights; the probe child has shown that they return.
        let library = unsafe { Library::open(Some(path), flags) }.map_err(|error| {
            LoadError::new(
                LoadCode::Open,
                format!("the dynamic loader refuses it: {}; {}", reason(&error), OPEN_ADVICE),
            )
        })?;
        drop(mapping);
        // Kept mapped also when it is refused below: its constructors have run.
        let library = ManuallyDrop::new(library);
        let header = header(&library)?;
        check_version(header)?;
        check_layout(header)?;
        // SAFETY: `check_layout` has just shown that the root module this header constructs has a
        // layout that `RootRef` can read.
        let root = unsafe { header.unchecked_layout::<RootRef>() }.map_err(|error| {
            LoadError::new(LoadCode::AbiHeader, format!("its root module cannot be made: {error}; rebuild it"))
        })?;
        let manifest = serde_json::from_slice(&(root.manifest())()).map(Arc::new).map_err(|error| {
            LoadError::new(
                LoadCode::Manifest,
                format!(
                    "its manifest is not the JSON a host expects: {error}; rebuild it with the current hotbay-plugin"
                ),
            )
        })?;
        Ok(Self { root, manifest, _library: library })
    }
}

const OPEN_ADVICE: &str = "check that every library it links to is installed here";

/// Returns the dynamic loader's own sentence.
fn reason(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Finds and recognises the header every plugin exports.
fn header(library: &Library) -> Result<&'static LibHeader, LoadError> {
    // SAFETY: the symbol's address is read as a reference to an `AbiHeader`; `upgrade` compares its
    // magic before anything else is believed. The library is never unloaded, so `'static` holds.
    let found = unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL) };
    let header = *found.map_err(|_| {
        LoadError::new(
            LoadCode::NotAPlugin,
            "it is a library but not a plugin: it does not export the plugin header; declare `plugin!(...)` in its lib.rs",
        )
    })?;
    header.upgrade().map_err(|_| {
        LoadError::new(
            LoadCode::AbiHeader,
            "its plugin header is damaged or from an incompatible abi_stable; rebuild it with the current hotbay-plugin",
        )
    })
}

fn check_version(header: &LibHeader) -> Result<(), LoadError> {
    let version = VersionNumber::new(header.version_strings())
        .map_err(|_| LoadError::new(LoadCode::AbiHeader, "its ABI version is not a version; rebuild it"))?;
    if version.major == ABI_MAJOR {
        return Ok(());
    }
    Err(LoadError::new(
        LoadCode::AbiMajor,
        format!(
            "it was built for plugin ABI {}, this host speaks {ABI_MAJOR}; rebuild it with hotbay-plugin for ABI {ABI_MAJOR}",
            version.major
        ),
    ))
}

/// Accepts the same layout, a plugin with more at the end, and a plugin with less at the end.
fn check_layout(header: &LibHeader) -> Result<(), LoadError> {
    let theirs = header.layout().ok_or_else(|| {
        LoadError::new(LoadCode::NoLayout, "it carries no description of its types; build it with `plugin!`")
    })?;
    layout::agree(<RootRef as StableAbi>::LAYOUT, theirs)
}
