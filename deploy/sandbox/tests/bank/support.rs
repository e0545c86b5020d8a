//! A world for the tests of the bank: a QTSP, a bank, providers with software keys, and a client to speak for them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub,
    dead_code
)]

use std::io;
use std::sync::{Arc, LazyLock};

use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::profile::{Catalog, Profile, Settings};
use sealkeep_profiles::request::{BodyParts, HttpRequest, HttpResponse, RequestParts};
use sealkeep_profiles::roles::Role;
use sealkeep_profiles::verify;
use sealkeep_sandbox::bank::{
    Bank, BankConfig, CallLine, Identity, Log, RunningBank, TlsVersion, sample_accounts,
};
use sealkeep_sandbox::clock::Clock;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::qtsp::{Kind, Order, Qtsp};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use uuid::Uuid;

pub const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
pub const ORG: &str = "PSDDE-BAFIN-123456";
const HOST_NAME: &str = "localhost";

/// One QTSP and one RSA key for all tests of a file: making them is slow.
pub static QTSP: LazyLock<Qtsp> = LazyLock::new(|| Qtsp::create(KeyKind::EcP256, NOW).unwrap());
static SEAL_PEM: LazyLock<String> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seal.key");
    SoftwareKey::generate(KeyKind::Rsa2048)
        .unwrap()
        .save(&path)
        .unwrap();
    std::fs::read_to_string(path).unwrap()
});

pub fn profile() -> &'static Profile {
    Catalog::embedded().get("berlin-group-1.3.4").unwrap()
}

/// An order of a provider.
pub fn order(kind: Kind, roles: &[Role]) -> Order {
    let mut order = Order::new(kind, roles);
    order.country = Some("DE".to_owned());
    order.organization = Some("Demo TPP GmbH".to_owned());
    order.organization_identifier = Some(ORG.to_owned());
    order.dns_names = vec!["tpp.demo.example.com".to_owned()];
    order
}

pub fn both_roles(kind: Kind) -> Order {
    order(kind, &[Role::PSP_AI, Role::PSP_PI])
}

pub fn identity(qtsp: &Qtsp, order: &Order) -> Identity {
    let key = match order.kind {
        Kind::Qwac => SoftwareKey::generate(KeyKind::EcP256).unwrap(),
        Kind::Qsealc => SoftwareKey::from_pem(&SEAL_PEM).unwrap(),
    };
    let chain = qtsp.issue_for(order, &key, NOW).unwrap().to_vec();
    Identity { chain, key }
}

/// A bank that runs, and the clock it goes by.
pub struct World {
    pub bank: RunningBank,
    pub clock: Clock,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut BankConfig)) -> Self {
        let clock = Clock::manual(NOW);
        let mut config = bank_config(clock.clone());
        change(&mut config);
        let bank = Bank::start(config).await.unwrap();
        Self { bank, clock }
    }
}

pub fn bank_config(clock: Clock) -> BankConfig {
    let party = |kind| {
        let mut order = order(kind, &[Role::PSP_AS]);
        order.organization_identifier = Some("PSDDE-BAFIN-999999".to_owned());
        order.dns_names = vec![HOST_NAME.to_owned()];
        identity(&QTSP, &order)
    };
    BankConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        issuer: None,
        roots: vec![QTSP.root().clone()],
        issuing: vec![QTSP.issuing().clone()],
        tls: party(Kind::Qwac),
        seal: party(Kind::Qsealc),
        tls_versions: vec![TlsVersion::V1_2, TlsVersion::V1_3],
        profile: profile().name().to_owned(),
        settings: Settings::new(),
        accounts: sample_accounts(),
        clock,
        log: Log::silent(),
    }
}

/// Collects the bank's lines.
pub fn collecting_log() -> (Log, Arc<std::sync::Mutex<Vec<CallLine>>>) {
    let lines: Arc<std::sync::Mutex<Vec<CallLine>>> = Arc::default();
    let sink = lines.clone();
    (
        Log::to(move |line| sink.lock().unwrap().push(line.clone())),
        lines,
    )
}

/// A provider: what it connects with and what it signs with.
pub struct Tpp {
    pub qwac: Identity,
    pub seal: Identity,
    pub http2: bool,
    pub tls: &'static rustls::SupportedProtocolVersion,
}

impl Tpp {
    pub fn new() -> Self {
        Self::of(&both_roles(Kind::Qwac), &both_roles(Kind::Qsealc))
    }

    pub fn of(qwac: &Order, seal: &Order) -> Self {
        Self {
            qwac: identity(&QTSP, qwac),
            seal: identity(&QTSP, seal),
            http2: false,
            tls: &rustls::version::TLS13,
        }
    }

    /// An access token for these scopes.
    pub async fn token(&self, world: &World, scopes: &str) -> String {
        let reply = self.ask_token(world, ORG, scopes).await;
        assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.json);
        reply.json["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn ask_token(&self, world: &World, client_id: &str, scopes: &str) -> Reply {
        let body = format!(
            "grant_type=client_credentials&client_id={client_id}&scope={}",
            scopes.replace(' ', "+")
        );
        let mut message = Message::post("/oauth/token", body);
        message.set("content-type", "application/x-www-form-urlencoded");
        self.send(world, &message).await.unwrap()
    }

    /// Signs by the profile, as sealkeep-profiles prepares it.
    pub fn sign(&self, message: &mut Message) {
        let seal = Certificate::from_der(&self.seal.chain[0]).unwrap();
        let request = message.parsed();
        let prepared = profile()
            .prepare(&request, &seal, &Settings::new(), NOW)
            .unwrap();
        let raw = self
            .seal
            .key
            .sign(prepared.scheme(), prepared.to_be_signed())
            .unwrap();
        for (name, value) in prepared.assemble(&raw).unwrap().headers() {
            message.set(name, value);
        }
    }

