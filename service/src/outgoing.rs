//! Whom we trust when we connect somewhere: receivers of alerts, servers of QTSPs.
//!
//! In: a file of CAs, or none for those of the system. Out: how TLS is spoken. Never: a connection, a client certificate.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// TLS that trusts the CAs of a PEM file, or those of the system.
///
/// # Errors
/// The file cannot be read, or holds no CA; in words.
pub fn trusting(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for ca in cas(path).map_err(|error| error.to_string())? {
                roots.add(ca).map_err(|error| error.to_string())?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err("no CA certificate in it".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

fn cas(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = std::fs::read(path)?;
    let all: Result<_, _> = CertificateDer::pem_slice_iter(&pem).collect();
    all.map_err(|error| io::Error::other(error.to_string()))
}
