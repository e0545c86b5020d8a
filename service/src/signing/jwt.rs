//! The way of one JWT: the same as that of every signature, with a profile and a policy of its own.
//!
//! In: what is asked for, in typed fields. Out: the JWT and the position of its record. The `jti` is made here, so that no
//! caller can choose one that was there before. Never: claims from a caller.

use std::time::Instant;

use sealkeep_profiles::format::jwt::{
    ClientAssertion, DpopProof, JwtRequest, Registration, RequestObject,
};
use sealkeep_profiles::request::{BodyParts, HttpRequest, RequestParts};
use uuid::Uuid;

use super::{Asked, Bound, Ready, Released, Signing, SigningError};
use crate::bank::rotation::moving::share;
use crate::domain::{CallerName, Operation};
use crate::policy::Facts;

/// A JWT that is asked for.
#[derive(Debug)]
pub struct JwtInput {
    /// The bank.
    pub bank: String,
    /// The credential; empty for the one the bank lists first.
    pub credential: String,
    /// Which kind, with its fields.
    pub asked: AskedJwt,
}

/// The kinds of JWTs.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of jwt.proto")]
pub enum AskedJwt {
    /// A client assertion.
    ClientAssertion(ClientAssertion),
    /// An authorisation request.
    RequestObject(Box<RequestObject>),
    /// A DPoP proof.
    DpopProof {
        to: Endpoint,
        access_token_sha256: Option<[u8; 32]>,
        nonce: Option<String>,
    },
    /// A client registration.
    Registration(Box<Registration>),
    /// A body that becomes a JWT.
    Body { to: Endpoint, body: Vec<u8> },
}

/// Where an HTTP request goes.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of an HTTP request")]
pub struct Endpoint {
    pub method: String,
    pub authority: String,
    pub target: String,
}

impl AskedJwt {
    fn operation(&self) -> Operation {
        match self {
            Self::ClientAssertion(_) => Operation::SignClientAssertion,
            Self::RequestObject(_) => Operation::SignRequestObject,
            Self::DpopProof { .. } => Operation::SignDpopProof,
            Self::Registration(_) => Operation::SignRegistration,
            Self::Body { .. } => Operation::SignJwtBody,
        }
    }
}

impl Endpoint {
    fn request(&self, body: &[u8]) -> Result<HttpRequest, SigningError> {
        Ok(HttpRequest::parse(RequestParts {
            method: &self.method,
            authority: &self.authority,
            target: &self.target,
            headers: &[],
            body: BodyParts {
                bytes: Some(body),
                digests: &[],
            },
        })?)
    }
}

impl Signing {
    /// Signs a JWT for a bank or its authorisation server.
    pub async fn jwt(
        &self,
        caller: &CallerName,
        input: JwtInput,
        deadline: Instant,
    ) -> Result<Released, SigningError> {
        let operation = input.asked.operation();
        let asked = Asked::new(caller, operation, &input.bank, &input.credential);
        let ready = self.unless_held(deadline, || self.prepare_jwt(&asked, &input.asked));
        let ready = ready.await;
        self.finish(&asked, ready, deadline).await
    }

    fn prepare_jwt(&self, asked: &Asked<'_>, jwt: &AskedJwt) -> Result<Ready, SigningError> {
        let now = self.clock.now();
        let snapshot = self.world.current()?;
        let grant = asked.grant(&snapshot)?;
        let http;
        let (request, facts) = match jwt {
            AskedJwt::ClientAssertion(fields) => {
                (JwtRequest::ClientAssertion(fields.clone()), Facts::Jwt)
            }
            AskedJwt::RequestObject(fields) => {
                (JwtRequest::RequestObject(fields.clone()), Facts::Jwt)
            }
            AskedJwt::Registration(fields) => {
                (JwtRequest::Registration(fields.clone()), Facts::Jwt)
            }
            AskedJwt::DpopProof {
                to,
                access_token_sha256,
                nonce,
            } => {
                http = to.request(&[])?;
                let proof = DpopProof {
                    request: &http,
                    access_token_sha256: *access_token_sha256,
                    nonce: nonce.as_deref(),
                };
                (JwtRequest::DpopProof(proof), Facts::DpopProof(&http))
            }
            AskedJwt::Body { to, body } => {
                http = to.request(body)?;
                (JwtRequest::Body(&http), Facts::Http(&http))
            }
        };
        let jti = Uuid::new_v4().to_string();
        let bound = Bound::of(asked, &grant, &snapshot, now, || share(jti.as_bytes()))?;
        let destination = grant.destination().clone();
        let permit = bound.permit(grant, facts, now)?;
        // A body belongs to the bank's API, all else to its authorisation server.
        let profile = match jwt {
            AskedJwt::Body { .. } => &destination.profile,
            _ => &destination.oauth_profile,
        };
        let (certificate, settings) = (bound.certificate(), &destination.settings);
        let prepared = profile.prepare_jwt(&request, certificate, settings, &jti, now)?;
        Ok(bound.ready(permit, prepared, Some(profile.clone())))
    }
}
