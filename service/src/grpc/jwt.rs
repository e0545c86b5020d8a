//! `JwtService`.

use sealkeep_profiles::format::jwt::{ClientAssertion, Registration, RequestObject};
use sealkeep_proto::v1::{self, jwt_service_server::JwtService};
use tonic::{Request, Response, Status};

use super::Api;
use super::entry::{Entry, enter};
use super::error::{invalid, status_of};
use crate::signing::{AskedJwt, Endpoint, JwtInput};

#[tonic::async_trait]
impl JwtService for Api {
    async fn sign_client_assertion(
        &self,
        request: Request<v1::SignClientAssertionRequest>,
    ) -> Result<Response<v1::SignClientAssertionResponse>, Status> {
        let entry = enter(request)?.map(|message| {
            let audience = filled(message.audience);
            let asked = AskedJwt::ClientAssertion(ClientAssertion { audience });
            Ok(JwtInput {
                bank: message.bank,
                credential: message.credential,
                asked,
            })
        })?;
        let signed = Some(self.sign(entry).await?);
        Ok(Response::new(v1::SignClientAssertionResponse { signed }))
    }

    async fn sign_request_object(
        &self,
        request: Request<v1::SignRequestObjectRequest>,
    ) -> Result<Response<v1::SignRequestObjectResponse>, Status> {
        let entry = enter(request)?.map(|message| Ok(authorization(message)))?;
        let signed = Some(self.sign(entry).await?);
        Ok(Response::new(v1::SignRequestObjectResponse { signed }))
    }

    async fn sign_dpop_proof(
        &self,
        request: Request<v1::SignDpopProofRequest>,
    ) -> Result<Response<v1::SignDpopProofResponse>, Status> {
        let entry = enter(request)?.map(|message| {
            let hash = message.access_token_sha256.map(<[u8; 32]>::try_from);
            let hash = hash.transpose();
            Ok(JwtInput {
                bank: message.bank,
                credential: message.credential,
                asked: AskedJwt::DpopProof {
                    to: Endpoint {
                        method: message.method,
                        authority: message.authority,
                        target: message.target,
                    },
                    access_token_sha256: hash
                        .map_err(|_| invalid("access_token_sha256", "32 bytes"))?,
                    nonce: filled(message.nonce),
                },
            })
        })?;
        let signed = Some(self.sign(entry).await?);
        Ok(Response::new(v1::SignDpopProofResponse { signed }))
    }

    async fn sign_registration(
        &self,
        request: Request<v1::SignRegistrationRequest>,
    ) -> Result<Response<v1::SignRegistrationResponse>, Status> {
        let entry = enter(request)?.map(|message| Ok(registration(message)))?;
        let signed = Some(self.sign(entry).await?);
        Ok(Response::new(v1::SignRegistrationResponse { signed }))
    }

    async fn sign_jwt_body(
        &self,
        request: Request<v1::SignJwtBodyRequest>,
    ) -> Result<Response<v1::SignJwtBodyResponse>, Status> {
        let entry = enter(request)?.map(|message| {
            Ok(JwtInput {
                bank: message.bank,
                credential: message.credential,
                asked: AskedJwt::Body {
                    to: Endpoint {
                        method: message.method,
                        authority: message.authority,
                        target: message.target,
                    },
                    body: message.body,
                },
            })
        })?;
        let signed = Some(self.sign(entry).await?);
        Ok(Response::new(v1::SignJwtBodyResponse { signed }))
    }
}

impl Api {
    async fn sign(&self, entry: Entry<JwtInput>) -> Result<v1::SignedJwt, Status> {
        let Entry {
            caller,
            deadline,
            message,
        } = entry;
        let released = self.0.signing.jwt(&caller, message, deadline).await;
        let released = released.map_err(|error| status_of(&error))?;
        Ok(v1::SignedJwt {
            jwt: released.signed.jws().unwrap_or_default().to_owned(),
            version: released.version.id.resource(),
            algorithm: released.signed.scheme().jws_name().to_owned(),
            audit_record: released.audit_record,
        })
    }
}

fn authorization(message: v1::SignRequestObjectRequest) -> JwtInput {
    let asked = RequestObject {
        audience: filled(message.audience),
        response_type: message.response_type,
        response_mode: filled(message.response_mode),
        redirect_uri: filled(message.redirect_uri),
        scope: filled(message.scope),
        state: filled(message.state),
        nonce: filled(message.nonce),
        code_challenge: filled(message.code_challenge),
        max_age: message.max_age,
        acr_values: filled(message.acr_values),
        prompt: filled(message.prompt),
        login_hint: filled(message.login_hint),
        ui_locales: filled(message.ui_locales),
        authorization_details: filled(message.authorization_details),
        dpop_jkt: filled(message.dpop_jkt),
        intent_id: filled(message.intent_id),
        intent_acr: message.intent_acr,
    };
    JwtInput {
        bank: message.bank,
        credential: message.credential,
        asked: AskedJwt::RequestObject(Box::new(asked)),
    }
}

fn registration(message: v1::SignRegistrationRequest) -> JwtInput {
    let asked = Registration {
        audience: filled(message.audience),
        software_statement: message.software_statement,
        redirect_uris: message.redirect_uris,
        grant_types: message.grant_types,
        response_types: message.response_types,
        application_type: filled(message.application_type),
        client_id: filled(message.client_id),
        id_token_signed_response_alg: filled(message.id_token_signed_response_alg),
        request_object_signing_alg: filled(message.request_object_signing_alg),
        scope: filled(message.scope),
        software_id: filled(message.software_id),
        tls_client_auth_subject_dn: filled(message.tls_client_auth_subject_dn),
        token_endpoint_auth_method: filled(message.token_endpoint_auth_method),
        token_endpoint_auth_signing_alg: filled(message.token_endpoint_auth_signing_alg),
    };
    JwtInput {
        bank: message.bank,
        credential: message.credential,
        asked: AskedJwt::Registration(Box::new(asked)),
    }
}

/// Proto3 has no text that is absent; an empty one is.
fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
