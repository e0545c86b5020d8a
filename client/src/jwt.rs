//! JWTs for a bank's authorisation server, and request bodies that are one.
//!
//! In: typed fields. Out: [`SignedJwt`], compact. Never: an access token to the service; a DPoP proof wants its hash only.

use crate::bank::BankHandle;
use crate::error::Error;
use crate::target::RequestHead;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use sealkeep_profiles::format::jwt::{Registration, RequestObject};
use sealkeep_proto::v1::jwt_service_client::JwtServiceClient;
use sealkeep_proto::v1::{
    self, SignClientAssertionRequest, SignDpopProofRequest, SignJwtBodyRequest,
    SignRegistrationRequest, SignRequestObjectRequest,
};
use sha2::{Digest, Sha256};

/// What goes beside a client assertion as `client_assertion_type` (RFC 7523 §2.2).
pub const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A signed JWT.
#[derive(Clone)]
pub struct SignedJwt {
    /// The JWT, compact.
    pub jwt: String,
    /// The version that signed, `credentials/{credential}/versions/{number}`.
    pub version: String,
    /// The JWS algorithm, for example `PS256`.
    pub algorithm: String,
    /// The audit record of the signature, `{log}/{sequence}`.
    pub audit_record: String,
}

impl BankHandle {
    /// A client assertion for the authorisation server (`private_key_jwt`); `audience` is one of the bank's settings, or
    /// `None` for the one its profile prefers. It is sent beside [`CLIENT_ASSERTION_TYPE`], once.
    ///
    /// # Errors
    /// [`Error`], by what to do.
    pub async fn client_assertion(&self, audience: Option<&str>) -> Result<SignedJwt, Error> {
        let request = SignClientAssertionRequest {
            bank: self.name().to_owned(),
            credential: self.credential_name().to_owned(),
            audience: audience.unwrap_or_default().to_owned(),
        };
        let answer = self.call(request, async |channel, request| {
            let mut jwts = JwtServiceClient::new(channel);
            jwts.sign_client_assertion(request).await
        });
        SignedJwt::from_wire(answer.await?.signed)
    }

    /// An authorisation request (RFC 9101), to be pushed with PAR or sent as `request`.
    ///
    /// # Errors
    /// [`Error`], by what to do.
    pub async fn request_object(&self, asked: RequestObject) -> Result<SignedJwt, Error> {
        let request = SignRequestObjectRequest {
            bank: self.name().to_owned(),
            credential: self.credential_name().to_owned(),
            audience: asked.audience.unwrap_or_default(),
            response_type: asked.response_type,
            response_mode: asked.response_mode.unwrap_or_default(),
            redirect_uri: asked.redirect_uri.unwrap_or_default(),
            scope: asked.scope.unwrap_or_default(),
            state: asked.state.unwrap_or_default(),
            nonce: asked.nonce.unwrap_or_default(),
            code_challenge: asked.code_challenge.unwrap_or_default(),
            max_age: asked.max_age,
            acr_values: asked.acr_values.unwrap_or_default(),
            prompt: asked.prompt.unwrap_or_default(),
            login_hint: asked.login_hint.unwrap_or_default(),
            ui_locales: asked.ui_locales.unwrap_or_default(),
            authorization_details: asked.authorization_details.unwrap_or_default(),
            dpop_jkt: asked.dpop_jkt.unwrap_or_default(),
            intent_id: asked.intent_id.unwrap_or_default(),
            intent_acr: asked.intent_acr,
        };
        let answer = self.call(request, async |channel, request| {
            let mut jwts = JwtServiceClient::new(channel);
            jwts.sign_request_object(request).await
        });
        SignedJwt::from_wire(answer.await?.signed)
    }

