//! May this person decide, and is it time to carry out what was decided?
//!
//! In: an approval, a wish, who the officers are, the time. Out: the decision, or why not. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::domain::{Approval, CallerName, Standing, Verb};

/// What an officer says to a pending change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Do it.
    Approve,
    /// Do not do it.
    Reject,
}

/// What follows from a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Confirmed; it may be carried out from `due` on.
    Approved {
        /// From when on.
        due: Timestamp,
    },
    /// It will not happen.
    Rejected,
}

/// Why a wish has no effect.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Undecided {
    /// The author confirms what the author wants.
    #[error("{0} asked for it; another officer must approve it")]
    Own(CallerName),
    /// Too late.
    #[error("it expired at {0}; ask for the change again")]
    Expired(Timestamp),
    /// Somebody was faster.
    #[error("it is {0} already")]
    Decided(&'static str),
    /// The author lost the role meanwhile; what they asked for counts no more.
    #[error("{0}, who asked for it, is no officer any more; reject it")]
    AuthorGone(CallerName),
}

impl Undecided {
    /// The stable reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Own(_) => "APPROVAL_OWN",
            Self::Expired(_) => "APPROVAL_EXPIRED",
            Self::Decided(_) => "APPROVAL_DECIDED",
            Self::AuthorGone(_) => "APPROVAL_AUTHOR_GONE",
        }
    }
}

/// Whether an approved change is to be carried out now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Its delay is not over, or it is not approved.
    Wait,
    /// Now.
    Now,
    /// Never: one of the two persons is no officer any more.
    Never(CallerName),
}

/// How long a confirmed change waits, by its verb: what cannot be undone leaves time to object.
pub fn delay(verb: Verb, destroy_delay: SignedDuration) -> SignedDuration {
    match verb {
        Verb::Destroy => destroy_delay,
        Verb::Unfreeze | Verb::Revoke => SignedDuration::ZERO,
    }
}

/// Decides. `who` is an officer; whether the author still is one comes in.
pub fn decide(
    approval: &Approval,
    wish: Wish,
    who: &CallerName,
    author_is_officer: bool,
    delay: SignedDuration,
    now: Timestamp,
) -> Result<Decision, Undecided> {
    match (approval.standing(now), wish) {
        (Standing::Pending | Standing::Approved, Wish::Reject) => Ok(Decision::Rejected),
        (Standing::Pending, Wish::Approve) if approval.author == *who => {
            Err(Undecided::Own(who.clone()))
        }
        (Standing::Pending, Wish::Approve) if !author_is_officer => {
            Err(Undecided::AuthorGone(approval.author.clone()))
        }
        (Standing::Pending, Wish::Approve) => Ok(Decision::Approved {
            due: now.saturating_add(delay).unwrap_or(Timestamp::MAX),
        }),
        (Standing::Expired, _) => Err(Undecided::Expired(approval.expires)),
        (decided, _) => Err(Undecided::Decided(decided.as_str())),
    }
}

