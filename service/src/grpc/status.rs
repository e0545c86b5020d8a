//! `StatusService`: one screen of state, and everything that ends.

use sealkeep_proto::v1::{self, status_service_server::StatusService};
use tonic::{Request, Response, Status};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::entry::{Entry, enter};
use super::{Api, wire};
use crate::domain::{Role, VersionState};
use crate::process;
use crate::world::Snapshot;

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
        let mut expiries = versions(&self.0.world.load());
        expiries.extend(self.own());
        expiries.sort_by_key(|expiry| expiry.end_time.map(|time| (time.seconds, time.nanos)));
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

/// Versions that can still sign, or will.
fn versions(snapshot: &Snapshot) -> Vec<v1::Expiry> {
    let all = snapshot
        .credentials
        .values()
        .flat_map(|credential| &credential.versions);
    let live = all.filter(|version| {
        use VersionState::{Active, Frozen, Retiring, Staged};
        matches!(version.state, Staged | Active | Retiring | Frozen)
    });
    live.filter_map(|version| {
        let issued = version.issued.as_ref()?;
        let chain_end = issued.chain.iter().map(|c| c.not_after()).min()?;
        let banks = snapshot.banks.values().filter(|d| {
            d.bound
                .get(&version.id.credential)
                .is_some_and(|bound| bound.id == version.id)
        });
        Some(v1::Expiry {
            kind: "credential".to_owned(),
            name: version.id.to_string(),
            end_time: Some(wire::time(chain_end)),
            state: wire::state(version.state).into(),
            banks: banks.map(|d| d.bank.name.to_string()).collect(),
        })
    })
    .collect()
}

impl Api {
    /// The service's own certificate and the callers' CAs.
    fn own(&self) -> Vec<v1::Expiry> {
        let loaded = self.0.tls_files.loaded();
        let cas = loaded.caller_cas.iter().map(|ca| ("caller_ca", ca));
        let all = std::iter::once(("server_certificate", &loaded.certificate)).chain(cas);
        all.filter_map(|(kind, der)| {
            let (_, parsed) = X509Certificate::from_der(der).ok()?;
            let seconds = parsed.validity().not_after.timestamp();
            Some(v1::Expiry {
                kind: kind.to_owned(),
                name: parsed.subject().to_string(),
                end_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
                state: v1::VersionState::Unspecified.into(),
                banks: Vec::new(),
            })
        })
        .collect()
    }
}
