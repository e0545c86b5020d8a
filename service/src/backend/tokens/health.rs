//! How well a token has been answering, and which one is asked first. Pure: times are arguments.
//!
//! In: what became of the requests to each token of a set. Out: an order in which to ask them, and how long to wait
//! before another one is asked too. It never leaves a token out: one that fails is asked last.

use std::time::{Duration, Instant};

/// A token that failed is asked last for so long; doubled with each failure in a row, up to the second.
const REST_MIN: Duration = Duration::from_millis(100);
const REST_MAX: Duration = Duration::from_secs(5);
/// The share of the newest answer in the mean time of answers (one part in so many).
const MEAN_PARTS: u32 = 8;
/// Another token is asked too when one takes so many times its mean time, within these limits.
const SILENCE_MEANS: u32 = 8;
const SILENCE_MIN: Duration = Duration::from_millis(50);
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// ... and in any case after this share of the caller's time (percent): what is left must suffice for the other one.
const PATIENCE_PERCENT: u32 = 40;

/// What is known about one token.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Health {
    failures_in_a_row: u32,
    rests_until: Option<Instant>,
    /// Of answers; zero before the first.
    mean_time: Duration,
    answered: Option<Instant>,
}

/// A token, looked at to be chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Its place in the set.
    pub(super) place: usize,
    pub(super) health: Health,
    /// Requests that it works on now.
    pub(super) in_flight: u32,
}

impl Health {
    /// It did what was asked.
    pub(super) fn worked(&mut self, took: Duration, now: Instant) {
        self.mean_time = match self.mean_time {
            Duration::ZERO => took,
            mean => (mean * (MEAN_PARTS - 1) + took) / MEAN_PARTS,
        };
        self.failures_in_a_row = 0;
        self.rests_until = None;
        self.answered = Some(now);
    }

    /// It failed, or said nothing for too long. Requests that were lost together count as one failure.
    pub(super) fn failed(&mut self, now: Instant) {
        if self.rests_until.is_some_and(|until| now < until) {
            return;
        }
        let doublings = self.failures_in_a_row.min(10);
        self.failures_in_a_row += 1;
        self.rests_until = Some(now + REST_MIN.saturating_mul(1 << doublings).min(REST_MAX));
    }

    /// It refused for a reason of its own that says nothing about its health.
    pub(super) fn refused(&mut self, now: Instant) {
        self.answered = Some(now);
    }

    /// Whether it has answered anybody since.
    pub(super) fn has_answered_since(&self, moment: Instant) -> bool {
        self.answered.is_some_and(|answered| answered > moment)
    }

    /// Whether its last answers were failures.
    pub(super) fn is_failing(&self) -> bool {
        self.failures_in_a_row > 0
    }

    /// From which time on it is called silent by somebody who has `patience`.
    pub(super) fn silence(&self, patience: Duration) -> Duration {
        let usual = self.mean_time.saturating_mul(SILENCE_MEANS);
        usual
            .clamp(SILENCE_MIN, SILENCE_MAX)
            .min(first_share(patience))
    }
}

/// After so much of a caller's time another token is asked too, even if this one answers others.
pub(super) fn first_share(patience: Duration) -> Duration {
    patience * PATIENCE_PERCENT / 100
}

