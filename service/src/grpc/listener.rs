//! TCP and TLS: who gets a connection at all.
//!
//! In: sockets. Out: connections whose client certificate chains to the callers' CA, with the caller's name. TLS 1.3
//! only, no resumption: every connection proves its identity. Certificate, key and CA are read again when their files
//! change; open connections go on, new ones get the new material; material that does not parse changes nothing.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::authn::{self, AuthnError};
use crate::domain::CallerName;

/// Connections at once, handshakes included.
const CONNECTIONS_MAX: usize = 4_096;
/// Longest TLS handshake, seconds.
const HANDSHAKE_TIMEOUT_S: u64 = 3;
/// How often the files are looked at, seconds.
const RELOAD_INTERVAL_S: u64 = 1;

/// Why the TLS material cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {problem}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Where the material lies, and what it was when last read.
#[derive(Debug)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    caller_ca: PathBuf,
    loaded: ArcSwap<Loaded>,
}

/// Material in use.
#[derive(Debug)]
pub struct Loaded {
    config: Arc<ServerConfig>,
    fingerprint: [u8; 32],
    /// The service's own certificate, DER.
    pub certificate: CertificateDer<'static>,
    /// The callers' CAs, DER.
    pub caller_cas: Vec<CertificateDer<'static>>,
}

impl TlsFiles {
    /// Reads the material for the first time.
    pub fn load(
        certificate: PathBuf,
        key: PathBuf,
        caller_ca: PathBuf,
    ) -> Result<Arc<Self>, TlsError> {
        let loaded = read(&certificate, &key, &caller_ca)?;
        let loaded = ArcSwap::from_pointee(loaded);
        Ok(Arc::new(Self {
            certificate,
            key,
            caller_ca,
            loaded,
        }))
    }

    /// The material in use.
    pub fn loaded(&self) -> Arc<Loaded> {
        self.loaded.load_full()
    }

    /// Reads the material again and uses it if it changed and is sound.
    pub fn reload(&self) {
        match read(&self.certificate, &self.key, &self.caller_ca) {
            Ok(new) if new.fingerprint != self.loaded.load().fingerprint => {
                self.loaded.store(Arc::new(new));
                tracing::info!("TLS material reloaded");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "TLS material not reloaded; the old one stays"),
        }
    }
}

fn read(certificate: &PathBuf, key: &PathBuf, caller_ca: &PathBuf) -> Result<Loaded, TlsError> {
    let file = |path: &PathBuf| {
        let bytes = std::fs::read(path);
        bytes.map_err(|source| TlsError::File {
            path: path.clone(),
            source,
        })
    };
    let content = |path: &PathBuf, problem: &dyn std::fmt::Display| TlsError::Content {
        path: path.clone(),
        problem: problem.to_string(),
    };
    let (chain_pem, key_pem, ca_pem) = (
        file(certificate)?,
        zeroize::Zeroizing::new(file(key)?),
        file(caller_ca)?,
    );
    let mut hash = Sha256::new();
    for part in [&chain_pem, &*key_pem, &ca_pem] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let chain = certificates(&chain_pem).map_err(|e| content(certificate, &e))?;
    let key_der = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|e| content(key, &e))?;
    let caller_cas = certificates(&ca_pem).map_err(|e| content(caller_ca, &e))?;
    let mut roots = RootCertStore::empty();
    for ca in &caller_cas {
        roots.add(ca.clone()).map_err(|e| content(caller_ca, &e))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let verifier = verifier.map_err(|e| content(caller_ca, &e))?;
    let own = chain
        .first()
        .cloned()
        .ok_or_else(|| content(certificate, &"no certificate"))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| content(certificate, &e))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key_der)
        .map_err(|e| content(certificate, &e))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Loaded {
        config: Arc::new(config),
        fingerprint: hash.finalize().into(),
        certificate: own,
        caller_cas,
    })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err("no certificate in it".to_owned()),
        Ok(all) => Ok(all),
        Err(error) => Err(error.to_string()),
    }
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The caller, or why there is none.
    pub caller: Result<CallerName, AuthnError>,
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    files: Arc<TlsFiles>,
}

impl Listener {
    /// Binds the address.
    pub async fn bind(address: SocketAddr, files: Arc<TlsFiles>) -> io::Result<Self> {
        Ok(Self {
            socket: TcpListener::bind(address).await?,
            files,
        })
    }

    /// Where it listens; tells the port when 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Authenticated connections, for as long as somebody takes them.
    pub(super) fn connections(self) -> impl Stream<Item = io::Result<Connection>> {
        let (ready, connections) = mpsc::channel(64);
        let files = self.files.clone();
        tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_secs(RELOAD_INTERVAL_S));
            loop {
                every.tick().await;
                let files = files.clone();
                // Reading files blocks; a slow disk must not hold up connections.
                let _ = tokio::task::spawn_blocking(move || files.reload()).await;
            }
        });
        tokio::spawn(self.accept(ready));
        ReceiverStream::new(connections)
    }

    async fn accept(self, ready: mpsc::Sender<io::Result<Connection>>) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        while !ready.is_closed() {
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = ready.closed() => return,
            };
            let (tcp, ready, config) = match accepted {
                Ok((tcp, _)) => (tcp, ready.clone(), self.files.loaded().config.clone()),
                Err(error) => {
                    // Out of file descriptors, most likely: leave the others time to finish.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            tokio::spawn(async move {
                let _ = tcp.set_nodelay(true);
                let handshake = TlsAcceptor::from(config).accept(tcp);
                let patience = Duration::from_secs(HANDSHAKE_TIMEOUT_S);
                match tokio::time::timeout(patience, handshake).await {
                    Ok(Ok(stream)) => {
                        let _ = ready
                            .send(Ok(Connection {
                                stream,
                                _slot: slot,
                            }))
                            .await;
                    }
                    Ok(Err(error)) => tracing::info!(%error, "TLS handshake failed"),
                    Err(_) => tracing::info!("TLS handshake took too long"),
                }
            });
        }
    }
}

/// One authenticated connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    _slot: tokio::sync::OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        let chain = self.stream.get_ref().1.peer_certificates();
        let leaf = chain
            .and_then(<[_]>::first)
            .ok_or(AuthnError::NoCertificate);
        Peer {
            caller: leaf.and_then(|leaf| authn::caller(leaf)),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
