//! What becomes of an enrolment after a step. Pure.
//!
//! In: an enrolment, what its step brought, the time. Out: the enrolment as it is then. Never: a certificate; installing
//! one is not decided here.

use jiff::{SignedDuration, Timestamp};

use super::EnrolError;
use crate::domain::{Enrolment, EnrolmentState};

/// Steps that may fail in a row before an enrolment ends.
pub(super) const ATTEMPTS_MAX: u32 = 20;
/// First pause after a failed step, and the longest one, seconds; doubled in between.
const RETRY_FIRST_S: u32 = 2;
const RETRY_LAST_S: u32 = 3_600;

/// A step that brought something other than a certificate.
#[derive(Debug)]
pub(super) struct Waiting {
    /// To be given to the next step.
    pub(super) ticket: String,
    /// When that is due, seconds from now.
    pub(super) check_after_s: u32,
    /// What is being waited for.
    pub(super) detail: String,
}

/// When to try again after this many failures in a row, seconds; none when it was tried often enough.
fn pause_s(attempts: u32) -> Option<u32> {
    let doubled = RETRY_FIRST_S.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1)));
    (attempts < ATTEMPTS_MAX).then(|| doubled.min(RETRY_LAST_S))
}

/// What becomes of an enrolment after a step.
pub(super) fn after(
    mut enrolment: Enrolment,
    step: Result<Waiting, EnrolError>,
    now: Timestamp,
) -> Enrolment {
    let wait = |seconds: u32| {
        let pause = SignedDuration::from_secs(seconds.into());
        now.saturating_add(pause).unwrap_or(now)
    };
    match step {
        Ok(waiting) => {
            enrolment.ticket = Some(waiting.ticket);
            enrolment.attempts = 0;
            enrolment.next = wait(waiting.check_after_s);
            enrolment.detail = waiting.detail;
        }
        Err(error) => {
            enrolment.attempts += 1;
            enrolment.detail = error.to_string();
            if matches!(error, EnrolError::Anew(_)) {
                enrolment.ticket = None;
            }
            let again = match error {
                EnrolError::Later(_) | EnrolError::Anew(_) => pause_s(enrolment.attempts),
                EnrolError::Never(_) => None,
            };
            match again {
                Some(seconds) => enrolment.next = wait(seconds),
                None => enrolment.state = EnrolmentState::Failed,
            }
        }
    }
    enrolment
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::{CallerName, Name, VersionId, Wish};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn enrolment() -> Enrolment {
        Enrolment {
            version: VersionId {
                credential: Name::try_from("seal").unwrap(),
                number: 1,
            },
            wish: Wish::Certificate,
            enroller: Name::try_from("qtsp").unwrap(),
            author: CallerName::try_from("alice.example".to_owned()).unwrap(),
            state: EnrolmentState::Pending,
            ticket: None,
            attempts: 0,
            next: at(0),
            detail: String::new(),
            created: at(0),
            due: at(86_400),
        }
    }

    fn waiting(check_after_s: u32) -> Result<Waiting, EnrolError> {
        Ok(Waiting {
            ticket: "t".to_owned(),
            check_after_s,
            detail: "the QTSP has the request".to_owned(),
        })
    }

    #[test]
    fn a_ticket_is_kept_and_the_failures_before_are_forgotten() {
        let failed = after(
            enrolment(),
            Err(EnrolError::Later("down".to_owned())),
            at(0),
        );
        assert_eq!((failed.attempts, failed.next), (1, at(2)));
        assert_eq!(failed.detail, "down");
        let back = after(failed, waiting(60), at(10));
        assert_eq!((back.attempts, back.next), (0, at(70)));
        assert_eq!(back.ticket.as_deref(), Some("t"));
        assert_eq!(back.detail, "the QTSP has the request");
        assert_eq!(back.state, EnrolmentState::Pending);
    }

    #[test]
    fn pauses_double_up_to_an_hour_and_end() {
        let pauses: Vec<_> = (1..=13).map_while(pause_s).collect();
        assert_eq!(pauses[..4], [2, 4, 8, 16]);
        assert_eq!(pauses[12], 3_600);
        assert_eq!(pause_s(ATTEMPTS_MAX), None);
        let mut last = enrolment();
        last.attempts = ATTEMPTS_MAX - 1;
        let ended = after(last, Err(EnrolError::Later("down".to_owned())), at(0));
        assert_eq!(ended.state, EnrolmentState::Failed);
    }

    #[test]
    fn an_exchange_that_the_qtsp_forgot_begins_anew() {
        let pending = after(enrolment(), waiting(60), at(0));
        let anew = after(pending, Err(EnrolError::Anew("forgot".to_owned())), at(60));
        assert_eq!((anew.ticket, anew.attempts, anew.next), (None, 1, at(62)));
        assert_eq!(anew.state, EnrolmentState::Pending);
    }

    #[test]
    fn what_cannot_succeed_is_not_tried_again() {
        let ended = after(enrolment(), Err(EnrolError::Never("no".to_owned())), at(0));
        assert_eq!(ended.state, EnrolmentState::Failed);
        assert_eq!(ended.detail, "no");
    }
}
