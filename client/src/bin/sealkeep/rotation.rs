//! `sealkeep rotation ...`: banks move from one version of a credential to the next.
//!
//! In: a credential, banks, what they said. Out: the plan, how far each bank is, what to send to them. Never: a step of
//! its own; the service decides what may come next.

mod shown;

use crate::failure::Failure;
use crate::report::{Report, talk};
use crate::words::{name, version_name};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::rotation_service_client::RotationServiceClient;
use sealkeep_client::v1::step_rotation_request::Step;
use sealkeep_client::v1::{
    AbortRotationRequest, Accept, Announce, AttachVersionRequest, Canary, CompleteRotationRequest,
    Confirm, Fail, GetRotationBundleRequest, GetRotationRequest, PlanRotationRequest,
    ProgressState, Rollback, Rotation, StartRotationRequest, StepRotationRequest, Switch,
};
use serde_json::json;
use shown::{bank_line, plan_report, report};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often `--watch` looks, seconds.
const WATCH_INTERVAL_S: u64 = 2;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// What must happen when; changes nothing.
    Plan {
        /// The credential.
        #[arg(value_parser = name)]
        name: String,
        /// How long the QTSP takes, days.
        #[arg(long, value_name = "DAYS")]
        qtsp_lead_days: Option<u32>,
    },
    /// Begin a rotation; nothing changes for any bank.
    Start {
        /// The credential.
        #[arg(value_parser = name)]
        name: String,
        /// Why; stands in the log.
        #[arg(long)]
        reason: String,
    },
    /// How far each bank is.
    Status {
        /// The credential.
        #[arg(value_parser = name)]
        name: String,
        /// Tell every change, until all banks are confirmed.
        #[arg(long)]
        watch: bool,
    },
    /// Say which version the banks move to; its certificate is installed.
    Attach {
        /// NAME@VERSION.
        #[arg(value_parser = version_name)]
        name: String,
    },
    /// Record that banks were told.
    Announce {
        #[command(flatten)]
        banks: Banks,
        /// Write the certificate and a text for each bank into this folder first.
        #[arg(long, value_name = "DIR")]
        bundle: Option<PathBuf>,
    },
    /// Record that banks said yes.
    Accept {
        #[command(flatten)]
        banks: Banks,
        /// The bank forgets the old version: there is no way back.
        #[arg(long)]
        replaces_old: bool,
        /// When it changes over, for example 2026-12-15T10:00+01:00; now when not said.
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
        /// How long it takes over it, minutes; nothing is signed for it meanwhile.
        #[arg(
            long,
            value_name = "MINUTES",
            default_value_t = 0,
            requires = "replaces_old"
        )]
        window: u32,
    },
    /// Let the new version sign.
    Switch {
        #[command(flatten)]
        banks: Banks,
        /// When; now when not said.
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
        /// Only for this share of the requests, for example 10%.
        #[arg(long, value_name = "PERCENT", value_parser = percent, conflicts_with = "at")]
        canary: Option<u32>,
    },
    /// Record that banks are content.
    Confirm {
        #[command(flatten)]
        banks: Banks,
    },
    /// Let the old version sign again.
    Rollback {
        #[command(flatten)]
        banks: Banks,
    },
    /// Record that banks do not take the new version.
    Fail {
        #[command(flatten)]
        banks: Banks,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// End a rotation whose banks all have the new version.
    Complete {
        /// The credential.
        #[arg(value_parser = name)]
        name: String,
    },
    /// Give a rotation up; every bank stays where it is.
    Abort {
        /// The credential.
        #[arg(value_parser = name)]
        name: String,
        /// Why; stands in the log.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Banks {
    /// The credential.
    #[arg(value_parser = name)]
    name: String,
    /// The banks.
    #[arg(value_parser = name, required_unless_present = "all")]
    bank: Vec<String>,
    /// Every bank for which it is the next step.
    #[arg(long, conflicts_with = "bank")]
    all: bool,
}

/// `10%` or `10`.
fn percent(text: &str) -> Result<u32, String> {
    let digits = text.strip_suffix('%').unwrap_or(text);
    match digits.parse() {
        Ok(percent @ 1..=99) => Ok(percent),
        _ => Err("write 1% to 99%".to_owned()),
    }
}

impl Verb {
    pub(crate) async fn run(self, sealkeep: &Sealkeep) -> Result<Report, Failure> {
        use ProgressState as S;
        match self {
            Self::Plan {
                name,
                qtsp_lead_days,
            } => plan(sealkeep, name, qtsp_lead_days).await,
            Self::Start { name, reason } => start(sealkeep, name, reason).await,
            Self::Status { name, watch: false } => Ok(report(&get(sealkeep, &name).await?)),
            Self::Status { name, watch: true } => watch(sealkeep, &name).await,
            Self::Attach { name } => attach(sealkeep, name).await,
            Self::Announce { banks, bundle } => {
                let (name, banks) = banks.named(sealkeep, &[S::Pending, S::Failed]).await?;
                if let Some(folder) = bundle {
                    write_bundles(sealkeep, &name, &banks, &folder).await?;
                }
                step(sealkeep, name, banks, Step::Announce(Announce {})).await
            }
            Self::Accept {
                banks,
                replaces_old,
                at,
                window,
            } => {
                let accept = Step::Accept(Accept {
                    replaces_old,
                    at_time: at.map(wire_time),
                    window_minutes: window,
                });
                banks.step(sealkeep, &[S::Announced], accept).await
            }
            Self::Switch { banks, at, canary } => {
                let at_time = at.map(wire_time);
                let what = match canary {
                    Some(percent) => Step::Canary(Canary { percent }),
                    None => Step::Switch(Switch { at_time }),
                };
                banks.step(sealkeep, &[S::Accepted, S::Canary], what).await
            }
            Self::Confirm { banks } => {
                let confirm = Step::Confirm(Confirm {});
                banks.step(sealkeep, &[S::Switched], confirm).await
            }
            Self::Rollback { banks } => {
                let back = Step::Rollback(Rollback {});
                let from = [S::Canary, S::Switched, S::Confirmed];
                banks.step(sealkeep, &from, back).await
            }
            Self::Fail { banks, reason } => {
                let fail = Step::Fail(Fail { reason });
                banks.step(sealkeep, &[S::Announced], fail).await
            }
            Self::Complete { name } => complete(sealkeep, name).await,
            Self::Abort { name, reason } => abort(sealkeep, name, reason).await,
        }
    }
}

impl Banks {
    /// The banks that are named; with `--all` those in one of the states.
    async fn named(
        self,
        sealkeep: &Sealkeep,
        states: &[ProgressState],
    ) -> Result<(String, Vec<String>), Failure> {
        if !self.all {
            return Ok((self.name, self.bank));
        }
        let rotation = get(sealkeep, &self.name).await?;
        let banks = rotation.banks.into_iter();
        let banks: Vec<_> = banks
            .filter(|bank| states.contains(&bank.state()))
            .map(|bank| bank.bank)
            .collect();
        match banks.is_empty() {
            true => Err(Failure::failed("no bank is there yet")),
            false => Ok((self.name, banks)),
        }
    }

    async fn step(
        self,
        sealkeep: &Sealkeep,
        states: &[ProgressState],
        what: Step,
    ) -> Result<Report, Failure> {
        let (name, banks) = self.named(sealkeep, states).await?;
        step(sealkeep, name, banks, what).await
    }
}

fn wire_time(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

async fn plan(
    sealkeep: &Sealkeep,
    credential: String,
    qtsp_lead_days: Option<u32>,
) -> Result<Report, Failure> {
    let request = PlanRotationRequest {
        credential,
        qtsp_lead_days,
    };
    let answer = sealkeep
        .call(request, async |channel, request| {
            RotationServiceClient::new(channel)
                .plan_rotation(request)
                .await
        })
        .await?;
    Ok(plan_report(&answer.steps))
}

async fn start(sealkeep: &Sealkeep, credential: String, reason: String) -> Result<Report, Failure> {
    let way_on = format!(
        "begun; next: sealkeep credential enrol, install, then sealkeep rotation attach {credential}@N"
    );
    let request = StartRotationRequest { credential, reason };
    let answer = sealkeep
        .call(request, async |channel, request| {
            RotationServiceClient::new(channel)
                .start_rotation(request)
                .await
        })
        .await?;
    Ok(report(&answer.rotation.unwrap_or_default()).note(way_on))
}

async fn get(sealkeep: &Sealkeep, credential: &str) -> Result<Rotation, Failure> {
    let request = GetRotationRequest {
        credential: credential.to_owned(),
    };
    let answer = sealkeep
        .call(request, async |channel, request| {
            RotationServiceClient::new(channel)
                .get_rotation(request)
                .await
        })
        .await?;
    Ok(answer.rotation.unwrap_or_default())
}

async fn watch(sealkeep: &Sealkeep, credential: &str) -> Result<Report, Failure> {
    let mut before = Rotation::default();
    loop {
        let rotation = get(sealkeep, credential).await?;
        for bank in rotation
            .banks
            .iter()
            .filter(|bank| !before.banks.contains(bank))
        {
            talk(&bank_line(bank));
        }
        let done =
            |bank: &sealkeep_client::v1::BankProgress| bank.state() == ProgressState::Confirmed;
        if !rotation.banks.is_empty() && rotation.banks.iter().all(done) {
            return Ok(report(&rotation));
        }
        before = rotation;
        tokio::time::sleep(Duration::from_secs(WATCH_INTERVAL_S)).await;
    }
}

async fn attach(sealkeep: &Sealkeep, version: String) -> Result<Report, Failure> {
    let answer = sealkeep
        .call(
            AttachVersionRequest { version },
            async |channel, request| {
                RotationServiceClient::new(channel)
                    .attach_version(request)
                    .await
            },
        )
        .await?;
    Ok(report(&answer.rotation.unwrap_or_default()).note("attached; no bank has it yet"))
}

async fn step(
    sealkeep: &Sealkeep,
    credential: String,
    banks: Vec<String>,
    step: Step,
) -> Result<Report, Failure> {
    let request = StepRotationRequest {
        credential,
        banks,
        step: Some(step),
    };
    let answer = sealkeep
        .call(request, async |channel, request| {
            RotationServiceClient::new(channel)
                .step_rotation(request)
                .await
        })
        .await?;
    Ok(report(&answer.rotation.unwrap_or_default()))
}

/// `DIR/BANK.pem` and `DIR/BANK.txt`.
async fn write_bundles(
    sealkeep: &Sealkeep,
    credential: &str,
    banks: &[String],
    folder: &Path,
) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    for bank in banks {
        let request = GetRotationBundleRequest {
            credential: credential.to_owned(),
            bank: bank.clone(),
        };
        let bundle = sealkeep
            .call(request, async |channel, request| {
                RotationServiceClient::new(channel)
                    .get_rotation_bundle(request)
                    .await
            })
            .await?;
        for (ending, text) in [
            ("pem", &bundle.certificate_chain_pem),
            ("txt", &bundle.text),
        ] {
            let path = folder.join(format!("{bank}.{ending}"));
            std::fs::write(&path, text).map_err(|error| Failure::file(&path, &error))?;
            talk(&format!("{} for {}", path.display(), bundle.contact));
        }
    }
    Ok(())
}

async fn complete(sealkeep: &Sealkeep, credential: String) -> Result<Report, Failure> {
    let done = json!({ "credential": credential, "ended": "completed" });
    sealkeep
        .call(
            CompleteRotationRequest { credential },
            async |channel, request| {
                RotationServiceClient::new(channel)
                    .complete_rotation(request)
                    .await
            },
        )
        .await?;
    let note = "completed; the old version is retired when its last signature has aged out";
    Ok(Report::new("", done).note(note))
}

async fn abort(sealkeep: &Sealkeep, credential: String, reason: String) -> Result<Report, Failure> {
    let done = json!({ "credential": credential, "ended": "aborted" });
    sealkeep
        .call(
            AbortRotationRequest { credential, reason },
            async |channel, request| {
                RotationServiceClient::new(channel)
                    .abort_rotation(request)
                    .await
            },
        )
        .await?;
    Ok(Report::new("", done).note("aborted; every bank stays where it is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_1_to_99_percent() {
        assert_eq!(percent("10%"), Ok(10));
        assert_eq!(percent("99"), Ok(99));
        for bad in ["0", "100%", "x", "", "%", "-1"] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }
}
