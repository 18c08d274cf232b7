//! What clients carry for the host between two rounds of one call: signed, so that it comes back as
//! it was sent, but readable. The key lives in the data directory, so a restarted host knows its own.

use std::{fs, io, io::Write, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

use rmcp::model::{RequestStateCodec, SealOptions};
use serde::{Serialize, de::DeserializeOwned};

/// How long a client may take to answer.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
const KEY_BYTES: usize = 32;

/// Signs and checks.
pub(super) struct Seal(RequestStateCodec);

impl Seal {
    /// Reads the key, or makes one.
    pub(super) fn open(data: &Path) -> io::Result<Self> {
        let path = data.join("mcp-key");
        let key = match fs::read(&path) {
            Ok(key) if key.len() == KEY_BYTES => key,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // One that is cut off is of no use to anybody.
            _ => make(&path)?,
        };
        let codec = RequestStateCodec::try_new(key).map_err(io::Error::other)?;
        Ok(Self(codec))
    }

    /// Signs a document for one purpose.
    pub(super) fn seal<T: Serialize>(&self, document: &T, purpose: &str) -> Option<String> {
        let options = SealOptions::new().associated_data(purpose.as_bytes()).ttl(LIFE);
        self.0.seal_json_with(document, &options).ok()
    }

    /// Returns a document that was signed for this purpose.
    pub(super) fn open_sealed<T: DeserializeOwned>(&self, sealed: &str, purpose: &str) -> Option<T> {
        self.0.open_json_with(sealed, purpose.as_bytes()).ok()
    }
}

fn make(path: &Path) -> io::Result<Vec<u8>> {
    let random = || *uuid::Uuid::new_v4().as_bytes();
    let mut hasher = blake3::Hasher::new();
    // 122 random bits each.
    for _ in 0..4 {
        hasher.update(&random());
    }
    let key = hasher.finalize().as_bytes().to_vec();
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_or_meant_for_something_else_does_not_open() {
        let data = tempfile::tempdir().unwrap();
        let seal = Seal::open(data.path()).unwrap();
        let sealed = seal.seal(&"state", "weather/ask").unwrap();
        assert_eq!(seal.open_sealed::<String>(&sealed, "weather/ask").unwrap(), "state");
        assert!(seal.open_sealed::<String>(&sealed, "weather/other").is_none());
        assert!(seal.open_sealed::<String>(&format!("{sealed}A"), "weather/ask").is_none());
    }

    #[test]
    fn a_host_knows_its_own_after_a_restart() {
        let data = tempfile::tempdir().unwrap();
        let sealed = Seal::open(data.path()).unwrap().seal(&1, "a").unwrap();
        assert_eq!(Seal::open(data.path()).unwrap().open_sealed::<u8>(&sealed, "a"), Some(1));
    }
}
