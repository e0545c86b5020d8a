//! One connection to a bank and one request over it, each stage told apart.
//!
//! In: TLS settings, the head of a request. Out: what was seen, and what went wrong at which stage. Never: a second try,
//! a redirect followed, an answer beyond its limit.

use crate::error::{chain, found};
use crate::tls::offload::Offload;
use bytes::Bytes;
use http::Request;
use http::request::Parts;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use rustls_pki_types::ServerName;
use sealkeep_proto::v1::{Seen, Stage};
use sha2::{Digest, Sha256};
use std::error::Error as StdError;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Each stage (connection, handshake, answer) takes no longer, seconds.
const STAGE_TIMEOUT_S: u64 = 10;
/// So much of an answer is read, bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The port of `https`.
const HTTPS_PORT: u16 = 443;

/// Why it went no further.
pub(super) struct Fault {
    pub(super) stage: Stage,
    pub(super) detail: String,
}

/// What is to be done.
pub(super) struct Exchange {
    config: ClientConfig,
    parts: Parts,
    contains: String,
    presented: Arc<AtomicBool>,
}

impl Exchange {
    pub(super) fn new(mut config: ClientConfig, parts: Parts, contains: &str) -> Self {
        let presented = Arc::new(AtomicBool::new(false));
        config.client_auth_cert_resolver = Arc::new(Noted {
            resolver: config.client_auth_cert_resolver.clone(),
            presented: presented.clone(),
        });
        Self {
            config,
            parts,
            contains: contains.to_owned(),
            presented,
        }
    }

    /// Does it; what was seen up to a fault is told too.
    pub(super) async fn run(self) -> (Seen, Option<Fault>) {
        let mut seen = Seen {
            stage: Stage::Done.into(),
            ..Seen::default()
        };
        let presented = self.presented.clone();
        let outcome = self.stages(&mut seen).await;
        seen.certificate_presented = presented.load(Ordering::Acquire);
        (seen, outcome.err())
    }

    async fn stages(self, seen: &mut Seen) -> Result<(), Fault> {
        let (host, port) = self.place();
        seen.address = format!("{host}:{port}");
        let connect = TcpStream::connect((host.as_str(), port));
        let tcp = within(Stage::Connect, connect).await?;
        let server = ServerName::try_from(host.clone());
        let server = server.map_err(|error| fault(Stage::Connect, &error))?;
        let connector = TlsConnector::from(Arc::new(self.config));
        // The key is asked for while the handshake is polled, and may block.
        let handshake = Offload::new(async move { connector.connect(server, tcp).await });
        let handshake = tokio::time::timeout(Duration::from_secs(STAGE_TIMEOUT_S), handshake);
        let tls = match handshake.await {
            Err(_) => return Err(late(Stage::Handshake)),
            Ok(Err(error)) => return Err(refused(Stage::Handshake, &*error)),
            Ok(Ok(tls)) => tls,
        };
        note_session(seen, &tls);
        let asked = converse(tls, self.parts);
        let answered = tokio::time::timeout(Duration::from_secs(STAGE_TIMEOUT_S), asked);
        let (status, body) = match answered.await {
            Err(_) => return Err(late(Stage::Answer)),
            // A TLS 1.3 server refuses our certificate only after the client has sent its request.
            Ok(Err(error)) => return Err(refused(Stage::Answer, &*error)),
            Ok(Ok(answer)) => answer,
        };
        seen.status = status.into();
        let contains = self.contains.as_bytes();
        seen.contains =
            contains.is_empty() || body.windows(contains.len()).any(|part| part == contains);
        Ok(())
    }

    fn place(&self) -> (String, u16) {
        let authority = self.parts.uri.authority();
        let host = authority.map_or("", |authority| authority.host());
        let port = authority.and_then(|authority| authority.port_u16());
        (host.to_owned(), port.unwrap_or(HTTPS_PORT))
    }
}

/// Sends the request, and reads the answer up to its limit.
async fn converse(
    tls: TlsStream<TcpStream>,
    mut parts: Parts,
) -> Result<(u16, Bytes), Box<dyn StdError + Send + Sync>> {
    // In HTTP/1.1 the target stands alone; the host has its header (RFC 9112 section 3.2.1).
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    parts.uri = target.parse()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
    let request = Request::from_parts(parts, Empty::<Bytes>::new());
    let ask = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
        Ok::<_, Box<dyn StdError + Send + Sync>>((head.status.as_u16(), body.to_bytes()))
    };
    let mut ask = std::pin::pin!(ask);
    // The connection moves the bytes. When it breaks, what arrived before is still handed over; else it knows best why.
    let broken = tokio::select! {
        biased;
        answer = &mut ask => return answer,
        ended = connection => ended.err(),
    };
    match (ask.await, broken) {
        (Err(_), Some(broken)) => Err(broken.into()),
        (answer, _) => answer,
    }
}

fn note_session(seen: &mut Seen, tls: &TlsStream<TcpStream>) {
    let session = tls.get_ref().1;
    seen.tls_version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        _ => String::new(),
    };
    if let Some(leaf) = session.peer_certificates().and_then(<[_]>::first) {
        seen.server_certificate_sha256 = hex::encode(Sha256::digest(leaf));
    }
}

async fn within<T, E: StdError + 'static>(
    stage: Stage,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(Duration::from_secs(STAGE_TIMEOUT_S), work).await {
        Err(_) => Err(late(stage)),
        Ok(done) => done.map_err(|error| fault(stage, &error)),
    }
}

/// What TLS says tells whose certificate was refused, whenever it says it.
fn refused(stage: Stage, error: &(dyn StdError + 'static)) -> Fault {
    let stage = match found::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(_)) => Stage::Server,
        Some(_) => Stage::Handshake,
        None => stage,
    };
    fault(stage, error)
}

fn fault(stage: Stage, error: &(dyn StdError + 'static)) -> Fault {
    let detail = chain(error);
    Fault { stage, detail }
}

fn late(stage: Stage) -> Fault {
    let detail = format!("nothing within {STAGE_TIMEOUT_S} s");
    Fault { stage, detail }
}

/// Notes whether the bank asked for a certificate and got one.
#[derive(Debug)]
struct Noted {
    resolver: Arc<dyn ResolvesClientCert>,
    presented: Arc<AtomicBool>,
}

impl ResolvesClientCert for Noted {
    fn resolve(
        &self,
        root_hints: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let resolved = self.resolver.resolve(root_hints, schemes);
        self.presented.store(resolved.is_some(), Ordering::Release);
        resolved
    }

    fn has_certs(&self) -> bool {
        self.resolver.has_certs()
    }
}
