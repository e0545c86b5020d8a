//! Why something is not fit to be signed: one variant a reason, the guilty field named.
//!
//! Comes in: facts from `request`, `profile` and the formats. Goes out: a stable reason word, a field path for
//! `google.rpc.BadRequest`, and a sentence for people. Never repeats a value from outside: values may be PSU data.

mod answer;

use crate::algorithm::{HashAlgorithm, KeyType};

/// Who has to change something before it can be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guilty {
    /// The caller's request.
    Request,
    /// What the operator configured for the bank.
    Bank,
    /// The credential: its key or certificate does not suit.
    Credential,
}

/// A refusal to prepare a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The method is none of GET, HEAD, POST, PUT, PATCH, DELETE.
    #[error("the method is not one of GET, HEAD, POST, PUT, PATCH, DELETE")]
    MethodUnknown,
    /// The method would be known in upper case; methods are case-sensitive (RFC 9110 §9.1).
    #[error("the method is not in upper case")]
    MethodCase,
    /// Not `host` or `host:port` (RFC 3986 §3.2).
    #[error("the authority is not host[:port]: {what}")]
    AuthorityInvalid {
        /// What is wrong.
        what: &'static str,
    },
    /// A `Host` header that names another authority than the request.
    #[error("the Host header and the authority differ")]
    HostMismatch,
    /// Not an origin-form target (RFC 9112 §3.2.1) in the bytes RFC 3986 allows.
    #[error("the target is not a clean path and query: {what} at byte {position}")]
    TargetInvalid {
        /// What is wrong.
        what: &'static str,
        /// Where, in bytes from the start.
        position: usize,
    },
    /// Longer than the limit.
    #[error("the target has {len} bytes, at most {max} are signed")]
    TargetTooLong {
        /// Bytes found.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// More header lines than the limit.
    #[error("{count} headers, at most {max} are taken")]
    TooManyHeaders {
        /// Headers found.
        count: usize,
        /// Headers allowed.
        max: usize,
    },
    /// The name is not a token (RFC 9110 §5.6.2).
    #[error("the name of header {index} is not a token")]
    HeaderNameInvalid {
        /// Position of the header, from 0.
        index: usize,
    },
    /// A name longer than the limit.
    #[error("the name of header {index} has {len} bytes, at most {max} are taken")]
    HeaderNameTooLong {
        /// Position of the header, from 0.
        index: usize,
        /// Bytes found.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// CR or LF in a value: it would forge another line of the string to sign.
    #[error("header {name} has a line break at byte {position}")]
    HeaderLineBreak {
        /// The header.
        name: String,
        /// Where in the value.
        position: usize,
    },
    /// An obsolete line folding (RFC 9112 §5.2).
    #[error("header {name} is folded over lines at byte {position}")]
    HeaderObsFold {
        /// The header.
        name: String,
        /// Where in the value.
        position: usize,
    },
    /// NUL in a value.
    #[error("header {name} has a NUL at byte {position}")]
    HeaderNul {
        /// The header.
        name: String,
        /// Where in the value.
        position: usize,
    },
    /// Another control byte, HTAB and DEL included.
    #[error("header {name} has a control byte at byte {position}")]
    HeaderControl {
        /// The header.
        name: String,
        /// Where in the value.
        position: usize,
    },
    /// A byte over 0x7e: no draft says how it would be signed.
    #[error("header {name} has a byte that is not ASCII at byte {position}")]
    HeaderNotAscii {
        /// The header.
        name: String,
        /// Where in the value.
        position: usize,
    },
    /// A value longer than the limit.
    #[error("header {name} has {len} bytes, at most {max} are taken")]
    HeaderTooLong {
        /// The header.
        name: String,
        /// Bytes found.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A header the profile obliges to be signed is not there.
    #[error("header {name} is missing and the profile signs it")]
    HeaderMissing {
        /// The header.
        name: String,
    },
    /// A header that may occur once occurs again.
    #[error("header {name} occurs more than once")]
    HeaderRepeated {
        /// The header.
        name: String,
    },
    /// The value has not the form the profile demands.
    #[error("header {name} is not {expected}")]
    HeaderMalformed {
        /// The header.
        name: String,
        /// The form demanded.
        expected: &'static str,
    },
    /// The caller sent a header that carries the signature itself and cannot be replaced.
    #[error("header {name} is set by the signature and must not be sent")]
    HeaderReserved {
        /// The header.
        name: String,
    },
    /// A covered component is not in the message (RFC 9421 §2.5): a member of a dictionary, a query parameter, a field of
    /// the request.
    #[error("component {name} is missing and the profile signs it")]
    ComponentMissing {
        /// The component.
        name: String,
    },
    /// A component that such a message never has (RFC 9421 §2.5): a status of a request, a method of a response.
    #[error("component {name} does not exist in this message")]
    ComponentUnavailable {
        /// The component.
        name: String,
    },
    /// A query parameter that must not be covered alone (RFC 9421 §2.2.8).
    #[error("query parameter {name} {what}")]
    QueryParamInvalid {
        /// The parameter, encoded.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The message has a signature under the profile's label already (RFC 9421 §4).
    #[error("the message has a signature labelled {label} already")]
    SignatureLabelTaken {
        /// The label.
        label: String,
    },
    /// The profile covers parts of the request, and the response came without it (RFC 9421 §2.4).
    #[error("the profile signs parts of the request, and the response came without it")]
    RequestRequired,
    /// `Content-Length` says something else than the body's length.
    #[error("Content-Length and the length of the body differ")]
    ContentLengthMismatch,
    /// A status outside of 100..=599.
    #[error("the status is not between 100 and 599")]
    StatusInvalid,
    /// The body is longer than the limit.
    #[error("the body has {len} bytes, at most {max} are taken")]
    BodyTooLong {
        /// Bytes found.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The profile signs the body itself, and only digests of it came.
    #[error("the profile signs the body itself, not its digest")]
    BodyRequired,
    /// The body came as digests, none of them with the profile's hash.
    #[error("no {hash} digest of the body, and the profile signs that one")]
    DigestRequired {
        /// The hash the profile wants.
        hash: HashAlgorithm,
    },
    /// A digest whose length is not its algorithm's.
    #[error("a {hash} digest of {len} bytes")]
    DigestLength {
        /// The algorithm.
        hash: HashAlgorithm,
        /// Bytes found.
        len: usize,
    },
    /// Two digests of one algorithm.
    #[error("more than one {hash} digest")]
    DigestRepeated {
        /// The algorithm.
        hash: HashAlgorithm,
    },
    /// Body and digest differ.
    #[error("the {hash} digest is not the digest of the body")]
    BodyDigestMismatch {
        /// The algorithm.
        hash: HashAlgorithm,
    },
    /// The digest header the caller sent is not what the profile computes over the body.
    #[error("header {name} is not the digest of the body in the profile's spelling")]
    DigestMismatch {
        /// The header.
        name: String,
    },
    /// The profile signs no such request: OBIE signs bodies only, and there is none.
    #[error("this request has nothing that the profile signs")]
    NothingToSign,
    /// The profile says nothing about what is asked: responses, or payloads as a JWS.
    #[error("the profile does not sign {what}")]
    FormatNotAllowed {
        /// What was asked for.
        what: &'static str,
    },
    /// A setting the profile needs is not set for the bank.
    #[error("setting {name} is missing")]
    SettingMissing {
        /// The setting.
        name: String,
    },
    /// A setting the profile does not know: probably a misspelling.
    #[error("setting {name} is not known to the profile")]
    SettingUnknown {
        /// The setting.
        name: String,
    },
    /// A setting that cannot be used.
    #[error("setting {name} is not {expected}")]
    SettingInvalid {
        /// The setting.
        name: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// The profile has no scheme for keys of this type.
    #[error("the profile has no signature scheme for {key} keys")]
    AlgorithmNotAllowed {
        /// The key's type.
        key: KeyType,
    },
    /// The key id made from the certificate cannot stand in a quoted parameter.
    #[error("the key id made from the certificate contains a quotation mark")]
    KeyIdUnquotable,
    /// The bank wants the issuers of the certificate too, and none is known.
    #[error("the profile sends the certificate's issuers, and none is known")]
    CertificateChainMissing,
    /// The protected header would be longer than banks take in a header line: usually the certificates in `x5c`.
    #[error("the protected header has {len} characters, at most {max} are sent")]
    ProtectedHeaderTooLong {
        /// Characters of base64url.
        len: usize,
        /// Characters allowed.
        max: usize,
    },
    /// The body could be read as the claims of a JWT: signed, it would be a client assertion, a request object, a DPoP proof
    /// or a registration somewhere else.
    #[error(
        "the body could be taken for the claims of a JWT, which is signed as such or not at all"
    )]
    ClaimsInBody,
    /// The bytes would begin like those of another format; signing them could be abused.
    #[error("the bytes to sign could be taken for {what}")]
    FormatConfusion {
        /// The other format.
        what: &'static str,
    },
    /// A claim that a JWT of its kind has to have.
    #[error("claim {name} is missing")]
    ClaimMissing {
        /// The claim.
        name: String,
    },
    /// A claim that a JWT of its kind has not, or that the caller may not set.
    #[error("claim {name} does not belong here")]
    ClaimUnknown {
        /// The claim.
        name: String,
    },
    /// A claim that cannot be used.
    #[error("claim {name} is not {expected}")]
    ClaimInvalid {
        /// The claim.
        name: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// A TLS transcript or transcript hash that does not parse exactly (RFC 5246 §7.4.8, RFC 8446 §4.4.3).
    #[error("the TLS transcript is not one we sign: {what}")]
    TlsTranscript {
        /// What is wrong.
        what: &'static str,
    },
    /// A TLS signature scheme that is unknown, too weak, not offered, or does not fit the key.
    #[error("TLS signature scheme 0x{code:04x} is not allowed here")]
    TlsSchemeUnknown {
        /// The code point (RFC 8446 §4.2.3).
        code: u16,
    },
    /// The client certificate in the transcript is not the credential's.
    #[error("the certificate in the TLS transcript is not the credential's")]
    TlsWrongLeaf,
    /// The ClientHello does not name exactly one host (RFC 6066 §3).
    #[error("the TLS ClientHello names no single host")]
    TlsSniMissing,
    /// One of the hellos lacks extended_master_secret (RFC 7627).
    #[error("the TLS hellos do not agree on extended_master_secret")]
    TlsExtendedMasterSecretMissing,
}
