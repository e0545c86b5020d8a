//! Enrolment by CMP (RFC 9810, RFC 4210): a PKCS#10 request to a QTSP's server, protected by a shared secret.
//!
//! In: a request, the secret, the server's answers. Out: messages to send, a [`Ticket`] to keep, in the end certificates.
//! Pure: no network, no clock, no randomness of its own. Never: a key; the request was signed by the token.
//!
//! ```text
//! begin ── p10cr ──▶ server ── cp ──▶ answer ─┬─ waiting: keep the ticket, later `poll`
//!                                            ├─ rejected: told with the server's words
//!                                            └─ certificate: `certConf`, and `pkiConf` ends it
//! ```
//! A ticket is all that a restart needs; it holds no secret. Bodies are told apart by their tags (RFC 9810 section 5.1.2).
//! The frames are read and written here: the MAC is over the bytes as they were sent, which a decoder that encodes again
//! does not give back.

mod mac;
mod wire;

use der::Tag;

use ring::digest;
use sealkeep_profiles::certificate::Certificate;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use mac::Protection;
use wire::{Frame, Message, bits, explicit, integer, octets, sequence};

/// Largest answer, bytes.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Most certificates in an answer.
const CERTIFICATES_MAX: usize = 8;
/// Longest wait a server may ask for, seconds.
pub const CHECK_AFTER_S_MAX: u32 = 24 * 3_600;
/// Most words of a server that are kept, characters.
const WORDS_CHARS_MAX: usize = 300;

const CP: u16 = 3;
const P10CR: u8 = 4;
const PKI_CONF: u16 = 19;
const ERROR: u16 = 23;
const CERT_CONF: u8 = 24;
const POLL_REQ: u8 = 25;
const POLL_REP: u16 = 26;
/// cmp2000, the version of PBM messages without EnvelopedData (RFC 9810 section 7).
const PVNO: i64 = 2;
/// PKIStatus, RFC 9810 section 5.2.3.
const STATUS_REJECTION: i64 = 2;

/// Why an exchange ended without a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CmpError {
    /// The answer is not what RFC 9810 lays out.
    #[error("the CMP server's answer cannot be read: {0}")]
    Malformed(&'static str),
    /// The answer is not protected by the shared secret, so anybody may have sent it.
    #[error(
        "the CMP server's answer is not protected by the shared secret; check secret and reference"
    )]
    Unprotected,
    /// The answer belongs to another exchange.
    #[error("the CMP server's answer belongs to another exchange")]
    Foreign,
    /// The server said no.
    #[error("the CMP server refused: {words}")]
    Rejected {
        /// Its status and words.
        words: String,
    },
    /// The server does not go on with this exchange, for example because an answer of it was lost.
    #[error("the CMP server ended the exchange: {words}")]
    Broken {
        /// Its status and words.
        words: String,
    },
    /// The certificate is for another key; the server was told.
    #[error("the CMP server certified another key than that of the request; it was told so")]
    WrongKey,
}

impl CmpError {
    /// The stable reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "CMP_MALFORMED",
            Self::Unprotected => "CMP_UNPROTECTED",
            Self::Foreign => "CMP_FOREIGN",
            Self::Rejected { .. } => "CMP_REJECTED",
            Self::Broken { .. } => "CMP_BROKEN",
            Self::WrongKey => "CMP_WRONG_KEY",
        }
    }
}

/// How the QTSP knows us.
#[derive(Debug, Clone)]
pub struct Account {
    /// The reference value that goes with the secret.
    pub reference: String,
    /// The shared secret.
    pub secret: SecretString,
}

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
    Send(Vec<u8>),
    /// Come back with [`Ticket::poll`] after so many seconds.
    Wait {
        /// Seconds.
        check_after_s: u32,
    },
    /// Issued and confirmed: DER, leaf first.
    Issued(Vec<Vec<u8>>),
}

/// Where 16 fresh random bytes come from.
pub type Random<'a> = &'a mut dyn FnMut() -> [u8; 16];

/// Begins an exchange for a request, whose public key has this SubjectPublicKeyInfo hash.
pub fn begin(
    account: &Account,
    csr_der: &[u8],
    spki_sha256: [u8; 32],
    random: Random<'_>,
) -> (Ticket, Vec<u8>) {
    let mut ticket = Ticket {
        transaction: random(),
        our_nonce: random(),
        their_nonce: Vec::new(),
        spki_sha256,
        phase: Phase::Requested,
    };
    let message = ticket.message(account, &explicit(P10CR, csr_der), random);
    (ticket, message)
}

impl Ticket {
    /// Asks whether a request that waits is ready; also after a restart.
    pub fn poll(&mut self, account: &Account, random: Random<'_>) -> Result<Vec<u8>, CmpError> {
        let Phase::Waiting { id } = self.phase else {
            return Err(CmpError::Foreign);
        };
        let body = sequence(&[sequence(&[integer(id)])]);
        Ok(self.message(account, &explicit(POLL_REQ, &body), random))
    }

