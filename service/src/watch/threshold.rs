//! When somebody should be told that a life ends.
//!
//! In: when a life begins and ends. Out: the moments to tell of it, in order. Never: a clock.
//!
//! The yearly certificate has 90, 60, 30, 14, 7, 3, 1 and 0 days before its end; below 7 days every day counts, and
//! seven days after the end too. Lives become shorter (CA/Browser Forum ballot SC-081v3: 200, 100, then 47 days), so the
//! first three also come at a third, a sixth and a twelfth of the life, whichever is earlier. Two things bound that:
//! nobody is told in the first half of a life, for that would only say that the certificate is new; and lives longer
//! than [`FRACTIONS_LIFETIME_DAYS_MAX`] need no warning years ahead.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Seconds of a day.
const DAY_S: i64 = 86_400;
/// The longest life that is told of by fractions, days: TLS certificates of the generation before SC-081v3.
pub const FRACTIONS_LIFETIME_DAYS_MAX: i64 = 398;
/// From so many days before the end on, every day.
const DAILY_BEFORE_DAYS: i64 = 7;
/// Until so many days after the end, every day.
const DAILY_AFTER_DAYS: i64 = 7;
/// The thresholds that have a fraction: days, and the part of the life.
const WITH_FRACTION: [(i64, i64); 3] = [(90, 3), (60, 6), (30, 12)];
/// The threshold that no time passes.
const REVOKED: &str = "revoked";
/// The threshold between those and the daily ones, days.
const LAST_WEEKLY_DAYS: i64 = 14;

/// A moment before the end, by name: `90d`, `1/3`, `0d`, `-2d`. Or `revoked`: the end came early.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Threshold(String);

impl Threshold {
    fn days(days: i64) -> Self {
        Self(format!("{days}d"))
    }

    fn fraction(divisor: i64) -> Self {
        Self(format!("1/{divisor}"))
    }

    /// The end that an issuer made.
    pub(super) fn revoked() -> Self {
        Self(REVOKED.to_owned())
    }

