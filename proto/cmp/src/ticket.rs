//! Where an exchange with a QTSP stands.
//!
//! In: a body to ask with, the server's answers. Out: what to send next, what came. A ticket is all that a restart needs;
//! it holds no secret. Never: an answer believed that is not protected, not of this exchange, or not to our last message.

use der::Tag;
use ring::digest;
use sealkeep_profiles::certificate::Certificate;
use serde::{Deserialize, Serialize};

use crate::body::{CERT_CONF, CP, ERROR, KUP, PKI_CONF, POLL_REP, POLL_REQ, RP};
use crate::protection::{Header, Outgoing, Peer, authenticate, message};
use crate::request::Body;
use crate::status::{self, Status};
use crate::wire::{Message, explicit, integer, octets, sequence};
use crate::{CmpError, Random};

/// Largest answer, bytes.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Most certificates in an answer.
const CERTIFICATES_MAX: usize = 8;
/// Longest wait a server may ask for, seconds.
pub const CHECK_AFTER_S_MAX: u32 = 24 * 3_600;

/// Where an exchange stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Phase {
    /// The request, or a question whether it is ready, was sent.
    Requested,
    /// The server works on it; the id is its name for the request.
    Waiting { id: i64 },
    /// The certificate came and its arrival is being confirmed; leaf first.
    Confirming { certificates: Vec<Vec<u8>> },
    /// A certificate for another key came, and is being refused.
    Refusing,
    /// A revocation was asked for.
    Revoking,
}

/// What has to be kept of an exchange; it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    transaction: [u8; 16],
    our_nonce: [u8; 16],
    their_nonce: Vec<u8>,
    spki_sha256: [u8; 32],
    phase: Phase,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this and give the answer to [`Ticket::answer`].
    Send(Outgoing),
    /// Come back with [`Ticket::poll`] after so many seconds.
    Wait {
        /// Seconds.
        check_after_s: u32,
    },
    /// Issued and confirmed: DER, leaf first.
    Issued(Vec<Vec<u8>>),
    /// Revoked.
    Revoked,
}

impl Ticket {
    /// Begins an exchange for a certificate, whose public key has this SubjectPublicKeyInfo hash.
    ///
    /// # Errors
    /// The certificate that is to sign cannot be read.
    pub fn request(
        peer: &Peer<'_>,
        body: Body,
        spki_sha256: [u8; 32],
        random: Random<'_>,
    ) -> Result<(Self, Outgoing), CmpError> {
        Self::begin(peer, body, spki_sha256, Phase::Requested, random)
    }

    /// Begins an exchange for a revocation.
    ///
    /// # Errors
    /// The certificate that is to sign cannot be read.
    pub fn revoke(
        peer: &Peer<'_>,
        body: Body,
        random: Random<'_>,
    ) -> Result<(Self, Outgoing), CmpError> {
        Self::begin(peer, body, [0; 32], Phase::Revoking, random)
    }

    fn begin(
        peer: &Peer<'_>,
        body: Body,
        spki_sha256: [u8; 32],
        phase: Phase,
        random: Random<'_>,
    ) -> Result<(Self, Outgoing), CmpError> {
        let mut ticket = Self {
            transaction: random(),
            our_nonce: random(),
            their_nonce: Vec::new(),
            spki_sha256,
            phase,
        };
        let message = ticket.message(peer, body.0, random)?;
        Ok((ticket, message))
    }

    /// Asks whether a request that waits is ready; also after a restart.
    ///
    /// # Errors
    /// The exchange does not wait.
    pub fn poll(&mut self, peer: &Peer<'_>, random: Random<'_>) -> Result<Outgoing, CmpError> {
        let Phase::Waiting { id } = self.phase else {
            return Err(CmpError::Foreign);
        };
        let body = sequence(&[sequence(&[integer(id)])]);
        self.message(peer, explicit(POLL_REQ, &body), random)
    }

