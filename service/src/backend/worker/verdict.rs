//! Whether a worker still does its work: pure, times are arguments.
//!
//! In: what the worker said last, and how long ago. Out: why it must be replaced, or nothing. A worker that is inside
//! `C_Login` is never judged: killing it there can destroy a token.

use std::time::Duration;

use super::message::Status;

/// A worker that says nothing for so long hangs as a whole: it speaks several times a second.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Longest signature; after it the module is taken to hang.
pub(super) const CALL_MAX: Duration = Duration::from_secs(10);
/// Longest task of the keeper: RSA-4096 keys take slow tokens many seconds.
pub(super) const KEEPER_TASK_MAX: Duration = Duration::from_secs(120);
/// Longest time to load the module, find the token and be ready for the login.
pub(super) const START_MAX: Duration = Duration::from_secs(60);

/// Why a worker must be replaced.
pub(super) fn replace(status: &Status, silence: Duration, has_started: bool) -> Option<String> {
    if status.in_login {
        return None;
    }
    if !has_started {
        return (silence >= START_MAX).then(|| "the module does not start".to_owned());
    }
    if silence >= SILENCE_MAX {
        return Some(format!("the worker said nothing for {silence:?}"));
    }
    let (stuck, sessions) = (status.stuck_sessions, status.session_count);
    if stuck > 0 && stuck * 2 > sessions {
        return Some(format!("{stuck} of {sessions} sessions hang"));
    }
    if status.longest_call_ms >= CALL_MAX.as_millis() as u64 {
        return Some(format!(
            "a signature hangs for {} ms",
            status.longest_call_ms
        ));
    }
    if status.keeper_busy_ms >= KEEPER_TASK_MAX.as_millis() as u64 {
        return Some(format!("a task hangs for {} ms", status.keeper_busy_ms));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            session_count: 4,
            ..Status::default()
        }
    }

    #[test]
    fn a_worker_that_speaks_and_moves_is_left_alone() {
        let busy = Status {
            stuck_sessions: 2,
            longest_call_ms: 9_999,
            keeper_busy_ms: 60_000,
            ..status()
        };
        assert_eq!(replace(&busy, Duration::from_millis(4_999), true), None);
        assert_eq!(replace(&status(), Duration::from_secs(59), false), None);
    }

    #[test]
    fn hanging_calls_and_silence_are_found() {
        let now = Duration::ZERO;
        let judge = |status, silence, started| replace(&status, silence, started).is_some();
        assert!(judge(status(), SILENCE_MAX, true));
        assert!(judge(status(), START_MAX, false));
        let stuck = Status {
            stuck_sessions: 3,
            ..status()
        };
        assert!(judge(stuck, now, true));
        let only_one = Status {
            stuck_sessions: 1,
            session_count: 1,
            ..status()
        };
        assert!(judge(only_one, now, true));
        let long = Status {
            longest_call_ms: 10_000,
            ..status()
        };
        assert!(judge(long, now, true));
        let keeper = Status {
            keeper_busy_ms: 120_000,
            ..status()
        };
        assert!(judge(keeper, now, true));
    }

    #[test]
    fn nothing_is_a_reason_during_a_login() {
        let login = Status {
            in_login: true,
            stuck_sessions: 4,
            longest_call_ms: 99_999,
            ..status()
        };
        for started in [false, true] {
            assert_eq!(replace(&login, Duration::from_secs(600), started), None);
        }
    }
}
