//! The other side, as much of it as a pretend QTSP needs.
//!
//! In: a message of a TPP. Out: what it asks for, and the message that answers it. Pure, like the rest; whom to believe,
//! what to issue and what to remember are the caller's.

use der::Tag;
use sealkeep_profiles::algorithm::PublicKey;
use sealkeep_profiles::certificate::Certificate;

use crate::body::{CERT_CONF, CP, ERROR, KUP, KUR, P10CR, PKI_CONF, POLL_REP, POLL_REQ, RP, RR};
use crate::protection::{Account, Header, Outgoing, Speaker, authenticate, message};
use crate::quoted::certificate_serial;
use crate::request::{REASON_CODE, Reason};
use crate::status::{self, Status};
use crate::wire::{Frame, Message, explicit, integer, null, sequence};
use crate::{CmpError, Random, mac, signature};

/// Largest message, bytes.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// The certReqId of a PKCS#10 request, RFC 9810 section 5.3.4.
const PKCS10_ID: i64 = -1;
/// The certReqId of a renewal: we ask for one at a time.
const UPDATE_ID: i64 = 0;
/// What has no certificate in it.
const EMPTY: &Vec<u8> = &Vec::new();

/// What a TPP asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A certificate for a PKCS#10 request, DER; its signature is the caller's to check.
    Certificate(Vec<u8>),
    /// A certificate for another key; the new key has proven itself.
    Update {
        /// Name, DER.
        subject: Vec<u8>,
        /// SubjectPublicKeyInfo, DER.
        public_key: Vec<u8>,
        /// The content of the Extensions that are asked for.
        extensions: Option<Vec<u8>>,
    },
    /// That a certificate is revoked.
    Revocation {
        /// The content of its serial number.
        serial: Vec<u8>,
        /// Why.
        reason: Reason,
    },
    /// Whether a request is ready.
    Poll {
        /// The name of the request within the exchange.
        id: i64,
    },
    /// That the certificate came, and whether it is liked.
    Confirmation {
        /// No: the TPP refuses it.
        accepted: bool,
    },
}

/// A message of a TPP that was believed.
#[derive(Debug, Clone)]
pub struct Request {
    /// The name of the exchange.
    pub transaction: Vec<u8>,
    /// What is asked for.
    pub ask: Ask,
    /// The certificates that were sent along, DER.
    pub extra: Vec<Vec<u8>>,
    /// Whether it was signed, and not protected by the secret.
    pub is_signed: bool,
    nonce: Vec<u8>,
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Reply<'a> {
    /// The certificate and its issuers, DER.
    Issued {
        /// Leaf first.
        chain: &'a [Vec<u8>],
        /// Whether it answers a renewal.
        update: bool,
    },
    /// Not yet.
    Waiting {
        /// Whether it answers a renewal.
        update: bool,
    },
    /// Still not.
    AskAgain {
        /// The name of the request within the exchange.
        id: i64,
        /// When, seconds.
        check_after_s: u32,
    },
    /// The exchange is over.
    Confirmed,
    /// The certificate is revoked.
    Revoked,
    /// No.
    Refused {
        /// Why.
        words: &'a str,
        /// The name of a bit of PKIFailureInfo.
        failure: &'a str,
    },
}

impl Request {
    /// Reads a message that is protected by the secret of the account, or by the key of the first certificate sent along
    /// when `trusts` says that it is one of ours.
    ///
    /// # Errors
    /// [`CmpError`]; whoever sent it gets what [`turned_away`] makes.
    pub fn read(
        account: &Account,
        trusts: impl Fn(&Certificate) -> bool,
        bytes: &[u8],
    ) -> Result<Self, CmpError> {
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(CmpError::Malformed("too large"));
        }
        let message = Message::read(bytes)?;
        let signer = message.extra.first();
        let signer = signer.and_then(|der| Certificate::from_der(der).ok());
        let signer: Vec<_> = signer.filter(trusts).into_iter().collect();
        authenticate(&account.secret, &signer, &message)?;
        let algorithm = message.header(1).unwrap_or_default();
        let field = |number| message.header(number).unwrap_or_default().to_vec();
        Ok(Self {
            transaction: field(4),
            nonce: field(5),
            is_signed: !mac::is_password_based(algorithm),
            ask: ask(message.kind, &message.body)?,
            extra: message.extra,
        })
    }

    /// The message that answers this one.
    ///
    /// # Errors
    /// The certificate that is to sign cannot be read.
    pub fn reply(
        &self,
        account: &Account,
        speaker: Speaker<'_>,
        reply: &Reply<'_>,
        random: Random<'_>,
    ) -> Result<Outgoing, CmpError> {
        let nonce = random();
        let header = Header {
            transaction: &self.transaction,
            our_nonce: &nonce,
            their_nonce: &self.nonce,
        };
        message(account, speaker, &header, self.body(reply), random)
    }

    fn body(&self, reply: &Reply<'_>) -> Vec<u8> {
        match reply {
            Reply::Issued { chain, update } => {
                let (kind, id) = answers(*update);
                let (leaf, issuers) = chain.split_first().unwrap_or((EMPTY, &[]));
                let pair = sequence(&[explicit(0, leaf)]);
                let response = sequence(&[integer(id), status::plain(status::GRANTED[0]), pair]);
                let authorities = explicit(1, &sequence(issuers));
                explicit(kind, &sequence(&[authorities, sequence(&[response])]))
            }
            Reply::Waiting { update } => {
                let (kind, id) = answers(*update);
                let response = sequence(&[integer(id), status::plain(status::WAITING)]);
                explicit(kind, &sequence(&[sequence(&[response])]))
            }
            Reply::AskAgain { id, check_after_s } => {
                let when = sequence(&[integer(*id), integer(i64::from(*check_after_s))]);
                explicit(POLL_REP, &sequence(&[when]))
            }
            Reply::Confirmed => explicit(PKI_CONF, &null()),
            Reply::Revoked => {
                let granted = status::plain(status::GRANTED[0]);
                explicit(RP, &sequence(&[sequence(&[granted])]))
            }
            Reply::Refused { words, failure } => {
                let status = status::refuse(words, failure);
                match self.ask {
                    Ask::Revocation { .. } => explicit(RP, &sequence(&[sequence(&[status])])),
                    _ => explicit(ERROR, &sequence(&[status])),
                }
            }
        }
    }
}

