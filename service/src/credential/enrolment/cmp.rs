//! The way to a QTSP by CMP over HTTP (RFC 9811).
//!
//! In: an order. Out: one exchange with the server, and a ticket that says what to send next. The messages are those of
//! [`sealkeep_cmp`]. Plain HTTP is enough: the messages are protected by the shared secret or signed, and nothing in them
//! is secret.
//!
//! Every message goes over a connection of its own, and says so: hours lie between them, and a server may forget an exchange
//! when a connection that it was told to keep ends (the one of OpenSSL does; RFC 9811 section 3.1 lets it).
//!
//! A first certificate is asked for by p10cr, protected by the secret. A renewal is asked for by kur, signed by the version
//! that it follows, when the operator chose that and that version may speak; else by p10cr again.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::SignedDuration;
use ring::rand::{SecureRandom, SystemRandom};
use sealkeep_cmp::request::{self, Update};
use sealkeep_cmp::{ANSWER_BYTES_MAX, Account, CmpError, Outgoing, Peer, Speaker, Step, Ticket};
use sealkeep_profiles::certificate::Certificate;
use serde::{Deserialize, Serialize};

use super::{EnrolError, Enroller, Errand, Order, Progress, Signer};
use crate::backend::BoxFuture;

/// How long one exchange may take, seconds.
const EXCHANGE_TIMEOUT_S: u64 = 30;
/// How soon a server that names no time is asked again, seconds.
const CHECK_AFTER_MIN_S: u32 = 1;

/// A CMP server, and how it knows us.
#[derive(Debug)]
pub struct CmpAccount {
    /// Where messages are posted.
    pub url: http::Uri,
    /// The reference and its secret.
    pub account: Account,
    /// The certificates by which the server signs; none when it answers by the secret alone.
    pub server_certificates: Vec<Certificate>,
    /// Whether renewals are signed by the version before.
    pub updates: bool,
    /// How long it may take before somebody should ask.
    pub patience: SignedDuration,
}

/// Carries requests to one CMP server.
#[derive(Debug)]
pub struct CmpEnroller(Arc<Desk>);

#[derive(Debug)]
struct Desk {
    server: CmpAccount,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What is stored between two steps.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    ticket: Ticket,
    /// What is sent next; a question whether it is ready, when none.
    message: Option<Vec<u8>>,
    /// The version whose key signs the messages; by the secret, when none.
    speaker: Option<String>,
}

impl CmpEnroller {
    /// For one server.
    pub fn new(server: CmpAccount) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self(Arc::new(Desk { server, client }))
    }
}

impl Enroller for CmpEnroller {
    fn step(&self, order: Order) -> BoxFuture<Result<Progress, EnrolError>> {
        let desk = self.0.clone();
        Box::pin(async move { desk.step(&order).await })
    }

    fn patience(&self) -> SignedDuration {
        self.0.server.patience
    }
}

impl Desk {
    async fn step(&self, order: &Order) -> Result<Progress, EnrolError> {
        let kept: Option<Kept> = match &order.ticket {
            Some(kept) => Some(serde_json::from_str(kept).map_err(never)?),
            None => None,
        };
        let begun = kept.is_some();
        let speaker = self.speaker(order, kept.as_ref())?;
        let peer = self.peer(speaker);
        let mut fresh = Fresh::default();
        let (mut ticket, message) = match kept {
            None => {
                let (ticket, outgoing) = self.begin(order, speaker, &mut fresh).await?;
                (ticket, ready(outgoing, speaker).await?)
            }
            Some(Kept {
                ticket,
                message: Some(message),
                ..
            }) => (ticket, message),
            Some(Kept { mut ticket, .. }) => {
                let question = ticket.poll(&peer, &mut || fresh.draw()).map_err(refused)?;
                (ticket, ready(question, speaker).await?)
            }
        };
        fresh.check()?;
        let patience = Duration::from_secs(EXCHANGE_TIMEOUT_S);
        let answer = tokio::time::timeout(patience, self.post(message)).await;
        let answer = answer.map_err(|_| later("the CMP server does not answer"))??;
        let step = ticket.answer(&peer, &answer, &mut || fresh.draw());
        let step = step.map_err(|error| match error {
            // An answer was lost when the service died: what the server has seen and what was stored differ.
            CmpError::Broken { .. } if begun => EnrolError::Anew(error.to_string()),
            other => refused(other),
        });
        let (message, check_after_s) = match step? {
            Step::Issued(chain) => return Ok(Progress::Issued(chain)),
            Step::Revoked => return Ok(Progress::Revoked),
            Step::Send(outgoing) => (Some(ready(outgoing, speaker).await?), 0),
            Step::Wait { check_after_s } => (None, check_after_s.max(CHECK_AFTER_MIN_S)),
        };
        fresh.check()?;
        let kept = Kept {
            ticket,
            message,
            speaker: speaker.map(|signer| signer.version.to_string()),
        };
        Ok(Progress::Pending {
            ticket: serde_json::to_string(&kept).map_err(never)?,
            check_after_s,
            detail: "the QTSP has the request".to_owned(),
        })
    }

