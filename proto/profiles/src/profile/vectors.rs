//! Vectors: what a profile has to make of given requests, byte for byte.
//!
//! Comes in: a vector file (requests, settings, expected lines, headers and signature) and a profile. Goes out: nothing, or
//! the first difference. Never signs: a signature in a vector is verified under the vector's certificate, which for RSA
//! PKCS#1 v1.5 is the same as comparing it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;

use super::layer::line_of;
use super::{Catalog, Profile, ProfileError, Settings, Source};
use crate::certificate::{Certificate, Chain};
use crate::format::jwt::{
    ClientAssertion, DpopProof, ExpectedProof, JwtKind, JwtRequest, Registration, RequestObject,
};
use crate::prepared::{AssembleError, Prepared};
use crate::refusal::Refusal;
use crate::request::{BodyParts, HttpRequest, RequestParts};
use crate::verify::{self, VerifyError};

/// The certificate of every vector that brings none; its key is `test-key-rsa` of RFC 9421 appendix B.1.1.
const EXAMPLE_CERTIFICATE: &[u8] = include_bytes!("../../vectors/example-tpp-qseal.pem");

/// The vectors of one profile.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vectors {
    case: Vec<Vector>,
}

/// One request and what becomes of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    name: String,
    /// The time of signing.
    #[serde(default = "example_time")]
    now: Timestamp,
    #[serde(default = "example_authority")]
    authority: String,
    #[serde(default = "example_method")]
    method: String,
    #[serde(default = "example_target")]
    target: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    /// The JWT that is asked for, in the place of a signature over the request.
    jwt: Option<AskedJwt>,
    /// PEM, leaf first; that of the example TPP alone when there is none.
    certificate: Option<String>,
    /// The string to sign, a line each; an empty last one stands for a line feed at the end.
    #[serde(default)]
    string_to_sign: Vec<String>,
    /// The headers to set, with `<signature>` in the place of the signature.
    #[serde(default)]
    set: Vec<(String, String)>,
    /// The raw signature, base64: RSA as is, ECDSA as `r || s`.
    #[serde(default)]
    signature: String,
}

/// A JWT, in the fields of its request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum AskedJwt {
    ClientAssertion(ClientAssertion),
    RequestObject(Box<RequestObject>),
    Registration(Box<Registration>),
    /// For the vector's request.
    DpopProof,
    /// The body of the vector's request.
    Body,
}

/// The `jti` of every vector.
const EXAMPLE_JTI: &str = "99391c7e-ad88-49ec-a2ad-99ddcb1f7721";

/// Tue, 18 Sep 2018 09:51:01 GMT.
fn example_time() -> Timestamp {
    Timestamp::constant(1_537_264_261, 0)
}

fn example_method() -> String {
    "GET".into()
}

fn example_target() -> String {
    "/".into()
}

fn example_authority() -> String {
    "bank.example".into()
}

/// How a profile and a vector differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// The certificate is no PEM of a certificate.
    #[error("the vector's certificate cannot be read")]
    Certificate,
    /// The profile, or the request parser, refuses the request.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another string to sign.
    #[error("line {line} of the string to sign is {found:?}, not {expected:?}")]
    StringToSign {
        /// The first line that differs, from 1.
        line: usize,
        /// What the vector says; empty when it has fewer lines.
        expected: String,
        /// What the profile makes of it; empty when it makes fewer lines.
        found: String,
    },
    /// Other headers.
    #[error("header {position} to set is {found:?}, not {expected:?}")]
    Header {
        /// The first that differs, from 1.
        position: usize,
        /// What the vector says; `None` when it sets fewer.
        expected: Option<(String, String)>,
        /// What the profile sets; `None` when it sets fewer.
        found: Option<(String, String)>,
    },
    /// The vector's signature is not one over the string, by the certificate's key.
    #[error("the vector's signature: {0}")]
    Signature(#[from] AssembleError),
    /// What was signed does not verify as the profile's.
    #[error("what was signed does not verify: {0}")]
    Verify(#[from] VerifyError),
}

impl Vectors {
    /// Reads a vector file.
    ///
    /// # Errors
    /// [`ProfileError::Toml`] or [`ProfileError::TooLong`], with the line.
    pub fn from_source(source: Source<'_>) -> Result<Self, ProfileError> {
        let Source { file, text } = source;
        source.check_length()?;
        toml::from_str(text).map_err(|error: toml::de::Error| ProfileError::Toml {
            file: file.to_owned(),
            line: line_of(text, error.span().unwrap_or_default().start),
            message: error.message().to_owned(),
        })
    }

    /// The file with the vectors of a shipped profile.
    #[must_use]
    pub fn shipped_source(profile: &str) -> Option<Source<'static>> {
        Catalog::shipped()
            .find(|shipped| shipped.vectors.file.strip_suffix(".toml") == Some(profile))
            .map(|shipped| shipped.vectors)
    }

    /// Each vector, in the order of the file.
    #[must_use]
    pub fn cases(&self) -> &[Vector] {
        &self.case
    }
}

impl AskedJwt {
    fn of<'a>(&self, request: &'a HttpRequest) -> JwtRequest<'a> {
        match self {
            Self::ClientAssertion(asked) => JwtRequest::ClientAssertion(asked.clone()),
            Self::RequestObject(asked) => JwtRequest::RequestObject(asked.clone()),
            Self::Registration(asked) => JwtRequest::Registration(asked.clone()),
            Self::DpopProof => JwtRequest::DpopProof(DpopProof {
                request,
                access_token_sha256: None,
                nonce: None,
            }),
            Self::Body => JwtRequest::Body(request),
        }
    }
}

