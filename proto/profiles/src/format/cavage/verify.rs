//! The other side of draft-cavage: was this message signed as the profile says, by this certificate?
//!
//! Comes in: a message with its signature. Goes out: what was proven, or the first difference, found from the outside in:
//! parameters, label, key, list of headers, digest, date, and last the signature itself. Never trusts a label to choose
//! the algorithm: the profile and the certificate's key do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::lines::{Line, check_list, lines, signing_string};
use super::parameters::{Parameters, read};
use super::spec::{CavageSpec, EcdsaForm};
use super::{authority, date, digest};
use crate::algorithm::{BadSignature, PublicKey, SignatureScheme, ecdsa_der_to_raw};
use crate::certificate::Certificate;
use crate::refusal::Refusal;
use crate::request::Message;
use crate::verify::{Context, Verified, VerifyError};

/// Verifies a request or response.
pub(crate) fn verify(
    spec: &CavageSpec,
    message: Message<'_>,
    context: Context<'_>,
) -> Result<Verified, VerifyError> {
    let parameters = read(spec.carrier.parameters(message)?)?;
    let row = spec.row(context.certificate.public_key().key_type())?;
    if parameters.get("algorithm") != row.label.as_deref() {
        let expected = row.label.clone().unwrap_or_else(|| "not labelled".into());
        return Err(VerifyError::AlgorithmLabel { expected });
    }
    check_key(spec, &parameters, context)?;
    check_certificate(spec, message, context.certificate)?;
    let set = match &spec.digest {
        Some(digest) => digest::check(digest, message)?,
        None => None,
    };
    authority(spec, message)?;
    let times = match &spec.created {
        Some(created) => Some(created.read(&parameters, context)?),
        None => None,
    };
    let rules = spec.line_rules();
    let lines = lines(&rules, message, set.as_slice(), times)?;
    let listed: Vec<&str> = parameters.require("headers")?.split(' ').collect();
    check_list(&rules, &listed, &lines, |a, b| a == b)?;
    let created = times.and_then(|times| Timestamp::from_second(times.created).ok());
    let issued_at = check_date(spec, message, &lines, context)?.or(created);
    let signature = signature(&parameters, row.ecdsa, row.scheme)?;
    let key: &PublicKey = context.certificate.public_key();
    key.verify(row.scheme, &signing_string(&rules, &lines), &signature)?;
    let signed_fields = lines.into_iter().map(|line| line.listed).collect();
    Ok(Verified {
        scheme: row.scheme,
        signed_fields,
        issued_at,
    })
}

/// The certificate a message carries.
pub(crate) fn certificate_of(
    spec: &CavageSpec,
    message: Message<'_>,
) -> Result<Option<Certificate>, VerifyError> {
    spec.certificate
        .as_ref()
        .map(|header| header.carried(message))
        .transpose()
}

fn check_key(
    spec: &CavageSpec,
    parameters: &Parameters<'_>,
    context: Context<'_>,
) -> Result<(), VerifyError> {
    let found = parameters.require(spec.key_id_parameter.name())?;
    match spec.key_id.encode(context.certificate, context.settings) {
        Ok(expected) if expected == found => Ok(()),
        Ok(_) => Err(VerifyError::KeyId),
        // Nothing to compare with: the certificate tells who signed.
        Err(Refusal::SettingMissing { .. }) => Ok(()),
        Err(refusal) => Err(refusal.into()),
    }
}

fn check_certificate(
    spec: &CavageSpec,
    message: Message<'_>,
    expected: &Certificate,
) -> Result<(), VerifyError> {
    match certificate_of(spec, message)? {
        Some(found) if found.der() != expected.der() => Err(VerifyError::CertificateMismatch),
        _ => Ok(()),
    }
}

/// A date that is signed is read, and is fresh when the profile says how fresh.
fn check_date(
    spec: &CavageSpec,
    message: Message<'_>,
    lines: &[Line],
    context: Context<'_>,
) -> Result<Option<Timestamp>, VerifyError> {
    let Some(spec) = &spec.date else {
        return Ok(None);
    };
    if !lines
        .iter()
        .any(|line| line.listed.eq_ignore_ascii_case(&spec.header))
    {
        return Ok(None);
    }
    let name = spec.header.to_ascii_lowercase();
    let issued_at = date::sent(spec, message)?;
    match context.freshness {
        Some((header, skew_seconds_max))
            if header.eq_ignore_ascii_case(&spec.header)
                && context.now.duration_since(issued_at).abs().as_secs()
                    > i64::from(skew_seconds_max) =>
        {
            Err(VerifyError::Stale {
                name,
                skew_seconds_max,
            })
        }
        _ => Ok(Some(issued_at)),
    }
}

/// The signature as `PublicKey::verify` takes it.
fn signature(
    parameters: &Parameters<'_>,
    form: Option<EcdsaForm>,
    scheme: SignatureScheme,
) -> Result<Vec<u8>, VerifyError> {
    let text = parameters.require("signature")?;
    let bytes = STANDARD
        .decode(text)
        .map_err(|_| VerifyError::ParameterMalformed)?;
    match form {
        Some(EcdsaForm::Der) => {
            let half_len = scheme.ecdsa_half_len().ok_or(BadSignature)?;
            Ok(ecdsa_der_to_raw(&bytes, half_len)?)
        }
        _ => Ok(bytes),
    }
}