    /// Who signs the messages of this exchange: whoever began it, else the version before, when it may; none when they are
    /// protected by the secret.
    fn speaker<'a>(
        &self,
        order: &'a Order,
        kept: Option<&Kept>,
    ) -> Result<Option<&'a Signer>, EnrolError> {
        let old = match &order.errand {
            Errand::Certificate { renews } => renews.as_ref().filter(|_| self.server.updates),
            Errand::Revocation { .. } => None,
        };
        let Some(kept) = kept else { return Ok(old) };
        match &kept.speaker {
            None => Ok(None),
            Some(began) => match old.filter(|signer| signer.version.to_string() == *began) {
                Some(signer) => Ok(Some(signer)),
                None => Err(EnrolError::Anew(format!("{began} may not sign any more"))),
            },
        }
    }

    fn peer<'a>(&'a self, speaker: Option<&'a Signer>) -> Peer<'a> {
        Peer {
            account: &self.server.account,
            server_certificates: &self.server.server_certificates,
            speaker: match speaker {
                None => Speaker::Secret,
                Some(signer) => Speaker::Certificate {
                    chain: &signer.chain,
                    algorithm: signer.algorithm,
                },
            },
        }
    }

    async fn begin(
        &self,
        order: &Order,
        speaker: Option<&Signer>,
        fresh: &mut Fresh,
    ) -> Result<(Ticket, Outgoing), EnrolError> {
        let peer = self.peer(speaker);
        let body = match (&order.errand, speaker) {
            (
                Errand::Revocation {
                    certificate,
                    reason,
                },
                _,
            ) => {
                let body = request::revocation(certificate, *reason).map_err(never)?;
                let begun = Ticket::revoke(&peer, body, &mut || fresh.draw());
                return begun.map_err(never);
            }
            (Errand::Certificate { .. }, None) => request::certificate(&order.csr_der),
            (Errand::Certificate { .. }, Some(old)) => {
                let certificate = old.chain.first().map(Vec::as_slice).unwrap_or_default();
                let update = Update::new(&order.csr_der, certificate).map_err(never)?;
                let proof = order.key.sign(update.input().to_vec()).await?;
                update.proven(order.key.algorithm, &proof)
            }
        };
        let begun = Ticket::request(&peer, body, order.spki_sha256, &mut || fresh.draw());
        begun.map_err(never)
    }

    async fn post(&self, message: Vec<u8>) -> Result<Vec<u8>, EnrolError> {
        let request = http::Request::post(&self.server.url)
            .header(http::header::CONTENT_TYPE, "application/pkixcmp")
            .header(http::header::CONNECTION, "close")
            .body(Full::from(message))
            .map_err(never)?;
        let unreachable = |error| later(format!("the CMP server cannot be reached: {error}"));
        let response = self.client.request(request).await.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(later(format!(
                "the CMP server answers with HTTP status {status}"
            )));
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(later)?;
        Ok(body.to_bytes().to_vec())
    }
}

/// Has a message signed that needs it.
async fn ready(outgoing: Outgoing, speaker: Option<&Signer>) -> Result<Vec<u8>, EnrolError> {
    match (outgoing, speaker) {
        (Outgoing::Ready(message), _) => Ok(message),
        (Outgoing::Unsigned(message), Some(signer)) => {
            let signature = signer.sign(message.input()).await?;
            Ok(message.signed(&signature))
        }
        (Outgoing::Unsigned(_), None) => Err(never("nobody signs the message")),
    }
}

/// Random bytes; that there were none is asked for afterwards.
struct Fresh {
    system: SystemRandom,
    broken: bool,
}

impl Default for Fresh {
    fn default() -> Self {
        Self {
            system: SystemRandom::new(),
            broken: false,
        }
    }
}

impl Fresh {
    fn draw(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.broken |= self.system.fill(&mut bytes).is_err();
        bytes
    }

    /// To be asked before anything that was drawn leaves the house.
    fn check(&self) -> Result<(), EnrolError> {
        match self.broken {
            true => Err(later("no randomness")),
            false => Ok(()),
        }
    }
}

/// A damaged or foreign answer may be an accident of the network, and a server comes back; a refusal and another key are
/// not.
fn refused(error: CmpError) -> EnrolError {
    match error {
        CmpError::Malformed(_) | CmpError::Foreign | CmpError::Unavailable { .. } => later(error),
        _ => never(error),
    }
}

fn later(why: impl ToString) -> EnrolError {
    EnrolError::Later(why.to_string())
}

fn never(why: impl ToString) -> EnrolError {
    EnrolError::Never(why.to_string())
}