    /// A DPoP proof for one request (RFC 9449), to be sent as its `DPoP` header. The access token is hashed here.
    ///
    /// # Errors
    /// [`Error`], by what to do.
    pub async fn dpop_proof(
        &self,
        parts: &Parts,
        access_token: Option<&str>,
        nonce: Option<&str>,
    ) -> Result<SignedJwt, Error> {
        let head = RequestHead::from_parts(parts)?;
        let request = SignDpopProofRequest {
            bank: self.name().to_owned(),
            credential: self.credential_name().to_owned(),
            method: head.method,
            authority: head.authority,
            target: head.target,
            access_token_sha256: access_token.map(|token| Sha256::digest(token).to_vec()),
            nonce: nonce.unwrap_or_default().to_owned(),
        };
        let answer = self.call(request, async |channel, request| {
            let mut jwts = JwtServiceClient::new(channel);
            jwts.sign_dpop_proof(request).await
        });
        SignedJwt::from_wire(answer.await?.signed)
    }

    /// A client registration around the directory's software statement (RFC 7591), to be posted as `application/jose`.
    ///
    /// # Errors
    /// [`Error`], by what to do.
    pub async fn registration(&self, asked: Registration) -> Result<SignedJwt, Error> {
        let request = SignRegistrationRequest {
            bank: self.name().to_owned(),
            credential: self.credential_name().to_owned(),
            audience: asked.audience.unwrap_or_default(),
            software_statement: asked.software_statement,
            redirect_uris: asked.redirect_uris,
            grant_types: asked.grant_types,
            response_types: asked.response_types,
            application_type: asked.application_type.unwrap_or_default(),
            client_id: asked.client_id.unwrap_or_default(),
            id_token_signed_response_alg: asked.id_token_signed_response_alg.unwrap_or_default(),
            request_object_signing_alg: asked.request_object_signing_alg.unwrap_or_default(),
            scope: asked.scope.unwrap_or_default(),
            software_id: asked.software_id.unwrap_or_default(),
            tls_client_auth_subject_dn: asked.tls_client_auth_subject_dn.unwrap_or_default(),
            token_endpoint_auth_method: asked.token_endpoint_auth_method.unwrap_or_default(),
            token_endpoint_auth_signing_alg: asked
                .token_endpoint_auth_signing_alg
                .unwrap_or_default(),
        };
        let answer = self.call(request, async |channel, request| {
            let mut jwts = JwtServiceClient::new(channel);
            jwts.sign_registration(request).await
        });
        SignedJwt::from_wire(answer.await?.signed)
    }

    /// Makes the body of a request, a JSON object, a JWT, and says so in `Content-Type`. It must be sent as it comes out.
    ///
    /// # Errors
    /// [`Error`], by what to do.
    pub async fn sign_body<B: AsRef<[u8]>>(
        &self,
        request: http::Request<B>,
    ) -> Result<http::Request<String>, Error> {
        let (mut parts, body) = request.into_parts();
        let head = RequestHead::from_parts(&parts)?;
        let request = SignJwtBodyRequest {
            bank: self.name().to_owned(),
            credential: self.credential_name().to_owned(),
            method: head.method,
            authority: head.authority,
            target: head.target,
            body: body.as_ref().to_vec(),
        };
        let answer = self.call(request, async |channel, request| {
            let mut jwts = JwtServiceClient::new(channel);
            jwts.sign_jwt_body(request).await
        });
        let signed = SignedJwt::from_wire(answer.await?.signed)?;
        let media_type = HeaderValue::from_static("application/jwt");
        parts.headers.insert(CONTENT_TYPE, media_type);
        // That of the body before; an HTTP client writes the new one.
        parts.headers.remove(CONTENT_LENGTH);
        Ok(http::Request::from_parts(parts, signed.jwt))
    }
}

impl SignedJwt {
    fn from_wire(signed: Option<v1::SignedJwt>) -> Result<Self, Error> {
        let signed = signed.filter(|signed| !signed.jwt.is_empty());
        let signed = signed.ok_or_else(|| {
            let what = "the service answered without a JWT".to_owned();
            Error::broken("ANSWER_MALFORMED", what)
        })?;
        Ok(Self {
            jwt: signed.jwt,
            version: signed.version,
            algorithm: signed.algorithm,
            audit_record: signed.audit_record,
        })
    }
}

impl std::fmt::Debug for SignedJwt {
    /// A JWT authenticates whoever shows it: its length is all that is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedJwt")
            .field("jwt_len", &self.jwt.len())
            .field("version", &self.version)
            .field("algorithm", &self.algorithm)
            .field("audit_record", &self.audit_record)
            .finish()
    }
}
