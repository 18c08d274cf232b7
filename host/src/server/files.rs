//! How many connections the system lets the host have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files the host needs for itself: the store, indexes, plugins, calls of models.
const OWN: u64 = 512;

/// Allows this process as many open files as the system lets it, and returns for how many
/// connections, up to those wanted, there is room.
pub(super) fn connections(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(OWN);
    let mut allowed = soft;
    if soft < needed {
        let more = needed.min(hard);
        match setrlimit(Resource::RLIMIT_NOFILE, more, hard) {
            Ok(()) => allowed = more,
            Err(error) => tracing::debug!(%error, "the limit of open files stays as it is"),
        }
    }
    let room = usize::try_from(room(allowed)).unwrap_or(usize::MAX);
    if room < wanted {
        tracing::info!(wanted, connections = room, "fewer connections, for the system allows {allowed} open files");
    }
    wanted.min(room)
}

/// A host with few files has half of them for connections.
fn room(allowed: u64) -> u64 {
    allowed.saturating_sub(OWN).max(allowed / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keeps_some_files_for_itself() {
        assert_eq!([room(20_000), room(1024), room(256), room(0)], [19_488, 512, 128, 1]);
    }
}
