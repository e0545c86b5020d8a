//! Which language bytes to be signed are written in, told by how they begin.
//!
//! In: bytes. Out: the one [`Language`] they could belong to, or none. One key signs in several languages, and nobody must
//! be able to take what it signed in one for a sentence of another: as bytes have one language here, the languages have no
//! sentence in common, and what a format encodes is not released unless it is in its own. Never looks behind the first
//! bytes, so that no tolerant reader of a language takes more than is recognised here.

use super::certificate_verify::looks_like_certificate_verify;
use crate::request::is_token;

/// What `{"`, the start of a JOSE header, begins with in base64url (RFC 7515 §5.1).
const JOSE_HEADER: &[u8] = b"eyJ";
/// A DER SEQUENCE (ITU-T X.690 §8.9), which as text is the digit 0. Either its length is in the long form (§8.1.3.5), no
/// ASCII, or it is followed by the INTEGER of the version, no ASCII either that could be printed.
const SEQUENCE: u8 = 0x30;
const LONG_FORM: u8 = 0x80;
const INTEGER: u8 = 0x02;

/// A language that some key of ours signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Language {
    /// A string of draft-cavage: begins with the name of a header, or with `(request-target)` and the like.
    Cavage,
    /// A signature base (RFC 9421 §2.5): begins with the quotation mark of its first component.
    HttpMessage,
    /// A JWS signing input (RFC 7515 §5.1), JAdES and JWT included: begins with `{"` in base64url.
    Jws,
    /// A TLS CertificateVerify (RFC 8446 §4.4.3, RFC 5246 §7.4.8): begins with 64 spaces, or as a ClientHello.
    CertificateVerify,
    /// A CertificationRequestInfo (RFC 2986 §4.1): begins as a SEQUENCE that begins with an INTEGER.
    CertificationRequest,
}

impl Language {
    /// The only language that bytes can be in.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if looks_like_certificate_verify(bytes) {
            return Some(Self::CertificateVerify);
        }
        if bytes.starts_with(JOSE_HEADER) {
            return Some(Self::Jws);
        }
        match *bytes {
            [SEQUENCE, length, ..] if length & LONG_FORM != 0 => Some(Self::CertificationRequest),
            [SEQUENCE, _, INTEGER, ..] => Some(Self::CertificationRequest),
            [b'"', ..] => Some(Self::HttpMessage),
            [b'(', ..] => Some(Self::Cavage),
            [first, ..] if is_token_byte(first) => Some(Self::Cavage),
            _ => None,
        }
    }

    /// What people call a sentence of it.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Cavage => "a draft-cavage string",
            Self::HttpMessage => "an RFC 9421 signature base",
            Self::Jws => "a JWS signing input",
            Self::CertificateVerify => "a TLS CertificateVerify",
            Self::CertificationRequest => "a certification request",
        }
    }
}

fn is_token_byte(byte: u8) -> bool {
    std::str::from_utf8(&[byte]).is_ok_and(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_language() {
        for (bytes, language) in [
            (&b"(request-target): post /"[..], Some(Language::Cavage)),
            (b"digest: SHA-256=", Some(Language::Cavage)),
            (b"\"@method\": POST", Some(Language::HttpMessage)),
            (b"eyJhbGciOiJQUzI1NiJ9.", Some(Language::Jws)),
            (&[b' '; 64], Some(Language::CertificateVerify)),
            (&[0x30, 0x82, 0x01], Some(Language::CertificationRequest)),
            (
                &[0x30, 0x20, 0x02, 0x01],
                Some(Language::CertificationRequest),
            ),
            // A header may have the name `0`, or begin with it.
            (b"0: a", Some(Language::Cavage)),
            (b"09: a", Some(Language::Cavage)),
            (&[0x30, 0x20, 0x01], Some(Language::Cavage)),
            (b" ", None),
            (b"\xff", None),
            (b"", None),
        ] {
            assert_eq!(Language::of(bytes), language, "{bytes:02x?}");
        }
    }
}
