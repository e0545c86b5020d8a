//! What was done about a compromised version.

use sealkeep_proto::v1;
use tonic::Status;

use super::error::status_of;
use super::{Api, wire};
use crate::bank::rotation::compromise::{Affected, Compromised};
use crate::domain::{CallerName, VersionId};

impl Api {
    /// Does it, and says what could not be done.
    pub(super) async fn compromise(
        &self,
        caller: &CallerName,
        message: &v1::CompromiseVersionRequest,
    ) -> Result<v1::CompromiseVersionResponse, Status> {
        let v1::CompromiseVersionRequest { name, reason } = message;
        let done = self.0.registry.compromise(caller, name, reason).await;
        let Compromised {
            stopped,
            banks,
            revocation,
            rotation,
        } = done.map_err(|error| status_of(&error))?;
        let problem = |error: &dyn std::fmt::Display| error.to_string();
        let affected = |affected: Affected| v1::AffectedBank {
            bank: affected.bank.to_string(),
            procedure: wire::procedure_out(affected.procedure).into(),
            contact: affected.contact,
            signing_version: resource(affected.signs.as_ref()),
        };
        Ok(v1::CompromiseVersionResponse {
            version: Some(self.version(&stopped.version)?),
            banks: banks.into_iter().map(affected).collect(),
            revocation: revocation.as_ref().ok().map(|asked| self.approval(asked)),
            revocation_problem: revocation
                .as_ref()
                .err()
                .map_or_else(String::new, |e| problem(e)),
            rotation_version: resource(rotation.as_ref().ok().and_then(Option::as_ref)),
            rotation_problem: rotation
                .as_ref()
                .err()
                .map_or_else(String::new, |e| problem(e)),
        })
    }
}

fn resource(version: Option<&VersionId>) -> String {
    version.map(VersionId::resource).unwrap_or_default()
}
