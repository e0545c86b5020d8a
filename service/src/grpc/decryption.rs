//! `DecryptionService`.

use sealkeep_proto::v1::{self, decryption_service_server::DecryptionService};
use tonic::{Request, Response, Status};

use super::Api;
use super::entry::{Entry, enter};
use super::error::status_of;
use crate::signing::JweInput;

#[tonic::async_trait]
impl DecryptionService for Api {
    async fn decrypt_jwe(
        &self,
        request: Request<v1::DecryptJweRequest>,
    ) -> Result<Response<v1::DecryptJweResponse>, Status> {
        let Entry {
            caller,
            deadline,
            message,
        } = enter(request)?;
        let input = JweInput {
            bank: message.bank,
            credential: message.credential,
            jwe: message.jwe,
        };
        let opened = self.0.signing.decrypt(&caller, input, deadline).await;
        let mut opened = opened.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::DecryptJweResponse {
            plaintext: std::mem::take(&mut *opened.plaintext),
            content_type: opened.content_type.unwrap_or_default(),
            version: opened.version.id.resource(),
            algorithm: opened.algorithm.to_owned(),
            encryption: opened.encryption.to_owned(),
            audit_record: opened.audit_record,
        }))
    }
}
