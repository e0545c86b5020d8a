//! `SigningService`.

use sealkeep_proto::v1::{self, signing_service_server::SigningService};
use tonic::{Request, Response, Status};

use super::entry::{Entry, enter};
use super::error::status_of;
use super::{Api, wire};
use crate::signing::{HttpInput, JwsInput, Released};

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
        let digests = message.body_digests.into_iter();
        let input = HttpInput {
            bank: message.bank,
            credential: message.credential,
            method: message.method,
            authority: message.authority,
            target: message.target,
            headers: message
                .headers
                .into_iter()
                .map(|h| (h.name, h.value))
                .collect(),
            body: message.body,
            body_digests: digests
                .map(|d| Ok((wire::hash(d.algorithm)?, d.value)))
                .collect::<Result<_, Status>>()?,
        };
        let released = self.0.signing.http(&caller, input, deadline).await;
        let Released {
            signed,
            version,
            profile,
            audit_record,
        } = released.map_err(|error| status_of(&error))?;
        let header = |(name, value): &(String, String)| v1::Header {
            name: name.clone(),
            value: value.clone().into_bytes(),
        };
        let not_after = version
            .issued
            .as_ref()
            .map(|issued| issued.leaf().not_after());
        Ok(Response::new(v1::SignHttpRequestResponse {
            headers: signed.headers().iter().map(header).collect(),
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
        let input = JwsInput {
            bank: message.bank,
            credential: message.credential,
            payload: message.payload,
        };
        let released = self.0.signing.jws(&caller, input, deadline).await;
        let released = released.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::SignJwsResponse {
            jws: released.signed.jws().unwrap_or_default().to_owned(),
            version: released.version.id.resource(),
            algorithm: released.signed.scheme().jws_name().to_owned(),
            audit_record: released.audit_record,
        }))
    }
}
