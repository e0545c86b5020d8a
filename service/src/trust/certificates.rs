//! The certificates of a digital identity.
//!
//! In: ServiceDigitalIdentity, or base64 of DER that was stored. Out: those that can be read. Never: a list lost over
//! one certificate. Serves ETSI TS 119 612 clause 5.5.3.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roxmltree::Node;
use sealkeep_profiles::certificate::Certificate;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::list::Skipped;
use super::xml::{self, TSL};

/// The readable certificates of one identity; the others are counted.
pub(super) fn read(identity: Node<'_, '_>, of: &str, skipped: &mut Skipped) -> Vec<Certificate> {
    let mut certificates = Vec::new();
    for der in ders(identity, of, skipped) {
        match Certificate::from_der(&der) {
            Ok(certificate) => certificates.push(certificate),
            Err(error) => skipped.push(of, error),
        }
    }
    certificates
}

/// What should be the certificates of one identity, DER.
pub(super) fn ders(identity: Node<'_, '_>, of: &str, skipped: &mut Skipped) -> Vec<Vec<u8>> {
    let ids = xml::children(identity, TSL, "DigitalId");
    let texts = ids.filter_map(|id| xml::child(id, TSL, "X509Certificate").map(xml::text));
    let decode = |text: &str| {
        let der = xml::base64(text);
        if der.is_none() {
            skipped.push(of, "a certificate is not base64");
        }
        der
    };
    texts.filter_map(decode).collect()
}

/// For the store: base64 of the DER.
pub(super) fn serialize<S: Serializer>(
    certificates: &[Certificate],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let texts: Vec<_> = certificates
        .iter()
        .map(|certificate| STANDARD.encode(certificate.der()))
        .collect();
    texts.serialize(serializer)
}

/// What [`serialize`] wrote.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Certificate>, D::Error> {
    use serde::de::Error;
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: &String| {
        let der = STANDARD.decode(text).map_err(D::Error::custom)?;
        Certificate::from_der(&der).map_err(D::Error::custom)
    };
    texts.iter().map(parse).collect()
}
