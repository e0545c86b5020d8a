//! What must happen when, so that every bank has a version it accepts.
//!
//! In: the versions, the banks with their terms and progress, how long banks took before, the time. Out: steps with
//! dates, reasons and risks, the soonest first. Never: I/O, a clock, a change.
//!
//! Dates are counted back from the end of the version that a bank has now:
//!
//! ```text
//! order by ──(QTSP)──▶ have by ──(checks)──▶ announce by ──(bank)──▶ switch by ──(margin)──▶ the old version ends
//! ```

mod risk;

use std::collections::BTreeMap;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::progress::Progress;
use crate::domain::{Name, Procedure, Purpose, RotationTerms};

pub use risk::Risk;

/// How long a bank may have both versions before the old one ends, at most, days.
const MARGIN_DAYS_MAX: i64 = 14;
/// The margin of a short-lived certificate: this part of its life.
const MARGIN_LIFE_DIVISOR: i32 = 6;
/// Between having a certificate and telling the first bank: checks, installation, a second person, days.
const CHECK_DAYS: i64 = 2;
/// Change-overs on one day: somebody watches each.
const CHANGE_OVERS_PER_DAY_MAX: u32 = 3;
/// The hour of the day at which change-overs are proposed, UTC.
const CHANGE_OVER_HOUR: i8 = 10;
/// Longest life of a TLS certificate by date of issuance (CA/Browser Forum SC-081v3), days.
const CABF_DAYS_MAX: [(Date, i64); 4] = [
    (jiff::civil::date(2020, 9, 1), 398),
    (jiff::civil::date(2026, 3, 15), 200),
    (jiff::civil::date(2027, 3, 15), 100),
    (jiff::civil::date(2029, 3, 15), 47),
];

/// When a version is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first instant.
    pub begins: Timestamp,
    /// The last instant.
    pub ends: Timestamp,
}

/// The credential whose banks move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What it is for.
    pub purpose: Purpose,
    /// How long the QTSP takes, days.
    pub qtsp_lead_days: u32,
    /// The new version, once its certificate is there.
    pub new: Option<NewVersion>,
}

/// What a plan looks at in the new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewVersion {
    /// When it is valid.
    pub validity: Validity,
    /// Whether its issuer has another name than that of the old one.
    pub issuer_differs: bool,
    /// Whether it has key usage digitalSignature.
    pub digital_signature: bool,
}

/// A bank that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mover {
    /// The bank.
    pub bank: Name,
    /// What is agreed with it.
    pub terms: RotationTerms,
    /// When the version that it has now is valid.
    pub old: Validity,
    /// How far it is.
    pub progress: Progress,
}

/// How long banks took at most in earlier rotations, from being told to saying yes.
pub type SlowestAnswers = BTreeMap<Name, SignedDuration>;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Order the certificate.
    Order,
    /// Have it installed.
    Have,
    /// Tell the bank.
    Announce,
    /// Let the new version sign.
    Switch,
    /// Be there when the bank changes over.
    ChangeOver,
    /// The way back closes; the old version can be retired.
    Retire,
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// At the latest.
    pub by: Timestamp,
    /// What.
    pub action: Action,
    /// For which bank; none for all.
    pub bank: Option<Name>,
    /// Why then.
    pub reason: String,
    /// What can go wrong, or already has.
    pub risks: Vec<Risk>,
    /// Whether it cannot be taken back.
    pub irreversible: bool,
    /// Whether it has been done.
    pub done: bool,
}

impl Action {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Have => "have",
            Self::Announce => "announce",
            Self::Switch => "switch",
            Self::ChangeOver => "change_over",
            Self::Retire => "retire",
        }
    }
}