    pub fn signed(&self, mut message: Message) -> Message {
        self.sign(&mut message);
        message
    }

    /// Signs and sends, then demands that the answer is signed by the bank.
    pub async fn call(&self, world: &World, message: Message) -> Reply {
        let reply = self.send(world, &self.signed(message)).await.unwrap();
        reply.verify();
        reply
    }

    /// Sends a message as it is, over a new connection.
    pub async fn send(&self, world: &World, message: &Message) -> io::Result<Reply> {
        self.connect(world).await?.send(message).await
    }

    /// Shows the chain with whatever key, so that a bank is seen to check that they belong together.
    pub async fn connect(&self, world: &World) -> io::Result<Connection> {
        let key = rustls::crypto::ring::sign::any_supported_type(&self.qwac.key.secret_der());
        let pair = CertifiedKey::new(self.qwac.chain.clone(), key.unwrap());
        let resolver = Arc::new(SingleCertAndKey::from(pair));
        Connection::open(
            world,
            client(self.tls).with_client_cert_resolver(resolver),
            self.http2,
        )
        .await
    }
}

/// A client without any certificate.
pub async fn send_anonymously(world: &World, message: &Message) -> io::Result<Reply> {
    let tls = client(&rustls::version::TLS13).with_no_client_auth();
    Connection::open(world, tls, false)
        .await?
        .send(message)
        .await
}

/// A request before it is sent; every part of it can be bent.
#[derive(Clone)]
pub struct Message {
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Message {
    pub fn get(target: &str) -> Self {
        let headers = vec![("X-Request-ID".to_owned(), Uuid::new_v4().to_string())];
        Self {
            method: "GET",
            target: target.to_owned(),
            headers,
            body: String::new(),
        }
    }

    pub fn post(target: &str, body: impl ToString) -> Self {
        let mut message = Self::get(target);
        (message.method, message.body) = ("POST", body.to_string());
        message.set("content-type", "application/json");
        message
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub fn remove(&mut self, name: &str) {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    pub fn header(&self, name: &str) -> String {
        let mut found = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().unwrap().1.clone()
    }

    fn parsed(&self) -> HttpRequest {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
            .collect();
        HttpRequest::parse(RequestParts {
            method: self.method,
            authority: HOST_NAME,
            target: &self.target,
            headers: &headers,
            body: BodyParts {
                bytes: Some(self.body.as_bytes()),
                digests: &[],
            },
        })
        .unwrap()
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub body: Bytes,
    pub json: Value,
}

impl Reply {
    /// The code of the one message of the Berlin Group.
    pub fn code(&self) -> &str {
        self.json["tppMessages"][0]["code"]
            .as_str()
            .unwrap_or("none")
    }

    pub fn text(&self) -> &str {
        self.json["tppMessages"][0]["text"]
            .as_str()
            .unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }

    /// The bank's own signature, under a certificate of the QTSP.
    pub fn verify(&self) {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect();
        let body = BodyParts {
            bytes: Some(&self.body),
            digests: &[],
        };
        let response = HttpResponse::parse(self.status.as_u16(), &headers, body).unwrap();
        let seal = verify::certificate_of_response(profile(), &response)
            .unwrap()
            .unwrap();
        assert_eq!(seal.organization_identifier(), Some("PSDDE-BAFIN-999999"));
        verify::http_response(profile(), &response, &seal, &Settings::new(), NOW).unwrap();
    }
}

fn client(
    version: &'static rustls::SupportedProtocolVersion,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(QTSP.root().clone()).unwrap();
    let clock = Arc::new(Clock::manual(NOW));
    ClientConfig::builder_with_details(provider, clock)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
}

/// A connection that stays open.
pub enum Connection {
    Http1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    async fn open(world: &World, mut tls: ClientConfig, http2: bool) -> io::Result<Self> {
        let alpn: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
        tls.alpn_protocols = vec![alpn.to_vec()];
        let stream = TcpStream::connect(world.bank.addr()).await?;
        let name = ServerName::try_from(HOST_NAME).unwrap();
        let stream = TlsConnector::from(Arc::new(tls))
            .connect(name, stream)
            .await?;
        let io = TokioIo::new(stream);
        if http2 {
            let executor = TokioExecutor::new();
            let (sender, connection) = hyper::client::conn::http2::handshake(executor, io)
                .await
                .map_err(failed)?;
            tokio::spawn(connection);
            Ok(Self::Http2(sender))
        } else {
            let (sender, connection) = hyper::client::conn::http1::handshake(io)
                .await
                .map_err(failed)?;
            tokio::spawn(connection);
            Ok(Self::Http1(sender))
        }
    }

    pub async fn send(&mut self, message: &Message) -> io::Result<Reply> {
        let mut request = Request::builder().method(message.method);
        for (name, value) in &message.headers {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(message.body.clone()));
        let response = match self {
            Self::Http1(sender) => {
                let request = request.uri(&message.target).header(HOST, HOST_NAME);
                sender.send_request(request.body(body).unwrap()).await
            }
            Self::Http2(sender) => {
                let request = request.uri(format!("https://{HOST_NAME}{}", message.target));
                sender.send_request(request.body(body).unwrap()).await
            }
        };
        let (parts, body) = response.map_err(failed)?.into_parts();
        let body = body.collect().await.map_err(failed)?.to_bytes();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Reply {
            status: parts.status,
            headers: parts.headers,
            body,
            json,
        })
    }
}

fn failed(error: hyper::Error) -> io::Error {
    io::Error::other(format!("{error:?}"))
}
