//! The public HTTPS door: sockets and handshakes; what is said stands in [`super::answer`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Publication;
use super::answer::answer;
use super::tls::ServerFiles;
use crate::door;

/// Connections at once, handshakes included.
const CONNECTIONS_MAX: usize = 256;
/// Longest TLS handshake, seconds.
const HANDSHAKE_TIMEOUT_S: u64 = 5;
/// Every status that is answered.
const STATUSES: [&str; 5] = ["200", "304", "404", "405", "410"];

/// A bound socket.
#[derive(Debug)]
pub struct PublicationListener {
    socket: TcpListener,
    files: Arc<ServerFiles>,
}

/// Answers, counted by status: cheap to clone.
#[derive(Debug, Clone)]
pub struct PublicationMeter(Family<[(&'static str, &'static str); 1], Counter>);

impl Default for PublicationMeter {
    /// Every status shows from the start: absent is not zero.
    fn default() -> Self {
        let answers = Family::default();
        for status in STATUSES {
            let _: Counter = answers.get_or_create_owned(&[("status", status)]);
        }
        Self(answers)
    }
}

impl PublicationMeter {
    /// Registers what is counted.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Answers to whoever fetches our certificates, by HTTP status";
        registry.register("publication_answers", help, self.0.clone());
    }

    fn count(&self, status: &str) {
        if let Some(known) = STATUSES.iter().find(|known| **known == status) {
            self.0.get_or_create(&[("status", known)]).inc();
        }
    }
}

impl PublicationListener {
    /// Binds the address.
    pub async fn bind(address: SocketAddr, files: Arc<ServerFiles>) -> io::Result<Self> {
        Ok(Self {
            socket: TcpListener::bind(address).await?,
            files,
        })
    }

    /// Where it listens; tells the port when 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until it is dropped.
    pub(super) async fn serve(self, publication: Publication, meter: PublicationMeter) {
        let Self { socket, files } = self;
        let mut following = JoinSet::new();
        following.spawn(files.clone().follow());
        let converse = |stream| converse(stream, files.clone(), publication.clone(), meter.clone());
        door::accept(socket, CONNECTIONS_MAX, converse).await;
    }
}

async fn converse(
    stream: TcpStream,
    files: Arc<ServerFiles>,
    publication: Publication,
    meter: PublicationMeter,
) {
    let handshake = TlsAcceptor::from(files.config()).accept(stream);
    let patience = Duration::from_secs(HANDSHAKE_TIMEOUT_S);
    let Ok(Ok(stream)) = tokio::time::timeout(patience, handshake).await else {
        return;
    };
    let respond = |request: &http::Request<hyper::body::Incoming>| {
        let target = request.uri().path_and_query();
        let target = target.map_or("", |target| target.as_str());
        let (shelf, now) = (publication.shelf.load(), publication.clock.now());
        let answer = answer(request.method(), target, request.headers(), &shelf, now);
        meter.count(answer.status().as_str());
        answer
    };
    door::converse(stream, respond).await;
}
