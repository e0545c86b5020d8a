//! `sealkeep rotation ...`: banks move from one version of a credential to the next.
//!
//! In: a credential, banks, what they said. Out: the plan, how far each bank is, what to send to them. Never: a step of
//! its own; the service decides what may come next.

mod calls;
mod shown;
mod verify;

use crate::failure::Failure;
use crate::report::Report;
use crate::words::{name, version_name};
use calls::wire_time;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::step_rotation_request::Step;
use sealkeep_client::v1::{
    Accept, Announce, Canary, Confirm, Fail, ProgressState, Rollback, Switch,
};
use shown::report;
use std::path::PathBuf;

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
    /// Try the new version at banks, before it is switched: a real handshake and the bank's harmless request.
    ///
    /// The connection is made from here, by a caller who may sign for the bank; the keys stay in the token and who signs
    /// what does not change. What was seen stands beside the rotation (`rotation status`) and in the log. Exit code 7 when
    /// a bank did not take the version.
    Verify(verify::Verify),
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
            } => calls::plan(sealkeep, name, qtsp_lead_days).await,
            Self::Start { name, reason } => calls::start(sealkeep, name, reason).await,
            Self::Status { name, watch: false } => Ok(report(&calls::get(sealkeep, &name).await?)),
            Self::Status { name, watch: true } => calls::watch(sealkeep, &name).await,
            Self::Attach { name } => calls::attach(sealkeep, name).await,
            Self::Announce { banks, bundle } => {
                let (name, banks) = banks.named(sealkeep, &[S::Pending, S::Failed]).await?;
                if let Some(folder) = bundle {
                    calls::write_bundles(sealkeep, &name, &banks, &folder).await?;
                }
                calls::step(sealkeep, name, banks, Step::Announce(Announce {})).await
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
            Self::Verify(verify) => verify.run(sealkeep).await,
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
            Self::Complete { name } => calls::complete(sealkeep, name).await,
            Self::Abort { name, reason } => calls::abort(sealkeep, name, reason).await,
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
        let rotation = calls::get(sealkeep, &self.name).await?;
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
        calls::step(sealkeep, name, banks, what).await
    }
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
