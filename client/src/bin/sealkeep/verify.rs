//! `sealkeep verify ...`: does what the other side does, and says what differs. Needs no server.
//!
//! In: a saved message, a JWS or a JWT, a profile, a certificate, the time. Out: what is proven, or the first difference with what
//! would have to be there; exit code 7. Never: trust in a certificate; who gave it has to know whose it is.

mod difference;
mod expected;
mod jwt;
mod message;

use crate::explained::string_to_sign;
use crate::failure::Failure;
use crate::files::{argument_bytes, argument_text};
use crate::offline::{SAVED_MESSAGE_HELP, SignedBy, certificate, saved};
use crate::report::{Report, pairs, printable};
use crate::words::rfc3339;
use clap::{Args, Subcommand};
use difference::Difference;
use expected::Expected;
use jiff::Timestamp;
use message::Message;
use sealkeep_client::{SavedRequest, SavedResponse};
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::profile::{Profile, Settings};
use sealkeep_profiles::verify::{self, Verified, VerifyError};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Verify a saved request or response.
    #[command(after_help = SAVED_MESSAGE_HELP)]
    Http(Box<Http>),
    /// Verify a JWS, compact or detached as the profile says.
    Jws(Box<Jws>),
    /// Verify a JWT of OAuth, or a body that is one.
    #[command(subcommand)]
    Jwt(jwt::Kind),
}

#[derive(Debug, Args)]
pub(crate) struct Http {
    #[command(flatten)]
    by: SignedBy,
    #[command(flatten)]
    which: Which,
    /// The sender's certificate, PEM or DER; without it the one that the message carries, which proves nothing by itself.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// The request, a saved message.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// The response, a saved message.
    #[arg(long, value_name = "FILE")]
    response: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Jws {
    #[command(flatten)]
    by: SignedBy,
    /// The JWS: `@file`, `@-` for stdin, or text.
    #[arg(long, value_name = "@FILE|TEXT")]
    jws: String,
    /// The payload of a detached JWS: `@file`, `@-` for stdin, or text.
    #[arg(long, value_name = "@FILE|TEXT")]
    payload: Option<String>,
    /// The sender's certificate, PEM or DER.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
}

impl Verb {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        match self {
            Self::Http(http) => http.run(),
            Self::Jws(jws) => jws.run(),
            Self::Jwt(kind) => kind.run(),
        }
    }
}

impl Http {
    fn run(self) -> Result<Report, Failure> {
        let profile = self.by.profile()?;
        let message = match (&self.which.request, &self.which.response) {
            (Some(path), _) => Message::Request(saved(path, SavedRequest::from_json)?),
            (None, Some(path)) => Message::Response(saved(path, SavedResponse::from_json)?),
            (None, None) => return Err(Failure::usage("say it with --request or --response")),
        };
        let certificate = match &self.certificate {
            Some(path) => certificate(path)?,
            None => match message.certificate(&profile) {
                Ok(Some(certificate)) => certificate,
                Ok(None) => {
                    return Err(Failure::usage(
                        "the message carries no certificate; say it with --certificate",
                    ));
                }
                Err(error) => return Ok(differs(&profile, &error.into(), None)),
            },
        };
        let (settings, now) = (self.by.settings(), self.by.now());
        let report = match message.verify(&profile, &certificate, &settings, now) {
            Ok(verified) => proven(&profile, &verified, &certificate, now),
            // What the profile would sign of a message that lacks something is not what has to be there.
            Err(error @ VerifyError::Unfit(_)) => differs(&profile, &error.into(), None),
            Err(error) => {
                let expected =
                    expected::of_message(&message, &profile, &certificate, &settings, now);
                explained(&profile, &settings, error, expected)
            }
        };
        Ok(match self.certificate {
            Some(_) => report,
            None => report
                .note("the certificate came with the message; whether to trust it is not checked"),
        })
    }
}

impl Jws {
    fn run(self) -> Result<Report, Failure> {
        let profile = self.by.profile()?;
        let jws = &argument_text("--jws", &self.jws)?;
        let payload = self.payload.as_deref().map(argument_bytes).transpose()?;
        let certificate = certificate(&self.certificate)?;
        let (settings, now) = (self.by.settings(), self.by.now());
        let payload = payload.as_deref();
        let verdict = verify::jws(&profile, jws, payload, &certificate, &settings, now);
        Ok(match verdict {
            Ok(verified) => proven(&profile, &verified, &certificate, now),
            Err(error @ VerifyError::Unfit(_)) => differs(&profile, &error.into(), None),
            Err(error) => {
                let expected =
                    expected::of_jws(jws, payload, &profile, &certificate, &settings, now);
                explained(&profile, &settings, error, expected)
            }
        })
    }
}

/// What is left when nothing that signing sets differs.
const ONLY_THE_SIGNATURE: &str = "\nAll but the signature is as it has to be: another key signed, or what is signed was changed.\n";

