//! The way to a QTSP by CMP over HTTP (RFC 6712, RFC 9811).
//!
//! In: an order. Out: one exchange with the server, and a ticket that says what to send next. The messages are those of
//! [`crate::credential::cmp`]. Plain HTTP is enough: the messages are protected by the shared secret, and nothing in them is
//! secret.
//!
//! Every message goes over a connection of its own, and says so: hours lie between them, and a server may forget an exchange
//! when a connection that it was told to keep ends (the one of OpenSSL does; RFC 9811 section 3.1 lets it).

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::SignedDuration;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::{EnrolError, Enroller, Order, Progress};
use crate::backend::BoxFuture;
use crate::credential::cmp::{self, ANSWER_BYTES_MAX, Account, CmpError, Step, Ticket};

/// How long one exchange may take, seconds.
const EXCHANGE_TIMEOUT_S: u64 = 30;
/// How soon a server that names no time is asked again, seconds.
const CHECK_AFTER_MIN_S: u32 = 1;

/// A CMP server, and how it knows us.
#[derive(Debug, Clone)]
pub struct CmpAccount {
    /// Where messages are posted.
    pub url: http::Uri,
    /// The reference and its secret.
    pub account: Account,
    /// How long it may take before somebody should ask.
    pub patience: SignedDuration,
}

/// Carries requests to one CMP server.
#[derive(Debug)]
pub struct CmpEnroller {
    server: Arc<CmpAccount>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What is stored between two steps.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    ticket: Ticket,
    /// What is sent next; a question whether it is ready, when none.
    message: Option<Vec<u8>>,
}

impl CmpEnroller {
    /// For one server.
    pub fn new(server: CmpAccount) -> Self {
        Self {
            server: Arc::new(server),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }
}

impl Enroller for CmpEnroller {
    fn step(&self, order: Order) -> BoxFuture<Result<Progress, EnrolError>> {
        let (server, client) = (self.server.clone(), self.client.clone());
        Box::pin(async move {
            let account = &server.account;
            let mut broken = false;
            let system = SystemRandom::new();
            let mut random = || {
                let mut fresh = [0; 16];
                broken |= system.fill(&mut fresh).is_err();
                fresh
            };
            let (mut ticket, message) = match &order.ticket {
                None => cmp::begin(account, &order.csr_der, order.spki_sha256, &mut random),
                Some(kept) => {
                    let kept: Kept = serde_json::from_str(kept).map_err(never)?;
                    let mut ticket = kept.ticket;
                    let message = match kept.message {
                        Some(message) => message,
                        None => ticket.poll(account, &mut random).map_err(refused)?,
                    };
                    (ticket, message)
                }
            };
            if broken {
                return Err(later("no randomness"));
            }
            let exchange = post(&client, &server.url, message);
            let patience = Duration::from_secs(EXCHANGE_TIMEOUT_S);
            let answer = tokio::time::timeout(patience, exchange).await;
            let answer = answer.map_err(|_| later("the CMP server does not answer"))??;
            let mut random = || {
                let mut fresh = [0; 16];
                broken |= system.fill(&mut fresh).is_err();
                fresh
            };
            let step = ticket.answer(account, &answer, &mut random);
            let begun = order.ticket.is_some();
            let step = step.map_err(|error| match error {
                // An answer was lost when the service died: what the server has seen and what was stored differ.
                CmpError::Broken { .. } if begun => EnrolError::Anew(error.to_string()),
                other => refused(other),
            });
            let (message, check_after_s) = match step? {
                Step::Issued(chain) => return Ok(Progress::Issued(chain)),
                Step::Send(_) if broken => return Err(later("no randomness")),
                Step::Send(message) => (Some(message), 0),
                Step::Wait { check_after_s } => (None, check_after_s.max(CHECK_AFTER_MIN_S)),
            };
            let ticket = serde_json::to_string(&Kept { ticket, message }).map_err(never)?;
            Ok(Progress::Pending {
                ticket,
                check_after_s,
                detail: "the QTSP has the request".to_owned(),
            })
        })
    }

    fn patience(&self) -> SignedDuration {
        self.server.patience
    }
}

async fn post(
    client: &Client<HttpConnector, Full<Bytes>>,
    url: &http::Uri,
    message: Vec<u8>,
) -> Result<Vec<u8>, EnrolError> {
    let request = http::Request::post(url)
        .header(http::header::CONTENT_TYPE, "application/pkixcmp")
        .header(http::header::CONNECTION, "close")
        .body(Full::from(message))
        .map_err(never)?;
    let unreachable = |error| later(format!("the CMP server cannot be reached: {error}"));
    let response = client.request(request).await.map_err(unreachable)?;
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

/// A damaged or foreign answer may be an accident of the network; a refusal and another key are not.
fn refused(error: CmpError) -> EnrolError {
    match error {
        CmpError::Malformed(_) | CmpError::Foreign => later(error),
        _ => never(error),
    }
}

fn later(why: impl ToString) -> EnrolError {
    EnrolError::Later(why.to_string())
}

fn never(why: impl ToString) -> EnrolError {
    EnrolError::Never(why.to_string())
}
