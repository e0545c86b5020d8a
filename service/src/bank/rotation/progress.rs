//! How far one bank is in a rotation: the whole of it in one table.
//!
//! In: where the bank stands, what happened, facts about both versions, the time. Out: where it stands then, and which
//! version it gets at an instant. Never: I/O, a clock, two versions for one bank at one instant except in a canary.

mod refused;
mod table;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::Procedure;

pub use refused::Refused;
use table::{accept, announce, canary, fail, switch, takes, way_back};

/// Longest window in which a bank changes over, minutes.
pub const WINDOW_MINUTES_MAX: u32 = 240;
/// Longest reason, bytes.
pub const REASON_BYTES_MAX: usize = 512;

/// What becomes of the old version at the bank once it accepts the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OldVersion {
    /// The bank accepts both until the old one ends: the way back stays open.
    StaysValid,
    /// The bank forgets it: there is no way back.
    Replaced,
}

/// Where a bank stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Progress {
    /// Nothing was done.
    Pending,
    /// The bank was told.
    Announced {
        /// When.
        at: Timestamp,
    },
    /// The bank accepts both versions.
    Accepted {
        /// From when on.
        at: Timestamp,
    },
    /// The change is agreed or ordered; nobody needs to be awake for it.
    Scheduled {
        /// Up to here the old version signs.
        from: Timestamp,
        /// From here on the new version signs. Nothing does in between.
        until: Timestamp,
        /// What becomes of the old version.
        old: OldVersion,
        /// From here on the bank, which goes on taking the old version, takes the new one as well; none when it does
        /// already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        taken_from: Option<Timestamp>,
    },
    /// A share of the requests gets the new version.
    Canary {
        /// Since when.
        at: Timestamp,
        /// The share, 1 to 99.
        percent: u8,
    },
    /// The new version signs.
    Switched {
        /// Since when.
        at: Timestamp,
        /// What became of the old version.
        old: OldVersion,
    },
    /// The new version signs and somebody has seen that the bank is content.
    Confirmed {
        /// Since when.
        at: Timestamp,
        /// What became of the old version.
        old: OldVersion,
    },
    /// The bank does not take the new version. The old one signs.
    Failed {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: String,
    },
}

impl Progress {
    /// The words of all states, by name.
    pub const WORDS: [&str; 8] = [
        "accepted",
        "announced",
        "canary",
        "confirmed",
        "failed",
        "pending",
        "scheduled",
        "switched",
    ];

    /// From when on the bank takes both versions, by its own word.
    fn taken_from(&self) -> Option<Timestamp> {
        match self {
            Self::Accepted { at } => Some(*at),
            Self::Scheduled { taken_from, .. } => *taken_from,
            _ => None,
        }
    }

    /// The stable word of the state.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Announced { .. } => "announced",
            Self::Accepted { .. } => "accepted",
            Self::Scheduled { .. } => "scheduled",
            Self::Canary { .. } => "canary",
            Self::Switched { .. } => "switched",
            Self::Confirmed { .. } => "confirmed",
            Self::Failed { .. } => "failed",
        }
    }
}

/// What happens to a bank in a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was told.
    Announce,
    /// It says yes.
    Accept(Acceptance),
    /// The new version shall sign, now or then.
    Switch {
        /// Then; none for now.
        at: Option<Timestamp>,
    },
    /// A share of the requests shall get the new version, percent.
    Canary {
        /// The share.
        percent: u8,
    },
    /// The bank is content.
    Confirm,
    /// The old version shall sign again.
    Rollback,
    /// The bank does not take the new version.
    Fail {
        /// Why.
        reason: String,
    },
    /// Time has passed.
    Due,
}

/// What a bank says when it says yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// What becomes of the old version.
    pub old: OldVersion,
    /// When the bank changes over; none for now.
    pub at: Option<Timestamp>,
    /// How long it takes over it, minutes. Nothing is signed for it meanwhile.
    pub window_minutes: u32,
}

/// What the table looks up about the bank and the versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// How the bank takes new versions.
    pub procedure: Procedure,
    /// How long it takes.
    pub lead_time: SignedDuration,
    /// The last instant at which the old version may sign; none when it signs no more.
    pub old_ends: Option<Timestamp>,
    /// The first and the last instant at which the new version may sign; none before one is attached.
    pub new: Option<(Timestamp, Timestamp)>,
}

/// Which version a bank gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The old one.
    Old,
    /// The new one.
    New,
    /// Neither: the bank changes over.
    Held {
        /// Until then.
        until: Timestamp,
    },
    /// The new one for this share of the requests, percent.
    Split {
        /// The share.
        percent: u8,
    },
}

