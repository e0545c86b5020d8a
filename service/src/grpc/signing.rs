//! `SigningService`.

use sealkeep_proto::v1::{self, signing_service_server::SigningService};
use tonic::{Request, Response, Status};

use super::entry::{Entry, enter};
use super::error::{invalid, status_of};
use super::{Api, wire};
use crate::signing::{Explained, HttpInput, JwsInput, Released};

#[tonic::async_trait]
impl SigningService for Api {
    async fn sign_http_request(
        &self,
        request: Request<v1::SignHttpRequestRequest>,
    ) -> Result<Response<v1::SignHttpRequestResponse>, Status> {
        let Entry {
            caller,
            deadline,
            message,
        } = enter(request)?;
        let input = http_input(message)?;
        let released = self.0.signing.http(&caller, input, deadline).await;
        let Released {
            signed,
            version,
            profile,
            audit_record,
        } = released.map_err(|error| status_of(&error))?;
        let not_after = version
            .issued
            .as_ref()
            .map(|issued| issued.leaf().not_after());
        Ok(Response::new(v1::SignHttpRequestResponse {
            headers: headers_out(signed.headers()),
            version: version.id.resource(),
            profile: profile.unwrap_or_default(),
            algorithm: signed.scheme().name().to_owned(),
            audit_record,
            certificate_not_after_time: not_after.map(wire::time),
        }))
    }

    async fn sign_jws(
        &self,
        request: Request<v1::SignJwsRequest>,
    ) -> Result<Response<v1::SignJwsResponse>, Status> {
        let Entry {
            caller,
            deadline,
            message,
        } = enter(request)?;
        let input = jws_input(message);
        let released = self.0.signing.jws(&caller, input, deadline).await;
        let released = released.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::SignJwsResponse {
            jws: released.signed.jws().unwrap_or_default().to_owned(),
            version: released.version.id.resource(),
            algorithm: released.signed.scheme().jws_name().to_owned(),
            audit_record: released.audit_record,
        }))
    }

    async fn explain_signature(
        &self,
        request: Request<v1::ExplainSignatureRequest>,
    ) -> Result<Response<v1::ExplainSignatureResponse>, Status> {
        use v1::explain_signature_request::Request as Asked;
        let Entry {
            caller, message, ..
        } = enter(request)?;
        let explained = match message.request {
            Some(Asked::HttpRequest(request)) => Explained::Http(http_input(request)?),
            Some(Asked::Jws(request)) => Explained::Jws(jws_input(request)),
            None => return Err(invalid("request", "say what would be signed")),
        };
        let explanation = self.0.signing.explain(&caller, explained).await;
        let explanation = explanation.map_err(|error| status_of(&error))?;
        let prepared = &explanation.prepared;
        let profile = explanation.profile.as_deref();
        Ok(Response::new(v1::ExplainSignatureResponse {
            to_be_signed: prepared.to_be_signed().to_vec(),
            digest: prepared.digest().to_vec(),
            signed_fields: prepared.signed_fields().to_vec(),
            algorithm: prepared.scheme().name().to_owned(),
            key_id: prepared.key_id().unwrap_or_default().to_owned(),
            headers: headers_out(&prepared.outline()),
            version: explanation.version.id.resource(),
            profile: profile.map_or("", |p| p.name()).to_owned(),
            profile_confidence: profile.map_or("", |p| p.confidence().name()).to_owned(),
            jws: prepared.outline_jws().unwrap_or_default(),
        }))
    }
}

fn http_input(message: v1::SignHttpRequestRequest) -> Result<HttpInput, Status> {
    let headers = message.headers.into_iter();
    let digests = message.body_digests.into_iter();
    Ok(HttpInput {
        bank: message.bank,
        credential: message.credential,
        method: message.method,
        authority: message.authority,
        target: message.target,
        headers: headers.map(|h| (h.name, h.value)).collect(),
        body: message.body,
        body_digests: digests
            .map(|d| Ok((wire::hash(d.algorithm)?, d.value)))
            .collect::<Result<_, Status>>()?,
        verification: message.verification,
    })
}

fn jws_input(message: v1::SignJwsRequest) -> JwsInput {
    JwsInput {
        bank: message.bank,
        credential: message.credential,
        payload: message.payload,
    }
}

fn headers_out(headers: &[(String, String)]) -> Vec<v1::Header> {
    let header = |(name, value): &(String, String)| v1::Header {
        name: name.clone(),
        value: value.clone().into_bytes(),
    };
    headers.iter().map(header).collect()
}