/// Whether a change is to be carried out. One that has begun is always finished.
pub fn turn(approval: &Approval, is_officer: impl Fn(&CallerName) -> bool, now: Timestamp) -> Turn {
    match (approval.stored, approval.due) {
        (Standing::Executing, _) => Turn::Now,
        (Standing::Approved, Some(due)) if now >= due => {
            let mut persons = [Some(&approval.author), approval.decided_by.as_ref()].into_iter();
            match persons.find_map(|person| person.filter(|person| !is_officer(person))) {
                Some(gone) => Turn::Never(gone.clone()),
                None => Turn::Now,
            }
        }
        _ => Turn::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ApprovalId, Name, VersionId};
    use proptest::prelude::*;

    const DELAY: SignedDuration = SignedDuration::from_hours(24);

    fn person(name: &str) -> CallerName {
        CallerName::try_from(format!("spiffe://a.example/{name}")).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn approval(stored: Standing) -> Approval {
        Approval {
            id: ApprovalId::random(),
            verb: Verb::Destroy,
            version: VersionId {
                credential: Name::try_from("seal").unwrap(),
                number: 1,
            },
            author: person("alice"),
            reason: "old".to_owned(),
            created: at(0),
            expires: at(600),
            stored,
            decided_by: (stored != Standing::Pending).then(|| person("bob")),
            due: (stored == Standing::Approved).then(|| at(1_000)),
            outcome: String::new(),
        }
    }

    fn decided(
        stored: Standing,
        wish: Wish,
        who: &str,
        second: i64,
    ) -> Result<Decision, Undecided> {
        decide(
            &approval(stored),
            wish,
            &person(who),
            true,
            DELAY,
            at(second),
        )
    }

    #[test]
    fn the_author_cannot_confirm_but_can_withdraw() {
        let own = decided(Standing::Pending, Wish::Approve, "alice", 1);
        assert_eq!(own, Err(Undecided::Own(person("alice"))));
        let withdrawn = decided(Standing::Pending, Wish::Reject, "alice", 1);
        assert_eq!(withdrawn, Ok(Decision::Rejected));
    }

    #[test]
    fn a_second_person_confirms_until_the_last_second_and_the_delay_begins_then() {
        let due = at(599).checked_add(DELAY).unwrap();
        let last = decided(Standing::Pending, Wish::Approve, "bob", 599);
        assert_eq!(last, Ok(Decision::Approved { due }));
        let late = decided(Standing::Pending, Wish::Approve, "bob", 600);
        assert_eq!(late, Err(Undecided::Expired(at(600))));
    }

    #[test]
    fn one_person_stops_a_confirmed_change_during_its_delay() {
        for who in ["alice", "bob", "carol"] {
            let stopped = decided(Standing::Approved, Wish::Reject, who, 900);
            assert_eq!(stopped, Ok(Decision::Rejected), "{who}");
        }
    }

    #[test]
    fn what_is_decided_stays_decided() {
        for stored in [
            Standing::Executing,
            Standing::Done,
            Standing::Rejected,
            Standing::Void,
        ] {
            for wish in [Wish::Approve, Wish::Reject] {
                let again = decided(stored, wish, "carol", 1);
                assert_eq!(again, Err(Undecided::Decided(stored.as_str())));
            }
        }
        let twice = decided(Standing::Approved, Wish::Approve, "carol", 1);
        assert_eq!(twice, Err(Undecided::Decided("approved")));
    }

    #[test]
    fn what_a_former_officer_asked_for_is_not_confirmed() {
        let pending = approval(Standing::Pending);
        let result = decide(&pending, Wish::Approve, &person("bob"), false, DELAY, at(1));
        assert_eq!(result, Err(Undecided::AuthorGone(person("alice"))));
    }

    #[test]
    fn it_is_carried_out_when_due_and_both_persons_still_are_officers() {
        let approved = approval(Standing::Approved);
        assert_eq!(turn(&approved, |_| true, at(999)), Turn::Wait);
        assert_eq!(turn(&approved, |_| true, at(1_000)), Turn::Now);
        for gone in ["alice", "bob"] {
            let gone = person(gone);
            let found = turn(&approved, |person| *person != gone, at(1_000));
            assert_eq!(found, Turn::Never(gone.clone()));
        }
        assert_eq!(
            turn(&approval(Standing::Pending), |_| true, at(9_999)),
            Turn::Wait
        );
        assert_eq!(
            turn(&approval(Standing::Executing), |_| false, at(0)),
            Turn::Now
        );
    }

    proptest! {
        /// Whatever happens in whatever order, nothing is carried out without two different persons.
        #[test]
        fn never_without_two_persons(steps in prop::collection::vec((0..3_usize, any::<bool>(), 0..1_200_i64), 0..12)) {
            let mut approval = approval(Standing::Pending);
            let mut now = 0;
            for (who, approve, wait) in steps {
                now += wait;
                let who = person(["alice", "bob", "carol"][who]);
                let wish = if approve { Wish::Approve } else { Wish::Reject };
                match decide(&approval, wish, &who, true, SignedDuration::ZERO, at(now)) {
                    Ok(Decision::Approved { due }) => {
                        approval.stored = Standing::Approved;
                        approval.due = Some(due);
                        approval.decided_by = Some(who);
                    }
                    Ok(Decision::Rejected) => {
                        approval.stored = Standing::Rejected;
                        approval.decided_by = Some(who);
                    }
                    Err(_) => {}
                }
                if turn(&approval, |_| true, at(now)) == Turn::Now {
                    prop_assert!(approval.decided_by.as_ref().is_some_and(|by| *by != approval.author));
                }
            }
        }
    }
}
