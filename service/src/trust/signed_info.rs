//! What SignedInfo says, in the only form that trusted lists may have.
//!
//! In: the canonical bytes of SignedInfo. Out: the signature method and the two references, or what is not as it must be.
//! Strict on purpose: a transform or a reference that nobody needs is a way to sign something else than what is read.
//! Serves ETSI TS 119 612 annex B, W3C xmldsig-core sections 4.4 and 6.

use roxmltree::Node;
use sealkeep_profiles::algorithm::{HashAlgorithm, KeyType, SignatureScheme};

use super::xml::{self, DS};

const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const SIGNED_PROPERTIES: &str = "http://uri.etsi.org/01903#SignedProperties";

/// What is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// An element is missing, or there are several.
    #[error("there must be exactly one {0}")]
    Element(&'static str),
    /// An algorithm that is not accepted there.
    #[error("{place}: {algorithm:?} is not accepted")]
    Algorithm {
        /// Where.
        place: &'static str,
        /// Which.
        algorithm: String,
    },
    /// Other references than to the whole document and to the signed properties.
    #[error("there must be two references: to the whole document and to SignedProperties")]
    References,
    /// Base64 that is none, or too long.
    #[error("a value is not base64")]
    Base64,
    /// The bytes do not parse again, which canonical bytes always do.
    #[error("SignedInfo does not parse")]
    Unparsable,
}

/// How the signature was made, as far as the file says; the rest is the key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    RsaPkcs1(HashAlgorithm),
    RsaPss(HashAlgorithm),
    Ecdsa(HashAlgorithm),
}

impl Method {
    fn read(uri: &str) -> Option<Self> {
        let hash = |size: &str| match size {
            "256" => Some(HashAlgorithm::Sha256),
            "384" => Some(HashAlgorithm::Sha384),
            "512" => Some(HashAlgorithm::Sha512),
            _ => None,
        };
        if let Some(rest) = uri.strip_prefix("http://www.w3.org/2001/04/xmldsig-more#") {
            return match rest.split_once("-sha")? {
                ("rsa", size) => hash(size).map(Self::RsaPkcs1),
                ("ecdsa", size) => hash(size).map(Self::Ecdsa),
                _ => None,
            };
        }
        let rest = uri.strip_prefix("http://www.w3.org/2007/05/xmldsig-more#sha")?;
        hash(rest.strip_suffix("-rsa-MGF1")?).map(Self::RsaPss)
    }

    /// The scheme of the method with such a key; none when they do not fit.
    pub(super) fn scheme_for(self, key: KeyType) -> Option<SignatureScheme> {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        let scheme = match self {
            Self::RsaPkcs1(Sha256) => SignatureScheme::RsaPkcs1Sha256,
            Self::RsaPkcs1(Sha384) => SignatureScheme::RsaPkcs1Sha384,
            Self::RsaPkcs1(Sha512) => SignatureScheme::RsaPkcs1Sha512,
            Self::RsaPss(Sha256) => SignatureScheme::RsaPssSha256,
            Self::RsaPss(Sha384) => SignatureScheme::RsaPssSha384,
            Self::RsaPss(Sha512) => SignatureScheme::RsaPssSha512,
            Self::Ecdsa(Sha256) => SignatureScheme::EcdsaP256Sha256,
            Self::Ecdsa(Sha384) => SignatureScheme::EcdsaP384Sha384,
            Self::Ecdsa(Sha512) => SignatureScheme::EcdsaP521Sha512,
        };
        scheme.fits(&key).then_some(scheme)
    }
}

/// A digest that SignedInfo holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Digest {
    algorithm: HashAlgorithm,
    value: Vec<u8>,
}

impl Digest {
    /// Whether it is the digest of these bytes.
    pub(super) fn is_of(&self, bytes: &[u8]) -> bool {
        self.algorithm.digest(bytes) == self.value
    }
}

/// The two references.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct References {
    /// To the document without the signature.
    pub(super) list: Digest,
    /// To the signed properties.
    pub(super) properties: Properties,
}

