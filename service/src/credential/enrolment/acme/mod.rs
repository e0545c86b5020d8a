//! The way to a QTSP by ACME (RFC 8555), for QWACs of CAs that vouch for accounts by external account binding (EAB).
//!
//! In: an order. Out: a step of it at the server, and a ticket with the order's URL. Never: the key of the request; the
//! request was signed by the token, and ACME takes it as it is (section 7.4).
//!
//! ```text
//! none ── newOrder ──▶ pending ── challenges answered ──▶ ready ── finalize(CSR) ──▶ processing ──▶ valid: the chain
//!                         └────────────────────── invalid: ended, with the server's words
//! ```
//! Every arrow is a step of its own, and the order at the server says before which one it stands, so a restart loses
//! nothing. ACME certifies DNS names: a seal cannot be had by it. The account has a key of its own, which is neither a
//! PSD2 key nor in the token; see [`AccountFile`].

mod account;
mod challenge;
mod judge;
#[cfg(test)]
mod tests;
mod transport;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, ChallengeType, Identifier, NewOrder,
    Order as Placed, OrderStatus, RevocationReason, RevocationRequest,
};
use jiff::SignedDuration;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sealkeep_cmp::request::Reason;
use sealkeep_profiles::certificate::Certificate;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

pub use account::{AccountFile, Binding};
use challenge::Webroot;
use judge::{judge, later, never, words};
use transport::Https;

use super::{EnrolError, Enroller, Errand, Order, Progress};
use crate::backend::BoxFuture;

/// How long one step may take, seconds; it is a handful of exchanges.
const STEP_TIMEOUT_S: u64 = 120;
/// How soon an order that the server works on is looked at again, seconds.
const CHECK_AFTER_S: u32 = 5;
/// Most certificates in an answer.
const CERTIFICATES_MAX: usize = 8;

/// An ACME server, and how it knows us.
#[derive(Debug)]
pub struct AcmeServer {
    /// Its directory, `https`.
    pub directory_url: String,
    /// How TLS is spoken to it.
    pub tls: rustls::ClientConfig,
    /// Where the account is kept.
    pub account: AccountFile,
    /// The directory that a web server shows as `/.well-known/acme-challenge/`; without one, only orders succeed whose
    /// names the CA has approved beforehand.
    pub challenge_directory: Option<PathBuf>,
    /// How long it may take before somebody should ask.
    pub patience: SignedDuration,
}

/// Carries requests to one ACME server.
#[derive(Debug)]
pub struct AcmeEnroller(Arc<Inner>);

struct Inner {
    server: AcmeServer,
    /// Opened when it is first needed: the service starts without the QTSP.
    account: Mutex<Option<Account>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// What is stored between two steps; nothing of it is secret.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    order_url: String,
    /// Challenges that wait in the directory to be looked at.
    tokens: Vec<String>,
}

impl AcmeEnroller {
    /// For one server.
    pub fn new(server: AcmeServer) -> Self {
        Self(Arc::new(Inner {
            server,
            account: Mutex::default(),
        }))
    }
}

impl Enroller for AcmeEnroller {
    fn step(&self, order: Order) -> BoxFuture<Result<Progress, EnrolError>> {
        let inner = self.0.clone();
        Box::pin(async move {
            let patience = Duration::from_secs(STEP_TIMEOUT_S);
            let step = tokio::time::timeout(patience, inner.step(order)).await;
            step.map_err(|_| later("the ACME server takes too long to answer"))?
        })
    }

    fn patience(&self) -> SignedDuration {
        self.0.server.patience
    }
}

impl Inner {
    async fn step(&self, order: Order) -> Result<Progress, EnrolError> {
        if let Errand::Revocation {
            certificate,
            reason,
        } = &order.errand
        {
            return self.revoke(certificate, *reason).await;
        }
        let names = dns_names(&order.csr_der)?;
        let account = self.account().await?;
        let Some(kept) = &order.ticket else {
            let names: Vec<_> = names.into_iter().map(Identifier::Dns).collect();
            let placed = account.new_order(&NewOrder::new(&names)).await;
            let placed = placed.map_err(|error| judge(&error))?;
            let kept = Kept {
                order_url: placed.url().to_owned(),
                tokens: Vec::new(),
            };
            return pending(&kept, 0, "ordered");
        };
        let mut kept: Kept = serde_json::from_str(kept).map_err(never)?;
        let mut placed = account
            .order(kept.order_url.clone())
            .await
            .map_err(|error| judge::of_order(&error))?;
        match placed.state().status {
            OrderStatus::Pending => self.authorize(&mut placed, kept).await,
            OrderStatus::Ready => {
                let finalized = placed.finalize_csr(&order.csr_der).await;
                finalized.map_err(|error| judge(&error))?;
                pending(&kept, 0, "the CA has the request")
            }
            OrderStatus::Processing => pending(&kept, CHECK_AFTER_S, "the CA works on it"),
            OrderStatus::Valid => {
                let chain = placed.certificate().await.map_err(|error| judge(&error))?;
                self.tidy(&mut kept);
                issued(&chain.unwrap_or_default(), &order.spki_sha256)
            }
            OrderStatus::Invalid => {
                self.tidy(&mut kept);
                Err(never(why_invalid(&mut placed).await))
            }
        }
    }

