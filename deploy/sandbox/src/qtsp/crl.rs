//! The lists of revoked certificates: whole, and what has changed since midnight (a delta).
//!
//! In: a CA with its key, what was revoked, the time. Out: DER. Numbers are seconds since 1970, so they rise by
//! themselves. A delta says that it goes with any list of the same day.
//!
//! Serves RFC 5280 §5.

use jiff::Timestamp;
use rcgen::SigningKey;
use x509_cert::Version;
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::der::asn1::{
    BitString, GeneralizedTime, ObjectIdentifier, OctetString, Uint, UtcTime,
};
use x509_cert::der::{Any, DateTime, Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BaseCrlNumber, CrlNumber};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

use super::ca::Ca;
use super::revoked::Revoked;
use crate::key::SoftwareKey;
use crate::parts::BuildError;

const AUTHORITY_KEY_IDENTIFIER: &str = "2.5.29.35";
const CRL_NUMBER: &str = "2.5.29.20";
const REASON_CODE: &str = "2.5.29.21";
const DELTA_CRL_INDICATOR: &str = "2.5.29.27";
/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlKind {
    /// Everything that is revoked.
    Full,
    /// What was revoked since midnight.
    Delta,
}

pub(super) fn list(
    ca: &Ca<'_>,
    revoked: &[Revoked],
    kind: CrlKind,
    now: Timestamp,
    next_update: Timestamp,
) -> Result<Vec<u8>, BuildError> {
    let midnight = now.as_second() - now.as_second().rem_euclid(DAY_SECONDS);
    let listed = revoked.iter().filter(|one| one.is_from(ca));
    let listed = listed.filter(|one| kind == CrlKind::Full || one.at.as_second() >= midnight);
    let entries = listed.map(entry).collect::<Result<Vec<_>, _>>()?;
    let mut extensions = vec![
        extension(
            AUTHORITY_KEY_IDENTIFIER,
            false,
            &AuthorityKeyIdentifier {
                key_identifier: Some(octets(&ca.key_id)?),
                ..AuthorityKeyIdentifier::default()
            },
        )?,
        extension(CRL_NUMBER, false, &CrlNumber(number(now.as_second())?))?,
    ];
    if kind == CrlKind::Delta {
        let base = BaseCrlNumber(number(midnight)?);
        extensions.push(extension(DELTA_CRL_INDICATOR, true, &base)?);
    }
    let algorithm = algorithm(ca.key)?;
    let tbs_cert_list = TbsCertList {
        version: Version::V2,
        signature: algorithm.clone(),
        issuer: Name::from_der(ca.certificate.subject().der()).map_err(BuildError::new)?,
        this_update: time(now)?,
        next_update: Some(time(next_update)?),
        // An empty list is absent (§5.1.2.6).
        revoked_certificates: (!entries.is_empty()).then_some(entries),
        crl_extensions: Some(extensions),
    };
    let signature = sign(ca.key, &tbs_cert_list)?;
    let list = CertificateList {
        tbs_cert_list,
        signature_algorithm: algorithm,
        signature,
    };
    list.to_der().map_err(BuildError::new)
}

fn entry(one: &Revoked) -> Result<RevokedCert, BuildError> {
    let reason = one.reason.code();
    let reason = reason.map(|code| extension(REASON_CODE, false, &code).map(|one| vec![one]));
    Ok(RevokedCert {
        serial_number: serial_number(&one.serial)?,
        revocation_date: time(one.at)?,
        crl_entry_extensions: reason.transpose()?,
    })
}

fn serial_number(hex: &str) -> Result<SerialNumber, BuildError> {
    let even = format!("{hex:0>width$}", width = hex.len() + hex.len() % 2);
    let digits = even.as_bytes().chunks(2).map(|two| {
        let two = std::str::from_utf8(two).map_err(BuildError::new)?;
        u8::from_str_radix(two, 16).map_err(BuildError::new)
    });
    SerialNumber::new(&digits.collect::<Result<Vec<_>, _>>()?).map_err(BuildError::new)
}

fn number(seconds: i64) -> Result<Uint, BuildError> {
    Uint::new(&seconds.to_be_bytes()).map_err(BuildError::new)
}

/// UTCTime until 2049 (§4.1.2.5).
fn time(at: Timestamp) -> Result<Time, BuildError> {
    let date = date(at)?;
    Ok(match UtcTime::from_date_time(date) {
        Ok(utc) => Time::UtcTime(utc),
        Err(_) => Time::GeneralTime(GeneralizedTime::from_date_time(date)),
    })
}

/// A moment in whole seconds.
pub(super) fn date(at: Timestamp) -> Result<DateTime, BuildError> {
    let seconds = u64::try_from(at.as_second()).map_err(BuildError::new)?;
    DateTime::from_unix_duration(std::time::Duration::from_secs(seconds)).map_err(BuildError::new)
}

pub(super) fn extension(
    oid: &str,
    critical: bool,
    value: &impl Encode,
) -> Result<Extension, BuildError> {
    Ok(Extension {
        extn_id: ObjectIdentifier::new(oid).map_err(BuildError::new)?,
        critical,
        extn_value: octets(&value.to_der().map_err(BuildError::new)?)?,
    })
}

pub(super) fn octets(bytes: &[u8]) -> Result<OctetString, BuildError> {
    OctetString::new(bytes).map_err(BuildError::new)
}

/// How a key signs here: SHA-256 (RFC 4055 §5, RFC 5758 §3.2).
pub(super) fn algorithm(key: &SoftwareKey) -> Result<AlgorithmIdentifierOwned, BuildError> {
    let (oid, parameters) = match key.is_rsa() {
        true => ("1.2.840.113549.1.1.11", Some(Any::null())),
        false => ("1.2.840.10045.4.3.2", None),
    };
    let oid = ObjectIdentifier::new(oid).map_err(BuildError::new)?;
    Ok(AlgorithmIdentifierOwned { oid, parameters })
}

/// The signature over the encoding of a value, as certificates have it.
pub(super) fn sign(key: &SoftwareKey, value: &impl Encode) -> Result<BitString, BuildError> {
    let message = value.to_der().map_err(BuildError::new)?;
    let signature = key.pair().sign(&message).map_err(BuildError::new)?;
    BitString::from_bytes(&signature).map_err(BuildError::new)
}
