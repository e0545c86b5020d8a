//! The bank: wants a client certificate and answers with its SHA-256.

use super::pki::{Authority, Leaf};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub struct Bank {
    pub host: String,
    pub qtsp: Authority,
    pub roots: RootCertStore,
}

impl Bank {
    /// Starts it on a thread of its own.
    pub fn start(version: &'static SupportedProtocolVersion) -> Self {
        let qtsp = Authority::new("pretend QTSP");
        let mut roots = RootCertStore::empty();
        roots.add(qtsp.der.clone()).unwrap();
        let acceptor = tls(&roots, qtsp.server(), version);
        let (port, is_port) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                port.send(listener.local_addr().unwrap().port()).unwrap();
                while let Ok((tcp, _)) = listener.accept().await {
                    tokio::spawn(serve(acceptor.clone(), tcp));
                }
            });
        });
        Self {
            host: format!("localhost:{}", is_port.recv().unwrap()),
            qtsp,
            roots,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.host)
    }
}

fn tls(
    roots: &RootCertStore,
    server: Leaf,
    version: &'static SupportedProtocolVersion,
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![server.der], server.key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// One request after the other on a kept connection.
async fn serve(acceptor: TlsAcceptor, tcp: TcpStream) -> std::io::Result<()> {
    let mut stream = acceptor.accept(tcp).await?;
    let peer = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let name = hex::encode(Sha256::digest(&peer));
    let mut received = Vec::new();
    loop {
        while !received.windows(4).any(|window| window == b"\r\n\r\n") {
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        }
        let moved = received.starts_with(b"GET /moved");
        received.clear();
        let status = match moved {
            true => "302 Found\r\nlocation: /elsewhere",
            false => "200 OK",
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{name}",
            name.len()
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}
