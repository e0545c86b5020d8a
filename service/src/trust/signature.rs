//! The signature of a trusted list: who signed it, and what exactly.
//!
//! In: a file, and the keys that may have signed it. Out: [`SignedXml`]: the canonical text that the signature covers, and
//! whose key made it. Serves ETSI TS 119 612 clause 5.7.1 and annex B (XAdES enveloped, exclusive canonicalization) over
//! W3C xmldsig-core.
//!
//! Against wrapping, nothing is looked up in the file after it was verified: the references are read from the canonical
//! bytes of SignedInfo that the signature verifies over, and the list from the canonical bytes that the digest was taken
//! of. What two parsers may see differently in the file is therefore of no consequence.
//!
//! Never: trust in KeyInfo, which may hold a bare key or nothing; a certificate's validity or issuer, since lists name
//! their signers by certificate alone (TS 119 615 clause 4.1); a signature algorithm with SHA-1.

use bergshamra_c14n::{C14nMode, canonicalize_doc};
use bergshamra_xml::NodeSet;
use bergshamra_xml::uppsala::{self, Document, NodeId};
use sealkeep_profiles::algorithm::PublicKey;

use super::signed_info::{self, Method, References, Unfit};
use super::signers::Signer;
use super::xml::{self, DS, XADES, XmlError};

/// The largest file, bytes. Belgium's list, with 84 services of our kind, has 0.7 MiB.
pub const LIST_BYTES_MAX: usize = 24 * 1024 * 1024;
/// The largest SignatureValue, bytes: RSA of 8192 bits.
const SIGNATURE_BYTES_MAX: usize = 1_024;