impl Vector {
    /// What it shows: `POST with every conditional header`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the profile makes of the vector's request.
    ///
    /// # Errors
    /// [`VectorError::Certificate`], [`VectorError::Refused`].
    pub fn prepare(&self, profile: &Profile) -> Result<Prepared, VectorError> {
        let settings = self.settings();
        profile.check_settings(&settings)?;
        let request = self.request(&[])?;
        let certificates = self.certificates()?;
        let chain = chain(&certificates)?;
        Ok(match &self.jwt {
            Some(asked) => {
                let asked = asked.of(&request);
                profile.prepare_jwt(&asked, chain.leaf(), &settings, EXAMPLE_JTI, self.now)?
            }
            None => profile.prepare(&request, chain, &settings, self.now)?,
        })
    }

    /// Compares: string to sign, headers to set, signature; then verifies the signed request as a bank would.
    ///
    /// # Errors
    /// [`VectorError`]: the first difference.
    pub fn check(&self, profile: &Profile) -> Result<(), VectorError> {
        let prepared = self.prepare(profile)?;
        self.compare_string(prepared.to_be_signed())?;
        self.compare_headers(&prepared.outline())?;
        // What is no base64 is no signature either.
        let signature = STANDARD.decode(&self.signature).unwrap_or_default();
        let signed = prepared.assemble(&signature)?;
        if let (Some(asked), Some(jwt)) = (&self.jwt, signed.jws()) {
            self.verify_jwt(profile, asked, jwt)?;
        } else if !signed.headers().is_empty() {
            let sent = self.request(signed.headers())?;
            let certificates = self.certificates()?;
            let leaf = chain(&certificates)?.leaf();
            verify::http_request(profile, &sent, leaf, &self.settings(), self.now)?;
        }
        Ok(())
    }

    fn verify_jwt(
        &self,
        profile: &Profile,
        asked: &AskedJwt,
        jwt: &str,
    ) -> Result<(), VectorError> {
        let request = self.request(&[])?;
        let certificates = self.certificates()?;
        let (certificate, settings) = (chain(&certificates)?.leaf(), self.settings());
        match asked.of(&request).kind() {
            JwtKind::DpopProof => {
                let expected = ExpectedProof {
                    request: &request,
                    access_token_sha256: None,
                    nonce: None,
                    age_seconds_max: 0,
                };
                verify::dpop_proof(jwt, expected, self.now)?;
            }
            JwtKind::Body => {
                let url = format!("https://{}{}", request.authority(), request.path());
                verify::jwt_request_body(profile, jwt, &url, certificate, &settings, self.now)?;
            }
            kind => {
                verify::jwt(profile, kind, jwt, certificate, &settings, self.now)?;
            }
        }
        Ok(())
    }

    fn compare_string(&self, found: &[u8]) -> Result<(), VectorError> {
        let found = String::from_utf8_lossy(found);
        let mut found_lines = found.split('\n');
        let mut expected_lines = self.string_to_sign.iter();
        for line in 1.. {
            let (expected, found) = (expected_lines.next(), found_lines.next());
            if expected.is_none() && found.is_none() {
                break;
            }
            if expected.map(String::as_str) != found {
                return Err(VectorError::StringToSign {
                    line,
                    expected: expected.cloned().unwrap_or_default(),
                    found: found.unwrap_or_default().to_owned(),
                });
            }
        }
        Ok(())
    }

    fn compare_headers(&self, found: &[(String, String)]) -> Result<(), VectorError> {
        let count = self.set.len().max(found.len());
        let differs = |position: &usize| self.set.get(*position) != found.get(*position);
        match (0..count).find(differs) {
            None => Ok(()),
            Some(position) => Err(VectorError::Header {
                position: position + 1,
                expected: self.set.get(position).cloned(),
                found: found.get(position).cloned(),
            }),
        }
    }

    fn settings(&self) -> Settings {
        Settings::from(self.settings.clone())
    }

    /// Leaf first, never empty.
    fn certificates(&self) -> Result<Vec<Certificate>, VectorError> {
        let pem = match &self.certificate {
            Some(pem) => pem.as_bytes(),
            None => EXAMPLE_CERTIFICATE,
        };
        Certificate::chain_from_pem(pem).map_err(|_| VectorError::Certificate)
    }

    /// The request; with the headers a signature sets in the place of those of the same name.
    fn request(&self, set: &[(String, String)]) -> Result<HttpRequest, Refusal> {
        let is_set = |name: &str| set.iter().any(|(set, _)| set.eq_ignore_ascii_case(name));
        let kept = self.headers.iter().filter(|(name, _)| !is_set(name));
        let headers: Vec<(String, Vec<u8>)> = kept
            .chain(set)
            .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
            .collect();
        HttpRequest::parse(RequestParts {
            method: &self.method,
            authority: &self.authority,
            target: &self.target,
            headers: &headers,
            body: BodyParts {
                bytes: Some(self.body.as_bytes()),
                digests: &[],
            },
        })
    }
}

fn chain(certificates: &[Certificate]) -> Result<Chain<'_>, VectorError> {
    let (leaf, issuers) = certificates.split_first().ok_or(VectorError::Certificate)?;
    Ok(Chain::new(leaf, issuers))
}
