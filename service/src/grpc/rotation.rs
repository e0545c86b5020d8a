//! `RotationService`.

use std::collections::BTreeSet;

use sealkeep_proto::v1::{self, rotation_service_server::RotationService};
use tonic::{Request, Response, Status};

use super::entry::{Entry, enter};
use super::error::{invalid, status_of};
use super::{Api, wire};
use crate::authz;
use crate::bank::rotation::campaign::RotationError;
use crate::bank::rotation::preview::QTSP_LEAD_DAYS_DEFAULT;
use crate::domain::{LEAD_TIME_DAYS_MAX, Name, Operation, Role, VersionId};

/// Who may read rotations.
const READERS: [Role; 3] = [Role::Officer, Role::Auditor, Role::Monitor];

#[tonic::async_trait]
impl RotationService for Api {
    async fn plan_rotation(
        &self,
        request: Request<v1::PlanRotationRequest>,
    ) -> Result<Response<v1::PlanRotationResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "PlanRotation").await?;
        let lead = message.qtsp_lead_days.unwrap_or(QTSP_LEAD_DAYS_DEFAULT);
        if lead > LEAD_TIME_DAYS_MAX {
            let most = format!("at most {LEAD_TIME_DAYS_MAX}");
            return Err(invalid("qtsp_lead_days", most));
        }
        let registry = &self.0.registry;
        let steps = registry.plan_rotation(&message.credential, lead);
        let steps = steps.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::PlanRotationResponse {
            steps: steps.into_iter().map(wire::plan_step).collect(),
        }))
    }

    async fn start_rotation(
        &self,
        request: Request<v1::StartRotationRequest>,
    ) -> Result<Response<v1::StartRotationResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "StartRotation")
            .await?;
        let v1::StartRotationRequest { credential, reason } = message;
        let started = self
            .0
            .registry
            .start_rotation(&caller, &credential, &reason);
        let rotation = Some(self.rotation(started.await)?);
        Ok(Response::new(v1::StartRotationResponse { rotation }))
    }

    async fn get_rotation(
        &self,
        request: Request<v1::GetRotationRequest>,
    ) -> Result<Response<v1::GetRotationResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "GetRotation").await?;
        let snapshot = self.0.world.load();
        let known = snapshot.credentials.get(message.credential.as_str());
        let known = known.map(|credential| credential.name.clone());
        let known = known.ok_or(RotationError::CredentialUnknown(message.credential));
        let rotation = Some(self.rotation(known)?);
        Ok(Response::new(v1::GetRotationResponse { rotation }))
    }

    async fn attach_version(
        &self,
        request: Request<v1::AttachVersionRequest>,
    ) -> Result<Response<v1::AttachVersionResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "AttachVersion")
            .await?;
        let registry = &self.0.registry;
        let attached = registry.attach_rotation(&caller, &message.version).await;
        let rotation = Some(self.rotation(attached)?);
        Ok(Response::new(v1::AttachVersionResponse { rotation }))
    }

    async fn step_rotation(
        &self,
        request: Request<v1::StepRotationRequest>,
    ) -> Result<Response<v1::StepRotationResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "StepRotation")
            .await?;
        let mut banks = BTreeSet::new();
        for bank in message.banks {
            banks.insert(wire::name("banks", bank)?);
        }
        let step = message.step.ok_or_else(|| invalid("step", "is missing"))?;
        let (step, credential) = (wire::event(step)?, message.credential);
        let registry = &self.0.registry;
        let stepped = registry
            .step_rotation(&caller, &credential, &banks, &step)
            .await;
        let rotation = Some(self.rotation(stepped)?);
        Ok(Response::new(v1::StepRotationResponse { rotation }))
    }

    async fn begin_verification(
        &self,
        request: Request<v1::BeginVerificationRequest>,
    ) -> Result<Response<v1::BeginVerificationResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.begin(&caller, message).await.map(Response::new)
    }

    async fn conclude_verification(
        &self,
        request: Request<v1::ConcludeVerificationRequest>,
    ) -> Result<Response<v1::ConcludeVerificationResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        let seen = message.seen.ok_or_else(|| invalid("seen", "is missing"))?;
        let (registry, id) = (&self.0.registry, &message.verification);
        let verified = registry.conclude_verification(&caller, id, wire::seen(seen)?);
        let verified = verified.await.map_err(|error| status_of(&error))?;
        let verification = Some(wire::verified_out(&verified));
        Ok(Response::new(v1::ConcludeVerificationResponse {
            verification,
        }))
    }

    async fn get_rotation_bundle(
        &self,
        request: Request<v1::GetRotationBundleRequest>,
    ) -> Result<Response<v1::GetRotationBundleResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "GetRotationBundle").await?;
        let bank = wire::name("bank", message.bank)?;
        let bundle = self.0.registry.rotation_bundle(&message.credential, &bank);
        let bundle = bundle.map_err(|error| status_of(&error))?;
        let changes = bundle.changes.into_iter().map(|change| v1::Change {
            what: change.what.to_owned(),
            old: change.old,
            new: change.new,
        });
        Ok(Response::new(v1::GetRotationBundleResponse {
            contact: bundle.contact,
            certificate_chain_pem: bundle.certificate_chain_pem,
            text: bundle.text,
            changes: changes.collect(),
            unchanged: bundle.unchanged.into_iter().map(str::to_owned).collect(),
        }))
    }

    async fn report_outcome(
        &self,
        request: Request<v1::ReportOutcomeRequest>,
    ) -> Result<Response<v1::ReportOutcomeResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        let version = VersionId::from_resource(&message.version);
        let version = version.map_err(|e| invalid("version", e))?;
        let snapshot = self.0.world.load();
        let granted = |operation| {
            let credential = version.credential.as_str();
            authz::grant(&snapshot, &caller, operation, credential, &message.bank).map(drop)
        };
        // Whoever may sign there may say how it went.
        granted(Operation::SignHttp)
            .or_else(|_| granted(Operation::SignJws))
            .map_err(|denied| status_of(&denied))?;
        let bank = wire::name("bank", message.bank.clone())?;
        let registry = &self.0.registry;
        let reported = registry.report_outcome(&bank, &version, message.accepted);
        reported.await.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::ReportOutcomeResponse {}))
    }

    async fn complete_rotation(
        &self,
        request: Request<v1::CompleteRotationRequest>,
    ) -> Result<Response<v1::CompleteRotationResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "CompleteRotation")
            .await?;
        let registry = &self.0.registry;
        let completed = registry
            .complete_rotation(&caller, &message.credential)
            .await;
        completed.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::CompleteRotationResponse {}))
    }

    async fn abort_rotation(
        &self,
        request: Request<v1::AbortRotationRequest>,
    ) -> Result<Response<v1::AbortRotationResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "AbortRotation")
            .await?;
        let v1::AbortRotationRequest { credential, reason } = message;
        let registry = &self.0.registry;
        let aborted = registry.abort_rotation(&caller, &credential, &reason).await;
        aborted.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::AbortRotationResponse {}))
    }
}

impl Api {
    /// The open rotation as it is in the snapshot now.
    fn rotation(&self, credential: Result<Name, RotationError>) -> Result<v1::Rotation, Status> {
        let credential = credential.map_err(|error| status_of(&error))?;
        let (snapshot, now) = (self.0.world.load(), self.0.clock.now());
        let open = snapshot.rotations.get(&credential);
        let open = open.ok_or_else(|| status_of(&RotationError::NotOpen(credential.clone())))?;
        let banks = snapshot.banks.values().filter_map(|destination| {
            let moving = destination.moves.get(&credential)?;
            let verified = open.verified.get(&destination.bank.name);
            Some(wire::bank_progress(
                &destination.bank,
                moving,
                verified,
                now,
            ))
        });
        let id = |number| VersionId {
            credential: credential.clone(),
            number,
        };
        Ok(v1::Rotation {
            credential: credential.to_string(),
            number: open.number,
            version: open.to.map(|to| id(to).resource()).unwrap_or_default(),
            reason: open.reason.clone(),
            start_time: Some(wire::time(open.started)),
            banks: banks.collect(),
        })
    }
}
