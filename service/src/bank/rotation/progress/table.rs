//! What each event makes of each state, and what it refuses.
//!
//! In: where the bank stands after time has done its part, an event, facts, the time. Out: where it stands then, or why
//! not. Pure.

use jiff::{SignedDuration, Timestamp};

use super::{
    Acceptance, Facts, OldVersion, Progress, REASON_BYTES_MAX, Refused, WINDOW_MINUTES_MAX,
};

/// Whether the bank takes the new version now.
pub(super) fn takes(progress: &Progress, facts: &Facts, now: Timestamp) -> Result<(), Refused> {
    let procedure = facts.procedure;
    match progress {
        Progress::Pending if procedure.is_told() => Err(Refused::NotAnnounced),
        Progress::Pending => Ok(()),
        Progress::Announced { .. } if procedure.answers() => Err(Refused::NotAccepted),
        Progress::Announced { at } => {
            let loaded = *at + facts.lead_time;
            match now >= loaded {
                true => Ok(()),
                false => Err(Refused::LeadTime { at: loaded }),
            }
        }
        Progress::Scheduled {
            from,
            old: OldVersion::Replaced,
            ..
        } => Err(Refused::Agreed { at: *from }),
        Progress::Accepted { .. } | Progress::Scheduled { .. } => match progress.taken_from() {
            Some(at) if now < at => Err(Refused::Agreed { at }),
            _ => Ok(()),
        },
        Progress::Canary { .. } => Ok(()),
        Progress::Switched { .. } | Progress::Confirmed { .. } => Err(Refused::AlreadySwitched),
        Progress::Failed { .. } => Err(Refused::HasFailed),
    }
}

pub(super) fn announce(
    progress: &Progress,
    facts: &Facts,
    now: Timestamp,
) -> Result<Progress, Refused> {
    if facts.new.is_none() {
        return Err(Refused::NoNewVersion);
    }
    match progress {
        Progress::Pending | Progress::Failed { .. } => Ok(Progress::Announced { at: now }),
        Progress::Announced { .. } | Progress::Accepted { .. } => Ok(progress.clone()),
        Progress::Scheduled { from, .. } => Err(Refused::Agreed { at: *from }),
        Progress::Canary { .. } | Progress::Switched { .. } | Progress::Confirmed { .. } => {
            Err(Refused::AlreadySwitched)
        }
    }
}

pub(super) fn accept(
    progress: &Progress,
    acceptance: &Acceptance,
    facts: &Facts,
    now: Timestamp,
) -> Result<Progress, Refused> {
    let Acceptance {
        old,
        at,
        window_minutes,
    } = *acceptance;
    let replaced = old == OldVersion::Replaced;
    if window_minutes > WINDOW_MINUTES_MAX || (window_minutes > 0 && !replaced) {
        return Err(Refused::Window);
    }
    if facts.procedure.replaces() && (!replaced || at.is_none()) {
        return Err(Refused::MomentMissing);
    }
    if let Some(at) = at.filter(|at| *at < now) {
        return Err(Refused::MomentPassed { at });
    }
    match progress {
        Progress::Pending if facts.procedure.is_told() => return Err(Refused::NotAnnounced),
        Progress::Pending | Progress::Announced { .. } | Progress::Accepted { .. } => {}
        // The bank may move the moment as long as it has not come.
        Progress::Scheduled { from, .. } if now < *from => {}
        Progress::Scheduled { from, .. } => return Err(Refused::Agreed { at: *from }),
        Progress::Failed { .. } => return Err(Refused::HasFailed),
        Progress::Canary { .. } | Progress::Switched { .. } | Progress::Confirmed { .. } => {
            return Err(Refused::AlreadySwitched);
        }
    }
    let from = at.unwrap_or(now);
    let until = from + SignedDuration::from_mins(window_minutes.into());
    facts.new_at(until)?;
    Ok(match (old, at) {
        (OldVersion::StaysValid, None) => Progress::Accepted { at: now },
        _ => Progress::Scheduled {
            from,
            until,
            old,
            taken_from: (!replaced).then_some(from),
        },
    })
}

pub(super) fn switch(
    progress: &Progress,
    at: Option<Timestamp>,
    facts: &Facts,
    now: Timestamp,
) -> Result<Progress, Refused> {
    let taken_from = progress.taken_from();
    match (at, taken_from) {
        // A bank that says from when on it takes the new version is not asked again for an order of then.
        (Some(at), Some(from)) if at >= from => {}
        _ => takes(progress, facts, now)?,
    }
    let old = OldVersion::StaysValid;
    match at {
        Some(at) if at < now => Err(Refused::MomentPassed { at }),
        Some(at) => {
            facts.new_at(at)?;
            Ok(Progress::Scheduled {
                from: at,
                until: at,
                old,
                taken_from,
            })
        }
        None => {
            facts.new_at(now)?;
            Ok(Progress::Switched { at: now, old })
        }
    }
}

pub(super) fn canary(
    progress: &Progress,
    percent: u8,
    facts: &Facts,
    now: Timestamp,
) -> Result<Progress, Refused> {
    if !(1..=99).contains(&percent) {
        return Err(Refused::Percent);
    }
    takes(progress, facts, now)?;
    facts.new_at(now)?;
    Ok(Progress::Canary { at: now, percent })
}

pub(super) fn fail(
    progress: &Progress,
    reason: String,
    facts: &Facts,
    now: Timestamp,
) -> Result<Progress, Refused> {
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(Refused::Reason);
    }
    match progress {
        Progress::Switched { .. } | Progress::Confirmed { .. } => way_back(progress, facts, now)?,
        Progress::Scheduled { from, old, .. } if *old == OldVersion::Replaced && now >= *from => {
            return Err(Refused::NoWayBack);
        }
        _ => {}
    }
    Ok(Progress::Failed { at: now, reason })
}

/// Whether the old version can be had back now.
pub(super) fn way_back(progress: &Progress, facts: &Facts, now: Timestamp) -> Result<(), Refused> {
    match progress {
        Progress::Canary { .. }
        | Progress::Scheduled {
            old: OldVersion::StaysValid,
            ..
        }
        | Progress::Switched {
            old: OldVersion::StaysValid,
            ..
        }
        | Progress::Confirmed {
            old: OldVersion::StaysValid,
            ..
        } => match facts.old_lives(now) {
            true => Ok(()),
            false => Err(Refused::NoWayBack),
        },
        Progress::Scheduled { from, .. } if now < *from => Err(Refused::Agreed { at: *from }),
        Progress::Scheduled { .. } | Progress::Switched { .. } | Progress::Confirmed { .. } => {
            Err(Refused::NoWayBack)
        }
        Progress::Pending
        | Progress::Announced { .. }
        | Progress::Accepted { .. }
        | Progress::Failed { .. } => Err(Refused::NotSwitched),
    }
}
