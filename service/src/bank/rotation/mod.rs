//! Rotations: the bindings of a credential move from one version to the next, bank by bank.
//!
//! In: what officers do and banks say, the time. Out: plans, bundles for banks, and which version each bank gets.
//! Never: two versions for one bank at one instant except in a canary, nor a step that the bank does not go along with.
//!
//! [`plan`], [`progress`] and [`evidence`] are pure; [`campaign`], [`verification`] and [`settle`] make their decisions
//! last; [`moving`] is what the way of a signature reads.

pub mod bundle;
pub mod campaign;
pub mod canary;
pub mod compromise;
pub mod evidence;
pub mod moving;
pub mod plan;
pub mod preview;
pub mod progress;
pub mod settle;
#[cfg(test)]
mod simulation;
pub mod verification;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::Name;
use progress::Progress;
use verification::Verified;

/// An open rotation of a credential. There is at most one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The credential.
    pub credential: Name,
    /// The number, from 1.
    pub number: u32,
    /// The number of the version that banks move to; none before one is attached.
    pub to: Option<u32>,
    /// Why, in the words of who began it.
    pub reason: String,
    /// When it began.
    pub started: Timestamp,
    /// The banks for which something has been done.
    pub banks: BTreeMap<Name, BankRow>,
    /// What the last verification of each bank found.
    pub verified: BTreeMap<Name, Verified>,
}

/// What is stored of a bank in a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankRow {
    /// The number of the version it had.
    pub from: u32,
    /// How far it is.
    pub progress: Progress,
}

/// How a rotation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every bank has the new version.
    Completed,
    /// Given up; banks stay where they are.
    Aborted,
}

impl Ending {
    /// The word of the store and the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Aborted => "aborted",
        }
    }
}
