//! TLS: the certificate and its key, read from files and read again when these change.
//!
//! New files are used for connections that begin afterwards. Files that cannot be used leave the
//! ones before in place: a renewal that went wrong is logged, nobody is cut off.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::TlsSettings;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// What clients may choose, the best first.
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Why TLS cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{} holds no {what} as PEM: {source}", path.display())]
    Garbled {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The two do not belong together, or cannot be used.
    #[error("the certificate in {} and the key in {} cannot be used: {source}", settings.certificate.display(), settings.key.display())]
    Unusable {
        /// The files.
        settings: TlsSettings,
        /// Why.
        source: rustls::Error,
    },
}

/// What tells that a file has changed.
type Seen = [Option<(SystemTime, u64)>; 2];

/// The certificate that is shown, and where it comes from.
#[derive(Debug)]
pub(super) struct Tls {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
    /// The files as they were looked at last. Held for a comparison.
    seen: Mutex<Seen>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn read(settings: &TlsSettings) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let seen = Mutex::new(look(settings));
        let current = ArcSwap::from_pointee(read(settings, &provider)?);
        warn_of_readers(&settings.key);
        Ok(Arc::new(Self { settings: settings.clone(), provider, current, seen }))
    }

    /// Returns what begins TLS on connections.
    pub(super) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|source| TlsError::Unusable { settings: self.settings.clone(), source })?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Shown(Arc::clone(self))));
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again when they change.
    pub(super) async fn keep(self: Arc<Self>, cancel: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK);
        while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
            let tls = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || tls.refresh()).await.is_err() {
                tracing::error!("looking at the files of TLS panicked");
            }
        }
    }

    fn refresh(&self) {
        let seen = look(&self.settings);
        if std::mem::replace(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner), seen) == seen {
            return;
        }
        match read(&self.settings, &self.provider) {
            Ok(key) => {
                self.current.store(Arc::new(key));
                tracing::info!(file = %self.settings.certificate.display(), "a new certificate is used from now on");
                warn_of_readers(&self.settings.key);
            }
            // Mostly one file was replaced and the other one is about to be.
            Err(error) => tracing::warn!(%error, "the certificate before is used on"),
        }
    }
}

/// Shows the certificate there is when a connection begins.
#[derive(Debug)]
struct Shown(Arc<Tls>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current.load_full())
    }
}

fn read(settings: &TlsSettings, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let TlsSettings { certificate, key } = settings;
    let garbled = |path: &Path, what| {
        let path = path.to_owned();
        move |source| TlsError::Garbled { path, what, source }
    };
    let pem = contents(certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(garbled(certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(garbled(certificate, "certificate")(rustls::pki_types::pem::Error::NoItemsFound));
    }
    let private = PrivateKeyDer::from_pem_slice(&contents(key)?).map_err(garbled(key, "private key"))?;
    CertifiedKey::from_der(chain, private, provider)
        .map_err(|source| TlsError::Unusable { settings: settings.clone(), source })
}

fn contents(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

fn look(settings: &TlsSettings) -> Seen {
    [&settings.certificate, &settings.key].map(|path| {
        let file = fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    })
}

fn warn_of_readers(key: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(key).map_or(0, |file| file.permissions().mode());
    if mode & 0o077 != 0 {
        let file = key.display();
        tracing::warn!(%file, "others on this machine can read the private key; take that from them with chmod 600");
    }
}
