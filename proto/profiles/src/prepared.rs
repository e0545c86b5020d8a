//! The bytes exactly to be signed, and what becomes of them once signed.
//!
//! Comes in: the thinking of a format, done. Goes out: bytes and digest for the token, then, from the raw signature, what
//! the caller sends. A signature is verified under the certificate's public key before anything is laid out, so a faulty
//! token or a wrong key cannot reach a bank. Never signs; `Prepared` has no public maker and is consumed by value.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::algorithm::{BadSignature, PublicKey, SignatureScheme, ecdsa_raw_to_der};
use crate::format::language::Language;
use crate::refusal::Refusal;

/// What stands in [`Prepared::outline`] for the signature.
pub const SIGNATURE_PLACE: &str = "<signature>";

/// What will be signed: made by a profile or a TLS format, used once.
pub struct Prepared {
    scheme: SignatureScheme,
    to_be_signed: Vec<u8>,
    digest: Vec<u8>,
    signed_fields: Vec<String>,
    key: PublicKey,
    key_id: Option<String>,
    layout: Layout,
}

/// How a raw signature becomes what is sent.
#[derive(Clone)]
pub(crate) enum Layout {
    /// `carrier: prefix base64(signature) suffix`, after the headers in `before`.
    Headers {
        before: Vec<(String, String)>,
        carrier: String,
        prefix: String,
        suffix: String,
        der: bool,
    },
    /// Protected header, payload and base64url(signature); in the header `carrier` when there is one, after the headers in
    /// `before`.
    Jws {
        before: Vec<(String, String)>,
        form: JwsForm,
        protected: String,
        payload: String,
        carrier: Option<String>,
    },
    /// The signature as TLS carries it: DER for ECDSA.
    TlsSignature,
}

/// How the three parts of a JWS are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JwsForm {
    /// With dots between them (RFC 7515 §7.1); detached when the payload is empty (Appendix F).
    Compact,
    /// As members of a JSON object (RFC 7515 §7.2.2).
    FlattenedJson,
}

impl JwsForm {
    /// The parts are base64url, so JSON needs no escapes.
    fn write(self, protected: &str, payload: &str, signature: &str) -> String {
        match self {
            Self::Compact => format!("{protected}.{payload}.{signature}"),
            Self::FlattenedJson => format!(
                "{{\"payload\":\"{payload}\",\"protected\":\"{protected}\",\"signature\":\"{signature}\"}}"
            ),
        }
    }
}

impl Layout {
    /// The languages of what is laid out so.
    fn languages(&self) -> &'static [Language] {
        match self {
            Self::Headers { .. } => &[Language::Cavage, Language::HttpMessage],
            Self::Jws { .. } => &[Language::Jws],
            Self::TlsSignature => &[Language::CertificateVerify],
        }
    }

    /// Whether ECDSA signatures are sent in DER.
    fn is_der(&self) -> bool {
        match self {
            Self::Headers { der, .. } => *der,
            Self::Jws { .. } => false,
            Self::TlsSignature => true,
        }
    }

    /// A signature as text; TLS sends bytes.
    fn encode(&self, signature: &[u8]) -> String {
        match self {
            Self::Headers { .. } => STANDARD.encode(signature),
            Self::Jws { .. } => URL_SAFE_NO_PAD.encode(signature),
            Self::TlsSignature => String::new(),
        }
    }

    /// The headers to set, and the JWS if it is one.
    fn lay_out(self, signature: &str) -> (Vec<(String, String)>, Option<String>) {
        match self {
            Self::Headers {
                before: mut headers,
                carrier,
                prefix,
                suffix,
                ..
            } => {
                headers.push((carrier, format!("{prefix}{signature}{suffix}")));
                (headers, None)
            }
            Self::Jws {
                before: mut headers,
                form,
                protected,
                payload,
                carrier,
            } => {
                let jws = form.write(&protected, &payload, signature);
                headers.extend(carrier.map(|name| (name, jws.clone())));
                (headers, Some(jws))
            }
            Self::TlsSignature => (Vec::new(), None),
        }
    }
}

impl Prepared {
    /// For the formats of seal keys: refuses bytes that the reader of another language could take for its own.
    pub(crate) fn seal(
        scheme: SignatureScheme,
        to_be_signed: Vec<u8>,
        signed_fields: Vec<String>,
        key: PublicKey,
        layout: Layout,
    ) -> Result<Self, Refusal> {
        match Language::of(&to_be_signed) {
            Some(language) if layout.languages().contains(&language) => {
                Ok(Self::new(scheme, to_be_signed, signed_fields, key, layout))
            }
            other => Err(Refusal::FormatConfusion {
                what: other.map_or("nothing we sign", Language::sentence),
            }),
        }
    }

