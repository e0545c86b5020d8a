//! PEM text to DER.
//!
//! In: PEM as files, HTTP headers, JSON and YAML carry it: with line breaks, without, or with `\n` written out. Out:
//! the DER of each CERTIFICATE block, in order. Never lets a private key pass unnoticed, never skips a block it does
//! not understand. Serves RFC 7468 section 3 (lax parsing) for certificates only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{CERTIFICATE_BYTES_MAX, CertificateError};

/// The longest PEM text that is read, in bytes.
pub const PEM_BYTES_MAX: usize = 256 * 1024;
/// The most certificates in one PEM text: a leaf and its chain.
pub const CHAIN_CERTIFICATES_MAX: usize = 10;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// The DER of every certificate in the text; at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, CertificateError> {
    if pem.len() > PEM_BYTES_MAX {
        return Err(CertificateError::TooLarge("256 KiB of PEM"));
    }
    let text = std::str::from_utf8(pem).map_err(|_| CertificateError::PemEmpty)?;
    let mut certificates = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        let block = Block::split(&rest[start + BEGIN.len()..])
            .ok_or(CertificateError::PemDamaged(certificates.len()))?;
        if block.label.contains("PRIVATE KEY") {
            return Err(CertificateError::PrivateKey);
        }
        if block.label != "CERTIFICATE" && block.label != "X509 CERTIFICATE" {
            return Err(CertificateError::PemLabel(printable(block.label)));
        }
        if certificates.len() == CHAIN_CERTIFICATES_MAX {
            return Err(CertificateError::TooLarge("10 certificates"));
        }
        let der = decode(block.body).ok_or(CertificateError::PemDamaged(certificates.len()))?;
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::TooLarge("32 KiB of DER"));
        }
        certificates.push(der);
        rest = block.rest;
    }
    if certificates.is_empty() {
        return Err(CertificateError::PemEmpty);
    }
    Ok(certificates)
}

struct Block<'a> {
    label: &'a str,
    body: &'a str,
    rest: &'a str,
}

impl<'a> Block<'a> {
    /// Splits `LABEL-----body-----END LABEL-----rest`.
    fn split(after_begin: &'a str) -> Option<Self> {
        let (label, after_label) = after_begin.split_once(DASHES)?;
        let (body, after_body) = after_label.split_once(END)?;
        let rest = after_body.strip_prefix(label)?.strip_prefix(DASHES)?;
        Some(Self { label, body, rest })
    }
}

fn decode(body: &str) -> Option<Vec<u8>> {
    // Line breaks may arrive as the two characters `\n` from inside JSON or YAML.
    let unescaped = body.replace("\\r", "").replace("\\n", "");
    let packed: String = unescaped
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .collect();
    STANDARD.decode(packed).ok().filter(|der| !der.is_empty())
}

/// A label from outside, fit for an error message.
fn printable(label: &str) -> String {
    label
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(40)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn reads_frames_with_without_and_with_escaped_line_breaks() {
        for text in [
            "-----BEGIN CERTIFICATE-----\nAQID\nBAUG\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----AQIDBAUG-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\\r\\nAQID\\nBAUG\\n-----END CERTIFICATE-----\\n",
            "subject=/CN=x\r\n-----BEGIN CERTIFICATE-----\r\nAQIDBAUG\r\n-----END CERTIFICATE-----",
        ] {
            assert_eq!(
                certificates(text.as_bytes()).unwrap(),
                [[1, 2, 3, 4, 5, 6]],
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_a_private_key_by_name() {
        let text = "-----BEGIN CERTIFICATE-----AQID-----END CERTIFICATE-----\
                    -----BEGIN RSA PRIVATE KEY-----AQID-----END RSA PRIVATE KEY-----";
        assert_eq!(
            certificates(text.as_bytes()),
            Err(CertificateError::PrivateKey)
        );
    }

    #[test]
    fn refuses_a_request_by_its_label() {
        let text = "-----BEGIN CERTIFICATE REQUEST-----AQID-----END CERTIFICATE REQUEST-----";
        let label = "CERTIFICATE REQUEST".to_owned();
        assert_eq!(
            certificates(text.as_bytes()),
            Err(CertificateError::PemLabel(label))
        );
    }

    #[test]
    fn refuses_damaged_and_empty_text() {
        let damaged = |text: &str| certificates(text.as_bytes()).unwrap_err();
        assert_eq!(damaged(""), CertificateError::PemEmpty);
        assert_eq!(damaged("MIIB"), CertificateError::PemEmpty);
        assert_eq!(
            damaged("-----BEGIN CERTIFICATE-----AQID"),
            CertificateError::PemDamaged(0)
        );
        assert_eq!(
            damaged("-----BEGIN CERTIFICATE-----A*ID-----END CERTIFICATE-----"),
            CertificateError::PemDamaged(0)
        );
    }

    #[test]
    fn refuses_more_certificates_than_a_chain_has() {
        let text = "-----BEGIN CERTIFICATE-----AQID-----END CERTIFICATE-----\n".repeat(11);
        assert!(matches!(
            certificates(text.as_bytes()),
            Err(CertificateError::TooLarge(_))
        ));
    }
}
