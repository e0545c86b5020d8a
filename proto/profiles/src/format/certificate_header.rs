//! The certificate in a header of its own: `TPP-Signature-Certificate` and its kin.
//!
//! Comes in: a certificate, or a header value from outside. Goes out: the value, or the certificate. Never judges it.
//! Serves Berlin Group NextGenPSD2 implementation guide 1.3 §12, and what banks made of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::certificate::Certificate;
use crate::request::Message;
use crate::verify::VerifyError;

/// Which header carries the certificate, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateHeader {
    /// The header as it is spelled when set.
    pub(crate) header: String,
    /// The encoding of its value.
    pub(crate) encoding: CertificateEncoding,
}

impl CertificateHeader {
    /// The header to set.
    pub(crate) fn to_set(&self, certificate: &Certificate) -> (String, String) {
        (self.header.clone(), self.encoding.encode(certificate))
    }

    /// The certificate a message carries.
    pub(crate) fn carried(&self, message: Message<'_>) -> Result<Certificate, VerifyError> {
        let value = message.once(&self.header)?;
        let value = value.ok_or_else(|| VerifyError::CertificateMissing {
            header: self.header.clone(),
        })?;
        self.encoding
            .decode(value)
            .ok_or(VerifyError::CertificateMalformed)
    }
}

/// How a certificate becomes one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CertificateEncoding {
    /// Base64 of DER, one line.
    DerBase64,
    /// The PEM text without its line breaks.
    PemOneline,
    /// Base64 of the PEM text with its line breaks.
    PemBase64,
}

impl CertificateEncoding {
    pub(crate) fn encode(self, certificate: &Certificate) -> String {
        let der = STANDARD.encode(certificate.der());
        match self {
            Self::DerBase64 => der,
            Self::PemOneline => format!("{BEGIN}{der}{END}"),
            Self::PemBase64 => STANDARD.encode(pem(&der)),
        }
    }

    /// The certificate in a header value; `None` when it is not one in this encoding.
    pub(crate) fn decode(self, value: &str) -> Option<Certificate> {
        let der = match self {
            Self::DerBase64 => STANDARD.decode(value).ok()?,
            Self::PemOneline => STANDARD
                .decode(value.strip_prefix(BEGIN)?.strip_suffix(END)?)
                .ok()?,
            Self::PemBase64 => {
                let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
                let lines: String = text.lines().collect();
                STANDARD
                    .decode(lines.strip_prefix(BEGIN)?.strip_suffix(END)?)
                    .ok()?
            }
        };
        Certificate::from_der(&der).ok()
    }
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Characters a line of PEM (RFC 7468 §2).
const PEM_LINE_CHARS: usize = 64;

fn pem(base64: &str) -> String {
    let mut text = format!("{BEGIN}\n");
    for (index, character) in base64.chars().enumerate() {
        if index > 0 && index % PEM_LINE_CHARS == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text + "\n" + END + "\n"
}