    /// For `format::certificate_verify`, the only format of transport keys.
    pub(crate) fn tls(
        scheme: SignatureScheme,
        to_be_signed: Vec<u8>,
        signed_fields: Vec<String>,
        key: PublicKey,
    ) -> Self {
        Self::new(
            scheme,
            to_be_signed,
            signed_fields,
            key,
            Layout::TlsSignature,
        )
    }

    fn new(
        scheme: SignatureScheme,
        to_be_signed: Vec<u8>,
        signed_fields: Vec<String>,
        key: PublicKey,
        layout: Layout,
    ) -> Self {
        let digest = scheme.hash().digest(&to_be_signed);
        Self {
            scheme,
            to_be_signed,
            digest,
            signed_fields,
            key,
            key_id: None,
            layout,
        }
    }

    /// Says how the signature names its key; a format calls it right after it made the bytes.
    pub(crate) fn with_key_id(self, key_id: Option<String>) -> Self {
        Self { key_id, ..self }
    }

    /// How the token has to sign.
    #[must_use]
    pub fn scheme(&self) -> SignatureScheme {
        self.scheme
    }

    /// The bytes to be signed.
    #[must_use]
    pub fn to_be_signed(&self) -> &[u8] {
        &self.to_be_signed
    }

    /// The scheme's hash of [`Self::to_be_signed`], for records and for people.
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// What goes to the token: the digest, or for a scheme that signs whole messages [`Self::to_be_signed`].
    #[must_use]
    pub fn token_input(&self) -> &[u8] {
        match self.scheme.signs_whole_message() {
            true => &self.to_be_signed,
            false => &self.digest,
        }
    }

    /// What is covered, by name, in order: header names, `(request-target)`, `body`, `tls13.certificate_verify`.
    #[must_use]
    pub fn signed_fields(&self) -> &[String] {
        &self.signed_fields
    }

    /// The public key the signature has to verify under: the certificate's.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// How the signature names the key to the bank: `keyId`, `keyid` or `kid`. `None` when it does not.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The headers as they will be set, with [`SIGNATURE_PLACE`] where the signature goes: for people who want to see what
    /// will be signed without signing it.
    #[must_use]
    pub fn outline(&self) -> Vec<(String, String)> {
        self.layout.clone().lay_out(SIGNATURE_PLACE).0
    }

    /// The JWS as it will be, with [`SIGNATURE_PLACE`] where the signature goes; `None` when it is none.
    #[must_use]
    pub fn outline_jws(&self) -> Option<String> {
        self.layout.clone().lay_out(SIGNATURE_PLACE).1
    }

    /// Checks the raw signature (RSA and Ed25519 as is, ECDSA `r || s`), then lays it out.
    ///
    /// # Errors
    /// [`AssembleError::Unverified`]: it does not verify under the certificate's public key, so nothing is released.
    pub fn assemble(self, raw: &[u8]) -> Result<Signed, AssembleError> {
        self.key.verify(self.scheme, &self.to_be_signed, raw)?;
        let signature = match self.scheme.is_ecdsa() && self.layout.is_der() {
            true => ecdsa_raw_to_der(raw)?,
            false => raw.to_vec(),
        };
        let encoded = self.layout.encode(&signature);
        let (headers, jws) = self.layout.lay_out(&encoded);
        Ok(Signed {
            scheme: self.scheme,
            headers,
            jws,
            signature,
        })
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("scheme", &self.scheme)
            .field("to_be_signed_len", &self.to_be_signed.len())
            .field("signed_fields", &self.signed_fields)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Why a raw signature is not released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// It does not verify under the public key of the certificate the bank will see.
    #[error("the token's signature does not verify under the certificate's public key")]
    Unverified(#[from] BadSignature),
}

/// A signature that verifies, laid out for its carrier.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    scheme: SignatureScheme,
    headers: Vec<(String, String)>,
    jws: Option<String>,
    signature: Vec<u8>,
}

impl Signed {
    /// The headers to set, replacing headers of the same name. Empty for TLS and for a JWS without a carrier header.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The JWS, compact, detached or flattened JSON, when the format is one.
    #[must_use]
    pub fn jws(&self) -> Option<&str> {
        self.jws.as_deref()
    }

    /// The signature in the form its format carries: DER for ECDSA in TLS, `r || s` in a JWS.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// How it was signed.
    #[must_use]
    pub fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Signed")
            .field("scheme", &self.scheme)
            .field("headers", &names)
            .field("jws_len", &self.jws.as_ref().map(String::len))
            .field("signature_len", &self.signature.len())
            .finish()
    }
}