/// The answer to a message that is not believed: badMessageCheck, under the secret of the account. Whoever knows another
/// secret does not believe it either, and learns that way.
///
/// # Errors
/// It is no message.
pub fn turned_away(
    account: &Account,
    bytes: &[u8],
    random: Random<'_>,
) -> Result<Outgoing, CmpError> {
    let read = Message::read(bytes)?;
    let nonce = random();
    let header = Header {
        transaction: read.header(4).unwrap_or_default(),
        our_nonce: &nonce,
        their_nonce: read.header(5).unwrap_or_default(),
    };
    let status = status::refuse("the message is not believed", "badMessageCheck");
    let body = explicit(ERROR, &sequence(&[status]));
    message(account, Speaker::Secret, &header, body, random)
}

/// The content of the serial number of a certificate, as [`Ask::Revocation`] names it.
///
/// # Errors
/// It is no certificate.
pub fn serial_of(certificate: &[u8]) -> Result<Vec<u8>, CmpError> {
    // Tag and length come first; a number of so few bytes has a short length.
    Ok(certificate_serial(certificate)?
        .get(2..)
        .unwrap_or_default()
        .to_vec())
}

/// The body and the certReqId that answer a request or a renewal.
fn answers(update: bool) -> (u16, i64) {
    match update {
        true => (KUP, UPDATE_ID),
        false => (CP, PKCS10_ID),
    }
}

fn ask(kind: u16, body: &Frame<'_>) -> Result<Ask, CmpError> {
    let malformed = || CmpError::Malformed("request");
    let first = || -> Result<Frame<'_>, CmpError> {
        body.fields()?.into_iter().next().ok_or_else(malformed)
    };
    match kind {
        P10CR => Ok(Ask::Certificate(body.whole.to_vec())),
        KUR => update(&first()?),
        RR => {
            let details = first()?.fields()?;
            let template = details.first().ok_or_else(malformed)?.fields()?;
            let serial = template
                .iter()
                .find(|field| field.context_number() == Some(1));
            let serial = serial.ok_or_else(malformed)?.any.value().to_vec();
            let reason = reason(details.get(1))?;
            Ok(Ask::Revocation { serial, reason })
        }
        POLL_REQ => {
            let id = first()?.fields()?.first().ok_or_else(malformed)?.number()?;
            Ok(Ask::Poll { id })
        }
        CERT_CONF => {
            // No status, or one that grants, is a yes (RFC 9810 section 5.3.18).
            let statuses = first()?.fields()?;
            let status = statuses.iter().find(|field| field.is(Tag::Sequence));
            let status = status.map(status::read).transpose()?;
            let accepted = matches!(status, None | Some(Status::Granted));
            Ok(Ask::Confirmation { accepted })
        }
        _ => Err(CmpError::Malformed("a body that is not answered here")),
    }
}

/// crlEntryDetails, as far as it says why; reasons that we do not know are none.
fn reason(details: Option<&Frame<'_>>) -> Result<Reason, CmpError> {
    let extensions = details.map(|details| details.fields()).transpose()?;
    for extension in extensions.unwrap_or_default() {
        let parts = extension.fields()?;
        if parts.first().is_some_and(|p| p.is_object(&REASON_CODE)) {
            let code = parts.last().and_then(|value| value.any.value().last());
            let known = Reason::ALL
                .into_iter()
                .find(|known| Some(&known.code()) == code);
            return Ok(known.unwrap_or(Reason::Unspecified));
        }
    }
    Ok(Reason::Unspecified)
}

/// CertReqMsg, RFC 4211 section 3; the signature over its CertRequest is by the key in its template (section 4.1).
fn update(message: &Frame<'_>) -> Result<Ask, CmpError> {
    let malformed = || CmpError::Malformed("certificate template");
    let fields = message.fields()?;
    let [request, proof, ..] = fields.as_slice() else {
        return Err(malformed());
    };
    let parts = request.fields()?;
    let template = parts.get(1).ok_or_else(malformed)?.fields()?;
    let part = |number| {
        template
            .iter()
            .find(|field| field.context_number() == Some(number))
    };
    let subject = part(5).ok_or_else(malformed)?.inner()?.whole.to_vec();
    let public_key = sequence(&[part(6).ok_or_else(malformed)?.any.value().to_vec()]);
    let extensions = part(9).map(|content| content.any.value().to_vec());
    let proof = proof.fields()?;
    let [algorithm, signature] = proof.as_slice() else {
        return Err(malformed());
    };
    let key = PublicKey::from_spki_der(&public_key).map_err(|_| malformed())?;
    let bits = signature
        .any
        .value()
        .strip_prefix(&[0])
        .ok_or_else(malformed)?;
    signature::verify(&key, algorithm.any.value(), request.whole, bits)?;
    Ok(Ask::Update {
        subject,
        public_key,
        extensions,
    })
}