impl Facts {
    fn old_lives(&self, now: Timestamp) -> bool {
        self.old_ends.is_some_and(|ends| now <= ends)
    }

    fn new_lives(&self, at: Timestamp) -> bool {
        self.new
            .is_some_and(|(begins, ends)| (begins..=ends).contains(&at))
    }

    fn new_at(&self, at: Timestamp) -> Result<(), Refused> {
        match self.new {
            None => Err(Refused::NoNewVersion),
            Some(_) if self.new_lives(at) => Ok(()),
            Some(_) => Err(Refused::NewNotValid { at }),
        }
    }
}

/// Where a bank stands after something happened.
pub fn next(
    progress: &Progress,
    event: Event,
    facts: &Facts,
    now: Timestamp,
) -> Result<Progress, Refused> {
    // What time alone has done is done before anything else.
    let progress = &due(progress, facts, now);
    match event {
        Event::Due => Ok(progress.clone()),
        Event::Announce => announce(progress, facts, now),
        Event::Accept(acceptance) => accept(progress, &acceptance, facts, now),
        Event::Switch { at } => switch(progress, at, facts, now),
        Event::Canary { percent } => canary(progress, percent, facts, now),
        Event::Confirm => match progress {
            Progress::Switched { old, .. } => Ok(Progress::Confirmed { at: now, old: *old }),
            Progress::Confirmed { .. } => Ok(progress.clone()),
            _ => Err(Refused::NotSwitched),
        },
        Event::Rollback => way_back(progress, facts, now).map(|()| Progress::Accepted {
            at: progress.taken_from().map_or(now, |from| from.max(now)),
        }),
        Event::Fail { reason } => fail(progress, reason, facts, now),
    }
}

/// Which version a bank gets at an instant.
///
/// Once the old version signs no more, a bank that takes the new one gets it, ordered or not: better early than never.
pub fn side(progress: &Progress, facts: &Facts, now: Timestamp) -> Side {
    match due(progress, facts, now) {
        Progress::Switched { .. } | Progress::Confirmed { .. } => Side::New,
        Progress::Scheduled {
            from,
            until,
            old: OldVersion::Replaced,
            ..
        } if now >= from => Side::Held { until },
        Progress::Canary { percent, .. } if facts.new_lives(now) => Side::Split { percent },
        Progress::Pending
        | Progress::Announced { .. }
        | Progress::Accepted { .. }
        | Progress::Scheduled { .. }
        | Progress::Canary { .. }
        | Progress::Failed { .. } => Side::Old,
    }
}

/// Until when the old version can be had back; none when it cannot.
pub fn way_back_until(progress: &Progress, facts: &Facts, now: Timestamp) -> Option<Timestamp> {
    let open = way_back(&due(progress, facts, now), facts, now).is_ok();
    facts.old_ends.filter(|_| open)
}

/// When time alone may next change which version the bank gets; none when it will not.
pub fn next_change(progress: &Progress, facts: &Facts, now: Timestamp) -> Option<Timestamp> {
    let progress = due(progress, facts, now);
    let scheduled = match &progress {
        Progress::Scheduled { from, until, .. } => [Some(*from), Some(*until)],
        Progress::Switched { .. } | Progress::Confirmed { .. } => return None,
        _ => [None; 2],
    };
    let ended = facts
        .old_ends
        .map(|ends| ends + SignedDuration::from_nanos(1));
    scheduled
        .into_iter()
        .chain([progress.taken_from(), ended])
        .flatten()
        .filter(|instant| *instant > now)
        .min()
}

/// What time alone has made of it.
fn due(progress: &Progress, facts: &Facts, now: Timestamp) -> Progress {
    let switched = |at| Progress::Switched {
        at,
        old: OldVersion::StaysValid,
    };
    match progress {
        Progress::Scheduled { until, old, .. } if now >= *until => match old {
            // A version that was frozen meanwhile is not begun with as long as there is a choice.
            OldVersion::StaysValid if facts.old_lives(now) && !facts.new_lives(now) => {
                progress.clone()
            }
            _ => Progress::Switched {
                at: *until,
                old: *old,
            },
        },
        Progress::Switched { .. } | Progress::Confirmed { .. } => progress.clone(),
        _ if facts.old_lives(now) || !facts.new_lives(now) => progress.clone(),
        _ if takes(progress, facts, now).is_ok() => switched(now),
        _ => progress.clone(),
    }
}

#[cfg(test)]
mod tests;