/// All steps, the soonest first. The order of the banks does not matter.
pub fn plan(
    subject: &Subject,
    movers: &[Mover],
    answers: &SlowestAnswers,
    now: Timestamp,
) -> Vec<Step> {
    let Some(last_end) = movers.iter().map(|mover| mover.old.ends).max() else {
        return Vec::new();
    };
    let dates = dates(movers, answers);
    let mut steps = Vec::new();
    for (mover, dates) in &dates {
        steps.extend(announce_step(subject, mover, dates));
        steps.push(switch_step(subject, mover, dates));
    }
    let first = steps.iter().map(|step| step.by).min().unwrap_or(last_end);
    let have_by = first - days(CHECK_DAYS);
    let order_by = have_by - days(subject.qtsp_lead_days.into());
    let done = subject.new.is_some();
    let whole = |by, action, reason: String, done| Step {
        by,
        action,
        bank: None,
        reason,
        risks: Vec::new(),
        irreversible: action == Action::Retire,
        done,
    };
    let lead = subject.qtsp_lead_days;
    steps.extend([
        whole(
            order_by,
            Action::Order,
            format!("the QTSP takes {lead} days"),
            done,
        ),
        whole(
            have_by,
            Action::Have,
            format!("{CHECK_DAYS} days for checks before the first bank"),
            done,
        ),
        whole(
            last_end,
            Action::Retire,
            "the last old version ends; until then there is a way back".to_owned(),
            false,
        ),
    ]);
    for step in &mut steps {
        let late = now.duration_since(step.by);
        if !step.done && late.is_positive() && step.action != Action::Retire {
            let days = late.as_hours() / 24;
            step.risks.insert(0, Risk::Late { days });
        }
    }
    steps.sort_by(|a, b| (a.by, a.action, &a.bank).cmp(&(b.by, b.action, &b.bank)));
    steps
}

/// The dates of one bank.
struct Dates {
    switch_by: Timestamp,
    announce_by: Timestamp,
    lead: SignedDuration,
    /// Whether the lead time is what the bank took rather than what it said.
    seen: bool,
}

fn dates<'a>(movers: &'a [Mover], answers: &SlowestAnswers) -> Vec<(&'a Mover, Dates)> {
    let mut sorted: Vec<_> = movers
        .iter()
        .map(|mover| (switch_by(mover.old), mover))
        .collect();
    sorted.sort_by(|(a, m), (b, n)| (a, &m.bank).cmp(&(b, &n.bank)));
    let mut taken = BTreeMap::new();
    let mut all = Vec::with_capacity(sorted.len());
    for (latest, mover) in sorted {
        let switch_by = match (&mover.progress, mover.terms.procedure.replaces()) {
            (Progress::Scheduled { from, .. }, _) => *from,
            (Progress::Switched { at, .. } | Progress::Confirmed { at, .. }, _) => *at,
            (_, true) => change_over_slot(latest, &mut taken),
            (_, false) => latest,
        };
        let said = days(mover.terms.lead_time_days.into());
        let took = answers.get(&mover.bank).copied().unwrap_or_default();
        let lead = said.max(took);
        let announce_by = switch_by - lead;
        let seen = took > said;
        all.push((
            mover,
            Dates {
                switch_by,
                announce_by,
                lead,
                seen,
            },
        ));
    }
    all
}

/// As early as the margin asks: two weeks before the end, or a sixth of a short life.
fn switch_by(old: Validity) -> Timestamp {
    let sixth = old.ends.duration_since(old.begins) / MARGIN_LIFE_DIVISOR;
    old.ends - sixth.min(days(MARGIN_DAYS_MAX)).max(SignedDuration::ZERO)
}

/// A working day with room, not after `latest`.
fn change_over_slot(latest: Timestamp, taken: &mut BTreeMap<Date, u32>) -> Timestamp {
    let utc = |date: Date| {
        // Cannot fail: the date of a certificate is far inside what a timestamp can hold (`Validity` is made of two).
        let at = date.at(CHANGE_OVER_HOUR, 0, 0, 0).to_zoned(TimeZone::UTC);
        at.map_or(latest, |zoned| zoned.timestamp())
    };
    let mut date = latest.to_zoned(TimeZone::UTC).date();
    loop {
        let working = !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        let room = taken
            .get(&date)
            .is_none_or(|count| *count < CHANGE_OVERS_PER_DAY_MAX);
        if working && room && utc(date) <= latest {
            *taken.entry(date).or_default() += 1;
            return utc(date);
        }
        match date.yesterday() {
            Ok(earlier) => date = earlier,
            Err(_) => return latest,
        }
    }
}

