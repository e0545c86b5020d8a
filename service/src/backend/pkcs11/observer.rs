//! A look at a backend from outside: what it is, and what its threads are at.
//!
//! In: what the threads write down. Out: facts for people, metrics and the supervisor of a worker. It asks the token
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use super::link::Link;
use crate::backend::TokenInfo;

/// A signing thread that is busy for so long has lost its session: no signature takes that long.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// How long calls have been running.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend) struct Pulse {
    /// Signing threads that are stuck in the module.
    pub(in crate::backend) stuck_sessions: u32,
    /// The longest call of a signing thread that runs now.
    pub(in crate::backend) longest_call: Duration,
    /// How long the keeper has been at its task.
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
        let (session_count, problem) = (self.link.signing_sessions(), self.link.problem());
        TokenInfo {
            name: self.identity.name.clone(),
            label: self.identity.label.clone(),
            serial: self.identity.serial.clone(),
            manufacturer: self.identity.manufacturer.clone(),
            module: self.identity.module.clone(),
            ready: problem.is_none(),
            problem,
            session_count,
            key_count: u32::try_from(self.link.keys.len()).unwrap_or(u32::MAX),
        }
    }

    /// What the threads are at, for whoever must find out that the module hangs.
    pub(in crate::backend) fn pulse(&self) -> Pulse {
        let calls = self.link.calls();
        let stuck = calls.iter().filter(|call| **call >= STUCK_AFTER).count();
        Pulse {
            stuck_sessions: u32::try_from(stuck).unwrap_or(u32::MAX),
            longest_call: calls.into_iter().max().unwrap_or_default(),
            keeper_busy: self.link.keeper_call.running(),
        }
    }
}