    /// Whether it is that one.
    pub fn is_revoked(&self) -> bool {
        self.0 == REVOKED
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A threshold of one life, and when it is passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub threshold: Threshold,
    /// When it is passed.
    pub at: Timestamp,
}

/// The steps of a life, earliest first.
pub fn steps(begin: Timestamp, end: Timestamp) -> Vec<Step> {
    let lifetime_s = end.as_second() - begin.as_second();
    let mut steps: Vec<Step> = Vec::new();
    let mut last_lead_s = i64::MIN;
    // From the last to the first, so that one which would not come before its successor is left out.
    for (lead_s, threshold) in leads(lifetime_s).into_iter().rev() {
        let at = end.checked_sub(SignedDuration::from_secs(lead_s));
        // Outside the years that a timestamp can hold nobody is alive to be told.
        let (true, Ok(at)) = (lead_s > last_lead_s, at) else {
            continue;
        };
        last_lead_s = lead_s;
        steps.push(Step { threshold, at });
    }
    steps.reverse();
    steps
}

/// How long before the end, longest first by intention; fractions of short lives may break that order.
fn leads(lifetime_s: i64) -> Vec<(i64, Threshold)> {
    let longest_s = lifetime_s / 2;
    let fractions = lifetime_s <= FRACTIONS_LIFETIME_DAYS_MAX * DAY_S;
    let early = WITH_FRACTION.into_iter().filter_map(|(days, divisor)| {
        let by_days = (days * DAY_S, Threshold::days(days));
        let by_fraction = (lifetime_s / divisor, Threshold::fraction(divisor));
        let candidates = [Some(by_days), fractions.then_some(by_fraction)];
        let fit = candidates.into_iter().flatten();
        fit.filter(|(lead_s, _)| *lead_s > 0 && *lead_s <= longest_s)
            .max_by_key(|(lead_s, _)| *lead_s)
    });
    let daily = (-DAILY_AFTER_DAYS..=DAILY_BEFORE_DAYS).rev();
    let late = std::iter::once(LAST_WEEKLY_DAYS).chain(daily);
    let late = late.map(|days| (days * DAY_S, Threshold::days(days)));
    let late = late.filter(|(lead_s, _)| *lead_s <= longest_s.max(0));
    early.chain(late).collect()
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Plan the renewal.
    Info,
    /// The renewal should be under way.
    Warning,
    /// Something breaks soon.
    Critical,
    /// Something breaks within a day, or has broken.
    Page,
}

impl Severity {
    /// The word of the API and the alerts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Page => "page",
        }
    }

    /// How much the end of a life matters now: 30, 7 and 1 days before it, or a sixth, a twelfth and a 24th of a life
    /// too short for those.
    pub fn of(begin: Timestamp, end: Timestamp, now: Timestamp) -> Self {
        let lifetime_s = (end.as_second() - begin.as_second()).max(0);
        let left_s = end.as_second() - now.as_second();
        let within = |days: i64, divisor: i64| left_s <= (days * DAY_S).min(lifetime_s / divisor);
        if within(1, 24) {
            Self::Page
        } else if within(7, 12) {
            Self::Critical
        } else if within(30, 6) {
            Self::Warning
        } else {
            Self::Info
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn names(lifetime_s: i64) -> String {
        let steps = steps(at(0), at(lifetime_s));
        let before = steps.iter().filter(|step| step.at <= at(lifetime_s));
        let names: Vec<_> = before.map(|step| step.threshold.as_str()).collect();
        names.join(" ")
    }

    #[test]
    fn each_length_of_life_has_its_thresholds() {
        const WEEK: &str = "7d 6d 5d 4d 3d 2d 1d 0d";
        for (days, wanted) in [
            (3_650, format!("90d 60d 30d 14d {WEEK}")),
            (399, format!("90d 60d 30d 14d {WEEK}")),
            (398, format!("1/3 1/6 1/12 14d {WEEK}")),
            (365, format!("1/3 1/6 1/12 14d {WEEK}")),
            (200, format!("90d 60d 30d 14d {WEEK}")),
            (100, format!("1/3 30d 14d {WEEK}")),
            (47, format!("1/3 14d {WEEK}")),
            (30, format!("14d {WEEK}")),
            (6, "3d 2d 1d 0d".to_owned()),
        ] {
            assert_eq!(names(days * DAY_S), wanted, "{days}");
        }
        assert_eq!(names(DAY_S), "1/3 1/6 1/12 0d", "a day");
        assert_eq!(names(0), "0d", "a life that never was");
    }

    #[test]
    fn severity_rises_with_the_days_left() {
        let year = |left: i64| Severity::of(at(0), at(365 * DAY_S), at((365 - left) * DAY_S));
        assert_eq!(year(90), Severity::Info);
        assert_eq!(year(30), Severity::Warning);
        assert_eq!(year(7), Severity::Critical);
        assert_eq!(year(1), Severity::Page);
        assert_eq!(year(-3), Severity::Page);
        let day = |left_h: i64| Severity::of(at(0), at(DAY_S), at(DAY_S - left_h * 3_600));
        assert_eq!(
            day(8),
            Severity::Info,
            "a new certificate of a day pages nobody"
        );
        assert_eq!(day(1), Severity::Page);
    }

    proptest! {
        /// Whatever the life: moments in order and distinct names, none in the first half, one at the very end.
        #[test]
        fn steps_keep_their_laws(lifetime_s in 0_i64..20 * 365 * DAY_S) {
            let (begin, end) = (at(0), at(lifetime_s));
            let steps = steps(begin, end);
            prop_assert!(steps.windows(2).all(|pair| pair[0].at < pair[1].at));
            prop_assert!(steps.iter().all(|step| step.at.as_second() >= at(lifetime_s / 2).as_second()));
            let names: std::collections::HashSet<_> = steps.iter().map(|s| s.threshold.as_str()).collect();
            prop_assert_eq!(names.len(), steps.len());
            prop_assert!(steps.iter().any(|step| step.at == end && step.threshold.as_str() == "0d"));
        }
    }
}
