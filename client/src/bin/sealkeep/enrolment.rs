//! `sealkeep enrolment ...`: requests for certificates on their way to a QTSP.
//!
//! In: versions by number, names of configured ways. Out: what became of them. Never: a key or a secret; the service holds
//! both.

use crate::failure::Failure;
use crate::pages::{self, PAGE_SIZE};
use crate::report::{Report, table};
use crate::words::{numbered_version, rfc3339, short, time};
use clap::{Subcommand, ValueEnum};
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::enrolment_service_client::EnrolmentServiceClient;
use sealkeep_client::v1::{
    Enrolment, EnrolmentState, ListEnrolmentsRequest, RequestRevocationRequest, RevocationReason,
    SubmitEnrolmentRequest, WithdrawEnrolmentRequest,
};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Have the request of a version carried to a QTSP; the certificate is installed when it comes.
    Submit {
        /// NAME@VERSION.
        #[arg(value_parser = numbered_version)]
        name: String,
        /// The way, as the service's configuration names it.
        #[arg(long, value_name = "ENROLLER")]
        by: String,
    },
    /// Have the QTSP asked to revoke the certificate of a version that is revoked here.
    Revoke {
        /// NAME@VERSION.
        #[arg(value_parser = numbered_version)]
        name: String,
        /// The way, as the service's configuration names it.
        #[arg(long, value_name = "ENROLLER")]
        by: String,
        /// Why.
        #[arg(long, value_enum)]
        reason: Reason,
    },
    /// Give up one that is pending or failed, so that another way can be taken; the QTSP is not told.
    Withdraw {
        /// NAME@VERSION.
        #[arg(value_parser = numbered_version)]
        name: String,
    },
    /// What became of all of them.
    List,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Reason {
    /// No reason is given.
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// Names or roles have changed.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// It is not used any more.
    CessationOfOperation,
}

impl From<Reason> for RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unspecified => Self::Unspecified,
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::AffiliationChanged => Self::AffiliationChanged,
            Reason::Superseded => Self::Superseded,
            Reason::CessationOfOperation => Self::CessationOfOperation,
        }
    }
}

impl Verb {
    pub(crate) async fn run(self, sealkeep: &Sealkeep) -> Result<Report, Failure> {
        match self {
            Self::Submit { name, by } => submit(sealkeep, name, by).await,
            Self::Revoke { name, by, reason } => revoke(sealkeep, name, by, reason).await,
            Self::Withdraw { name } => withdraw(sealkeep, name).await,
            Self::List => list(sealkeep).await,
        }
    }
}

async fn submit(sealkeep: &Sealkeep, name: String, enroller: String) -> Result<Report, Failure> {
    let request = SubmitEnrolmentRequest { name, enroller };
    let answer = sealkeep
        .call(request, async |channel, request| {
            EnrolmentServiceClient::new(channel)
                .submit_enrolment(request)
                .await
        })
        .await?;
    let enrolment = answer.enrolment.unwrap_or_default();
    let report = one(&enrolment);
    Ok(report.note("next: `sealkeep enrolment list` tells when the certificate is installed"))
}

async fn revoke(
    sealkeep: &Sealkeep,
    name: String,
    enroller: String,
    reason: Reason,
) -> Result<Report, Failure> {
    let request = RequestRevocationRequest {
        name,
        enroller,
        reason: RevocationReason::from(reason).into(),
    };
    let answer = sealkeep
        .call(request, async |channel, request| {
            EnrolmentServiceClient::new(channel)
                .request_revocation(request)
                .await
        })
        .await?;
    let report = one(&answer.enrolment.unwrap_or_default());
    Ok(report.note("next: `sealkeep enrolment list` tells when the QTSP has done it"))
}

async fn withdraw(sealkeep: &Sealkeep, name: String) -> Result<Report, Failure> {
    let request = WithdrawEnrolmentRequest { name };
    let answer = sealkeep
        .call(request, async |channel, request| {
            EnrolmentServiceClient::new(channel)
                .withdraw_enrolment(request)
                .await
        })
        .await?;
    Ok(one(&answer.enrolment.unwrap_or_default()))
}

fn one(enrolment: &Enrolment) -> Report {
    Report::new(rows(std::slice::from_ref(enrolment)), to_json(enrolment))
}

async fn list(sealkeep: &Sealkeep) -> Result<Report, Failure> {
    let enrolments = pages::all(async |page_token| {
        let request = ListEnrolmentsRequest {
            page_size: PAGE_SIZE,
            page_token,
        };
        let page = sealkeep
            .call(request, async |channel, request| {
                EnrolmentServiceClient::new(channel)
                    .list_enrolments(request)
                    .await
            })
            .await?;
        Ok((page.enrolments, page.next_page_token))
    })
    .await?;
    let all: Vec<_> = enrolments.iter().map(to_json).collect();
    Ok(Report::new(rows(&enrolments), json!({ "enrolments": all })))
}

fn rows(enrolments: &[Enrolment]) -> String {
    let row = |enrolment: &Enrolment| {
        [
            short(&enrolment.version),
            enrolment.enroller.clone(),
            wish(enrolment).to_owned(),
            state(enrolment.state).to_owned(),
            next(enrolment),
            due(enrolment),
            enrolment.detail.clone(),
        ]
    };
    match enrolments.is_empty() {
        true => "No enrolments. Begin one: sealkeep enrolment submit NAME@N --by ENROLLER\n".into(),
        false => table(
            [
                "VERSION",
                "BY",
                "FOR",
                "STATE",
                "NEXT STEP",
                "DUE",
                "DETAIL",
            ],
            enrolments.iter().map(row).collect(),
        ),
    }
}

fn next(enrolment: &Enrolment) -> String {
    let next = enrolment.next_time.as_ref();
    rfc3339(next.and_then(|t| time(t.seconds, t.nanos)))
}

/// When the certificate should be there; of no interest once it is, or will not be.
fn due(enrolment: &Enrolment) -> String {
    match enrolment.state() {
        EnrolmentState::Pending => {
            let due = enrolment.due_time.as_ref();
            rfc3339(due.and_then(|t| time(t.seconds, t.nanos)))
        }
        _ => String::new(),
    }
}

fn wish(enrolment: &Enrolment) -> &'static str {
    match enrolment.is_revocation {
        true => "revocation",
        false => "certificate",
    }
}

fn state(state: i32) -> &'static str {
    match EnrolmentState::try_from(state) {
        Ok(EnrolmentState::Pending) => "pending",
        Ok(EnrolmentState::Installed) => "installed",
        Ok(EnrolmentState::Failed) => "failed",
        Ok(EnrolmentState::Withdrawn) => "withdrawn",
        Ok(EnrolmentState::Revoked) => "revoked",
        Ok(EnrolmentState::Unspecified) => "",
        Err(_) => "?",
    }
}

fn to_json(enrolment: &Enrolment) -> Value {
    let created = enrolment.create_time.as_ref();
    json!({
        "version": enrolment.version,
        "enroller": enrolment.enroller,
        "for": wish(enrolment),
        "author": enrolment.author,
        "state": state(enrolment.state),
        "detail": enrolment.detail,
        "create_time": rfc3339(created.and_then(|t| time(t.seconds, t.nanos))),
        "next_time": next(enrolment),
        "due_time": due(enrolment),
    })
}
