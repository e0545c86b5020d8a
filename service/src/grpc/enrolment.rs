//! `EnrolmentService`.

use sealkeep_proto::v1::{self, enrolment_service_server::EnrolmentService};
use tonic::{Request, Response, Status};

use super::entry::{Entry, enter};
use super::error::status_of;
use super::{Api, wire};
use crate::domain::{Enrolment, EnrolmentState, RevocationReason, Role, Wish};

/// Who may read enrolments.
const READERS: [Role; 3] = [Role::Officer, Role::Auditor, Role::Monitor];

#[tonic::async_trait]
impl EnrolmentService for Api {
    async fn submit_enrolment(
        &self,
        request: Request<v1::SubmitEnrolmentRequest>,
    ) -> Result<Response<v1::SubmitEnrolmentResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "SubmitEnrolment")
            .await?;
        let (name, enroller) = (message.name, message.enroller);
        let submitted = self.0.registry.submit(&caller, &name, &enroller).await;
        let submitted = submitted.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::SubmitEnrolmentResponse {
            enrolment: Some(enrolment(&submitted)),
        }))
    }

    async fn request_revocation(
        &self,
        request: Request<v1::RequestRevocationRequest>,
    ) -> Result<Response<v1::RequestRevocationResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "RequestRevocation")
            .await?;
        let reason = reason(message.reason);
        let (name, enroller) = (message.name, message.enroller);
        let registry = &self.0.registry;
        let asked = registry.request_revocation(&caller, &name, &enroller, reason);
        let asked = asked.await.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::RequestRevocationResponse {
            enrolment: Some(enrolment(&asked)),
        }))
    }

    async fn withdraw_enrolment(
        &self,
        request: Request<v1::WithdrawEnrolmentRequest>,
    ) -> Result<Response<v1::WithdrawEnrolmentResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "WithdrawEnrolment")
            .await?;
        let withdrawn = self.0.registry.withdraw(&caller, &message.name).await;
        let withdrawn = withdrawn.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::WithdrawEnrolmentResponse {
            enrolment: Some(enrolment(&withdrawn)),
        }))
    }

    async fn list_enrolments(
        &self,
        request: Request<v1::ListEnrolmentsRequest>,
    ) -> Result<Response<v1::ListEnrolmentsResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "ListEnrolments").await?;
        let found = self.0.registry.enrolments().await;
        let found = found.map_err(|error| status_of(&error))?;
        let all = found.iter().map(|one| {
            // Newest first: the later, the smaller the key of the page.
            let age = i64::MAX - one.created.as_microsecond();
            (format!("{age:019}-{}", one.version), enrolment(one))
        });
        let (enrolments, next_page_token) =
            wire::page(all, message.page_size, &message.page_token)?;
        Ok(Response::new(v1::ListEnrolmentsResponse {
            enrolments,
            next_page_token,
        }))
    }
}

fn enrolment(enrolment: &Enrolment) -> v1::Enrolment {
    let (state, next_time) = match enrolment.state {
        EnrolmentState::Pending => {
            let next = Some(wire::time(enrolment.next));
            (v1::EnrolmentState::Pending, next)
        }
        EnrolmentState::Installed => (v1::EnrolmentState::Installed, None),
        EnrolmentState::Revoked => (v1::EnrolmentState::Revoked, None),
        EnrolmentState::Failed => (v1::EnrolmentState::Failed, None),
        EnrolmentState::Withdrawn => (v1::EnrolmentState::Withdrawn, None),
    };
    v1::Enrolment {
        version: enrolment.version.resource(),
        enroller: enrolment.enroller.to_string(),
        author: enrolment.author.to_string(),
        state: state.into(),
        detail: enrolment.detail.clone(),
        create_time: Some(wire::time(enrolment.created)),
        next_time,
        due_time: Some(wire::time(enrolment.due)),
        is_revocation: enrolment.wish != Wish::Certificate,
    }
}

/// A reason of a later version of the API is none that we know: it is left out, and the revocation asked for.
fn reason(reason: i32) -> RevocationReason {
    use v1::RevocationReason as Wire;
    match Wire::try_from(reason).unwrap_or(Wire::Unspecified) {
        Wire::Unspecified => RevocationReason::Unspecified,
        Wire::KeyCompromise => RevocationReason::KeyCompromise,
        Wire::AffiliationChanged => RevocationReason::AffiliationChanged,
        Wire::Superseded => RevocationReason::Superseded,
        Wire::CessationOfOperation => RevocationReason::CessationOfOperation,
    }
}
