//! One bank as the caller sees it: sign requests and payloads for it, open TLS to it.
//!
//! In: requests as they will be sent. Out: the headers to set. Never: a body to the service before it asked for it.

use crate::body::BodySource;
use crate::error::{BODY_REQUIRED, Error};
use crate::handle::Sealkeep;
use crate::http_client::HttpClient;
use crate::signed::{Explanation, SignedHeaders, SignedJws};
use crate::target::RequestHead;
use crate::tls::{Ask, TlsConfig};
use http::request::Parts;
use rustls::RootCertStore;
use sealkeep_proto::v1::explain_signature_request::Request as Asked;
use sealkeep_proto::v1::rotation_service_client::RotationServiceClient;
use sealkeep_proto::v1::signing_service_client::SigningServiceClient;
use sealkeep_proto::v1::{
    ExplainSignatureRequest, Header, ReportOutcomeRequest, SignHttpRequestRequest,
    SignHttpRequestResponse, SignJwsRequest,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// Works for one bank with the credentials bound to it. Cloning is cheap.
#[derive(Clone)]
pub struct BankHandle {
    sealkeep: Sealkeep,
    bank: Arc<str>,
    credential: Arc<str>,
    /// The verification that calls belong to; empty for everything else.
    verification: Arc<str>,
    body_wanted: Arc<AtomicBool>,
}

impl BankHandle {
    pub(crate) fn new(sealkeep: Sealkeep, bank: &str, body_wanted: Arc<AtomicBool>) -> Self {
        Self {
            sealkeep,
            bank: bank.into(),
            credential: "".into(),
            verification: "".into(),
            body_wanted,
        }
    }

    /// The name of the bank.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.bank
    }

    /// The same bank with another credential than the one it lists first.
    #[must_use]
    pub fn credential(&self, name: &str) -> Self {
        Self {
            credential: name.into(),
            ..self.clone()
        }
    }

    /// The same bank while a verification tries another version.
    pub(crate) fn verifying(&self, verification: &str) -> Self {
        Self {
            verification: verification.into(),
            ..self.clone()
        }
    }

    pub(crate) fn sealkeep(&self) -> &Sealkeep {
        &self.sealkeep
    }

    /// Signs a request and sets the headers on it. It must be sent as it comes out: same method, target, headers, body.
    ///
    /// Sign last: what adds or changes headers afterwards breaks the signature, and a request that is sent again wants
    /// a signature of its own.
    ///
    /// # Errors
    /// [`Error`], by what to do; nothing was changed.
    pub async fn sign<B: AsRef<[u8]>>(
        &self,
        request: http::Request<B>,
    ) -> Result<http::Request<B>, Error> {
        let (mut parts, body) = request.into_parts();
        let signed = self
            .sign_parts(&parts, BodySource::Bytes(body.as_ref()))
            .await?;
        signed.apply(&mut parts);
        Ok(http::Request::from_parts(parts, body))
    }

    /// Signs the head of a request and answers with the headers to set.
    ///
    /// # Errors
    /// [`Error`], by what to do.
    pub async fn sign_parts(
        &self,
        parts: &Parts,
        body: BodySource<'_>,
    ) -> Result<SignedHeaders, Error> {
        self.sign_head(&RequestHead::from_parts(parts)?, body).await
    }

    /// The same for a request that is not the `http` crate's.
    ///
    /// # Errors
    /// [`Error`], by what to do.
    pub async fn sign_head(
        &self,
        head: &RequestHead,
        body: BodySource<'_>,
    ) -> Result<SignedHeaders, Error> {
        let wanted = self.body_wanted.load(Ordering::Relaxed);
        let answer = match self.sign_once(head, &body, wanted).await {
            Err(error) if !wanted && asks_for_body(&error, &body) => {
                let answer = self.sign_once(head, &body, true).await?;
                self.body_wanted.store(true, Ordering::Relaxed);
                answer
            }
            other => other?,
        };
        SignedHeaders::from_wire(answer)
    }

    /// Tells what [`Self::sign_head`] would sign, under the same grants and rules. Uses no key.
    ///
    /// # Errors
    /// [`Error`], by what to do; the same as for the signature.
    pub async fn explain_head(
        &self,
        head: &RequestHead,
        body: BodySource<'_>,
    ) -> Result<Explanation, Error> {
        let wanted = self.body_wanted.load(Ordering::Relaxed);
        match self.explain_once(head, &body, wanted).await {
            Err(error) if !wanted && asks_for_body(&error, &body) => {
                self.explain_once(head, &body, true).await
            }
            other => other,
        }
    }

    /// Tells what [`Self::jws`] would sign, under the same grants and rules. Uses no key.
    ///
    /// # Errors
    /// [`Error`], by what to do; the same as for the signature.
    pub async fn explain_jws(&self, payload: &[u8]) -> Result<Explanation, Error> {
        self.explain(Asked::Jws(self.jws_request(payload))).await
    }

    /// Tells how the bank answered to a signature of `version` ([`SignedHeaders::version`]): whether it accepted the
    /// signature, whatever else it said. While a new version is tried with a share of the requests, the service rolls it
    /// back when it fails clearly more often than the old one.
    ///
    /// # Errors
    /// [`Error`], by what to do; nothing hangs on a lost report.
    pub async fn report(&self, version: &str, accepted: bool) -> Result<(), Error> {
        let request = ReportOutcomeRequest {
            bank: self.bank.to_string(),
            version: version.to_owned(),
            accepted,
        };
        self.sealkeep
            .call(request, async |channel, request| {
                RotationServiceClient::new(channel)
                    .report_outcome(request)
                    .await
            })
            .await?;
        Ok(())
    }

    /// Signs a payload as a JWS, compact or detached as the bank's profile says.
    ///
    /// # Errors
    /// [`Error`], by what to do.
    pub async fn jws(&self, payload: &[u8]) -> Result<SignedJws, Error> {
        let request = self.jws_request(payload);
        let answer = self.call(request, async |channel, request| {
            SigningServiceClient::new(channel).sign_jws(request).await
        });
        Ok(answer.await?.into())
    }

    /// The client side of mutual TLS to the bank, with a key that stays in the token. `roots` are those that may have
    /// issued the bank's server certificate.
    ///
    /// # Errors
    /// [`Error`], by what to do.
    pub async fn tls_config(&self, roots: RootCertStore) -> Result<TlsConfig, Error> {
        let ask = Ask {
            sealkeep: self.sealkeep.clone(),
            bank: self.bank.clone(),
            credential: self.credential.clone(),
            verification: self.verification.clone(),
        };
        TlsConfig::fetch(ask, roots).await
    }

    /// An HTTP client for the bank over that TLS. It adds nothing to requests; sign them first.
    ///
    /// # Errors
    /// [`Error`], by what to do.
    pub async fn http_client(&self, roots: RootCertStore) -> Result<HttpClient, Error> {
        HttpClient::new(self.tls_config(roots).await?)
    }

    async fn sign_once(
        &self,
        head: &RequestHead,
        body: &BodySource<'_>,
        send_body: bool,
    ) -> Result<SignHttpRequestResponse, Error> {
        let request = self.http_message(head, body, send_body);
        let answer = self.call(request, async |channel, request| {
            let mut signing = SigningServiceClient::new(channel);
            signing.sign_http_request(request).await
        });
        answer.await
    }

    /// The name of the credential; empty for the one the bank lists first.
    pub(crate) fn credential_name(&self) -> &str {
        &self.credential
    }

    /// Makes one call that signs: tried again only when the service was not available.
    pub(crate) async fn call<Q, A, F, Fut>(&self, request: Q, rpc: F) -> Result<A, Error>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let line = self.sealkeep.line();
        line.call(self.sealkeep.timeout(), request, rpc).await
    }

    async fn explain_once(
        &self,
        head: &RequestHead,
        body: &BodySource<'_>,
        send_body: bool,
    ) -> Result<Explanation, Error> {
        let message = self.http_message(head, body, send_body);
        self.explain(Asked::HttpRequest(message)).await
    }

    async fn explain(&self, asked: Asked) -> Result<Explanation, Error> {
        let request = ExplainSignatureRequest {
            request: Some(asked),
        };
        let answer = self.call(request, async |channel, request| {
            let mut signing = SigningServiceClient::new(channel);
            signing.explain_signature(request).await
        });
        Ok(answer.await?.into())
    }

    fn jws_request(&self, payload: &[u8]) -> SignJwsRequest {
        SignJwsRequest {
            bank: self.bank.to_string(),
            credential: self.credential.to_string(),
            payload: payload.to_vec(),
        }
    }

    fn http_message(
        &self,
        head: &RequestHead,
        body: &BodySource<'_>,
        send_body: bool,
    ) -> SignHttpRequestRequest {
        let bytes = body.bytes().filter(|bytes| send_body && !bytes.is_empty());
        let header = |(name, value): &(String, Vec<u8>)| Header {
            name: name.clone(),
            value: value.clone(),
        };
        SignHttpRequestRequest {
            bank: self.bank.to_string(),
            credential: self.credential.to_string(),
            method: head.method.clone(),
            authority: head.authority.clone(),
            target: head.target.clone(),
            headers: head.headers.iter().map(header).collect(),
            body: bytes.map(<[u8]>::to_vec),
            body_digests: if bytes.is_some() {
                Vec::new()
            } else {
                body.digests()
            },
            verification: self.verification.to_string(),
        }
    }
}

fn asks_for_body(error: &Error, body: &BodySource<'_>) -> bool {
    error.reason() == BODY_REQUIRED && body.bytes().is_some()
}

impl std::fmt::Debug for BankHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BankHandle")
            .field("bank", &self.bank)
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}
