//! `sealkeep approval ...`: changes that wait for a second person.
//!
//! In: ids of approvals. Out: what is pending, what became of it. Never: a decision on one's own wish; the service
//! refuses it.

use crate::failure::Failure;
use crate::pages::{self, PAGE_SIZE};
use crate::report::{Report, pairs, table};
use crate::words::{rfc3339, short, time};
use clap::Subcommand;
use jiff::Timestamp;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::approval_service_client::ApprovalServiceClient;
use sealkeep_client::v1::{
    Approval, ApprovalState, ApprovalVerb, ApproveChangeRequest, ListApprovalsRequest,
    RejectChangeRequest,
};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// What waits for a second person, or for its delay.
    List {
        /// Also what is over.
        #[arg(long)]
        all: bool,
    },
    /// Confirm a change that another officer asked for.
    Approve {
        /// The id of the approval.
        id: String,
    },
    /// Stop a change that is pending or waits for its delay.
    Reject {
        /// The id of the approval.
        id: String,
        /// Why not.
        #[arg(long)]
        reason: String,
    },
}

impl Verb {
    pub(crate) async fn run(self, sealkeep: &Sealkeep) -> Result<Report, Failure> {
        match self {
            Self::List { all } => list(sealkeep, all).await,
            Self::Approve { id } => approve(sealkeep, &id).await,
            Self::Reject { id, reason } => reject(sealkeep, &id, reason).await,
        }
    }
}

async fn list(sealkeep: &Sealkeep, include_closed: bool) -> Result<Report, Failure> {
    let approvals = pages::all(async |page_token| {
        let request = ListApprovalsRequest {
            include_closed,
            page_size: PAGE_SIZE,
            page_token,
        };
        let page = sealkeep
            .call(request, async |channel, request| {
                ApprovalServiceClient::new(channel)
                    .list_approvals(request)
                    .await
            })
            .await?;
        Ok((page.approvals, page.next_page_token))
    })
    .await?;
    let row = |approval: &Approval| {
        [
            id(approval).to_owned(),
            verb(approval.verb).to_owned(),
            short(&approval.version),
            state(approval.state).to_owned(),
            approval.author.clone(),
            rfc3339(until(approval)),
            approval.reason.clone(),
        ]
    };
    let text = match approvals.is_empty() {
        true => "Nothing waits for a second person.\n".to_owned(),
        false => table(
            ["ID", "WHAT", "VERSION", "STATE", "ASKED BY", "UNTIL", "WHY"],
            approvals.iter().map(row).collect(),
        ),
    };
    let all: Vec<_> = approvals.iter().map(to_json).collect();
    Ok(Report::new(text, json!({ "approvals": all })))
}

async fn approve(sealkeep: &Sealkeep, id: &str) -> Result<Report, Failure> {
    let request = ApproveChangeRequest { name: name(id) };
    let answer = sealkeep
        .call(request, async |channel, request| {
            ApprovalServiceClient::new(channel)
                .approve_change(request)
                .await
        })
        .await?;
    Ok(report(&answer.approval.unwrap_or_default()))
}

async fn reject(sealkeep: &Sealkeep, id: &str, reason: String) -> Result<Report, Failure> {
    let name = name(id);
    let request = RejectChangeRequest { name, reason };
    let answer = sealkeep
        .call(request, async |channel, request| {
            ApprovalServiceClient::new(channel)
                .reject_change(request)
                .await
        })
        .await?;
    Ok(report(&answer.approval.unwrap_or_default()))
}

/// People write the id alone; the API wants the resource name.
fn name(id: &str) -> String {
    match id.starts_with("approvals/") {
        true => id.to_owned(),
        false => format!("approvals/{id}"),
    }
}

pub(crate) fn id(approval: &Approval) -> &str {
    approval
        .name
        .strip_prefix("approvals/")
        .unwrap_or(&approval.name)
}

/// One approval, and what comes next.
pub(crate) fn report(approval: &Approval) -> Report {
    let text = pairs(&[
        ("approval", id(approval).to_owned()),
        ("what", verb(approval.verb).to_owned()),
        ("version", short(&approval.version)),
        ("state", state(approval.state).to_owned()),
        ("asked by", approval.author.clone()),
        ("why", approval.reason.clone()),
        ("decided by", approval.decided_by.clone()),
        ("outcome", approval.outcome.clone()),
    ]);
    let report = Report::new(text, to_json(approval));
    let (id, until) = (id(approval), rfc3339(until(approval)));
    match ApprovalState::try_from(approval.state) {
        Ok(ApprovalState::Pending) => report.note(format!(
            "next: another officer runs `sealkeep approval approve {id}` before {until}"
        )),
        Ok(ApprovalState::Approved) => report.note(format!(
            "happens at {until}; until then anybody can stop it: `sealkeep approval reject {id} --reason ...`"
        )),
        _ => report,
    }
}

/// The next moment that counts: the end of the time to confirm, or of the delay.
fn until(approval: &Approval) -> Option<Timestamp> {
    let at = approval.due_time.or(approval.expire_time)?;
    time(at.seconds, at.nanos)
}

fn verb(verb: i32) -> &'static str {
    match ApprovalVerb::try_from(verb) {
        Ok(ApprovalVerb::Unfreeze) => "unfreeze",
        Ok(ApprovalVerb::Revoke) => "revoke",
        Ok(ApprovalVerb::Destroy) => "destroy",
        Ok(ApprovalVerb::Unspecified) => "",
        Err(_) => "?",
    }
}

fn state(state: i32) -> &'static str {
    match ApprovalState::try_from(state) {
        Ok(ApprovalState::Pending) => "pending",
        Ok(ApprovalState::Approved) => "approved",
        Ok(ApprovalState::Executing) => "executing",
        Ok(ApprovalState::Done) => "done",
        Ok(ApprovalState::Rejected) => "rejected",
        Ok(ApprovalState::Expired) => "expired",
        Ok(ApprovalState::Void) => "void",
        Ok(ApprovalState::Unspecified) => "",
        Err(_) => "?",
    }
}

pub(crate) fn to_json(approval: &Approval) -> Value {
    let create = approval.create_time.and_then(|t| time(t.seconds, t.nanos));
    let expire = approval.expire_time.and_then(|t| time(t.seconds, t.nanos));
    let due = approval.due_time.and_then(|t| time(t.seconds, t.nanos));
    json!({
        "name": approval.name,
        "verb": verb(approval.verb),
        "version": approval.version,
        "author": approval.author,
        "reason": approval.reason,
        "create_time": rfc3339(create),
        "expire_time": rfc3339(expire),
        "due_time": rfc3339(due),
        "state": state(approval.state),
        "decided_by": approval.decided_by,
        "outcome": approval.outcome,
    })
}