/// Why something is not believed.
struct Objection {
    reason: &'static str,
    message: String,
}

impl From<VerifyError> for Objection {
    fn from(error: VerifyError) -> Self {
        Self {
            reason: error.reason(),
            message: error.to_string(),
        }
    }
}

/// The certificate's own words about when it is valid.
fn in_time(certificate: &Certificate, now: Timestamp) -> Result<(), Objection> {
    let (begin, end) = (certificate.not_before(), certificate.not_after());
    if now < begin {
        return Err(Objection {
            reason: "CERTIFICATE_NOT_YET_VALID",
            message: format!("the certificate begins at {}", rfc3339(Some(begin))),
        });
    }
    if now > end {
        return Err(Objection {
            reason: "CERTIFICATE_EXPIRED",
            message: format!("the certificate ended at {}", rfc3339(Some(end))),
        });
    }
    Ok(())
}

fn proven(
    profile: &Profile,
    verified: &Verified,
    certificate: &Certificate,
    now: Timestamp,
) -> Report {
    if let Err(objection) = in_time(certificate, now) {
        return differs(profile, &objection, None);
    }
    let organization = certificate.organization_identifier().unwrap_or_default();
    let sha256 = hex::encode(certificate.sha256());
    let text = pairs(&[
        ("verified", "yes".to_owned()),
        (
            "profile",
            format!("{} ({})", profile.name(), profile.confidence().name()),
        ),
        ("algorithm", verified.scheme.name().to_owned()),
        ("covers", verified.signed_fields.join(" ")),
        ("signed at", rfc3339(verified.issued_at)),
        ("signed by", certificate.subject().rfc2253()),
        ("organisation", organization.to_owned()),
        ("SHA-256", sha256.clone()),
    ]);
    let issued_at = verified.issued_at.map(|at| rfc3339(Some(at)));
    let json = json!({
        "verified": true,
        "profile": profile.name(),
        "confidence": profile.confidence().name(),
        "algorithm": verified.scheme.name(),
        "signed_fields": verified.signed_fields,
        "issued_at": issued_at,
        "certificate": {
            "subject": certificate.subject().rfc2253(),
            "organization_identifier": organization,
            "sha256": sha256,
        },
    });
    Report::new(text, json)
}

/// What differs, or which settings are wanted to tell.
fn explained(
    profile: &Profile,
    settings: &Settings,
    error: VerifyError,
    expected: Option<Expected>,
) -> Report {
    let names = profile.required_settings().iter();
    let unset = names.filter(|name| settings.get(name).is_none());
    let unset: Vec<&str> = unset.map(String::as_str).collect();
    let wanted = expected.is_none() && !unset.is_empty();
    let report = differs(profile, &error.into(), expected);
    match wanted {
        true => report.note(format!(
            "what differs is told when these settings are said with --set: {}",
            unset.join(", ")
        )),
        false => report,
    }
}

fn differs(profile: &Profile, objection: &Objection, expected: Option<Expected>) -> Report {
    let mut text = pairs(&[
        ("verified", "no".to_owned()),
        (
            "profile",
            format!("{} ({})", profile.name(), profile.confidence().name()),
        ),
        (
            "reason",
            format!("{}  {}", objection.reason, objection.message),
        ),
    ]);
    if let Some(expected) = &expected {
        if expected.differences.is_empty() && objection.reason == VerifyError::Signature.reason() {
            text.push_str(ONLY_THE_SIGNATURE);
        }
        text.push_str(&differences_text(&expected.differences));
        let _ = write!(
            text,
            "\nas it has to be, {}",
            string_to_sign(&expected.to_be_signed)
        );
    }
    let string = expected
        .as_ref()
        .and_then(|expected| std::str::from_utf8(&expected.to_be_signed).ok());
    let differences = expected.iter().flat_map(|expected| &expected.differences);
    let json = json!({
        "verified": false,
        "profile": profile.name(),
        "confidence": profile.confidence().name(),
        "reason": objection.reason,
        "message": objection.message,
        "differences": differences.map(difference_json).collect::<Vec<_>>(),
        "to_be_signed": string,
    });
    Report::new(text, json).negative(true)
}

fn differences_text(differences: &[Difference]) -> String {
    let mut text = String::new();
    for difference in differences {
        let shown = |value: &Option<String>| {
            value
                .as_deref()
                .filter(|value| !value.is_empty())
                .map_or_else(|| "(nothing)".to_owned(), |v| printable(v).into_owned())
        };
        let _ = write!(
            text,
            "\n{}\n  has to be  {}\n  came as    {}\n",
            printable(&difference.place()),
            shown(&difference.expected),
            shown(&difference.found),
        );
    }
    text
}

fn difference_json(difference: &Difference) -> Value {
    json!({
        "header": difference.header,
        "part": difference.part,
        "expected": difference.expected,
        "found": difference.found,
    })
}
