//! When the certificate is valid, against now, its predecessor and what browsers will allow.

use jiff::{SignedDuration, Timestamp};

use super::{Case, Finding};
use crate::domain::Purpose;

/// How far our clock and the QTSP's may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// Less than this left is not worth telling banks about.
const REMAINING_MIN: SignedDuration = SignedDuration::from_hours(24);
/// How long both certificates should be valid, so that every bank can change in between.
const OVERLAP_MIN: SignedDuration = SignedDuration::from_hours(30 * 24);
/// QCP-w-psd2: a QWAC that says so is not bound to the schedule of browsers (TS 119 495).
const QCP_W_PSD2: &str = "0.4.0.19495.3.1";
/// CA/Browser Forum ballot SC-081v3: from when on a TLS certificate may be valid for at most so many days.
const SCHEDULE: [(&str, i64); 3] = [
    ("2029-03-15T00:00:00Z", 47),
    ("2027-03-15T00:00:00Z", 100),
    ("2026-03-15T00:00:00Z", 200),
];
/// Before all of those.
const DAYS_MAX_BEFORE: i64 = 398;

pub(super) fn check(case: &Case<'_>, found: &mut Vec<Finding>) {
    let (leaf, now) = (case.leaf, case.candidate.now);
    let (begin, end) = (leaf.not_before(), leaf.not_after());
    if now > end {
        found.push(Finding::block("validity.window", format!("ended at {end}")));
    } else if end.duration_since(now) < REMAINING_MIN {
        found.push(case.strict("validity.window", format!("ends at {end}")));
    }
    if begin.duration_since(now) > SKEW {
        found.push(case.strict("validity.window", format!("begins at {begin}")));
    }
    if let Some(previous) = case.candidate.previous
        && previous.not_after().duration_since(begin) < OVERLAP_MIN
    {
        let seen = format!(
            "the previous ends at {}, this begins at {begin}",
            previous.not_after()
        );
        let detail = "less than 30 days together with the previous certificate";
        found.push(Finding::warn("validity.overlap", detail).seen(seen));
    }
    let days_max = days_max(begin);
    let browsers = !leaf.policies().iter().any(|policy| policy == QCP_W_PSD2);
    // Both ends count (RFC 5280 section 4.1.2.5), hence the second.
    let length = end.duration_since(begin) + SignedDuration::from_secs(1);
    if case.candidate.purpose == Purpose::Transport
        && browsers
        && length > SignedDuration::from_hours(24 * days_max)
    {
        let detail = format!("valid for more than {days_max} days; some banks refuse that");
        let seen = format!("{begin} to {end}");
        found.push(Finding::warn("validity.schedule", detail).seen(seen));
    }
}

/// The longest validity of a TLS certificate issued at this time, days.
fn days_max(issued: Timestamp) -> i64 {
    let step = SCHEDULE.iter().find(|(from, _)| {
        let from: Result<Timestamp, _> = from.parse();
        from.is_ok_and(|from| issued >= from)
    });
    step.map_or(DAYS_MAX_BEFORE, |(_, days)| *days)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_schedule_of_browsers_steps_on_its_days() {
        for (day, days) in [
            ("2026-03-14T23:59:59Z", 398),
            ("2026-03-15T00:00:00Z", 200),
            ("2027-03-14T23:59:59Z", 200),
            ("2027-03-15T00:00:00Z", 100),
            ("2029-03-14T23:59:59Z", 100),
            ("2029-03-15T00:00:00Z", 47),
        ] {
            assert_eq!(days_max(day.parse().unwrap()), days, "{day}");
        }
    }
}
