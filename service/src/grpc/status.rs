//! `StatusService`: one screen of state, and everything that ends.

use sealkeep_proto::v1::{self, status_service_server::StatusService};
use tonic::{Request, Response, Status};

use super::entry::{Entry, enter};
use super::{Api, wire};
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
        let token = self.0.backend.info();
        let usage = process::usage();
        Ok(Response::new(v1::GetStatusResponse {
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            start_time: Some(wire::time(self.0.started)),
            token: Some(v1::TokenStatus {
                name: token.name,
                ready: token.ready,
                label: token.label,
                serial_number: token.serial,
                module: token.module,
                session_count: token.session_count,
                key_count: token.key_count,
                problem: token.problem.unwrap_or_default(),
            }),
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