/// Why a file does not count as signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Over [`LIST_BYTES_MAX`].
    #[error("larger than {LIST_BYTES_MAX} bytes")]
    TooLarge,
    /// Not UTF-8, or no XML that is read here.
    #[error("not readable as XML: {0}")]
    Xml(#[from] XmlError),
    /// No signature, more than one, or one in another place than right below the root.
    #[error("there must be one signature, right below the root element; there are {0}")]
    NotOne(
        /// How many there are anywhere.
        usize,
    ),
    /// The signature is not of the form that trusted lists have.
    #[error("the signature is not of the form of TS 119 612: {0}")]
    Form(#[from] Unfit),
    /// A reference points at something else than what it must cover.
    #[error("the signature does not cover the {0}")]
    Uncovered(&'static str),
    /// What the signature covers was changed.
    #[error("the {0} was changed after it was signed")]
    Changed(&'static str),
    /// The signature itself does not verify under any key that may sign, nor under its own.
    #[error("the signature does not verify")]
    Invalid,
    /// The signature is sound, but by somebody who may not sign this.
    #[error("signed by {subject}, whose key is not among those that may sign it")]
    SignerUnknown {
        /// The name in its certificate, which nothing vouches for.
        subject: String,
    },
}

impl SignatureError {
    /// The stable word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "LIST_TOO_LARGE",
            Self::Xml(_) => "LIST_UNREADABLE",
            Self::NotOne(_) => "SIGNATURE_NOT_ONE",
            Self::Form(_) | Self::Uncovered(_) => "SIGNATURE_FORM",
            Self::Changed(_) | Self::Invalid => "SIGNATURE_INVALID",
            Self::SignerUnknown { .. } => "SIGNER_UNKNOWN",
        }
    }
}

/// What a signature covers, and whose key made it. Only `verify` makes one.
#[derive(Debug)]
pub struct SignedXml {
    text: String,
    signer_spki_sha256: [u8; 32],
}

impl SignedXml {
    /// The canonical text that was signed, without the signature.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Text that nobody signed, for tests of what reads it.
    #[cfg(test)]
    pub(super) fn unverified_for_test(text: String) -> Self {
        Self {
            text,
            signer_spki_sha256: [0; 32],
        }
    }

    /// SHA-256 of the SubjectPublicKeyInfo of the key that signed.
    pub fn signer_spki_sha256(&self) -> [u8; 32] {
        self.signer_spki_sha256
    }
}

/// Verifies the one signature of a file under one of the keys that may have made it.
///
/// # Errors
/// [`SignatureError`].
pub(super) fn verify(file: &[u8], authorised: &[Signer]) -> Result<SignedXml, SignatureError> {
    if file.len() > LIST_BYTES_MAX {
        return Err(SignatureError::TooLarge);
    }
    let malformed = |what: String| SignatureError::Xml(XmlError::Malformed(what));
    let text = std::str::from_utf8(file).map_err(|error| malformed(error.to_string()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Bounds first: the parser of the canonicalization has none on the number of nodes.
    xml::parse(text)?;
    let document = uppsala::parse(text).map_err(|error| malformed(error.to_string()))?;
    let envelope = Envelope::find(&document)?;

    let signed_info = envelope.canonical(envelope.signed_info)?;
    let (method, references) = signed_info::read(&signed_info)?;
    let signer = envelope.signer(method, signed_info.as_bytes(), authorised)?;

    let References { list, properties } = references;
    let covered = envelope.canonical(envelope.properties(&properties.id)?)?;
    if !properties.digest.is_of(covered.as_bytes()) {
        return Err(SignatureError::Changed("SignedProperties element"));
    }
    let text = envelope.canonical_list()?;
    if !list.is_of(text.as_bytes()) {
        return Err(SignatureError::Changed("list"));
    }
    Ok(SignedXml {
        text,
        signer_spki_sha256: signer.spki_sha256(),
    })
}

/// A document with its one signature.
struct Envelope<'a> {
    document: &'a Document<'a>,
    signature: NodeId,
    signed_info: NodeId,
}

impl<'a> Envelope<'a> {
    fn find(document: &'a Document<'a>) -> Result<Self, SignatureError> {
        let all = document.get_elements_by_tag_name_ns(DS, "Signature");
        let root = document.document_element();
        let signature = match all.as_slice() {
            [one] if document.parent(*one) == root => *one,
            all => return Err(SignatureError::NotOne(all.len())),
        };
        let mut envelope = Self {
            document,
            signature,
            signed_info: signature,
        };
        envelope.signed_info = envelope.one(signature, DS, "SignedInfo")?;
        Ok(envelope)
    }

    /// The only element of this name directly below.
    fn one(&self, below: NodeId, namespace: &str, name: &'static str) -> Result<NodeId, Unfit> {
        let mut all = self
            .document
            .children_iter(below)
            .filter(|id| self.is(*id, namespace, name));
        match (all.next(), all.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(Unfit::Element(name)),
        }
    }

    fn is(&self, id: NodeId, namespace: &str, name: &str) -> bool {
        self.document.element(id).is_some_and(|element| {
            element.name.local_name == name
                && element.name.namespace_uri.as_deref() == Some(namespace)
        })
    }

    /// Exclusive canonicalization of one element, comments left out.
    fn canonical(&self, element: NodeId) -> Result<String, SignatureError> {
        let nodes = NodeSet::tree_without_comments(element, self.document);
        self.canonical_nodes(&nodes)
    }

    /// The whole document without its signature: what the transform `enveloped-signature` leaves.
    fn canonical_list(&self) -> Result<String, SignatureError> {
        let signature = NodeSet::tree_with_comments(self.signature, self.document);
        let nodes = NodeSet::all_without_comments(self.document).subtract(&signature);
        self.canonical_nodes(&nodes)
    }

    fn canonical_nodes(&self, nodes: &NodeSet) -> Result<String, SignatureError> {
        let malformed = |what: String| SignatureError::Xml(XmlError::Malformed(what));
        let mode = C14nMode::Exclusive;
        let bytes = canonicalize_doc::<&str>(self.document, mode, Some(nodes), &[])
            .map_err(|error| malformed(error.to_string()))?;
        String::from_utf8(bytes).map_err(|error| malformed(error.to_string()))
    }

    /// The signed properties of XAdES, in their place, under an identifier that nothing else has.
    fn properties(&self, id: &str) -> Result<NodeId, SignatureError> {
        const WHAT: &str = "SignedProperties element";
        let object = self.one(self.signature, DS, "Object")?;
        let qualifying = self.one(object, XADES, "QualifyingProperties")?;
        let properties = self.one(qualifying, XADES, "SignedProperties")?;
        let root = self.document.root();
        let bearers = self.document.descendants(root).into_iter().filter(|node| {
            let element = self.document.element(*node);
            let mut attributes = element.iter().flat_map(|element| &element.attributes);
            attributes.any(|attribute| {
                attribute.name.local_name.eq_ignore_ascii_case("id") && attribute.value == id
            })
        });
        match bearers.collect::<Vec<_>>().as_slice() {
            [one] if *one == properties => Ok(properties),
            _ => Err(SignatureError::Uncovered(WHAT)),
        }
    }

    /// Who of those that may sign has made the signature.
    fn signer(
        &self,
        method: Method,
        signed_info: &[u8],
        authorised: &[Signer],
    ) -> Result<PublicKey, SignatureError> {
        let value = self.one(self.signature, DS, "SignatureValue")?;
        let value = xml::base64(&self.document.text_content_deep(value));
        let value = value.filter(|value| value.len() <= SIGNATURE_BYTES_MAX);
        let value = value.ok_or(Unfit::Base64)?;
        let made = |key: &&PublicKey| {
            let scheme = method.scheme_for(key.key_type());
            scheme.is_some_and(|scheme| key.verify(scheme, signed_info, &value).is_ok())
        };
        if let Some(signer) = authorised.iter().map(|signer| &signer.key).find(made) {
            return Ok(signer.clone());
        }
        // Only to say what is wrong: an honest list by somebody unknown, or a broken one.
        let claimed = self.claimed_signer();
        Err(match claimed.filter(|claimed| made(&&claimed.key)) {
            Some(claimed) => SignatureError::SignerUnknown {
                subject: claimed.subject,
            },
            None => SignatureError::Invalid,
        })
    }

    /// The certificate that the file itself says has signed it.
    fn claimed_signer(&self) -> Option<Signer> {
        let info = self.one(self.signature, DS, "KeyInfo").ok()?;
        let data = self.one(info, DS, "X509Data").ok()?;
        let mut certificates = self.document.children_iter(data);
        let first = certificates.find(|id| self.is(*id, DS, "X509Certificate"))?;
        let der = xml::base64(&self.document.text_content_deep(first))?;
        Signer::from_certificate(&der).ok()
    }
}
