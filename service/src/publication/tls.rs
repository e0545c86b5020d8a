//! The certificate and key of the public door, read again when their files change.
//!
//! Banks are strangers: no client certificate is asked for, and TLS 1.2 is taken too.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

use crate::grpc::listener::TlsError;

/// How often the files are looked at, seconds.
const RELOAD_INTERVAL_S: u64 = 60;

/// Where the material lies, and what it was when last read.
#[derive(Debug)]
pub struct ServerFiles {
    certificate: PathBuf,
    key: PathBuf,
    loaded: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    fingerprint: [u8; 32],
    certificate: CertificateDer<'static>,
}

impl ServerFiles {
    /// Reads the material for the first time.
    pub fn load(certificate: PathBuf, key: PathBuf) -> Result<Arc<Self>, TlsError> {
        let loaded = read(&certificate, &key)?;
        Ok(Arc::new(Self {
            certificate,
            key,
            loaded: ArcSwap::from_pointee(loaded),
        }))
    }

    /// The certificate in use, DER.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.loaded.load().certificate.clone()
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.loaded.load().config.clone()
    }

    /// Takes over what changes, until it is dropped.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut every = tokio::time::interval(Duration::from_secs(RELOAD_INTERVAL_S));
        loop {
            every.tick().await;
            let files = self.clone();
            // Reading files blocks.
            let _ = tokio::task::spawn_blocking(move || files.reload()).await;
        }
    }

    fn reload(&self) {
        match read(&self.certificate, &self.key) {
            Ok(new) if new.fingerprint != self.loaded.load().fingerprint => {
                self.loaded.store(Arc::new(new));
                tracing::info!("TLS material of the publication reloaded");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "TLS material of the publication not reloaded; the old one stays");
            }
        }
    }
}

fn read(certificate: &PathBuf, key: &PathBuf) -> Result<Loaded, TlsError> {
    let file = |path: &PathBuf| {
        let failed = |source: io::Error| TlsError::File {
            path: path.clone(),
            source,
        };
        std::fs::read(path).map_err(failed)
    };
    let content = |path: &PathBuf, problem: &dyn std::fmt::Display| TlsError::Content {
        path: path.clone(),
        problem: problem.to_string(),
    };
    let (chain_pem, key_pem) = (file(certificate)?, zeroize::Zeroizing::new(file(key)?));
    let mut hash = Sha256::new();
    hash.update((chain_pem.len() as u64).to_be_bytes());
    hash.update(&chain_pem);
    hash.update(&*key_pem);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain_pem).collect();
    let chain = chain.map_err(|error| content(certificate, &error))?;
    let leaf = chain.first().cloned();
    let leaf = leaf.ok_or_else(|| content(certificate, &"no certificate in it"))?;
    let key_der = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| content(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| content(certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|error| content(certificate, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded {
        config: Arc::new(config),
        fingerprint: hash.finalize().into(),
        certificate: leaf,
    })
}
