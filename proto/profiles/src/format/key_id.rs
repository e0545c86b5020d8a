//! How a profile names the key: from the certificate, or as registered at the bank.
//!
//! Comes in: the certificate and the bank's settings. Goes out: the text of `keyId` or `kid`, printable ASCII. Never the
//! bytes of the DER INTEGER: a sign byte in front of the serial number breaks every verifier. Serves ETSI TS 119 495
//! certificates in draft-cavage `keyId`, in the spellings banks compare with; distinguished names per RFC 2253, RFC 1779.

use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::profile::Settings;
use crate::refusal::Refusal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The setting that says where the certificate is published; `{sha256}` in it stands for the certificate's fingerprint.
pub(crate) const CERTIFICATE_URL: &str = "certificate_url";

/// A way to name the key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyId {
    /// `SN=<hex>,CA=<issuer, RFC 2253>`: the Berlin Group text, and Java's `X500Principal.getName()`.
    SnHexCaRfc2253,
    /// The same with every space as `%20`, as the Berlin Group OpenAPI example has it.
    SnHexCaRfc2253Pct20,
    /// `SN=<hex>,CA=<issuer, RFC 1779>`: `, ` between the names, as Java's `getIssuerDN().toString()`.
    SnHexCaRfc1779,
    /// `SN=<decimal>,CA=<issuer, RFC 2253>`.
    SnDecCaRfc2253,
    /// `SN=<decimal>,CA=<issuer, RFC 2253>` without any space.
    SnDecCaNospace,
    /// `SN=<decimal>,CA=<subject, RFC 2253>` without any space: some banks look for the TPP where the CA belongs.
    SnDecSubjectNospace,
    /// `SN=<HEX>`, upper case.
    SnHexOnly,
    /// The serial number, decimal.
    SerialDec,
    /// The serial number, lower-case hexadecimal.
    SerialHex,
    /// The whole certificate, base64 of DER.
    CertB64Der,
    /// An https URL whose last path segment ends with `_` and the certificate's SHA-256 (STET part 1 §3.5).
    CertUrlSha256,
    /// Any https URL where the certificate is.
    CertUrl,
    /// What the bank or directory registered, from the setting of this name.
    Setting(String),
}

impl KeyId {
    /// The setting it reads.
    pub(crate) fn setting(&self) -> Option<&str> {
        match self {
            Self::Setting(name) => Some(name),
            Self::CertUrl | Self::CertUrlSha256 => Some(CERTIFICATE_URL),
            _ => None,
        }
    }

    /// As profiles spell it: `serial-dec`, `setting client_id`.
    pub(crate) fn spelled(&self) -> String {
        if let Self::Setting(name) = self {
            return format!("setting {name}");
        }
        // Cannot fail: what is no setting is a word.
        let word = serde_json::to_value(self).unwrap_or_default();
        word.as_str().unwrap_or_default().to_owned()
    }

    /// The key id.
    ///
    /// # Errors
    /// [`Refusal::SettingMissing`] or [`Refusal::SettingInvalid`] when it needs a setting.
    pub(crate) fn encode(
        &self,
        certificate: &Certificate,
        settings: &Settings,
    ) -> Result<String, Refusal> {
        let hex = || certificate.serial_hex();
        let dec = || certificate.serial_decimal();
        let issuer = || certificate.issuer().rfc2253();
        let text = match self {
            Self::SnHexCaRfc2253 => format!("SN={},CA={}", hex(), issuer()),
            Self::SnHexCaRfc2253Pct20 => {
                format!("SN={},CA={}", hex(), issuer().replace(' ', "%20"))
            }
            Self::SnHexCaRfc1779 => {
                format!("SN={},CA={}", hex(), certificate.issuer().rfc1779())
            }
            Self::SnDecCaRfc2253 => format!("SN={},CA={}", dec(), issuer()),
            Self::SnDecCaNospace => format!("SN={},CA={}", dec(), issuer().replace(' ', "")),
            Self::SnDecSubjectNospace => {
                let subject = certificate.subject().rfc2253();
                format!("SN={},CA={}", dec(), subject.replace(' ', ""))
            }
            Self::SnHexOnly => format!("SN={}", hex().to_uppercase()),
            Self::SerialDec => dec().to_string(),
            Self::SerialHex => hex().to_string(),
            Self::CertB64Der => STANDARD.encode(certificate.der()),
            Self::CertUrlSha256 => fingerprinted_url(certificate, settings)?,
            Self::CertUrl => url(certificate, settings)?,
            Self::Setting(name) => settings.require(name)?.to_owned(),
        };
        Ok(ascii(text))
    }
}

fn url(certificate: &Certificate, settings: &Settings) -> Result<String, Refusal> {
    let template = settings.require(CERTIFICATE_URL)?;
    let rest = template.strip_prefix("https://").unwrap_or_default();
    if rest.is_empty() || template.contains([' ', '?', '#', '"']) {
        let expected = "an https URL without query, fragment and space";
        return Err(Refusal::SettingInvalid {
            name: CERTIFICATE_URL.into(),
            expected,
        });
    }
    Ok(template.replace("{sha256}", &hex::encode(certificate.sha256())))
}

/// A literal URL of an old certificate would tell the bank another key than the one that signs.
fn fingerprinted_url(certificate: &Certificate, settings: &Settings) -> Result<String, Refusal> {
    let url = url(certificate, settings)?;
    match url.ends_with(&format!("_{}", hex::encode(certificate.sha256()))) {
        true => Ok(url),
        false => Err(Refusal::SettingInvalid {
            name: CERTIFICATE_URL.into(),
            expected: "an https URL that ends with _{sha256}",
        }),
    }
}

/// Names outside of ASCII as escaped octets (RFC 2253 §2.4): a header value has no encoding for them.
fn ascii(text: String) -> String {
    if text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        return text;
    }
    let escape = |byte: u8| match byte {
        0x20..=0x7e => char::from(byte).to_string(),
        other => format!("\\{other:02X}"),
    };
    text.bytes().map(escape).collect()
}
