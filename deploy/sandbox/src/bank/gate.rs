//! The gate before every service: nothing passes that a bank would refuse.
//!
//! In: a request with the [`Visitor`] of its connection. Out: a [`Call`], which only this file makes. The order of the
//! checks is that of trust: who is connected, may such a provider do this at all, is the request well formed and signed
//! by the same provider, and only then what it carries: its access token.
//!
//! Serves NextGenPSD2 XS2A 1.3.x (signature and X-Request-ID), TS 119 495 (roles), RFC 8705 §3.2, RFC 6750 §2.1.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use http::request::Parts;
use jiff::Timestamp;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::request::{BodyParts, HttpRequest, RequestParts};
use sealkeep_profiles::roles::Role;
use sealkeep_profiles::verify::{self, VerifyError};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::House;
use super::peer::Peer;
use super::refused::{Code, Refused};
use super::serve::Visitor;
use super::token::Scope;

/// Bytes of a request body.
pub(super) const BODY_BYTES_MAX: usize = 256 * 1024;

/// Headers that belong to what is asked, so that a retry has to repeat them.
const MEANT_HEADERS: [&str; 4] = [
    "psu-id",
    "psu-corporate-id",
    "tpp-redirect-uri",
    "consent-id",
];

/// Headers that carry a signature, whatever the profile.
const SIGNATURE_HEADERS: [&str; 2] = ["signature", "x-jws-signature"];

/// What a provider may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// Account information (AIS).
    Accounts,
    /// Payment initiation (PIS).
    Payments,
}

impl Service {
    fn role(self) -> Role {
        match self {
            Self::Accounts => Role::PSP_AI,
            Self::Payments => Role::PSP_PI,
        }
    }

    fn scope(self) -> Scope {
        match self {
            Self::Accounts => Scope::Aisp,
            Self::Payments => Scope::Pisp,
        }
    }
}

/// A request that passed the gate.
#[derive(Debug)]
pub(super) struct Call {
    organization: String,
    request_id: Uuid,
    http: HttpRequest,
    body: Bytes,
    now: Timestamp,
}

impl House {
    /// Checks a request against everything but its content.
    pub(super) async fn admit(&self, request: Request, service: Service) -> Result<Call, Refused> {
        let now = self.clock.now();
        let (parts, body) = request.into_parts();
        let visitor = parts.extensions.get::<Visitor>().cloned();
        let visitor =
            visitor.ok_or_else(|| Code::InternalServerError.because("no connection known"))?;
        let peer = visitor.peer().map_err(Clone::clone)?;
        peer.permit(service.role(), now)?;
        let request_id = request_id(&parts)?;
        let body = collect(body).await?;
        let http = parse(&parts, &body)?;
        self.check_signature(&http, peer, now)?;
        self.tokens
            .verify(bearer(&http)?, peer, service.scope(), now)?;
        let organization = peer.organization().to_owned();
        Ok(Call {
            organization,
            request_id,
            http,
            body,
            now,
        })
    }

    /// The seal must verify, be of a QSealC that the bank believes, and be of the provider that is connected.
    fn check_signature(
        &self,
        http: &HttpRequest,
        peer: &Peer,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let seal = self.seal_of(http)?;
        self.trust.check_seal(&seal, now)?;
        if seal.organization_identifier() != Some(peer.organization()) {
            let text = "the seal certificate and the client certificate are not of one provider";
            return Err(Code::CertificateInvalid.because(text));
        }
        verify::http_request(&self.profile, http, &seal, &self.settings, now)
            .map_err(unverified)?;
        Ok(())
    }

    /// The certificate the request brings along. Nothing about it is proven yet.
    fn seal_of(&self, http: &HttpRequest) -> Result<Certificate, Refused> {
        match verify::certificate_of_request(&self.profile, http) {
            Ok(Some(seal)) => Ok(seal),
            Ok(None) => {
                let text = "the profile of this bank makes requests carry no seal certificate";
                Err(Code::CertificateMissing.because(text))
            }
            // Who sends neither has not signed at all, and should be told so.
            Err(VerifyError::CertificateMissing { .. }) if !is_signed(http) => {
                Err(Code::SignatureMissing.because("the request is not signed"))
            }
            Err(error) => Err(unverified(error)),
        }
    }
}

