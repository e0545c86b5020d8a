//! How to reach the service and who we are to it.
//!
//! In: an address, PEM files, environment variables. Out: [`Config`], and from it the TLS configuration of the
//! connection to the service (TLS 1.3 only, HTTP/2). Never: a key or certificate of a bank; those stay in the token.

use crate::retry::Retry;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The deadline of a call when none is configured, in milliseconds.
const TIMEOUT_MS_DEFAULT: u64 = 5_000;
/// The longest deadline that may be configured, in seconds.
const TIMEOUT_S_MAX: f64 = 300.0;
/// No certificate or key file is larger, in bytes.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// How to reach the service and who we are to it.
#[derive(Clone)]
pub struct Config {
    /// `host:port`, or `https://host:port`.
    pub addr: String,
    /// The CA certificates that may have issued the service's certificate, PEM.
    pub ca_pem: Vec<u8>,
    /// Our certificate chain, leaf first, PEM. Its SPIFFE URI or DNS name is the caller the service sees.
    pub cert_pem: Vec<u8>,
    /// Our private key, PEM. It proves who calls; it signs nothing for a bank.
    pub key_pem: Zeroizing<Vec<u8>>,
    /// The deadline of each call.
    pub timeout: Duration,
    /// How calls are tried again.
    pub retry: Retry,
}

impl Config {
    /// A configuration with the default deadline and retry policy.
    #[must_use]
    pub fn new(addr: &str, ca_pem: Vec<u8>, cert_pem: Vec<u8>, key_pem: Vec<u8>) -> Self {
        Self {
            addr: addr.to_owned(),
            ca_pem,
            cert_pem,
            key_pem: Zeroizing::new(key_pem),
            timeout: Duration::from_millis(TIMEOUT_MS_DEFAULT),
            retry: Retry::default(),
        }
    }

    /// Reads the three PEM files.
    ///
    /// # Errors
    /// [`ConfigError::File`] names the file that cannot be read or is too large.
    pub fn from_files(addr: &str, ca: &Path, cert: &Path, key: &Path) -> Result<Self, ConfigError> {
        Ok(Self::new(addr, read(ca)?, read(cert)?, read(key)?))
    }

    /// Reads `SEALKEEP_ADDR`, the files named by `SEALKEEP_CACERT`, `SEALKEEP_CLIENT_CERT` and `SEALKEEP_CLIENT_KEY`,
    /// and `SEALKEEP_TIMEOUT` (seconds, optional).
    ///
    /// # Errors
    /// [`ConfigError`] names the variable or file.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let need = |name: &'static str| lookup(name).ok_or(ConfigError::Missing { name });
        let file = |name| need(name).map(PathBuf::from);
        let mut config = Self::from_files(
            &need("SEALKEEP_ADDR")?,
            &file("SEALKEEP_CACERT")?,
            &file("SEALKEEP_CLIENT_CERT")?,
            &file("SEALKEEP_CLIENT_KEY")?,
        )?;
        if let Some(text) = lookup("SEALKEEP_TIMEOUT") {
            config.timeout = seconds(&text)?;
        }
        Ok(config)
    }

    /// The service's host and port.
    pub(crate) fn host_and_port(&self) -> Result<(String, u16), ConfigError> {
        let wrong = || ConfigError::Addr {
            addr: self.addr.clone(),
        };
        let bare = self
            .addr
            .strip_prefix("https://")
            .unwrap_or(&self.addr)
            .trim_end_matches('/');
        let authority: http::uri::Authority = bare.parse().map_err(|_| wrong())?;
        let port = authority
            .port_u16()
            .filter(|port| *port != 0)
            .ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err(wrong());
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        Ok((host.to_owned(), port))
    }

    /// The name the service's certificate must carry.
    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, ConfigError> {
        let (host, _) = self.host_and_port()?;
        ServerName::try_from(host).map_err(|_| ConfigError::Addr {
            addr: self.addr.clone(),
        })
    }

    /// TLS 1.3 with our certificate, HTTP/2 only.
    pub(crate) fn tls(&self) -> Result<ClientConfig, ConfigError> {
        let roots = roots_from_pem(&self.ca_pem)?;
        let chain = certificates("the client certificate", &self.cert_pem)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key_pem).map_err(|_| ConfigError::Pem {
            what: "the client key",
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Ok(tls)
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("addr", &self.addr)
            .field("ca_pem_bytes", &self.ca_pem.len())
            .field("cert_pem_bytes", &self.cert_pem.len())
            .field("key_pem_bytes", &self.key_pem.len())
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
            .finish()
    }
}