    /// RFC 8555 section 7.6; the account that ordered a certificate may revoke it.
    async fn revoke(&self, certificate: &[u8], reason: Reason) -> Result<Progress, EnrolError> {
        let request = RevocationRequest {
            certificate: &CertificateDer::from(certificate),
            reason: Some(match reason {
                Reason::Unspecified => RevocationReason::Unspecified,
                Reason::KeyCompromise => RevocationReason::KeyCompromise,
                Reason::AffiliationChanged => RevocationReason::AffiliationChanged,
                Reason::Superseded => RevocationReason::Superseded,
                Reason::CessationOfOperation => RevocationReason::CessationOfOperation,
            }),
        };
        let revoked = self.account().await?.revoke(&request).await;
        match revoked {
            Ok(()) => Ok(Progress::Revoked),
            // An answer was lost.
            Err(error) if judge::is_revoked_already(&error) => Ok(Progress::Revoked),
            Err(error) => Err(judge(&error)),
        }
    }

    async fn account(&self) -> Result<Account, EnrolError> {
        let mut opened = self.account.lock().await;
        if let Some(account) = &*opened {
            return Ok(account.clone());
        }
        let https = Box::new(Https::new(self.server.tls.clone()));
        let directory_url = self.server.directory_url.clone();
        let account = self.server.account.open(https, directory_url).await?;
        *opened = Some(account.clone());
        Ok(account)
    }

    /// Answers what the server asks for before it believes that the names are ours (RFC 8555 section 8.3).
    async fn authorize(&self, placed: &mut Placed, mut kept: Kept) -> Result<Progress, EnrolError> {
        let mut authorizations = placed.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| judge(&error))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let name = authorization.identifier().to_string();
            let Some(directory) = &self.server.challenge_directory else {
                return Err(never(format!(
                    "the CA wants a proof for {name}; set challenge_directory, or have it approve the name beforehand"
                )));
            };
            let Some(mut challenge) = authorization.challenge(ChallengeType::Http01) else {
                return Err(never(format!("the CA offers no http-01 for {name}")));
            };
            if challenge.status != ChallengeStatus::Pending {
                continue;
            }
            let token = challenge.token.clone();
            Webroot(directory).put(&token, challenge.key_authorization().as_str())?;
            if !kept.tokens.contains(&token) {
                kept.tokens.push(token);
            }
            let ready = challenge.set_ready().await;
            ready.map_err(|error| judge(&error))?;
        }
        pending(&kept, CHECK_AFTER_S, "the CA looks at the challenges")
    }

    fn tidy(&self, kept: &mut Kept) {
        if let Some(directory) = &self.server.challenge_directory {
            for token in kept.tokens.drain(..) {
                Webroot(directory).remove(&token);
            }
        }
    }
}

fn pending(kept: &Kept, check_after_s: u32, detail: &str) -> Result<Progress, EnrolError> {
    Ok(Progress::Pending {
        ticket: serde_json::to_string(kept).map_err(never)?,
        check_after_s,
        detail: detail.to_owned(),
    })
}

/// What the request asks to be certified.
fn dns_names(csr_der: &[u8]) -> Result<Vec<String>, EnrolError> {
    let unreadable = |_| never("the request cannot be read");
    let (_, csr) = X509CertificationRequest::from_der(csr_der).map_err(unreadable)?;
    let extensions = csr.requested_extensions().into_iter().flatten();
    let names = extensions.filter_map(|extension| match extension {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    let names = names.flatten().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    let names: Vec<String> = names.collect();
    match names.is_empty() {
        true => Err(never("ACME certifies DNS names, and the request has none")),
        false => Ok(names),
    }
}

/// The chain of a finished order, when it is for our key.
fn issued(pem: &str, spki_sha256: &[u8; 32]) -> Result<Progress, EnrolError> {
    let unreadable = || never("the CA's answer holds no certificates that can be read");
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let chain: Vec<_> = chain
        .map_err(|_| unreadable())?
        .iter()
        .map(|der| der.to_vec())
        .collect();
    let leaf = chain.first().ok_or_else(unreadable)?;
    if chain.len() > CERTIFICATES_MAX {
        return Err(never("the CA's answer holds too many certificates"));
    }
    let leaf = Certificate::from_der(leaf).map_err(|_| unreadable())?;
    match leaf.public_key().spki_sha256() == *spki_sha256 {
        true => Ok(Progress::Issued(chain)),
        false => Err(never(
            "the CA certified another key than that of the request",
        )),
    }
}

/// Why an order came to nothing: the challenge that failed, else the order's own problem.
async fn why_invalid(placed: &mut Placed) -> String {
    let problem = placed.state().error.clone();
    let mut authorizations = placed.authorizations();
    while let Some(Ok(authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let mut challenges = authorization.challenges.iter();
        if let Some(problem) = challenges.find_map(|c| c.error.as_ref()) {
            let why = words(problem);
            return format!("the CA does not believe that {name} is ours: {why}");
        }
    }
    match problem {
        Some(problem) => format!("the CA refused: {}", words(&problem)),
        None => "the CA refused without a reason".to_owned(),
    }
}
