//! A look at a backend from outside: what it is, and what its threads are at.
//!
//! In: what the threads write down. Out: facts for people, metrics and the supervisor of a worker. It asks the token
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use super::link::Link;
use crate::backend::{Tally, TokenInfo};
use crate::clock::monotonic;

/// How long calls have been running.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend) struct Pulse {
    /// Signing threads that are stuck in the module.
    pub(in crate::backend) stuck_sessions: u32,
    /// The longest call of a signing thread that runs now.
    pub(in crate::backend) longest_call: Duration,
    /// How long the keeper or the ladder has been at its task.
    pub(in crate::backend) keeper_busy: Duration,
}

/// What does not change about the token.
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) serial: String,
    pub(super) manufacturer: String,
    pub(super) module: String,
}

/// Looks at a backend; asks the token nothing.
#[derive(Clone)]
pub(in crate::backend) struct Observer {
    pub(super) identity: Arc<Identity>,
    pub(super) link: Arc<Link>,
}

impl Observer {
    /// See [`KeyBackend::info`].
    pub(in crate::backend) fn info(&self) -> TokenInfo {
        let problem = self.link.problem();
        let sessions = self
            .link
            .signers()
            .iter()
            .filter(|seat| seat.is_taken())
            .count();
        TokenInfo {
            name: self.identity.name.clone(),
            label: self.identity.label.clone(),
            serial: self.identity.serial.clone(),
            manufacturer: self.identity.manufacturer.clone(),
            module: self.identity.module.clone(),
            ready: problem.is_none(),
            problem,
            session_count: u32::try_from(sessions).unwrap_or(u32::MAX),
            key_count: u32::try_from(self.link.keys.len()).unwrap_or(u32::MAX),
            protections: Vec::new(),
        }
    }

    /// See [`KeyBackend::tally`](crate::backend::KeyBackend::tally).
    pub(in crate::backend) fn tally(&self) -> Tally {
        self.link.counters.tally()
    }

    /// What the threads are at, for whoever must find out that the module hangs.
    pub(in crate::backend) fn pulse(&self) -> Pulse {
        let now = monotonic();
        let signers = self.link.signers();
        let stuck = signers.iter().filter(|seat| seat.call.is_stuck(now));
        let calls = signers.iter().map(|seat| seat.call.running(now));
        let task = self.link.keeper.call.running(now);
        Pulse {
            stuck_sessions: u32::try_from(stuck.count()).unwrap_or(u32::MAX),
            longest_call: calls.max().unwrap_or_default(),
            keeper_busy: task.max(self.link.climb.running(now)),
        }
    }
}
