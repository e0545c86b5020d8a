//! Sign requests for banks, and open mutual TLS to them, with keys you never touch.
//!
//! Sealkeep keeps the QWACs and QSealCs of a PSD2 third-party provider in a PKCS#11 token. This crate is the guest's
//! side: it tells the service what will be sent, sets the headers that come back, and lets rustls ask the service for
//! the one signature of a TLS handshake. No private key of a certificate that a bank knows is ever in this process.
//!
//! # A payment, told
//!
//! ```no_run
//! use sealkeep_client::{AnswerVerifier, Config, Sealkeep, clock, http, roots_from_pem};
//!
//! # async fn pay() -> Result<(), Box<dyn std::error::Error>> {
//! // Who we are to the service: SEALKEEP_ADDR, SEALKEEP_CACERT, SEALKEEP_CLIENT_CERT, SEALKEEP_CLIENT_KEY.
//! // Nothing is connected yet; the handle is cheap to clone.
//! let sealkeep = Sealkeep::connect(Config::from_env()?)?;
//! let bank = sealkeep.bank("ing-de");
//!
//! // Mutual TLS: the certificate is the QWAC bound to this bank, its key stays in the token. Who is at the other end
//! // is for us to trust, so the roots are ours.
//! let roots = roots_from_pem(&std::fs::read("bank-ca.pem")?)?;
//! let http = bank.http_client(roots.clone()).await?;
//!
//! // The request as it will be sent. The service is told method, target, headers and the digests of the body; the
//! // body itself stays here unless the bank's profile signs it.
//! let payment = http::Request::post("https://api.ing.de/v1/payments/sepa-credit-transfers")
//!     .header("content-type", "application/json")
//!     .header("x-request-id", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721")
//!     .header("psu-ip-address", "192.0.2.17")
//!     .body(r#"{"instructedAmount":{"currency":"EUR","amount":"12.00"}}"#.to_owned())?;
//! let payment = bank.sign(payment).await?;
//!
//! // Nothing may change between signing and sending.
//! let answer = http.send(payment).await?;
//!
//! // The bank seals its answers too. Believe them only under roots that may issue bank seals, and from this bank.
//! let verifier = AnswerVerifier::new("berlin-group-1.3.4", &roots)?.only_from("PSDDE-BAFIN-100001");
//! let sealed = verifier.verify(&answer, clock::now())?;
//! println!("{} says {}", sealed.organization, answer.status());
//! # Ok(()) }
//! ```
//!
//! `examples/pay.rs` is the whole story with an access token, a consent, a retry, and what the bank refuses.
//!
//! # Errors
//!
//! [`Error`] has one variant for each thing a caller can do: ask an officer ([`Error::Denied`]), change the request
//! ([`Error::Invalid`]), have somebody act first ([`Error::NotNow`]), wait ([`Error::TooMuch`],
//! [`Error::Unavailable`]). Signing is tried again within its deadline only when the service was not available
//! ([`Retry`]).
//!
//! # TLS on any runtime
//!
//! rustls asks for a signature synchronously. The question is answered by a thread with a runtime and a connection of its
//! own, and [`OffloadLayer`] polls handshakes on the blocking pool, so that no worker of the caller's runtime ever
//! waits: multi-thread or current-thread. [`HttpClient`] has it built in; around other connectors put the layer
//! yourself, with the [`rustls`] re-exported here (another version of it would not fit).
#![forbid(unsafe_code)]

mod bank;
mod body;
pub mod clock;
mod config;
mod error;
mod handle;
mod http_client;
mod jwe;
mod jwt;
mod link;
mod retry;
pub mod saved;
mod signed;
mod target;
mod tls;
mod verification;
mod verify;

pub use bank::BankHandle;
pub use body::{BodyDigester, BodyDigests, BodySource};
pub use config::{Config, ConfigError, roots_from_pem, seconds};
pub use error::{Error, Facts};
pub use handle::Sealkeep;
pub use http;
pub use http_client::{HttpClient, HttpError};
pub use jwe::{DecryptedJwe, JweRecipient, RecipientError};
pub use jwt::{CLIENT_ASSERTION_TYPE, SignedJwt};
pub use retry::Retry;
pub use rustls;
pub use saved::{SavedBody, SavedError, SavedRequest, SavedResponse};
pub use sealkeep_profiles::format::jwe::{ContentEncryption, KeyManagement};
pub use sealkeep_profiles::format::jwt::{Registration, RequestObject};
pub use sealkeep_proto::v1;
pub use signed::{Explanation, SignedHeaders, SignedJws};
pub use target::RequestHead;
pub use tls::TlsConfig;
pub use tls::offload::{Offload, OffloadLayer, OffloadService};
pub use verify::{AnswerError, AnswerVerifier, VerifiedAnswer};
