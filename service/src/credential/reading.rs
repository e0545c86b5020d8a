//! Reading what a QTSP delivered: PEM, DER, or a PKCS#7 bag of certificates (`.p7b`, `.p7c`).
//!
//! In: a file's bytes. Out: certificates, the leaf first and each followed by its issuer, and what did not belong.
//! Pure. Never: a repaired certificate; the bytes stay as the QTSP signed them.
//!
//! A degenerate SignedData (RFC 5652 section 5.1: certificates, no signer) is read by its frames only. Its certificates are
//! a SET, so the order in it means nothing, and they are not decoded and encoded again on the way.

use base64::Engine;
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use sealkeep_profiles::certificate::{Certificate, CertificateError};

/// Largest delivery, bytes.
pub(super) const DELIVERY_BYTES_MAX: usize = 64 * 1024;
/// Most certificates in a delivery.
pub(super) const CERTIFICATES_MAX: usize = 8;
/// RFC 5652 section 5.1, id-signedData.
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// RFC 7468 section 8, and the older word that OpenSSL writes.
const PKCS7_LABELS: [&str; 2] = ["CMS", "PKCS7"];

/// Why a delivery is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// More than a chain can be.
    #[error("more than {DELIVERY_BYTES_MAX} bytes; send the certificate and its issuers only")]
    TooLarge,
    /// More certificates than a chain has.
    #[error("more than {CERTIFICATES_MAX} certificates; send the certificate and its issuers only")]
    TooMany,
    /// Neither text nor DER.
    #[error("neither PEM nor DER of a certificate or a PKCS#7 bag")]
    Unknown,
    /// Not a PKCS#7 bag of certificates.
    #[error("PKCS#7: {0}")]
    Pkcs7(&'static str),
    /// A certificate does not parse.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A chain in its order.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Leaf first, each followed by its issuer; never empty.
    pub(super) chain: Vec<Certificate>,
    /// What has no place in the chain.
    pub(super) extra: Vec<Certificate>,
}

/// Reads a delivery for the key with this SubjectPublicKeyInfo hash.
pub(super) fn read(bytes: &[u8], spki_sha256: &[u8; 32]) -> Result<Delivery, Unreadable> {
    if bytes.len() > DELIVERY_BYTES_MAX {
        return Err(Unreadable::TooLarge);
    }
    let certificates = match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
        None => return Err(Unreadable::Empty),
        // A SEQUENCE; no text begins with a digit zero and is PEM.
        Some(0x30) if Certificate::from_der(bytes).is_ok() => vec![Certificate::from_der(bytes)?],
        Some(0x30) => bag(bytes)?,
        Some(_) => match armoured_bag(bytes)? {
            Some(der) => bag(&der)?,
            None if std::str::from_utf8(bytes).is_err() => return Err(Unreadable::Unknown),
            None => Certificate::chain_from_pem(bytes)?,
        },
    };
    match certificates.len() {
        0 => Err(Unreadable::Empty),
        1..=CERTIFICATES_MAX => Ok(ordered(certificates, spki_sha256)),
        _ => Err(Unreadable::TooMany),
    }
}

/// The DER in a PKCS#7 PEM block; none when the text has no such block.
fn armoured_bag(text: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Ok(None);
    };
    for label in PKCS7_LABELS {
        let (begin, end) = (
            format!("-----BEGIN {label}-----"),
            format!("-----END {label}-----"),
        );
        let Some((_, rest)) = text.split_once(&begin) else {
            continue;
        };
        let damaged = Unreadable::Pkcs7("the PEM block is damaged");
        let Some((body, _)) = rest.split_once(&end) else {
            return Err(damaged);
        };
        let body: String = body.split_ascii_whitespace().collect();
        let der = base64::engine::general_purpose::STANDARD.decode(body);
        return der.map(Some).map_err(|_| damaged);
    }
    Ok(None)
}

