//! Who vouches for a plugin file: its hash is listed, or somebody whose key is known signed it.
//!
//! Where neither keys nor hashes are configured nobody is asked. Where either is, a build needs
//! one of the two: a listed hash needs no signature, so that one build of a vendor who signs
//! nothing can be let in. Signatures are minisign's, over the hash of the file (`ED`); older ones over the
//! file itself are refused, as the tool has not made them since 2021.

use std::{
    collections::HashSet,
    fs,
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use minisign_verify::{Error, PublicKey, Signature};

use super::error::{LoadCode, LoadError};
use crate::types::plugin::PluginTrust;

/// Longer than any signature with its comments: the tool's own comments end at 8 KiB.
const MAX_SIGNATURE: u64 = 16 << 10;

/// Who is trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustSettings {
    /// Keys whose signatures are.
    pub keys: Vec<TrustedKey>,
    /// BLAKE3 hashes of files that are, lower-case hex.
    pub hashes: Option<HashSet<String>>,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// What the operator calls it.
    pub name: Option<String>,
    /// The key's number as minisign shows it.
    pub id: String,
    key: PublicKey,
}

impl TrustedKey {
    /// Reads a key as minisign prints it, `RW...`.
    ///
    /// # Errors
    /// What is expected, if it is none.
    pub fn parse(name: Option<&str>, text: &str) -> Result<Self, String> {
        let expected = || "a minisign public key, 56 characters that begin with RW".to_owned();
        let key = PublicKey::from_base64(text.trim()).map_err(|_| expected())?;
        let bytes = STANDARD.decode(text.trim()).map_err(|_| expected())?;
        Ok(Self { name: name.map(str::to_owned), id: key_id(&bytes).ok_or_else(expected)?, key })
    }

    /// Reads `RW...`, or `name=RW...`.
    ///
    /// # Errors
    /// As [`TrustedKey::parse`].
    pub fn parse_named(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, key)) => Self::parse(Some(name.trim()).filter(|name| !name.is_empty()), key),
            None => Self::parse(None, text),
        }
    }

    /// Returns its name and number, for messages.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} ({})", self.id),
            None => self.id.clone(),
        }
    }
}

/// Reads a listed hash.
///
/// # Errors
/// What is expected, if it is none.
pub fn parse_hash(text: &str) -> Result<String, String> {
    let hash = text.trim().to_ascii_lowercase();
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash {
        Ok(hash)
    } else {
        Err("a BLAKE3 hash of 64 hexadecimal digits, as `hotbay plugin check FILE` prints it".into())
    }
}

/// Returns where a file's signature is.
#[must_use]
pub fn signature_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// Reads a signature; `None` if there is none.
pub(crate) fn read_signature(path: &Path) -> Result<Option<String>, LoadError> {
    let io = |error: &std::io::Error| LoadError::io("read the signature", path, error);
    // Without O_NONBLOCK a named pipe would hold this thread until somebody writes to it.
    let file = match fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(&error)),
    };
    let mut bytes = Vec::new();
    if file.metadata().map_err(|error| io(&error))?.is_file() {
        file.take(MAX_SIGNATURE + 1).read_to_end(&mut bytes).map_err(|error| io(&error))?;
    }
    if bytes.is_empty() || bytes.len() as u64 > MAX_SIGNATURE {
        return Err(untrusted(format!("{} is no signature: it is empty, too long or no file", path.display())));
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| untrusted(format!("{} is no signature: it is not text", path.display())))
}

impl TrustSettings {
    /// Whether anybody is asked.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.keys.is_empty() || self.hashes.is_some()
    }

    /// Returns who vouches for these bytes, `None` if nobody is asked.
    pub(crate) fn vouch(
        &self,
        hash: &str,
        bytes: &[u8],
        signature: Option<&str>,
    ) -> Result<Option<PluginTrust>, LoadError> {
        if !self.is_on() {
            return Ok(None);
        }
        if self.hashes.as_ref().is_some_and(|hashes| hashes.contains(hash)) {
            return Ok(Some(PluginTrust::Hash));
        }
        if self.keys.is_empty() {
            return Err(untrusted(format!(
                "its hash {hash} is not on the allow-list; add it there if you trust the file"
            )));
        }
        let Some(signature) = signature else {
            return Err(untrusted(format!(
                "it is not signed: no signature lies beside it under its name and `.minisig`, and its hash {hash} is not on \
                 the allow-list; sign it (hotbay plugin sign), or add the hash there if you trust the file"
            )));
        };
        self.verify(bytes, signature).map(Some)
    }

    /// Checks a signature over these bytes by any of the keys.
    ///
    /// # Errors
    /// Why it does not hold.
    pub fn verify(&self, bytes: &[u8], text: &str) -> Result<PluginTrust, LoadError> {
        let signature = Signature::decode(text).map_err(|_| {
            untrusted("its signature is incomplete, or not one of minisign's; sign it again".to_owned())
        })?;
        let mut failure = Error::UnexpectedKeyId;
        for key in &self.keys {
            match key.key.verify(bytes, &signature, false) {
                Ok(()) => {
                    return Ok(PluginTrust::Signature {
                        key_id: key.id.clone(),
                        key_name: key.name.clone(),
                        comment: signature.trusted_comment().replace(char::is_control, " "),
                    });
                }
                Err(Error::UnexpectedKeyId) => {}
                Err(error) => failure = error,
            }
        }
        let maker = maker(text).unwrap_or_default();
        Err(untrusted(match failure {
            Error::UnexpectedKeyId => {
                let known: Vec<String> = self.keys.iter().map(TrustedKey::label).collect();
                format!(
                    "it is signed with the key {maker}, which is none of those trusted here, {}; add that key if you trust its owner",
                    known.join(", ")
                )
            }
            Error::UnexpectedAlgorithm => {
                "its signature is of the older kind that does not hash the file first; sign it again with minisign 0.10 \
                 or later, or `hotbay plugin sign`"
                    .to_owned()
            }
            _ => format!(
                "its signature with the key {maker} does not fit: the file or the signature was changed since; fetch both again, or sign it again"
            ),
        }))
    }
}

