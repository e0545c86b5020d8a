//! Parts that every certificate has, whoever issues it: a serial number, a period of validity, text of the right type.
//!
//! In: the time and a number of days. Out: values for rcgen.

use std::fmt::Display;

use jiff::{Timestamp, ToSpan};
use rcgen::{DnValue, SerialNumber};
use ring::rand::{SecureRandom, SystemRandom};
use time::OffsetDateTime;

/// Validity begins this long before the time of issue, so that a clock slightly behind does not refuse a new certificate.
const BACKDATE_SECONDS: i64 = 60;
/// Bytes of a serial number: 16 random ones (RFC 5280 §4.1.2.2 allows 20).
const SERIAL_BYTES: usize = 16;

/// A certificate that cannot be built: a value does not fit its field, or the machine has no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the certificate could not be built: {0}")]
pub struct BuildError(String);

impl BuildError {
    pub(crate) fn new(error: impl Display) -> Self {
        Self(error.to_string())
    }
}

/// A positive random serial number, so that a renewal over the same key has another one.
pub(crate) fn serial() -> Result<SerialNumber, BuildError> {
    let mut bytes = [0; SERIAL_BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(BuildError::new)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// From a minute ago for so many days; the last second belongs to it (RFC 5280 §4.1.2.5).
pub(crate) fn validity(
    now: Timestamp,
    days: i64,
) -> Result<(OffsetDateTime, OffsetDateTime), BuildError> {
    let begin = now
        .checked_sub(BACKDATE_SECONDS.seconds())
        .map_err(BuildError::new)?;
    let end = begin
        .checked_add((days.saturating_mul(24)).hours())
        .map_err(BuildError::new)?;
    Ok((date(begin)?, date(end)? - time::Duration::SECOND))
}

/// CountryName must be a PrintableString (RFC 5280 appendix A.1).
pub(crate) fn printable(text: &str) -> Result<DnValue, BuildError> {
    Ok(DnValue::PrintableString(
        text.try_into().map_err(BuildError::new)?,
    ))
}

fn date(at: Timestamp) -> Result<OffsetDateTime, BuildError> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(BuildError::new)
}
