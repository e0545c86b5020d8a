//! Who speaks, and how the other is sure of it (RFC 9810 section 5.1.3).
//!
//! In: a body. Out: a PKIMessage around it, protected by a shared secret, or to be signed by the key of a certificate that
//! the QTSP issued before. And the other way round: whether an answer is from the QTSP. Never: a private key.

use sealkeep_profiles::certificate::Certificate;
use secrecy::SecretString;

use crate::mac::{self, Protection};
use crate::quoted::{certificate_subject, subject_key_identifier};
use crate::wire::{Message, SEQUENCE, bits, explicit, integer, octets, sequence, tlv};
use crate::{CmpError, Random, signature};

/// cmp2000, the version of messages without EnvelopedData (RFC 9810 section 7).
const PVNO: i64 = 2;

/// How the QTSP knows us.
#[derive(Debug, Clone)]
pub struct Account {
    /// The reference value that goes with the secret.
    pub reference: String,
    /// The shared secret.
    pub secret: SecretString,
}

/// Both sides of an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// What the QTSP gave out.
    pub account: &'a Account,
    /// The certificates by which its server signs answers; none when it answers by the secret alone.
    pub server_certificates: &'a [Certificate],
    /// How our messages are protected.
    pub speaker: Speaker<'a>,
}

/// How messages are protected.
#[derive(Debug, Clone, Copy)]
pub enum Speaker<'a> {
    /// By the secret of the account.
    Secret,
    /// By the key of a certificate, which is sent along with its issuers; DER, leaf first.
    Certificate {
        /// The certificate and its issuers.
        chain: &'a [Vec<u8>],
        /// The AlgorithmIdentifier of the signature, DER.
        algorithm: &'a [u8],
    },
}

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// Send it.
    Ready(Vec<u8>),
    /// A key must sign it first.
    Unsigned(Unsigned),
}

/// A message that lacks its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    header: Vec<u8>,
    body: Vec<u8>,
    extra: Vec<u8>,
}

impl Unsigned {
    /// What has to be signed: SEQUENCE { header, body }.
    pub fn input(&self) -> Vec<u8> {
        sequence(&[self.header.clone(), self.body.clone()])
    }

    /// The whole message; the signature is as X.509 carries it.
    pub fn signed(self, signature: &[u8]) -> Vec<u8> {
        let protection = explicit(0, &bits(signature));
        sequence(&[self.header, self.body, protection, self.extra])
    }
}

/// What a header says beside who speaks.
pub(crate) struct Header<'a> {
    pub(crate) transaction: &'a [u8],
    pub(crate) our_nonce: &'a [u8],
    /// Empty in the first message.
    pub(crate) their_nonce: &'a [u8],
}

/// PKIMessage around a body.
pub(crate) fn message(
    account: &Account,
    speaker: Speaker<'_>,
    header: &Header<'_>,
    body: Vec<u8>,
    random: Random<'_>,
) -> Result<Outgoing, CmpError> {
    // Whoever has no certificate has no name yet (RFC 9810 section 5.1.1): an empty directoryName.
    let nobody = explicit(4, &sequence(&[]));
    let about = |sender: Vec<u8>, algorithm: &[u8], key_id: Option<&[u8]>| {
        let mut fields = vec![
            integer(PVNO),
            sender,
            nobody.clone(),
            explicit(1, algorithm),
        ];
        fields.extend(key_id.map(|id| explicit(2, &octets(id))));
        fields.push(explicit(4, &octets(header.transaction)));
        fields.push(explicit(5, &octets(header.our_nonce)));
        if !header.their_nonce.is_empty() {
            fields.push(explicit(6, &octets(header.their_nonce)));
        }
        sequence(&fields)
    };
    match speaker {
        Speaker::Secret => {
            let protection = Protection::new(&account.secret, &random());
            let reference = Some(account.reference.as_bytes());
            let header = about(nobody.clone(), protection.algorithm(), reference);
            let mac = protection.mac(&sequence(&[header.clone(), body.clone()]));
            let mac = explicit(0, &bits(mac.as_ref()));
            Ok(Outgoing::Ready(sequence(&[header, body, mac])))
        }
        Speaker::Certificate { chain, algorithm } => {
            let leaf = chain.first().ok_or(CmpError::Malformed("certificate"))?;
            let sender = explicit(4, certificate_subject(leaf)?);
            Ok(Outgoing::Unsigned(Unsigned {
                header: about(sender, algorithm, subject_key_identifier(leaf)?),
                body,
                extra: explicit(1, &tlv(SEQUENCE, &chain.concat())),
            }))
        }
    }
}

/// Whether a message is from somebody who knows the secret or has the key of one of these certificates.
pub(crate) fn authenticate(
    secret: &SecretString,
    certificates: &[Certificate],
    message: &Message<'_>,
) -> Result<(), CmpError> {
    let (Some(algorithm), Some(protection)) = (message.header(1), &message.protection) else {
        return Err(CmpError::Unprotected);
    };
    if mac::is_password_based(algorithm) {
        return mac::verify(secret, algorithm, &message.protected, protection);
    }
    let by = |certificate: &Certificate| {
        let key = certificate.public_key();
        signature::verify(key, algorithm, &message.protected, protection).is_ok()
    };
    match certificates.iter().any(by) {
        true => Ok(()),
        false => Err(CmpError::Unprotected),
    }
}
