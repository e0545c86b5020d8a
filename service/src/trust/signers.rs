//! Who may sign a list: keys, taken from certificates.
//!
//! In: certificates that the operator pinned, or that the list of the lists points at. Out: [`Signer`]. A certificate is
//! only how a key is written down here: it may have ended, and it may be of a kind that no bank would take, as the keys for
//! RSASSA-PSS alone (RFC 4055) that sign the German list. Never: a chain.

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Encode, Sequence};
use sealkeep_profiles::algorithm::PublicKey;
use x509_parser::prelude::{FromDer, X509Certificate};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-RSASSA-PSS.
const RSASSA_PSS: &str = "1.2.840.113549.1.1.10";

/// A key, and the name that came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The subject of its certificate, for people.
    pub subject: String,
    /// The key.
    pub key: PublicKey,
}

#[derive(Sequence)]
struct Algorithm<'a> {
    oid: ObjectIdentifier,
    parameters: AnyRef<'a>,
}

#[derive(Sequence)]
struct Spki<'a> {
    algorithm: Algorithm<'a>,
    key: BitStringRef<'a>,
}

impl Signer {
    /// The signer of a certificate, DER.
    ///
    /// # Errors
    /// In words: not a certificate, or a key that verifies nothing here.
    pub fn from_certificate(der: &[u8]) -> Result<Self, String> {
        let (_, x509) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let spki = x509.public_key();
        let key = match spki.algorithm.algorithm.to_id_string().as_str() {
            RSASSA_PSS => any_rsa(&spki.subject_public_key.data)?,
            _ => PublicKey::from_spki_der(spki.raw).map_err(|error| error.to_string())?,
        };
        Ok(Self {
            subject: x509.subject().to_string(),
            key,
        })
    }

    /// The signers of PEM text.
    ///
    /// # Errors
    /// In words: no certificate, or one that is no signer.
    pub fn from_pem(pem: &[u8]) -> Result<Vec<Self>, String> {
        use rustls_pki_types::CertificateDer;
        use rustls_pki_types::pem::PemObject;
        let each = CertificateDer::pem_slice_iter(pem).map(|der| {
            let der = der.map_err(|error| error.to_string())?;
            Self::from_certificate(&der)
        });
        let signers: Vec<_> = each.collect::<Result<_, _>>()?;
        match signers.is_empty() {
            true => Err("the file holds no certificate".to_owned()),
            false => Ok(signers),
        }
    }
}

/// The key as one without a stated scheme; the signature says which one it used.
fn any_rsa(rsa_public_key: &[u8]) -> Result<PublicKey, String> {
    let words = |error: der::Error| error.to_string();
    let spki = Spki {
        algorithm: Algorithm {
            oid: RSA_ENCRYPTION,
            parameters: AnyRef::NULL,
        },
        key: BitStringRef::from_bytes(rsa_public_key).map_err(words)?,
    };
    let der = spki.to_der().map_err(words)?;
    PublicKey::from_spki_der(&der).map_err(|error| error.to_string())
}