/// Trust roots from PEM, for the service or for a bank.
///
/// # Errors
/// [`ConfigError::Pem`] when there is no certificate or one cannot be read.
pub fn roots_from_pem(pem: &[u8]) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("the CA certificates", pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// A deadline given as text, in seconds: `5`, `0.5`.
///
/// # Errors
/// [`ConfigError::Timeout`] unless it is more than 0 and at most 300.
pub fn seconds(text: &str) -> Result<Duration, ConfigError> {
    let wrong = || ConfigError::Timeout {
        text: text.to_owned(),
    };
    let seconds: f64 = text.trim().parse().map_err(|_| wrong())?;
    if !(seconds > 0.0 && seconds <= TIMEOUT_S_MAX) {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

fn certificates(
    what: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(ConfigError::Pem { what }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let wrong = |what: String| ConfigError::File {
        path: path.to_owned(),
        what,
    };
    let bytes = std::fs::metadata(path)
        .map_err(|error| wrong(error.to_string()))?
        .len();
    if bytes > PEM_BYTES_MAX {
        return Err(wrong(format!("larger than {PEM_BYTES_MAX} bytes")));
    }
    std::fs::read(path).map_err(|error| wrong(error.to_string()))
}

/// What is wrong with a [`Config`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A needed environment variable is not set.
    #[error("{name} is not set")]
    Missing {
        /// The variable.
        name: &'static str,
    },
    /// The address is not `host:port`.
    #[error("`{addr}` is not an address: write host:port")]
    Addr {
        /// The address as given.
        addr: String,
    },
    /// The deadline is not a number of seconds above 0 and up to 300.
    #[error("`{text}` is not a timeout: write seconds, more than 0 and at most 300")]
    Timeout {
        /// The text as given.
        text: String,
    },
    /// A file cannot be read.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        what: String,
    },
    /// Not PEM, or nothing in it.
    #[error("{what}: no usable PEM")]
    Pem {
        /// Which of the files.
        what: &'static str,
    },
    /// rustls refused the certificates or the key.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// There is no tokio runtime to run the connection on.
    #[error("connect must be called within a tokio runtime")]
    NoRuntime,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn at(addr: &str) -> Result<(String, u16), ConfigError> {
        Config::new(addr, vec![], vec![], vec![]).host_and_port()
    }

    #[test]
    fn reads_addresses_with_and_without_scheme() {
        assert_eq!(
            at("sealkeep.int:8443").unwrap(),
            ("sealkeep.int".into(), 8443)
        );
        assert_eq!(
            at("https://127.0.0.1:8443/").unwrap(),
            ("127.0.0.1".into(), 8443)
        );
        assert_eq!(at("[::1]:8443").unwrap(), ("::1".into(), 8443));
    }

    #[test]
    fn refuses_addresses_without_port_or_with_user() {
        for addr in [
            "",
            "host",
            "http://host:1",
            "host:0",
            "user@host:1",
            "host:1/path",
            "host:x",
        ] {
            assert!(at(addr).is_err(), "{addr}");
        }
    }

    #[test]
    fn names_the_missing_variable() {
        let error = Config::from_lookup(|_| None).unwrap_err();
        assert_eq!(error.to_string(), "SEALKEEP_ADDR is not set");
    }

    #[test]
    fn names_the_missing_file() {
        let error = Config::from_lookup(|name| Some(format!("/nowhere/{name}"))).unwrap_err();
        assert!(
            error.to_string().contains("/nowhere/SEALKEEP_CACERT"),
            "{error}"
        );
    }

    #[test]
    fn refuses_timeouts_out_of_range() {
        assert_eq!(seconds("0.5").unwrap(), Duration::from_millis(500));
        for text in ["0", "-1", "301", "inf", "NaN", "5s", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_pem_without_certificates() {
        assert!(matches!(
            roots_from_pem(b"hello"),
            Err(ConfigError::Pem { .. })
        ));
    }

    #[test]
    fn debug_shows_no_key() {
        let config = Config::new("a:1", vec![], vec![], b"very secret".to_vec());
        let text = format!("{config:?}");
        assert!(
            text.contains("key_pem_bytes: 11") && !text.contains("secret"),
            "{text}"
        );
    }
}