/// The order in which to ask: first one that failed and is due for a trial (one request at a time), then the quickest,
/// last those that rest. `turn` decides between equals, so that they share the work.
pub(super) fn order(mut candidates: Vec<Candidate>, turn: usize, now: Instant) -> Vec<usize> {
    let count = candidates.len().max(1);
    candidates.sort_by_key(|candidate| {
        let health = &candidate.health;
        let rests = health.rests_until.is_some_and(|until| now < until);
        let rank = match (health.is_failing(), rests, candidate.in_flight) {
            (true, false, 0) => 0,
            (false, ..) => 1,
            (true, ..) => 2,
        };
        let wait = health.mean_time.saturating_mul(candidate.in_flight + 1);
        (rank, wait, (candidate.place + turn) % count)
    });
    candidates.into_iter().map(|it| it.place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn candidate(place: usize, health: Health, in_flight: u32) -> Candidate {
        Candidate {
            place,
            health,
            in_flight,
        }
    }

    #[test]
    fn equals_take_turns() {
        let now = monotonic();
        let firsts = (0..4).map(|turn| {
            let candidates = (0..2).map(|place| candidate(place, Health::default(), 0));
            order(candidates.collect(), turn, now)[0]
        });
        assert_eq!(firsts.collect::<Vec<_>>(), [0, 1, 0, 1]);
    }

    #[test]
    fn the_quickest_is_asked_first_until_it_has_more_to_do() {
        let now = monotonic();
        let [mut quick, mut slow] = [Health::default(); 2];
        quick.worked(MS(1), now);
        slow.worked(MS(4), now);
        let first = |quick_has| {
            let candidates = vec![candidate(0, slow, 0), candidate(1, quick, quick_has)];
            order(candidates, 0, now)[0]
        };
        assert_eq!((first(0), first(2), first(4)), (1, 1, 0));
    }

    #[test]
    fn one_that_failed_rests_and_is_then_tried_by_one_request() {
        let now = monotonic();
        let mut failed = Health::default();
        failed.failed(now);
        // Requests that are lost together are one failure.
        failed.failed(now + MS(1));
        let at = |later, in_flight| {
            let candidates = vec![
                candidate(0, Health::default(), 9),
                candidate(1, failed, in_flight),
            ];
            order(candidates, 0, now + MS(later))
        };
        assert_eq!(at(99, 0), [0, 1], "it rests");
        assert_eq!(at(100, 0), [1, 0], "it is tried");
        assert_eq!(at(100, 1), [0, 1], "by one");
    }

    #[test]
    fn rests_double_up_to_the_longest_and_end_with_an_answer() {
        let (mut now, mut health, mut rests) = (monotonic(), Health::default(), Vec::new());
        for _ in 0..8 {
            health.failed(now);
            let until = health.rests_until.unwrap();
            rests.push(until - now);
            now = until;
        }
        let expected = [100, 200, 400, 800, 1600, 3200, 5000, 5000].map(MS);
        assert_eq!(rests, expected);
        health.worked(MS(1), now);
        assert!(!health.is_failing());
    }

    #[test]
    fn silence_is_told_by_what_is_usual_and_leaves_time_for_another() {
        let now = monotonic();
        let mut health = Health::default();
        assert_eq!(health.silence(MS(10_000)), MS(50));
        assert_eq!(health.silence(MS(100)), MS(40));
        health.worked(MS(30), now);
        assert_eq!(health.silence(MS(10_000)), MS(240));
        for _ in 0..100 {
            health.worked(MS(400), now);
        }
        assert_eq!(health.silence(MS(10_000)), MS(1_000));
        assert_eq!(health.silence(MS(200)), MS(80));
    }

    #[test]
    fn the_order_names_everyone_once() {
        proptest::proptest!(|(means in proptest::collection::vec((0u64..50, 0u32..9, 0u32..3), 1..6), turn: u8)| {
            let now = monotonic();
            let candidates = means.iter().enumerate().map(|(place, (mean, in_flight, failures))| {
                let mut health = Health::default();
                health.worked(MS(*mean), now);
                (0..*failures).for_each(|n| health.failed(now + MS(u64::from(n) * 6_000)));
                candidate(place, health, *in_flight)
            });
            let mut places = order(candidates.collect(), usize::from(turn), now);
            let healthy = means.iter().position(|(_, _, failures)| *failures == 0);
            if let Some(healthy) = healthy {
                let failing = |place: usize| means[place].2 > 0;
                let first_failing = places.iter().position(|p| failing(*p) && means[*p].1 > 0);
                let at = places.iter().position(|p| *p == healthy).unwrap();
                proptest::prop_assert!(first_failing.is_none_or(|first| first > at));
            }
            places.sort_unstable();
            proptest::prop_assert_eq!(places, (0..means.len()).collect::<Vec<_>>());
        });
    }
}