impl Call {
    /// The provider.
    pub(super) fn organization(&self) -> &str {
        &self.organization
    }

    /// When it was admitted.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// A header that occurs once.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        only(&self.http, name)
    }

    /// The body as JSON of a known form.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Code::FormatError.because(format!("the body: {error}")))
    }

    /// Under what a retry is recognised.
    pub(super) fn retry_key(&self) -> (String, Uuid) {
        (self.organization.clone(), self.request_id)
    }

    /// What a retry must have in common with the first request. The signature is not part of it: some schemes never
    /// make the same one twice, and a signed date moves on.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(self.http.method().as_str().as_bytes());
        add(self.http.target().as_bytes());
        for name in MEANT_HEADERS {
            add(self.http.header(name).join(", ").as_bytes());
        }
        add(&self.body);
        hash.finalize().into()
    }
}

fn is_signed(http: &HttpRequest) -> bool {
    SIGNATURE_HEADERS
        .iter()
        .any(|name| !http.header(name).is_empty())
}

fn unverified(error: VerifyError) -> Refused {
    let code = match &error {
        VerifyError::SignatureMissing { .. } => Code::SignatureMissing,
        VerifyError::CertificateMissing { .. } => Code::CertificateMissing,
        VerifyError::CertificateMalformed | VerifyError::CertificateMismatch => {
            Code::CertificateInvalid
        }
        VerifyError::Stale { .. } => Code::TimestampInvalid,
        VerifyError::Unfit(_) => Code::FormatError,
        _ => Code::SignatureInvalid,
    };
    code.because(error.to_string())
}

/// The mandatory X-Request-ID: a UUID, once.
pub(super) fn request_id(parts: &Parts) -> Result<Uuid, Refused> {
    let mut values = parts.headers.get_all("x-request-id").iter();
    let (first, second) = (values.next(), values.next());
    match (first.and_then(|value| value.to_str().ok()), second) {
        (Some(text), None) => Uuid::try_parse(text)
            .map_err(|_| Code::FormatError.because("X-Request-ID is not a UUID")),
        _ => Err(Code::FormatError.because("X-Request-ID is missing or there more than once")),
    }
}

async fn collect(body: Body) -> Result<Bytes, Refused> {
    to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        Code::FormatError.because(format!(
            "the body broke off or has over {BODY_BYTES_MAX} bytes"
        ))
    })
}

fn parse(parts: &Parts, body: &[u8]) -> Result<HttpRequest, Refused> {
    let mut headers: Vec<(String, Vec<u8>)> = Vec::with_capacity(parts.headers.len());
    for (name, value) in &parts.headers {
        headers.push((name.as_str().to_owned(), value.as_bytes().to_vec()));
    }
    // HTTP/2 has the authority in its own field (RFC 9113 §8.3.1), HTTP/1.1 in Host.
    let host = parts
        .headers
        .get("host")
        .and_then(|host| host.to_str().ok());
    let authority = parts
        .uri
        .authority()
        .map(|authority| authority.as_str())
        .or(host);
    let request = RequestParts {
        method: parts.method.as_str(),
        authority: authority.unwrap_or_default(),
        target: parts
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str()),
        headers: &headers,
        body: BodyParts {
            bytes: Some(body),
            digests: &[],
        },
    };
    HttpRequest::parse(request)
        .map_err(|refusal| Code::FormatError.because(format!("{}: {refusal}", refusal.field())))
}

fn bearer(http: &HttpRequest) -> Result<&str, Refused> {
    only(http, "authorization")
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| Code::TokenUnknown.because("no access token: Authorization: Bearer .."))
}

fn only<'a>(http: &'a HttpRequest, name: &str) -> Option<&'a str> {
    match http.header(name)[..] {
        [value] => Some(value),
        _ => None,
    }
}
