//! `KeyService`.

use sealkeep_proto::v1::{self, key_service_server::KeyService};
use tonic::{Request, Response, Status};

use super::entry::{Entry, enter};
use super::error::status_of;
use super::{Api, wire};
use crate::domain::Role;

#[tonic::async_trait]
impl KeyService for Api {
    async fn attest_key(
        &self,
        request: Request<v1::AttestKeyRequest>,
    ) -> Result<Response<v1::AttestKeyResponse>, Status> {
        let Entry {
            caller,
            deadline,
            message,
        } = enter(request)?;
        self.require(&caller, &[Role::Officer, Role::Auditor], "AttestKey")
            .await?;
        let attested = self
            .0
            .registry
            .attest(&caller, &message.name, deadline)
            .await;
        let attested = attested.map_err(|error| status_of(&error))?;
        Ok(Response::new(wire::attestation(attested)))
    }
}
