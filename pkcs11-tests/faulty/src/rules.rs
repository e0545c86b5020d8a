//! Which rules of the script fire for a call.
//!
//! In: a script and, one after another, the calls. Out: the actions for each. Every rule counts the calls that match
//! it; a script that is read again counts from the start.

use std::sync::{Mutex, PoisonError};

use crate::call::Call;
use crate::script::{Action, OutputFault, Rule, Script, Trigger};

/// One reading of the script, with its counts.
pub(crate) struct Version {
    /// Another one for each reading.
    pub(crate) number: u64,
    pub(crate) script: Script,
    counts: Mutex<Vec<Count>>,
    random: Mutex<fastrand::Rng>,
}

/// How far one rule has come.
struct Count {
    matched: u64,
    fired: u64,
    random: fastrand::Rng,
}

impl Version {
    pub(crate) fn new(number: u64, script: Script) -> Self {
        let counts = script.rules.iter().map(Count::new).collect();
        let random = fastrand::Rng::with_seed(number);
        Self {
            number,
            script,
            counts: Mutex::new(counts),
            random: Mutex::new(random),
        }
    }

    /// What happens to this call, in the order of the script.
    pub(crate) fn decide(&self, call: &Call) -> Vec<Action> {
        if self.script.rules.is_empty() {
            return Vec::new();
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = self.script.rules.iter().zip(counts.iter_mut());
        rules
            .filter(|(rule, _)| rule.matches(call))
            .filter_map(|(rule, count)| count.fires(rule).then(|| rule.action.clone()))
            .collect()
    }

    /// A length of time between two.
    pub(crate) fn milliseconds(&self, least: u64, most: u64) -> u64 {
        self.random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .u64(least..=most)
    }
}

impl Rule {
    fn matches(&self, call: &Call) -> bool {
        self.function
            .as_ref()
            .is_none_or(|function| function.0 == call.function)
            && self
                .mechanism
                .is_none_or(|mechanism| Some(mechanism.0) == call.mechanism)
            && self
                .session
                .is_none_or(|session| Some(session) == call.session)
            && match self.action {
                // A question for the length has no bytes to spoil, and only it can be lied to about the length.
                Action::Output(fault) => {
                    call.is_length_query() == (fault == OutputFault::LyingLength)
                }
                _ => true,
            }
    }
}

impl Count {
    fn new(rule: &Rule) -> Self {
        let seed = match rule.trigger {
            Trigger::Random { seed, .. } => seed,
            _ => 0,
        };
        Self {
            matched: 0,
            fired: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    fn fires(&mut self, rule: &Rule) -> bool {
        self.matched += 1;
        let Some(number @ 1..) = self.matched.checked_sub(rule.after) else {
            return false;
        };
        let fires = self.fired < rule.count_max
            && match rule.trigger {
                Trigger::Always => true,
                Trigger::Nth(nth) => number == nth.get(),
                Trigger::Every(every) => number % every == 0,
                Trigger::Random { probability, .. } => self.random.f64() < probability,
            };
        self.fired += u64::from(fires);
        fires
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The numbers of the calls of `C_SignInit` for which the rule fires.
    fn fires(rule: &str, calls: u64) -> Vec<u64> {
        let script = format!("rule = [{{ fn = 'C_SignInit', rv = 'CKR_DEVICE_ERROR', {rule} }}]");
        let version = Version::new(1, Script::parse(&script).unwrap());
        (1..=calls)
            .filter(|_| !version.decide(&Call::of("C_SignInit")).is_empty())
            .collect()
    }

    #[test]
    fn fires_when_the_rule_says() {
        assert_eq!(fires("", 3), [1, 2, 3]);
        assert_eq!(fires("nth = 2", 5), [2]);
        assert_eq!(fires("every = 2", 5), [2, 4]);
        assert_eq!(fires("count = 2", 5), [1, 2]);
        assert_eq!(fires("after = 2", 5), [3, 4, 5]);
        assert_eq!(fires("after = 2, nth = 2", 9), [4]);
        assert_eq!(fires("after = 1, every = 3, count = 2", 20), [4, 7]);
    }

    #[test]
    fn chance_is_repeatable_and_about_as_often_as_said() {
        let one = fires("p = 0.1, seed = 7", 10_000);
        assert_eq!(one, fires("p = 0.1, seed = 7", 10_000));
        assert_ne!(one, fires("p = 0.1, seed = 8", 10_000));
        assert!((800..1200).contains(&one.len()), "{}", one.len());
        assert_eq!(fires("p = 1.0, seed = 1", 5).len(), 5);
    }

    #[test]
    fn other_functions_sessions_and_mechanisms_do_not_count() {
        let text = "rule = [{ fn = 'C_SignInit', session = 4, mechanism = 'CKM_ECDSA', nth = 2, hang = true }]";
        let version = Version::new(1, Script::parse(text).unwrap());
        let call = |function, session, mechanism| Call {
            session: Some(session),
            mechanism: Some(mechanism),
            ..Call::of(function)
        };
        let ours = || call("C_SignInit", 4, 0x1041);
        assert!(version.decide(&ours()).is_empty());
        for other in [
            call("C_VerifyInit", 4, 0x1041),
            call("C_SignInit", 5, 0x1041),
            call("C_SignInit", 4, 1),
        ] {
            assert!(version.decide(&other).is_empty());
        }
        assert_eq!(version.decide(&ours()), [Action::Hang]);
    }
}
