//! `sealkeep verify jwt ...`: does what an authorisation server does with a JWT, or we with a bank's answer.
//!
//! In: a JWT, a profile, a certificate, settings, the time; a DPoP proof needs its request only. Out: what is proven with the
//! claims, or the first difference. Never: a memory of `jti`; that a JWT was not shown before is not known here.

use super::{Objection, differs, in_time, proven};
use crate::failure::Failure;
use crate::files::argument_text;
use crate::offline::{SignedBy, certificate};
use crate::report::{Report, pairs};
use crate::words::{Url, rfc3339, url};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use sealkeep_client::clock;
use sealkeep_profiles::algorithm::HashAlgorithm;
use sealkeep_profiles::format::jwt::{ExpectedProof, JwtKind, VerifiedProof};
use sealkeep_profiles::request::{BodyParts, HttpRequest, RequestParts};
use sealkeep_profiles::verify::{self, VerifyError};
use serde_json::json;
use std::path::PathBuf;

/// How old a DPoP proof may be unless the command says otherwise, in seconds.
const PROOF_AGE_SECONDS_MAX: u32 = 60;

#[derive(Debug, Subcommand)]
pub(crate) enum Kind {
    /// A client assertion, as an authorisation server takes it.
    ClientAssertion(Jwt),
    /// An authorisation request.
    RequestObject(Jwt),
    /// A client registration.
    Registration(Jwt),
    /// The body of a request, as the bank takes it.
    RequestBody {
        #[command(flatten)]
        jwt: Jwt,
        /// The endpoint it was sent to, without query.
        #[arg(long)]
        url: String,
    },
    /// The body of a bank's answer.
    AnswerBody(Jwt),
    /// A DPoP proof; needs no profile and no certificate.
    Dpop(Box<Dpop>),
}

#[derive(Debug, Args)]
pub(crate) struct Jwt {
    #[command(flatten)]
    by: SignedBy,
    /// The JWT: `@file`, `@-` for stdin, or text.
    #[arg(long, value_name = "@FILE|TEXT")]
    jwt: String,
    /// The sender's certificate, PEM or DER.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Dpop {
    /// The proof: `@file`, `@-` for stdin, or text.
    #[arg(long, value_name = "@FILE|TEXT")]
    jwt: String,
    /// The method of the request it came with.
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "POST")]
    method: String,
    /// The access token that came with it: `@file`, `@-` for stdin, or text.
    #[arg(long, value_name = "@FILE|TEXT")]
    access_token: Option<String>,
    /// The nonce that was given out.
    #[arg(long)]
    nonce: Option<String>,
    /// How old it may be.
    #[arg(long, value_name = "SECONDS", default_value_t = PROOF_AGE_SECONDS_MAX)]
    age_max: u32,
    /// The time to take for now, RFC 3339.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// Where the request went.
    #[arg(value_parser = url)]
    url: Url,
}

/// What to take a JWT for.
enum Expected<'a> {
    Kind(JwtKind),
    RequestBody { url: &'a str },
    AnswerBody,
}

impl Kind {
    pub(super) fn run(self) -> Result<Report, Failure> {
        match self {
            Self::ClientAssertion(jwt) => jwt.verify(Expected::Kind(JwtKind::ClientAssertion)),
            Self::RequestObject(jwt) => jwt.verify(Expected::Kind(JwtKind::RequestObject)),
            Self::Registration(jwt) => jwt.verify(Expected::Kind(JwtKind::Registration)),
            Self::RequestBody { jwt, url } => jwt.verify(Expected::RequestBody { url: &url }),
            Self::AnswerBody(jwt) => jwt.verify(Expected::AnswerBody),
            Self::Dpop(dpop) => dpop.verify(),
        }
    }
}

impl Jwt {
    fn verify(&self, expected: Expected<'_>) -> Result<Report, Failure> {
        let profile = &self.by.profile()?;
        let jwt = &argument_text("--jwt", &self.jwt)?;
        let certificate = &certificate(&self.certificate)?;
        let (settings, now) = (&self.by.settings(), self.by.now());
        let verified = match expected {
            Expected::Kind(kind) => verify::jwt(profile, kind, jwt, certificate, settings, now),
            Expected::RequestBody { url } => {
                verify::jwt_request_body(profile, jwt, url, certificate, settings, now)
            }
            Expected::AnswerBody => {
                verify::jwt_answer_body(profile, jwt, certificate, settings, now)
            }
        };
        Ok(match verified {
            Ok(jwt) => {
                let report = proven(profile, &jwt.verified, certificate, now);
                match in_time(certificate, now) {
                    Ok(()) => report.with("claims", json!(jwt.claims)),
                    Err(_) => report,
                }
            }
            Err(error) => differs(profile, &error.into(), None),
        })
    }
}

impl Dpop {
    fn verify(&self) -> Result<Report, Failure> {
        let proof = argument_text("--jwt", &self.jwt)?;
        let token = self.access_token.as_deref();
        let token = token
            .map(|token| argument_text("--access-token", token))
            .transpose()?;
        let request = HttpRequest::parse(RequestParts {
            method: &self.method,
            authority: &self.url.authority,
            target: &self.url.target,
            headers: &[],
            body: BodyParts {
                bytes: None,
                digests: &[],
            },
        });
        let request = request.map_err(|refusal| Failure::usage(refusal.to_string()))?;
        let expected = ExpectedProof {
            request: &request,
            access_token_sha256: token.and_then(|token| {
                let digest = HashAlgorithm::Sha256.digest(token.as_bytes());
                digest.try_into().ok()
            }),
            nonce: self.nonce.as_deref(),
            age_seconds_max: self.age_max,
        };
        let now = self.now.unwrap_or_else(clock::now);
        Ok(match verify::dpop_proof(&proof, expected, now) {
            Ok(proof) => proof_report(&proof),
            Err(error) => proof_differs(error),
        })
    }
}

fn proof_report(proof: &VerifiedProof) -> Report {
    let issued_at = rfc3339(Some(proof.issued_at));
    let text = pairs(&[
        ("verified", "yes".to_owned()),
        ("algorithm", proof.scheme.name().to_owned()),
        ("signed at", issued_at.clone()),
        ("thumbprint", proof.jkt.clone()),
        ("jti", proof.jti.clone()),
    ]);
    let json = json!({
        "verified": true,
        "algorithm": proof.scheme.name(),
        "issued_at": issued_at,
        "jkt": proof.jkt,
        "jti": proof.jti,
    });
    Report::new(text, json).note("whether the access token is bound to this key is not checked")
}

fn proof_differs(error: VerifyError) -> Report {
    let objection = Objection::from(error);
    let text = pairs(&[
        ("verified", "no".to_owned()),
        (
            "reason",
            format!("{}  {}", objection.reason, objection.message),
        ),
    ]);
    let json = json!({
        "verified": false,
        "reason": objection.reason,
        "message": objection.message,
    });
    Report::new(text, json).negative(true)
}