/// The certificates of `ContentInfo { signedData, [0] { version, digests, content, [0] certificates, ... } }`.
fn bag(der: &[u8]) -> Result<Vec<Certificate>, Unreadable> {
    let damaged = |_| Unreadable::Pkcs7("not DER to the last byte; it may be cut off");
    let outer = AnyRef::from_der(der).map_err(damaged)?;
    let mut info = SliceReader::new(outer.value()).map_err(damaged)?;
    let kind = ObjectIdentifier::decode(&mut info)
        .map_err(|_| Unreadable::Pkcs7("neither a certificate nor a PKCS#7 bag"))?;
    if kind != SIGNED_DATA {
        return Err(Unreadable::Pkcs7("another content than SignedData"));
    }
    let content = AnyRef::decode(&mut info).map_err(damaged)?;
    let signed = AnyRef::from_der(content.value()).map_err(damaged)?;
    let mut fields = SliceReader::new(signed.value()).map_err(damaged)?;
    let certificates = Tag::ContextSpecific {
        constructed: true,
        number: TagNumber(0),
    };
    while !fields.is_finished() {
        let field = AnyRef::decode(&mut fields).map_err(damaged)?;
        if field.tag() == certificates {
            return each(field.value());
        }
    }
    Err(Unreadable::Pkcs7("no certificates in it"))
}

fn each(set: &[u8]) -> Result<Vec<Certificate>, Unreadable> {
    let damaged = |_| Unreadable::Pkcs7("not DER to the last byte; it may be cut off");
    let mut reader = SliceReader::new(set).map_err(damaged)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        if found.len() == CERTIFICATES_MAX {
            return Err(Unreadable::TooMany);
        }
        found.push(Certificate::from_der(reader.tlv_bytes().map_err(damaged)?)?);
    }
    Ok(found)
}

