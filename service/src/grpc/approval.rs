//! `ApprovalService`, and the verbs of `CredentialService` that ask for an approval.

use sealkeep_proto::v1::{self, approval_service_server::ApprovalService};
use tonic::{Request, Response, Status};

use super::entry::{Entry, enter, enter_long};
use super::error::status_of;
use super::{Api, wire};
use crate::approval::Wish;
use crate::domain::{Approval, CallerName, Role, Standing, Verb};

#[tonic::async_trait]
impl ApprovalService for Api {
    async fn list_approvals(
        &self,
        request: Request<v1::ListApprovalsRequest>,
    ) -> Result<Response<v1::ListApprovalsResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer, Role::Auditor], "ListApprovals")
            .await?;
        let found = self.0.registry.approvals(!message.include_closed).await;
        let found = found.map_err(|error| status_of(&error))?;
        let all = found.iter().map(|approval| {
            // Newest first: the later, the smaller the key of the page.
            let age = i64::MAX - approval.created.as_microsecond();
            (
                format!("{age:019}-{}", approval.id),
                self.approval(approval),
            )
        });
        let (approvals, next_page_token) = wire::page(all, message.page_size, &message.page_token)?;
        Ok(Response::new(v1::ListApprovalsResponse {
            approvals,
            next_page_token,
        }))
    }

    async fn approve_change(
        &self,
        request: Request<v1::ApproveChangeRequest>,
    ) -> Result<Response<v1::ApproveChangeResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter_long(request)?;
        let approval = self
            .decide(&caller, &message.name, Wish::Approve, "")
            .await?;
        let approval = Some(approval);
        Ok(Response::new(v1::ApproveChangeResponse { approval }))
    }

    async fn reject_change(
        &self,
        request: Request<v1::RejectChangeRequest>,
    ) -> Result<Response<v1::RejectChangeResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        let (name, reason) = (message.name, message.reason);
        let approval = self.decide(&caller, &name, Wish::Reject, &reason).await?;
        let approval = Some(approval);
        Ok(Response::new(v1::RejectChangeResponse { approval }))
    }
}

impl Api {
    async fn decide(
        &self,
        caller: &CallerName,
        name: &str,
        wish: Wish,
        reason: &str,
    ) -> Result<v1::Approval, Status> {
        let what = match wish {
            Wish::Approve => "ApproveChange",
            Wish::Reject => "RejectChange",
        };
        self.require(caller, &[Role::Officer], what).await?;
        let decided = self.0.registry.decide(caller, name, wish, reason).await;
        let decided = decided.map_err(|error| status_of(&error))?;
        Ok(self.approval(&decided))
    }

    /// Asks for a change of a version that a second person must confirm.
    pub(super) async fn ask(
        &self,
        caller: &CallerName,
        verb: Verb,
        name: &str,
        reason: &str,
    ) -> Result<Option<v1::Approval>, Status> {
        let what = match verb {
            Verb::Unfreeze => "UnfreezeVersion",
            Verb::Revoke => "RevokeVersion",
            Verb::Destroy => "DestroyVersion",
        };
        self.require(caller, &[Role::Officer], what).await?;
        let asked = self.0.registry.ask(caller, verb, name, reason).await;
        let asked = asked.map_err(|error| status_of(&error))?;
        Ok(Some(self.approval(&asked)))
    }

    pub(super) fn approval(&self, approval: &Approval) -> v1::Approval {
        let verb = match approval.verb {
            Verb::Unfreeze => v1::ApprovalVerb::Unfreeze,
            Verb::Revoke => v1::ApprovalVerb::Revoke,
            Verb::Destroy => v1::ApprovalVerb::Destroy,
        };
        let decided_by = approval.decided_by.as_ref();
        v1::Approval {
            name: approval.id.resource(),
            verb: verb.into(),
            version: approval.version.resource(),
            author: approval.author.to_string(),
            reason: approval.reason.clone(),
            create_time: Some(wire::time(approval.created)),
            expire_time: Some(wire::time(approval.expires)),
            state: standing(approval.standing(self.0.clock.now())).into(),
            decided_by: decided_by.map(ToString::to_string).unwrap_or_default(),
            due_time: approval.due.map(wire::time),
            outcome: approval.outcome.clone(),
        }
    }
}

fn standing(standing: Standing) -> v1::ApprovalState {
    match standing {
        Standing::Pending => v1::ApprovalState::Pending,
        Standing::Approved => v1::ApprovalState::Approved,
        Standing::Executing => v1::ApprovalState::Executing,
        Standing::Done => v1::ApprovalState::Done,
        Standing::Rejected => v1::ApprovalState::Rejected,
        Standing::Expired => v1::ApprovalState::Expired,
        Standing::Void => v1::ApprovalState::Void,
    }
}
