//! Settings of TLS.

use std::path::{Path, PathBuf};

use super::{ConfigError, Flags, Sources, file::File};

/// Where the certificate is that the server shows, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificate and those that vouch for it, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
}

impl TlsSettings {
    /// Reads them; absent if neither is set.
    pub(super) fn load(
        from: &Sources<'_>,
        flags: &Flags,
        file: &File,
        base: &Path,
    ) -> Result<Option<Self>, ConfigError> {
        let certificate = from.optional_path("tls_cert", flags.tls_cert.as_ref(), file.tls_cert.as_deref(), base);
        let key = from.optional_path("tls_key", flags.tls_key.as_ref(), file.tls_key.as_deref(), base);
        let missing = |set: &str, missing: &str, value: PathBuf| ConfigError::Setting {
            place: format!("the setting `{set}`"),
            value: value.display().to_string(),
            expected: format!("`{missing}` beside it: a certificate and its key are two files"),
        };
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key })),
            (None, None) => Ok(None),
            (Some(certificate), None) => Err(missing("tls_cert", "tls_key", certificate)),
            (None, Some(key)) => Err(missing("tls_key", "tls_cert", key)),
        }
    }
}
