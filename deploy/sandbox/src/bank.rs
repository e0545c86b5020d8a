//! The pretend bank: mutual TLS in, signed requests checked, signed answers out.
//!
//! In: connections of providers with a QWAC of the pretend QTSP. Out: consents, accounts, balances and payments of one
//! pretend customer who approves everything at once. It refuses what a real bank refuses, with the same codes; it talks
//! to no directory, no OCSP responder and no other bank, and it forgets everything when it stops.
//!
//! The way of a request: `serve` (who is connected) → `answer` (log, signature of the answer) → `gate` (role,
//! signature, token) → a service (`accounts`, `payments`) → `books`.
//!
//! Serves NextGenPSD2 XS2A 1.3.x, RFC 8705.

mod accounts;
mod answer;
mod books;
mod config;
mod gate;
mod money;
mod oauth;
mod payments;
mod peer;
mod refused;
mod serve;
mod token;
mod trust;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Router, middleware};
use rustls::server::danger::ClientCertVerifier;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::profile::{Catalog, Profile, Settings};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub use self::answer::{CallLine, Log};
pub use self::books::Account;
use self::books::{Books, Created};
pub use self::config::{BankConfig, ConfigError, Identity, TlsVersion, sample_accounts};
use self::gate::Call;
pub use self::money::{Cents, Iban};
pub use self::refused::{Code, Refused};
use self::token::Tokens;
use self::trust::Trust;
use crate::clock::Clock;
use crate::key::SoftwareKey;

/// Starts banks.
#[derive(Debug)]
pub struct Bank;

/// A bank that serves; it stops when this is dropped.
#[derive(Debug)]
pub struct RunningBank {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

/// Why a bank does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No profile of this name is shipped.
    #[error("no profile {0}")]
    Profile(String),
    /// The settings do not fit the profile.
    #[error("the settings of the profile: {0}")]
    Settings(String),
    /// The seal certificate cannot be read.
    #[error("the seal certificate: {0}")]
    Seal(String),
    /// Keys, certificates and TLS settings do not go together.
    #[error("TLS: {0}")]
    Tls(String),
}

/// Everything a request may need; one per bank.
#[derive(Debug)]
struct House {
    clock: Clock,
    trust: Trust,
    tokens: Tokens,
    profile: Profile,
    settings: Settings,
    seal: Certificate,
    seal_key: SoftwareKey,
    books: Mutex<Books>,
    log: Log,
}

impl Bank {
    /// Binds the address and serves until the returned handle is dropped.
    pub async fn start(config: BankConfig) -> Result<RunningBank, StartError> {
        let listen = |source| StartError::Listen {
            addr: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = Trust::new(&config.roots, &config.issuing, &provider)?;
        let tls = tls(&config, provider.clone(), trust.client_verifier(provider)?)?;
        let house = Arc::new(House::new(config, trust, addr)?);
        let task = tokio::spawn(serve::accept(
            listener,
            TlsAcceptor::from(tls),
            router(house),
        ));
        Ok(RunningBank { addr, task })
    }
}

impl RunningBank {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until the process ends or the bank breaks.
    pub async fn join(mut self) {
        // The task ends only by being aborted, which dropping this handle does.
        let _ = (&mut self.task).await;
    }
}

impl Drop for RunningBank {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StartError {
    fn tls(error: impl std::fmt::Display) -> Self {
        Self::Tls(error.to_string())
    }
}

impl House {
    fn new(config: BankConfig, trust: Trust, addr: SocketAddr) -> Result<Self, StartError> {
        let profile = Catalog::embedded()
            .get(&config.profile)
            .cloned()
            .ok_or(StartError::Profile(config.profile))?;
        profile
            .check_settings(&config.settings)
            .map_err(|refusal| StartError::Settings(refusal.to_string()))?;
        let seal = config.seal.chain.first();
        let seal = seal.ok_or_else(|| StartError::Seal("there is none".to_owned()))?;
        let seal =
            Certificate::from_der(seal).map_err(|error| StartError::Seal(error.to_string()))?;
        let issuer = config.issuer.unwrap_or_else(|| format!("https://{addr}"));
        Ok(Self {
            clock: config.clock,
            trust,
            tokens: Tokens::new(issuer)?,
            profile,
            settings: config.settings,
            seal,
            seal_key: config.seal.key,
            books: Mutex::new(Books::new(config.accounts)),
            log: config.log,
        })
    }

    /// The books, for as long as the guard lives. Never held over an await.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes something for a POST, once for its X-Request-ID.
    fn once(
        &self,
        call: &Call,
        make: impl FnOnce(&mut Books) -> Result<Created, Refused>,
    ) -> Result<Created, Refused> {
        self.books()
            .once(call.retry_key(), call.fingerprint(), call.now(), make)
    }
}

fn router(house: Arc<House>) -> Router {
    Router::new()
        .route("/oauth/token", post(oauth::token))
        .route("/v1/consents", post(accounts::create_consent))
        .route("/v1/consents/{id}", get(accounts::read_consent))
        .route("/v1/accounts", get(accounts::list_accounts))
        .route("/v1/accounts/{id}/balances", get(accounts::read_balances))
        .route("/v1/payments/{product}", post(payments::initiate))
        .route("/v1/payments/{product}/{id}/status", get(payments::status))
        .method_not_allowed_fallback(|| async { Code::ServiceInvalid.because("no such method") })
        .fallback(|| async { Code::ResourceUnknown.because("no such path") })
        .layer(DefaultBodyLimit::max(gate::BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(
            house.clone(),
            answer::around,
        ))
        .with_state(house)
}

fn tls(
    config: &BankConfig,
    provider: Arc<rustls::crypto::CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<rustls::ServerConfig>, StartError> {
    let versions: Vec<_> = config
        .tls_versions
        .iter()
        .map(|version| version.rustls())
        .collect();
    let time = Arc::new(config.clock.clone());
    let mut tls = rustls::ServerConfig::builder_with_details(provider, time)
        .with_protocol_versions(&versions)
        .map_err(StartError::tls)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(config.tls.chain.clone(), config.tls.key.secret_der())
        .map_err(StartError::tls)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}