/// The reference to the signed properties.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Properties {
    /// Their identifier.
    pub(super) id: String,
    pub(super) digest: Digest,
}

/// Reads the canonical bytes of SignedInfo.
pub(super) fn read(canonical: &str) -> Result<(Method, References), Unfit> {
    let document = xml::parse(canonical).map_err(|_| Unfit::Unparsable)?;
    let info = document.root_element();
    let canonicalization = one(info, "CanonicalizationMethod")?;
    plain(canonicalization, "CanonicalizationMethod", EXCLUSIVE)?;
    let method = one(info, "SignatureMethod")?;
    let method = Method::read(algorithm(method))
        .ok_or_else(|| unaccepted("SignatureMethod", algorithm(method)))?;
    let references: Vec<_> = info.children().filter(Node::is_element).skip(2).collect();
    let [first, second] = references.as_slice() else {
        return Err(Unfit::References);
    };
    // Their order is free.
    let (list, properties) = match first.attribute("URI") {
        Some("") => (first, second),
        _ => (second, first),
    };
    let id = properties.attribute("URI");
    let id = id.and_then(|uri| uri.strip_prefix('#')).unwrap_or_default();
    let references_fit = [list, properties]
        .iter()
        .all(|reference| reference.has_tag_name((DS, "Reference")))
        && list.attribute("URI") == Some("")
        && properties.attribute("Type") == Some(SIGNED_PROPERTIES)
        && !id.is_empty();
    if !references_fit {
        return Err(Unfit::References);
    }
    let references = References {
        list: reference(*list, &[ENVELOPED, EXCLUSIVE])?,
        properties: Properties {
            id: id.to_owned(),
            digest: reference(*properties, &[EXCLUSIVE])?,
        },
    };
    Ok((method, references))
}

/// The digest of a reference with exactly these transforms.
fn reference(reference: Node<'_, '_>, wanted: &[&str]) -> Result<Digest, Unfit> {
    let transforms = one(reference, "Transforms")?;
    let transforms: Vec<_> = transforms.children().filter(Node::is_element).collect();
    for (at, wanted) in wanted.iter().enumerate() {
        let transform = transforms.get(at).ok_or(Unfit::Element("Transform"))?;
        plain(*transform, "Transform", wanted)?;
    }
    if let Some(more) = transforms.get(wanted.len()) {
        return Err(unaccepted("Transform", algorithm(*more)));
    }
    let method = one(reference, "DigestMethod")?;
    let hash = match algorithm(method) {
        "http://www.w3.org/2001/04/xmlenc#sha256" => HashAlgorithm::Sha256,
        "http://www.w3.org/2001/04/xmldsig-more#sha384" => HashAlgorithm::Sha384,
        "http://www.w3.org/2001/04/xmlenc#sha512" => HashAlgorithm::Sha512,
        other => return Err(unaccepted("DigestMethod", other)),
    };
    let value = xml::base64(xml::text(one(reference, "DigestValue")?)).ok_or(Unfit::Base64)?;
    Ok(Digest {
        algorithm: hash,
        value,
    })
}

/// An element that names this algorithm and gives it no parameter.
fn plain(node: Node<'_, '_>, place: &'static str, wanted: &str) -> Result<(), Unfit> {
    let parameter = node.children().find(Node::is_element);
    match parameter {
        None if algorithm(node) == wanted => Ok(()),
        None => Err(unaccepted(place, algorithm(node))),
        Some(parameter) => Err(unaccepted(place, parameter.tag_name().name())),
    }
}

fn algorithm<'a>(node: Node<'a, '_>) -> &'a str {
    node.attribute("Algorithm").unwrap_or_default()
}

fn unaccepted(place: &'static str, algorithm: &str) -> Unfit {
    Unfit::Algorithm {
        place,
        algorithm: algorithm.chars().take(120).collect(),
    }
}

fn one<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> Result<Node<'a, 'i>, Unfit> {
    let mut all = xml::children(node, DS, name);
    match (all.next(), all.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(Unfit::Element(name)),
    }
}
