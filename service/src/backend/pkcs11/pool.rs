//! How many sessions sign: fewer when the token has no room for them. Pure: times are arguments.
//!
//! In: that the token was out of memory or sessions, and the time. Out: which signing threads work. It never goes down to
//! none, and comes back slowly: what a token shared with others lacks now it will not have again in a moment.

use std::time::{Duration, Instant};

/// Faults of several threads at one moment are one shortage.
const HALVE_INTERVAL: Duration = Duration::from_secs(1);
/// One more session is tried after so long without a shortage.
const GROW_INTERVAL: Duration = Duration::from_secs(30);

/// Of the threads `0..size`, those below `working` work.
#[derive(Debug)]
pub(super) struct Pool {
    size: usize,
    working: usize,
    changed: Option<Instant>,
}

impl Pool {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            working: size,
            changed: None,
        }
    }

    pub(super) fn works(&self, number: usize) -> bool {
        number < self.working
    }

    /// The token has no room: half of the threads rest. `false`: that was done a moment ago, or there is one left.
    pub(super) fn halve(&mut self, now: Instant) -> bool {
        let since = |at: Instant| now.saturating_duration_since(at);
        if self.working <= 1 || self.changed.is_some_and(|at| since(at) < HALVE_INTERVAL) {
            return false;
        }
        self.working = (self.working / 2).max(1);
        self.changed = Some(now);
        true
    }

    /// One more thread may try, if it is time. `true`: one may.
    pub(super) fn grow(&mut self, now: Instant) -> bool {
        let is_time = |at: Instant| now.saturating_duration_since(at) >= GROW_INTERVAL;
        if self.working >= self.size || !self.changed.is_some_and(is_time) {
            return false;
        }
        self.working += 1;
        self.changed = Some(now);
        true
    }

    /// The thread that was to work again has found no room.
    pub(super) fn shrink_to(&mut self, number: usize, now: Instant) {
        self.working = self.working.min(number.max(1));
        self.changed = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    fn working(pool: &Pool) -> usize {
        (0..100).filter(|number| pool.works(*number)).count()
    }

    #[test]
    fn halves_down_to_one_and_never_to_none() {
        let (mut pool, start) = (Pool::new(16), monotonic());
        let sizes = (0..6).map(|second| {
            pool.halve(start + Duration::from_secs(second));
            working(&pool)
        });
        assert_eq!(sizes.collect::<Vec<_>>(), [8, 4, 2, 1, 1, 1]);
    }

    #[test]
    fn faults_of_one_moment_are_one_shortage() {
        let (mut pool, now) = (Pool::new(16), monotonic());
        assert!(pool.halve(now));
        assert!(!pool.halve(now + Duration::from_millis(999)));
        assert_eq!(working(&pool), 8);
    }

    #[test]
    fn grows_by_one_every_thirty_seconds_up_to_its_size() {
        let (mut pool, start) = (Pool::new(4), monotonic());
        assert!(!pool.grow(start), "nothing was lacking");
        pool.halve(start);
        let at = |second| start + Duration::from_secs(second);
        assert!(!pool.grow(at(29)));
        assert!(pool.grow(at(30)) && !pool.grow(at(59)) && pool.grow(at(60)));
        assert!(!pool.grow(at(1_000)));
        assert_eq!(working(&pool), 4);
    }

    #[test]
    fn a_thread_without_room_rests_again_for_as_long() {
        let (mut pool, start) = (Pool::new(4), monotonic());
        pool.halve(start);
        let at = |second| start + Duration::from_secs(second);
        assert!(pool.grow(at(30)));
        pool.shrink_to(2, at(31));
        assert_eq!(working(&pool), 2);
        assert!(!pool.grow(at(60)) && pool.grow(at(61)));
        pool.shrink_to(0, at(70));
        assert_eq!(working(&pool), 1);
    }
}
