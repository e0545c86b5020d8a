//! Around every request: the answer is signed as the profile wants it, and one line tells a person what happened.
//!
//! In: a request and the answer of a service. Out: the answer with `X-Request-ID`, `Digest`, `Signature` and
//! `ASPSP-Signature-Certificate`, refusals included. Only the interface below `/v1/` is signed, OAuth is not.
//!
//! Serves NextGenPSD2 XS2A 1.3.x and the signed-answer practice of banks that follow it.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{DATE, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use sealkeep_profiles::request::{BodyParts, HttpResponse};
use uuid::Uuid;

use super::House;
use super::books::Created;
use super::gate::request_id;
use super::refused::Code;
use super::serve::Visitor;

/// Bytes of an answer of ours; a list of accounts is the longest.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct CallLine {
    /// When it was answered.
    pub at: Timestamp,
    /// `GET`, `POST`, ..
    pub method: String,
    /// Without the query, which may hold what is not for a log.
    pub path: String,
    /// organizationIdentifier of the provider; `None` when the client certificate has none that counts.
    pub organization: Option<String>,
    /// HTTP status.
    pub status: u16,
    /// The code of a refusal.
    pub code: Option<Code>,
}

impl fmt::Display for CallLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at,
            method,
            path,
            status,
            ..
        } = self;
        let organization = self.organization.as_deref().unwrap_or("-");
        write!(f, "{at:.3} {organization} {method} {path} {status}")?;
        match self.code {
            Some(code) => write!(f, " {}", code.word()),
            None => Ok(()),
        }
    }
}

/// Where lines go.
#[derive(Clone, Default)]
pub struct Log(Option<Arc<Sink>>);

type Sink = dyn Fn(&CallLine) + Send + Sync;

impl Log {
    /// Nowhere.
    pub fn silent() -> Self {
        Self(None)
    }

    /// To this function, from any thread.
    pub fn to(sink: impl Fn(&CallLine) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)))
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Log").field(&self.0.is_some()).finish()
    }
}

pub(super) async fn around(
    State(house): State<Arc<House>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    // An answer has an X-Request-ID even when the request had none that could be echoed.
    let id = request_id(&parts).unwrap_or_else(|_| Uuid::new_v4());
    let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
    let organization = parts
        .extensions
        .get::<Visitor>()
        .and_then(|visitor| visitor.peer().ok())
        .map(|peer| peer.organization().to_owned());
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let code = response.extensions().get::<Code>().copied();
    if path.starts_with("/v1/") {
        response = house.sealed(response, id).await;
    }
    if let Some(sink) = &house.log.0 {
        let (at, status) = (house.clock.now(), response.status().as_u16());
        sink(&CallLine {
            at,
            method,
            path,
            organization,
            status,
            code,
        });
    }
    response
}

impl House {
    /// An answer that cannot be signed is not given: a TPP could not tell it from a forged one.
    async fn sealed(&self, response: Response, id: Uuid) -> Response {
        match self.try_sealed(response, id).await {
            Ok(response) => response,
            Err(what) => Code::InternalServerError
                .because(format!("the answer could not be signed: {what}"))
                .into_response(),
        }
    }

    async fn try_sealed(&self, response: Response, id: Uuid) -> Result<Response, String> {
        let now = self.clock.now();
        let (mut parts, body) = response.into_parts();
        let body: Bytes = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(text)?;
        parts
            .headers
            .insert("x-request-id", value(&id.to_string())?);
        parts.headers.insert(DATE, value(&imf_fixdate(now))?);
        if !self.profile.signs_responses() {
            return Ok(Response::from_parts(parts, Body::from(body)));
        }
        let headers: Vec<_> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect();
        let parts_of_body = BodyParts {
            bytes: Some(&body),
            digests: &[],
        };
        let answer = HttpResponse::parse(parts.status.as_u16(), &headers, parts_of_body);
        let prepared = self
            .profile
            .prepare_response(&answer.map_err(text)?, &self.seal, &self.settings, now)
            .map_err(text)?;
        let raw = self
            .seal_key
            .sign(prepared.scheme(), prepared.to_be_signed())
            .map_err(text)?;
        let signed = prepared.assemble(&raw).map_err(text)?;
        for (name, content) in signed.headers() {
            let name = HeaderName::try_from(name.as_str()).map_err(text)?;
            parts.headers.insert(name, value(content)?);
        }
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

impl IntoResponse for Created {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::CREATED, Json(self.body)).into_response();
        if let Ok(location) = HeaderValue::try_from(self.location) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

/// RFC 9110 §5.6.7.
fn imf_fixdate(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn value(content: &str) -> Result<HeaderValue, String> {
    HeaderValue::try_from(content).map_err(text)
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}