/// Returns the number of the key a signature says it was made with.
fn maker(signature: &str) -> Option<String> {
    key_id(&STANDARD.decode(signature.lines().nth(1)?).ok()?)
}

/// Returns the number in a key or a signature, as minisign shows it.
pub(crate) fn key_id(bytes: &[u8]) -> Option<String> {
    let number: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(number)))
}

fn untrusted(message: String) -> LoadError {
    LoadError::new(LoadCode::Untrusted, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by the standard tool over the text `test`.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
        RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
        trusted comment: timestamp:1633700835\tfile:test\tprehashed\n\
        wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==\n";
    const LEGACY: &str = "untrusted comment: signature from minisign secret key\n\
        RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n\
        trusted comment: timestamp:1555779966\tfile:test\n\
        QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==\n";

    fn keys(keys: &[&str]) -> TrustSettings {
        let keys = keys.iter().map(|key| TrustedKey::parse_named(key).expect("a key")).collect();
        TrustSettings { keys, hashes: None }
    }

    #[track_caller]
    fn check_refused(settings: &TrustSettings, bytes: &[u8], signature: Option<&str>, words: &str) {
        let error = settings.vouch("0123", bytes, signature).expect_err("refused");
        assert_eq!(error.code, LoadCode::Untrusted);
        assert!(error.message.contains(words), "`{words}` is not in: {error}");
    }

    #[test]
    fn a_signature_of_the_standard_tool_holds_and_its_comment_is_told() {
        let trust = keys(&[&format!("acme = {KEY}")]).vouch("0123", b"test", Some(SIGNATURE)).expect("it fits");
        let expected = PluginTrust::Signature {
            key_id: "E7620F1842B4E81F".into(),
            key_name: Some("acme".into()),
            comment: "timestamp:1633700835 file:test prehashed".into(),
        };
        assert_eq!(trust, Some(expected));
    }

    #[test]
    fn whatever_was_changed_is_refused() {
        let settings = keys(&[KEY]);
        check_refused(&settings, b"tesT", Some(SIGNATURE), "does not fit");
        check_refused(&settings, b"test", Some(&SIGNATURE.replace("file:test", "file:best")), "does not fit");
        check_refused(&settings, b"test", Some(&SIGNATURE.replace("559r", "559s")), "does not fit");
        check_refused(&settings, b"test", Some(&SIGNATURE.replace("wLMD", "wLME")), "does not fit");
        for length in [0, 1, 60, 150, 215, SIGNATURE.len() - 20] {
            check_refused(&settings, b"test", SIGNATURE.get(..length), "incomplete");
        }
        check_refused(&settings, b"test", None, "not signed");
    }

    #[test]
    fn older_signatures_are_refused() {
        check_refused(&keys(&[KEY]), b"test", Some(LEGACY), "older kind");
    }

    #[test]
    fn a_key_nobody_knows_is_named_with_those_that_are_known() {
        let other = minisign::KeyPair::generate_unencrypted_keypair().expect("random").pk.to_base64();
        let settings = keys(&[&format!("home={other}")]);
        check_refused(&settings, b"test", Some(SIGNATURE), "E7620F1842B4E81F");
        check_refused(&settings, b"test", Some(SIGNATURE), "home (");
        let both = keys(&[&other, KEY]);
        assert!(both.vouch("0123", b"test", Some(SIGNATURE)).is_ok(), "any of them will do");
    }

    #[test]
    fn a_listed_hash_needs_no_signature_and_a_signature_no_listed_hash() {
        let mut settings = keys(&[KEY]);
        settings.hashes = Some(["0123".to_owned()].into());
        assert_eq!(settings.vouch("0123", b"x", None), Ok(Some(PluginTrust::Hash)));
        assert!(matches!(settings.vouch("4567", b"test", Some(SIGNATURE)), Ok(Some(PluginTrust::Signature { .. }))));
        check_refused(&TrustSettings { hashes: Some(HashSet::new()), ..keys(&[]) }, b"x", None, "allow-list");
        assert_eq!(TrustSettings::default().vouch("0123", b"x", None), Ok(None));
    }

    #[test]
    fn what_is_no_key_and_no_hash_says_what_one_is() {
        for text in ["", "RWQ", "a=b", &KEY.replace("RW", "XX"), &format!("{KEY}AAAA")] {
            assert!(TrustedKey::parse_named(text).is_err_and(|expected| expected.contains("RW")), "{text}");
        }
        let hash = "AB".repeat(32);
        assert_eq!(parse_hash(&format!(" {hash}\n")), Ok("ab".repeat(32)));
        assert!(parse_hash("abc").is_err() && parse_hash(&"xy".repeat(32)).is_err());
    }
}
