//! What follows from what is known: the operator's rules, and what a statement is still worth.
//!
//! In: a [`Revocation`], the rules, the time. Out: a [`Verdict`]. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::domain::{Environment, Revocation, RevocationReason, RevocationStatus};

/// How often every certificate is asked about, by default, seconds.
pub const INTERVAL_DEFAULT_S: u32 = 24 * 3_600;
/// How long a word of the issuer counts when no newer one comes, by default, seconds.
pub const AGE_DEFAULT_S: u32 = 72 * 3_600;
/// How soon it is asked again after it brought no answer, seconds; never later than the interval.
const RETRY_S: i64 = 3_600;

/// What activation does when the issuer does not say whether a certificate is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenUnknown {
    /// It goes on, with a finding.
    #[default]
    Warn,
    /// It is refused.
    Block,
}

/// The rules of one environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvironmentRules {
    /// What activation does without an answer.
    pub when_unknown: WhenUnknown,
    /// How long a word counts when no newer one comes.
    pub age_max: SignedDuration,
}

/// The operator's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationRules {
    /// How often every certificate is asked about.
    pub interval: SignedDuration,
    /// For sandbox certificates.
    pub sandbox: EnvironmentRules,
    /// For production certificates.
    pub production: EnvironmentRules,
}

impl Default for RevocationRules {
    fn default() -> Self {
        let rules = EnvironmentRules {
            when_unknown: WhenUnknown::Warn,
            age_max: SignedDuration::from_secs(AGE_DEFAULT_S.into()),
        };
        Self {
            interval: SignedDuration::from_secs(INTERVAL_DEFAULT_S.into()),
            sandbox: rules,
            production: rules,
        }
    }
}

impl RevocationRules {
    /// The rules of an environment.
    pub fn of(&self, environment: Environment) -> &EnvironmentRules {
        match environment {
            Environment::Sandbox => &self.sandbox,
            Environment::Production => &self.production,
        }
    }

    /// When a certificate is asked about next; at once when it never was.
    pub fn next_look(&self, known: Option<&Revocation>) -> Timestamp {
        let Some(known) = known else {
            return Timestamp::MIN;
        };
        let pause = match known.failure {
            None => self.interval,
            Some(_) => self.interval.min(SignedDuration::from_secs(RETRY_S)),
        };
        known
            .attempted
            .saturating_add(pause)
            .unwrap_or(Timestamp::MAX)
    }
}

impl EnvironmentRules {
    /// Until when what is known counts: to the end that the statement gives itself, and at least the operator's age limit
    /// after it was fetched. Without any statement that limit runs from the first question on.
    pub fn counts_until(&self, known: &Revocation) -> Timestamp {
        let (from, own_end) = match &known.statement {
            Some((statement, fetched)) => (*fetched, statement.next_update),
            None => (known.asked_first, None),
        };
        let limit = from.saturating_add(self.age_max).unwrap_or(Timestamp::MAX);
        own_end.map_or(limit, |own_end| own_end.max(limit))
    }
}

/// What a certificate is worth by what its issuer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not revoked, as of late.
    Good,
    /// Revoked.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// Nobody knows.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// Judges what is known about a certificate.
pub fn verdict(known: Option<&Revocation>, rules: &EnvironmentRules, now: Timestamp) -> Verdict {
    let unknown = |why: String| Verdict::Unknown { why };
    let Some(known) = known else {
        return unknown("its issuer was never asked".to_owned());
    };
    let failed = known.failure.as_ref().map(|f| f.detail.as_str());
    let failed = failed.unwrap_or("no answer");
    match known
        .statement
        .as_ref()
        .map(|(statement, at)| (statement.status, at))
    {
        Some((RevocationStatus::Revoked { at, reason }, _)) => Verdict::Revoked { at, reason },
        Some((RevocationStatus::Unknown, _)) => {
            unknown("its issuer's responder does not know it".to_owned())
        }
        Some((RevocationStatus::Good, _)) if now <= rules.counts_until(known) => Verdict::Good,
        Some((RevocationStatus::Good, fetched)) => unknown(format!(
            "the last good word is of {fetched}, and since then: {failed}"
        )),
        None => unknown(failed.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::{Failure, RevocationSource, Statement};

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn now() -> Timestamp {
        "2026-11-26T12:00:00Z".parse().unwrap()
    }

    fn known(status: Option<RevocationStatus>, next_update: Option<Timestamp>) -> Revocation {
        let statement = status.map(|status| Statement {
            source: RevocationSource::Ocsp,
            status,
            this_update: now(),
            next_update,
        });
        Revocation {
            certificate: [0; 32],
            statement: statement.map(|statement| (statement, now())),
            asked_first: now(),
            attempted: now(),
            failure: None,
        }
    }

    #[test]
    fn a_good_word_counts_to_its_end_and_at_least_to_the_age_limit() {
        let rules = EnvironmentRules {
            when_unknown: WhenUnknown::Warn,
            age_max: 72 * HOUR,
        };
        let good = Some(RevocationStatus::Good);
        for (next_update, hours, wanted) in [
            (Some(now() + HOUR), 72, true),
            (Some(now() + HOUR), 73, false),
            (Some(now() + 240 * HOUR), 240, true),
            (Some(now() + 240 * HOUR), 241, false),
            (None, 72, true),
            (None, 73, false),
        ] {
            let found = verdict(
                Some(&known(good, next_update)),
                &rules,
                now() + hours * HOUR,
            );
            assert_eq!(found == Verdict::Good, wanted, "{next_update:?} {hours}");
        }
    }

    #[test]
    fn revoked_stays_revoked_and_silence_is_not_good() {
        let rules = RevocationRules::default().production;
        let (at, reason) = (now(), RevocationReason::KeyCompromise);
        let revoked = known(Some(RevocationStatus::Revoked { at, reason }), Some(now()));
        let later = now() + 10_000 * HOUR;
        assert_eq!(
            verdict(Some(&revoked), &rules, later),
            Verdict::Revoked { at, reason }
        );
        let mut silent = known(None, None);
        silent.failure = Some(Failure {
            reason: "UNREACHABLE".to_owned(),
            detail: "nobody there".to_owned(),
        });
        for nothing in [
            None,
            Some(&silent),
            Some(&known(Some(RevocationStatus::Unknown), None)),
        ] {
            let found = verdict(nothing, &rules, now());
            assert!(matches!(found, Verdict::Unknown { .. }), "{nothing:?}");
        }
    }

    #[test]
    fn who_did_not_answer_is_asked_again_sooner() {
        let rules = RevocationRules::default();
        let mut known = known(Some(RevocationStatus::Good), None);
        assert_eq!(rules.next_look(None), Timestamp::MIN);
        assert_eq!(rules.next_look(Some(&known)), now() + 24 * HOUR);
        known.failure = Some(Failure {
            reason: "TIMED_OUT".to_owned(),
            detail: String::new(),
        });
        assert_eq!(rules.next_look(Some(&known)), now() + HOUR);
        let eager = RevocationRules {
            interval: SignedDuration::from_secs(1),
            ..rules
        };
        assert_eq!(
            eager.next_look(Some(&known)),
            now() + SignedDuration::from_secs(1)
        );
    }
}