    /// Takes an answer in.
    ///
    /// # Errors
    /// [`CmpError`]; the ticket is then as good as before only for an answer that is not believed.
    pub fn answer(
        &mut self,
        peer: &Peer<'_>,
        answer: &[u8],
        random: Random<'_>,
    ) -> Result<Step, CmpError> {
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(CmpError::Malformed("too large"));
        }
        let message = Message::read(answer)?;
        self.authenticate(peer, &message)?;
        match (message.kind, self.phase.clone()) {
            (ERROR | PKI_CONF, Phase::Refusing) => Err(CmpError::WrongKey),
            (ERROR, phase) => Err(self.error(&message, &phase)?),
            (CP | KUP, Phase::Requested | Phase::Waiting { .. }) => {
                self.issued(peer, &message, random)
            }
            (POLL_REP, Phase::Waiting { .. }) => wait(&message),
            (PKI_CONF, Phase::Confirming { certificates }) => Ok(Step::Issued(certificates)),
            (RP, Phase::Revoking) => revoked(&message),
            _ => Err(CmpError::Malformed("another body than was asked for")),
        }
    }

    /// The answer is from the QTSP, and to our last message.
    fn authenticate(&mut self, peer: &Peer<'_>, message: &Message<'_>) -> Result<(), CmpError> {
        authenticate(&peer.account.secret, peer.server_certificates, message)?;
        let ours = message.header(4) == Some(&self.transaction)
            && message.header(6) == Some(&self.our_nonce);
        if !ours {
            return Err(CmpError::Foreign);
        }
        self.their_nonce = message.header(5).unwrap_or_default().to_vec();
        Ok(())
    }

    /// ErrorMsgContent, RFC 9810 section 5.3.21: a refusal of the first message, the end of an exchange later.
    fn error(&self, message: &Message<'_>, phase: &Phase) -> Result<CmpError, CmpError> {
        let fields = message.body.fields()?;
        let refusal = status::refusal(fields.first());
        Ok(match phase {
            Phase::Requested | Phase::Revoking => refusal.into_error(),
            _ if refusal.passes => refusal.into_error(),
            _ => CmpError::Broken {
                words: refusal.words,
            },
        })
    }

    /// CertRepMessage, RFC 9810 section 5.3.4.
    fn issued(
        &mut self,
        peer: &Peer<'_>,
        message: &Message<'_>,
        random: Random<'_>,
    ) -> Result<Step, CmpError> {
        let malformed = CmpError::Malformed("certificate response");
        let fields = message.body.fields()?;
        let authorities = fields.iter().find(|field| field.context() == Some(1));
        let responses = fields.iter().find(|field| field.is(Tag::Sequence));
        let response = responses.ok_or(malformed.clone())?.inner()?.fields()?;
        let [id, status, rest @ ..] = response.as_slice() else {
            return Err(malformed);
        };
        let number = id.number()?;
        match status::read(status)? {
            Status::Granted => {}
            Status::Waiting => {
                self.phase = Phase::Waiting { id: number };
                return Ok(Step::Wait { check_after_s: 0 });
            }
            Status::Refused(refusal) => return Err(refusal.into_error()),
        }
        let pair = rest.first().ok_or(malformed.clone())?.fields()?;
        let certificate = pair.first().filter(|field| field.context() == Some(0));
        let leaf = certificate.ok_or(malformed)?.inner()?.whole.to_vec();
        let mut certificates = vec![leaf];
        certificates.extend(message.extra.iter().cloned());
        if let Some(authorities) = authorities {
            let each = authorities.inner()?.fields()?;
            certificates.extend(each.iter().map(|c| c.whole.to_vec()));
        }
        let mut seen = std::collections::HashSet::new();
        certificates.retain(|der| seen.insert(der.clone()));
        if certificates.len() > CERTIFICATES_MAX {
            return Err(CmpError::Malformed("too many certificates"));
        }
        self.confirm(peer, number, certificates, random)
    }

    /// CertConfirmContent, RFC 9810 section 5.3.18: yes, or no with a reason.
    fn confirm(
        &mut self,
        peer: &Peer<'_>,
        id: i64,
        certificates: Vec<Vec<u8>>,
        random: Random<'_>,
    ) -> Result<Step, CmpError> {
        let leaf = Certificate::from_der(&certificates[0]);
        let leaf = leaf.map_err(|_| CmpError::Malformed("certificate"))?;
        let hash = digest::digest(hash_of(&leaf), leaf.der());
        let mut status = vec![octets(hash.as_ref()), integer(id)];
        self.phase = match leaf.public_key().spki_sha256() == self.spki_sha256 {
            true => Phase::Confirming { certificates },
            false => {
                status.push(status::plain(status::REJECTION));
                Phase::Refusing
            }
        };
        let body = explicit(CERT_CONF, &sequence(&[sequence(&status)]));
        Ok(Step::Send(self.message(peer, body, random)?))
    }

    fn message(
        &mut self,
        peer: &Peer<'_>,
        body: Vec<u8>,
        random: Random<'_>,
    ) -> Result<Outgoing, CmpError> {
        self.our_nonce = random();
        let header = Header {
            transaction: &self.transaction,
            our_nonce: &self.our_nonce,
            their_nonce: &self.their_nonce,
        };
        message(peer.account, peer.speaker, &header, body, random)
    }
}

/// PollRepContent, RFC 9810 section 5.3.22.
fn wait(message: &Message<'_>) -> Result<Step, CmpError> {
    let fields = message.body.inner()?.fields()?;
    let check_after = fields.get(1).ok_or(CmpError::Malformed("poll response"))?;
    let seconds = u32::try_from(check_after.number()?).unwrap_or(u32::MAX);
    Ok(Step::Wait {
        check_after_s: seconds.min(CHECK_AFTER_S_MAX),
    })
}

/// RevRepContent, RFC 9810 section 5.3.10.
fn revoked(message: &Message<'_>) -> Result<Step, CmpError> {
    let malformed = CmpError::Malformed("revocation response");
    let fields = message.body.fields()?;
    let statuses = fields.first().ok_or(malformed.clone())?.inner()?;
    match status::read(&statuses)? {
        Status::Granted => Ok(Step::Revoked),
        Status::Waiting => Err(malformed),
        // The answer to an earlier request was lost.
        Status::Refused(refusal) if refusal.is_revoked => Ok(Step::Revoked),
        Status::Refused(refusal) => Err(refusal.into_error()),
    }
}

/// The hash of the certificate's own signature algorithm (RFC 9810 section 5.3.18), SHA-256 where that names none.
fn hash_of(leaf: &Certificate) -> &'static digest::Algorithm {
    match leaf.signature_algorithm().as_deref() {
        Some("1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3") => &digest::SHA384,
        Some("1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4") => &digest::SHA512,
        _ => &digest::SHA256,
    }
}
