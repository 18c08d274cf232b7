//! Why a file did not become a serving plugin: a code, and one sentence that says what to do.
//!
//! Errors of calls are in [`super::call`].

use std::fmt;

/// What was wrong with a plugin file, or with opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoadCode {
    /// The file, or the host's copy of it, could not be read or written.
    Io,
    /// Not a shared library of this platform's format.
    NotElf,
    /// Built for another processor.
    WrongArch,
    /// Parts of the file are missing.
    Truncated,
    /// The file's owner, mode or size is not allowed, or nobody who is trusted vouches for it.
    Untrusted,
    /// The dynamic loader refused the file.
    Open,
    /// A library, but without the symbol every plugin exports.
    NotAPlugin,
    /// The symbol is there, what it holds is not a plugin's header.
    AbiHeader,
    /// Built for another major version of the ABI.
    AbiMajor,
    /// Its types are laid out differently.
    Layout,
    /// It carries no description of its layouts.
    NoLayout,
    /// Its manifest cannot be used.
    Manifest,
    /// It was not built with `panic = "unwind"`.
    PanicAbort,
    /// Its configuration is not what its schema asks for.
    Config,
    /// It offers a name that another plugin owns.
    Conflict,
    /// Loading it in a child process took too long.
    ProbeTimeout,
    /// Loading it killed the child process.
    ProbeCrashed,
    /// Its `open` took too long.
    OpenTimeout,
    /// Its `open` failed.
    OpenFailed,
    /// Too many builds of it are mapped already.
    GenerationBudget,
    /// It was used and taken back, because calls failed.
    RolledBack,
    /// No such plugin.
    Unknown,
    /// The plugin is not in a state that allows this.
    State,
}

impl LoadCode {
    /// Returns the code's name in the log and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Io => "E_IO",
            Self::NotElf => "E_NOT_ELF",
            Self::WrongArch => "E_WRONG_ARCH",
            Self::Truncated => "E_TRUNCATED",
            Self::Untrusted => "E_UNTRUSTED",
            Self::Open => "E_OPEN",
            Self::NotAPlugin => "E_NOT_A_PLUGIN",
            Self::AbiHeader => "E_ABI_HEADER",
            Self::AbiMajor => "E_ABI_MAJOR",
            Self::Layout => "E_LAYOUT",
            Self::NoLayout => "E_NO_LAYOUT",
            Self::Manifest => "E_MANIFEST",
            Self::PanicAbort => "E_PANIC_ABORT",
            Self::Config => "E_CONFIG",
            Self::Conflict => "E_CONFLICT",
            Self::ProbeTimeout => "E_PROBE_TIMEOUT",
            Self::ProbeCrashed => "E_PROBE_CRASHED",
            Self::OpenTimeout => "E_OPEN_TIMEOUT",
            Self::OpenFailed => "E_OPEN_FAILED",
            Self::GenerationBudget => "E_GENERATION_BUDGET",
            Self::RolledBack => "E_ROLLED_BACK",
            Self::Unknown => "E_UNKNOWN_PLUGIN",
            Self::State => "E_STATE",
        }
    }

    /// Returns the code with this name; the probe child reports by name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        const ALL: [LoadCode; 23] = [
            LoadCode::Io,
            LoadCode::NotElf,
            LoadCode::WrongArch,
            LoadCode::Truncated,
            LoadCode::Untrusted,
            LoadCode::Open,
            LoadCode::NotAPlugin,
            LoadCode::AbiHeader,
            LoadCode::AbiMajor,
            LoadCode::Layout,
            LoadCode::NoLayout,
            LoadCode::Manifest,
            LoadCode::PanicAbort,
            LoadCode::Config,
            LoadCode::Conflict,
            LoadCode::ProbeTimeout,
            LoadCode::ProbeCrashed,
            LoadCode::OpenTimeout,
            LoadCode::OpenFailed,
            LoadCode::GenerationBudget,
            LoadCode::RolledBack,
            LoadCode::Unknown,
            LoadCode::State,
        ];
        ALL.into_iter().find(|code| code.as_str() == name)
    }
}

impl fmt::Display for LoadCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refused plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// What kind of failure.
    pub code: LoadCode,
    /// One sentence: what is wrong and what to do.
    pub message: String,
}

impl LoadError {
    /// Returns an error of this kind.
    pub fn new(code: LoadCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Returns the error for a file operation that failed.
    pub(crate) fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(LoadCode::Io, format!("cannot {doing} {}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_by_its_name() {
        assert_eq!(LoadCode::from_name("E_LAYOUT"), Some(LoadCode::Layout));
        assert_eq!(LoadCode::from_name("E_STATE"), Some(LoadCode::State));
        assert_eq!(LoadCode::from_name("E_SOMETHING_NEWER"), None);
    }
}