fn announce_step(subject: &Subject, mover: &Mover, dates: &Dates) -> Option<Step> {
    let procedure = mover.terms.procedure;
    if !procedure.is_told() {
        return None;
    }
    let mut risks = Vec::new();
    if procedure == Procedure::Register {
        risks.extend([Risk::RegisteredOnce, Risk::ConsentsLost]);
    }
    if mover.terms.contact.is_empty() && procedure != Procedure::PublishUrl {
        risks.push(Risk::ContactUnknown);
    }
    risks.extend(certificate_risks(subject, mover));
    let lead = dates.lead.as_hours() / 24;
    let reason = match dates.seen {
        true => format!("{}: the bank took {lead} days before", procedure.as_str()),
        false => format!("{}: the bank takes {lead} days", procedure.as_str()),
    };
    Some(Step {
        by: dates.announce_by,
        action: Action::Announce,
        bank: Some(mover.bank.clone()),
        reason,
        risks,
        irreversible: procedure == Procedure::Register,
        done: !matches!(mover.progress, Progress::Pending | Progress::Failed { .. }),
    })
}

fn switch_step(subject: &Subject, mover: &Mover, dates: &Dates) -> Step {
    let (by, replaces) = (dates.switch_by, mover.terms.procedure.replaces());
    let done = matches!(
        mover.progress,
        Progress::Switched { .. } | Progress::Confirmed { .. }
    );
    let agreed = matches!(mover.progress, Progress::Scheduled { .. });
    let mut risks = Vec::new();
    if replaces && !done {
        risks.push(Risk::NoWayBack);
    }
    if !mover.terms.procedure.is_told() {
        risks.extend(certificate_risks(subject, mover));
    }
    if by > mover.old.ends {
        risks.push(Risk::EndsFirst {
            ends: mover.old.ends,
        });
    }
    if let Some(begins) = subject
        .new
        .map(|new| new.validity.begins)
        .filter(|begins| *begins > by)
    {
        risks.push(Risk::BeginsLate { begins });
    }
    let ends = mover.old.ends;
    let reason = match (done, agreed, replaces) {
        (true, _, _) => "the new version signs".to_owned(),
        (_, true, _) => format!("agreed; the old version ends at {ends}"),
        (_, _, true) => format!(
            "proposed: a working day with at most {CHANGE_OVERS_PER_DAY_MAX} change-overs; the old version ends at {ends}"
        ),
        _ => format!("the old version ends at {ends}"),
    };
    Step {
        by,
        action: if replaces {
            Action::ChangeOver
        } else {
            Action::Switch
        },
        bank: Some(mover.bank.clone()),
        reason,
        risks,
        irreversible: replaces,
        done,
    }
}

/// What the bank may not like in the new certificate.
fn certificate_risks(subject: &Subject, mover: &Mover) -> Vec<Risk> {
    let Some(new) = subject.new else {
        return Vec::new();
    };
    let mut risks = Vec::new();
    let Validity { begins, ends } = new.validity;
    let life = ends.duration_since(begins).as_hours() / 24;
    let limit = cabf_days_max(begins).filter(|max| life > *max);
    if let Some(max) = limit
        .filter(|_| mover.terms.enforces_cabf_validity && subject.purpose == Purpose::Transport)
    {
        risks.push(Risk::LivesTooLong { days: life, max });
    }
    if mover.terms.wants_digital_signature && !new.digital_signature {
        risks.push(Risk::NoDigitalSignature);
    }
    if new.issuer_differs {
        risks.push(Risk::IssuerChanges);
    }
    risks
}

/// The longest life of a TLS certificate issued then, days.
fn cabf_days_max(issued: Timestamp) -> Option<i64> {
    let date = issued.to_zoned(TimeZone::UTC).date();
    let rules = CABF_DAYS_MAX.iter().rev();
    rules
        .clone()
        .find(|(since, _)| date >= *since)
        .map(|(_, max)| *max)
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

#[cfg(test)]
mod tests;
