//! When to try a delivery again.
//!
//! In: how often it failed, since when, what the receiver asked for. Out: the next moment, or none. Pure.

use jiff::{SignedDuration, Timestamp};

/// The pause after the first failure, seconds; each further one is `FACTOR` times as long.
pub const PAUSE_FIRST_S: i64 = 5;
/// How much longer each pause is.
const FACTOR: i64 = 4;
/// The longest pause, seconds.
const PAUSE_MAX_S: i64 = 6 * 3_600;
/// After this an alert is given up: later ones have said more. Seconds.
const GIVE_UP_S: i64 = 7 * 86_400;

/// When to try again after the `failed`th failure (from 1) of an alert that was raised then.
pub fn next_attempt(
    failed: u32,
    raised: Timestamp,
    retry_after: Option<SignedDuration>,
    now: Timestamp,
) -> Option<Timestamp> {
    let pause_s = (1..failed).fold(PAUSE_FIRST_S, |pause, _| (pause * FACTOR).min(PAUSE_MAX_S));
    let asked_s = retry_after.map_or(0, |asked| asked.as_secs().clamp(0, PAUSE_MAX_S));
    let next = now.checked_add(SignedDuration::from_secs(pause_s.max(asked_s)));
    next.ok()
        .filter(|next| next.as_second() - raised.as_second() <= GIVE_UP_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let pause = |failed| {
            let next = next_attempt(failed, at(0), None, at(0)).unwrap();
            next.as_second() - at(0).as_second()
        };
        let pauses: Vec<_> = [1, 2, 3, 4, 5, 6, 7, 8, 1_000].map(pause).to_vec();
        assert_eq!(
            pauses,
            [5, 20, 80, 320, 1_280, 5_120, 20_480, 21_600, 21_600]
        );
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_but_not_for_ever() {
        let next = |asked_s| {
            let asked = Some(SignedDuration::from_secs(asked_s));
            let next = next_attempt(1, at(0), asked, at(0)).unwrap();
            next.as_second() - at(0).as_second()
        };
        assert_eq!(
            [next(1), next(60), next(i64::MAX), next(-4)],
            [5, 60, 21_600, 5]
        );
    }

    #[test]
    fn an_alert_of_a_week_ago_is_given_up() {
        assert_eq!(next_attempt(30, at(0), None, at(GIVE_UP_S)), None);
        assert!(next_attempt(30, at(0), None, at(GIVE_UP_S - PAUSE_MAX_S)).is_some());
    }
}
