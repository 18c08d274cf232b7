//! Loads a file in a child process first, because a damaged one kills whoever loads it.
//!
//! The child is this same executable: `hotbay probe FILE` maps the file exactly as the
//! host would and prints a verdict. The host starts it with an empty environment, a
//! deadline and limits, and reads death by a signal as a verdict, too.

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use hotbay_plugin::manifest::Manifest;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::{
    account::{AccountArguments, OpenFile},
    control_group::{ControlGroup, ControlGroups, GroupArgument},
    error::{LoadCode, LoadError},
    loader::Image,
    process,
    settings::{Account, ProcessLimits},
};

/// More than any manifest needs; a child that prints without end must not fill the host.
const MAX_VERDICT: u64 = 8 << 20;

/// What the child prints.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Verdict {
    Accepted { abi_minor: u32, manifest: Arc<Manifest> },
    Refused { code: String, message: String },
}

/// What a probe learns about a file that loads.
#[derive(Debug, Clone)]
pub(crate) struct Probed {
    /// The minor version of the ABI it was built with.
    pub(crate) abi_minor: u32,
    /// What it says about itself.
    pub(crate) manifest: Arc<Manifest>,
}

/// Starts probe children.
#[derive(Debug, Clone)]
pub(crate) struct Prober {
    /// The executable that understands `probe FILE`.
    pub(crate) executable: PathBuf,
    /// How long a child may take.
    pub(crate) deadline: Duration,
    /// Whom it runs as, if not as the host does.
    pub(crate) account: Option<Account>,
    /// Where it gets a group of its own.
    pub(crate) groups: Option<Arc<ControlGroups>>,
}

impl Prober {
    /// Loads the file in a child.
    pub(crate) async fn probe(&self, file: &Path) -> Result<Probed, LoadError> {
        let make = |groups: &Arc<ControlGroups>| groups.make("probe", &ProcessLimits::default());
        let group = self.groups.as_ref().map(make).transpose();
        let group = group.map_err(|error| LoadError::io("limit the probe of", file, &error))?;
        let probed = self.probe_in(group.as_ref(), file).await;
        if let Some(group) = group {
            // What it left behind may take a moment to end.
            drop(tokio::task::spawn_blocking(move || group.end()).await);
        }
        probed
    }

    async fn probe_in(&self, group: Option<&ControlGroup>, file: &Path) -> Result<Probed, LoadError> {
        let mut command = std::process::Command::new(&self.executable);
        command.arg("probe").arg(file).env_clear();
        AccountArguments::new(self.account.as_ref(), file).add_to(&mut command);
        GroupArgument::of(group).add_to(&mut command);
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child =
            command.spawn().map_err(|error| LoadError::io("start the probe with", &self.executable, &error))?;
        let stdout = child.stdout.take().expect("stdout was asked for above");
        let watch = async {
            let mut output = Vec::new();
            // The output may end badly when the child dies; its status says why.
            let read = stdout.take(MAX_VERDICT).read_to_end(&mut output).await;
            (read.map(|_| output), child.wait().await)
        };
        // On elapse the future is dropped here, and with it the child is killed.
        let Ok((output, status)) = tokio::time::timeout(self.deadline, watch).await else {
            drop(child.start_kill());
            drop(child.wait().await);
            return Err(LoadError::new(
                LoadCode::ProbeTimeout,
                format!(
                    "loading it did not finish within {} s; its constructors must not wait for anything",
                    self.deadline.as_secs_f32()
                ),
            ));
        };
        let status = status.map_err(|error| LoadError::io("wait for the probe of", file, &error))?;
        let output = output.map_err(|error| LoadError::io("read the probe of", file, &error))?;
        read_verdict(&output, status)
    }
}

fn read_verdict(output: &[u8], status: ExitStatus) -> Result<Probed, LoadError> {
    match serde_json::from_slice(output) {
        Ok(Verdict::Accepted { abi_minor, manifest }) if status.success() => Ok(Probed { abi_minor, manifest }),
        Ok(Verdict::Refused { code, message }) => {
            Err(LoadError::new(LoadCode::from_name(&code).unwrap_or(LoadCode::Open), message))
        }
        Ok(Verdict::Accepted { .. }) | Err(_) => Err(crashed(status)),
    }
}

fn crashed(status: ExitStatus) -> LoadError {
    let how = match std::os::unix::process::ExitStatusExt::signal(&status) {
        Some(signal) => format!("signal {signal}, {}", signal_name(signal)),
        None => format!("exit code {}", status.code().unwrap_or_default()),
    };
    LoadError::new(
        LoadCode::ProbeCrashed,
        format!(
            "loading it ended the probe process ({how}); the file is damaged or its constructors crash, build it again"
        ),
    )
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGBUS => "the file is shorter than it says",
        other => process::signal_name(other),
    }
}

/// Runs the child's side: maps `file` and prints the verdict. This is `hotbay probe FILE`.
#[must_use]
pub fn probe_main(file: &Path, account: &AccountArguments, group: &GroupArgument) -> ExitCode {
    let Ok(mut out) = process::prepare_child() else {
        return ExitCode::from(3);
    };
    let said = match image(file, account, group) {
        Ok(image) => Verdict::Accepted { abi_minor: image.root.abi_minor(), manifest: image.manifest },
        Err(error) => Verdict::Refused { code: error.code.as_str().to_owned(), message: error.message },
    };
    let accepted = matches!(said, Verdict::Accepted { .. });
    let printed = serde_json::to_vec(&said).is_ok_and(|text| std::io::Write::write_all(&mut out, &text).is_ok());
    // Not a plain return: that would run the plugin's destructors, which the host never does.
    process::leave(match (printed, accepted) {
        (false, _) => 3,
        (true, false) => 1,
        (true, true) => 0,
    })
}

fn image(file: &Path, account: &AccountArguments, group: &GroupArgument) -> Result<Image, LoadError> {
    group.join().map_err(|error| LoadError::io("limit the process that maps", file, &error))?;
    let open = account.become_it().and_then(|open| process::die_with_parent().map(|()| open));
    let open = open.map_err(|error| LoadError::io("become the user that maps", file, &error))?;
    Image::map(open.as_ref().map_or(file, OpenFile::path))
}