/// The certificate for our key first, or else the first that is no CA; then issuer after issuer, by name.
fn ordered(mut rest: Vec<Certificate>, spki_sha256: &[u8; 32]) -> Delivery {
    let ours = |c: &Certificate| c.public_key().spki_sha256() == *spki_sha256;
    let leaf = rest
        .iter()
        .position(ours)
        .or_else(|| rest.iter().position(|c| !c.is_ca()));
    let mut chain = vec![rest.remove(leaf.unwrap_or_default())];
    loop {
        let last = &chain[chain.len() - 1];
        let issuer = rest
            .iter()
            .position(|c| c.subject().der() == last.issuer().der() && c.sha256() != last.sha256());
        match issuer {
            Some(at) if !last.is_self_issued() => chain.push(rest.remove(at)),
            _ => break,
        }
    }
    rest.retain(|extra| !chain.contains(extra));
    Delivery { chain, extra: rest }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use sealkeep_profiles::roles::Role;
    use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
    use sealkeep_sandbox::qtsp::{Authority, Kind, Order, Qtsp};
    use std::process::Command;

    struct Scene {
        dir: tempfile::TempDir,
        /// Leaf, issuing CA, root.
        certificates: Vec<Certificate>,
    }

    impl Scene {
        fn new() -> Self {
            let now = "2026-11-24T10:00:00Z".parse().unwrap();
            let qtsp = Qtsp::create(KeyKind::EcP256, now).unwrap();
            let mut order = Order::new(Kind::Qsealc, &[Role::PSP_AI]);
            order.country = Some("DE".to_owned());
            order.organization = Some("Demo TPP GmbH".to_owned());
            order.organization_identifier = Some("PSDDE-BAFIN-123456".to_owned());
            order.common_name = Some("Demo TPP GmbH".to_owned());
            order.nca_name = Some(
                Authority {
                    name: "BaFin".to_owned(),
                    id: "DE-BAFIN".to_owned(),
                }
                .name,
            );
            let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
            let chain = qtsp.issue_for(&order, &key, now).unwrap();
            let certificates = [chain.leaf, chain.issuing, qtsp.root().clone()]
                .iter()
                .map(|der| Certificate::from_der(der).unwrap())
                .collect();
            let dir = tempfile::tempdir().unwrap();
            Self { dir, certificates }
        }

        fn pin(&self) -> [u8; 32] {
            self.certificates[0].public_key().spki_sha256()
        }

        fn pem(&self, which: &[usize]) -> String {
            let each = which
                .iter()
                .map(|at| super::super::csr::armour("CERTIFICATE", self.certificates[*at].der()));
            each.collect()
        }

        /// A bag made by an implementation that is not ours.
        fn pkcs7(&self, form: &str) -> Vec<u8> {
            let (pem, out) = (self.dir.path().join("c.pem"), self.dir.path().join("c.p7b"));
            std::fs::write(&pem, self.pem(&[2, 0, 1])).unwrap();
            let made = Command::new("openssl")
                .args(["crl2pkcs7", "-nocrl", "-outform", form, "-certfile"])
                .arg(&pem)
                .arg("-out")
                .arg(&out)
                .output()
                .unwrap();
            assert!(made.status.success(), "{made:?}");
            std::fs::read(out).unwrap()
        }

        fn read(&self, bytes: &[u8]) -> Result<Vec<Certificate>, Unreadable> {
            read(bytes, &self.pin()).map(|delivery| delivery.chain)
        }
    }

    #[test]
    fn every_form_gives_the_same_chain() {
        let scene = Scene::new();
        let wanted = &scene.certificates;
        for bytes in [
            scene.pem(&[0, 1, 2]).into_bytes(),
            scene.pem(&[2, 1, 0]).into_bytes(),
            scene.pem(&[1, 0, 2, 0]).into_bytes(),
            scene.pkcs7("DER"),
            scene.pkcs7("PEM"),
        ] {
            assert_eq!(scene.read(&bytes).unwrap(), *wanted);
        }
        assert_eq!(scene.read(wanted[0].der()).unwrap(), wanted[..1]);
    }

    #[test]
    fn what_does_not_belong_is_set_apart() {
        let (scene, other) = (Scene::new(), Scene::new());
        let pem = other.pem(&[0]) + &scene.pem(&[0, 1]);
        let delivery = read(pem.as_bytes(), &scene.pin()).unwrap();
        assert_eq!(delivery.chain, scene.certificates[..2]);
        assert_eq!(delivery.extra, other.certificates[..1]);
    }

    #[test]
    fn refuses_what_is_no_delivery() {
        let scene = Scene::new();
        let bag = scene.pkcs7("DER");
        let text = String::from_utf8(scene.pkcs7("PEM")).unwrap();
        for (what, bytes, wanted) in [
            ("nothing", Vec::new(), "empty"),
            ("blanks", b" \r\n".to_vec(), "empty"),
            ("words", b"hello".to_vec(), "no certificate"),
            ("noise", vec![0xff; 999], "neither PEM nor DER"),
            (
                "10 MiB of garbage",
                vec![b'A'; 10 << 20],
                "more than 65536 bytes",
            ),
            ("100 PEMs", scene.pem(&[1; 100]).into_bytes(), "more than"),
            ("9 PEMs", scene.pem(&[1; 9]).into_bytes(), "more than 8"),
            ("cut PKCS#7", bag[..bag.len() - 7].to_vec(), "cut off"),
            (
                "cut PKCS#7 PEM",
                text[..text.len() - 40].into(),
                "PEM block is damaged",
            ),
            (
                "bad base64",
                text.replace("MII", "M*I").into_bytes(),
                "PEM block is damaged",
            ),
            (
                "a DER integer",
                vec![0x30, 3, 2, 1, 5],
                "neither a certificate nor",
            ),
            ("another content", bag_of_data(), "another content"),
        ] {
            let error = scene.read(&bytes).unwrap_err().to_string();
            assert!(error.contains(wanted), "{what}: {error}");
        }
    }

    /// ContentInfo of id-data, RFC 5652 section 4.
    fn bag_of_data() -> Vec<u8> {
        b"\x30\x0f\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x02\x04\x00".to_vec()
    }

    proptest! {
        /// A damaged bag is an error or a chain, never a panic.
        #[test]
        fn never_panics(cut in 0..4_000_usize, at in 0..4_000_usize, byte in any::<u8>()) {
            static BAG: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let mut bag = BAG.get_or_init(|| Scene::new().pkcs7("DER")).clone();
            bag.truncate(bag.len().saturating_sub(cut % 64));
            let at = at % bag.len();
            bag[at] = byte;
            let _ = read(&bag, &[0; 32]);
        }
    }
}
