//! `StatusService`: one screen of state, and everything that ends.

use sealkeep_proto::v1::{self, status_service_server::StatusService};
use tonic::{Request, Response, Status};

use super::entry::{Entry, enter};
use super::{Api, wire};
use crate::backend::Protection;
use crate::backend::tokens::TokenStatus;
use crate::domain::Role;
use crate::process;

/// Who may read the status.
const READERS: [Role; 3] = [Role::Officer, Role::Auditor, Role::Monitor];

#[tonic::async_trait]
impl StatusService for Api {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let Entry { caller, .. } = enter(request)?;
        self.require(&caller, &READERS, "GetStatus").await?;
        let expiries = self.0.watch.expiries().iter().map(wire::expiry).collect();
        let tokens: Vec<_> = self.0.tokens.statuses().into_iter().map(token).collect();
        let usage = process::usage();
        Ok(Response::new(v1::GetStatusResponse {
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            start_time: Some(wire::time(self.0.started)),
            token: tokens.first().cloned(),
            tokens,
            expiries,
            process: Some(v1::ProcessStatus {
                cpu_seconds: usage.cpu_seconds,
                resident_bytes: usage.resident_bytes,
            }),
            audit_log: self.0.audit.name().to_owned(),
            audit_record_count: self.0.audit.size(),
        }))
    }
}

fn token(status: TokenStatus) -> v1::TokenStatus {
    let info = status.info;
    v1::TokenStatus {
        name: info.name,
        ready: info.ready,
        label: info.label,
        serial_number: info.serial,
        module: info.module,
        session_count: info.session_count,
        key_count: info.key_count,
        problem: info.problem.unwrap_or_default(),
        set: status.set,
        missing_key_count: status.missing_key_count,
        suspect_key_count: status.suspect_key_count,
        protections: names(&info.protections),
    }
}

fn names(protections: &[Protection]) -> Vec<String> {
    let names = protections.iter().map(|it| it.name().to_owned());
    names.collect()
}