    /// Takes an answer in.
    pub fn answer(
        &mut self,
        account: &Account,
        answer: &[u8],
        random: Random<'_>,
    ) -> Result<Step, CmpError> {
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(CmpError::Malformed("too large"));
        }
        let message = Message::read(answer)?;
        self.authenticate(account, &message)?;
        match (message.kind, self.phase.clone()) {
            (ERROR | PKI_CONF, Phase::Refusing) => Err(CmpError::WrongKey),
            (ERROR, _) => Err(CmpError::Broken {
                words: words(message.body.fields()?.first()),
            }),
            (CP, Phase::Requested | Phase::Waiting { .. }) => {
                self.issued(account, &message, random)
            }
            (POLL_REP, Phase::Waiting { .. }) => self.wait(&message),
            (PKI_CONF, Phase::Confirming { certificates }) => Ok(Step::Issued(certificates)),
            _ => Err(CmpError::Malformed("another body than was asked for")),
        }
    }

    /// The answer is from whoever knows the secret, and to our last message.
    fn authenticate(&mut self, account: &Account, message: &Message<'_>) -> Result<(), CmpError> {
        let (Some(algorithm), Some(mac)) = (message.header(1), &message.mac) else {
            return Err(CmpError::Unprotected);
        };
        mac::verify(&account.secret, algorithm, &message.protected, mac)?;
        let ours = message.header(4) == Some(&self.transaction)
            && message.header(6) == Some(&self.our_nonce);
        if !ours {
            return Err(CmpError::Foreign);
        }
        self.their_nonce = message.header(5).unwrap_or_default().to_vec();
        Ok(())
    }

    /// CertRepMessage, RFC 9810 section 5.3.4.
    fn issued(
        &mut self,
        account: &Account,
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
        let code = status.fields()?;
        match code.first().ok_or(malformed.clone())?.number()? {
            0 | 1 => {}
            3 => {
                self.phase = Phase::Waiting { id: number };
                return Ok(Step::Wait { check_after_s: 0 });
            }
            _ => {
                let words = words(Some(status));
                return Err(CmpError::Rejected { words });
            }
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
        self.confirm(account, number, certificates, random)
    }

    /// CertConfirmContent, RFC 9810 section 5.3.18: yes, or no with a reason.
    fn confirm(
        &mut self,
        account: &Account,
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
                status.push(sequence(&[integer(STATUS_REJECTION)]));
                Phase::Refusing
            }
        };
        let body = sequence(&[sequence(&status)]);
        Ok(Step::Send(self.message(
            account,
            &explicit(CERT_CONF, &body),
            random,
        )))
    }

    /// PollRepContent, RFC 9810 section 5.3.22.
    fn wait(&mut self, message: &Message<'_>) -> Result<Step, CmpError> {
        let fields = message.body.inner()?.fields()?;
        let check_after = fields.get(1).ok_or(CmpError::Malformed("poll response"))?;
        let seconds = u32::try_from(check_after.number()?).unwrap_or(u32::MAX);
        Ok(Step::Wait {
            check_after_s: seconds.min(CHECK_AFTER_S_MAX),
        })
    }

    /// PKIMessage around a body, with a new nonce.
    fn message(&mut self, account: &Account, body: &[u8], random: Random<'_>) -> Vec<u8> {
        self.our_nonce = random();
        let protection = Protection::new(&account.secret, &random());
        // Neither side has a name before the certificate exists (RFC 9810 section 5.1.1): an empty directoryName.
        let nobody = explicit(4, &sequence(&[]));
        let mut header = vec![
            integer(PVNO),
            nobody.clone(),
            nobody,
            explicit(1, protection.algorithm()),
            explicit(2, &octets(account.reference.as_bytes())),
            explicit(4, &octets(&self.transaction)),
            explicit(5, &octets(&self.our_nonce)),
        ];
        if !self.their_nonce.is_empty() {
            header.push(explicit(6, &octets(&self.their_nonce)));
        }
        let header = sequence(&header);
        let mac = protection.mac(&sequence(&[header.clone(), body.to_vec()]));
        let mac = explicit(0, &bits(mac.as_ref()));
        sequence(&[header, body.to_vec(), mac])
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

/// PKIStatusInfo in words: the server's own, then the names of the failure bits.
fn words(status: Option<&Frame<'_>>) -> String {
    let fields = status.and_then(|status| status.fields().ok());
    let fields = fields.unwrap_or_default();
    let mut words = Vec::new();
    for field in fields.iter().filter(|field| field.is(Tag::Sequence)) {
        for text in field.fields().unwrap_or_default() {
            words.push(String::from_utf8_lossy(text.any.value()).into_owned());
        }
    }
    for field in fields.iter().filter(|field| field.is(Tag::BitString)) {
        let bits = field.any.value().get(1..).unwrap_or_default();
        let set = |at: &usize| {
            bits.get(at / 8)
                .is_some_and(|b| b & (0x80 >> (at % 8)) != 0)
        };
        let names = (0..FAILURES.len())
            .filter(set)
            .map(|at| FAILURES[at].to_owned());
        words.extend(names);
    }
    if words.is_empty() {
        words.push("without a reason".to_owned());
    }
    let words = words.join(", ").replace(char::is_control, " ");
    words.chars().take(WORDS_CHARS_MAX).collect()
}

/// PKIFailureInfo by bit, RFC 9810 section 5.2.3.
const FAILURES: [&str; 27] = [
    "badAlg",
    "badMessageCheck",
    "badRequest",
    "badTime",
    "badCertId",
    "badDataFormat",
    "wrongAuthority",
    "incorrectData",
    "missingTimeStamp",
    "badPOP",
    "certRevoked",
    "certConfirmed",
    "wrongIntegrity",
    "badRecipientNonce",
    "timeNotAvailable",
    "unacceptedPolicy",
    "unacceptedExtension",
    "addInfoNotAvailable",
    "badSenderNonce",
    "badCertTemplate",
    "signerNotTrusted",
    "transactionIdInUse",
    "unsupportedVersion",
    "notAuthorized",
    "systemUnavail",
    "systemFailure",
    "duplicateCertReq",
];

#[cfg(test)]
mod tests;
