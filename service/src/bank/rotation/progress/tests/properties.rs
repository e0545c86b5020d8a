//! What holds for every bank, whatever happens in whatever order.

use proptest::prelude::*;

use super::*;

/// An event with the offset of the moment it happens at.
fn steps() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let at = || prop::option::of(0i64..60);
    let event = prop_oneof![
        Just(Event::Announce),
        (any::<bool>(), at(), 0u32..300).prop_map(|(stays, at, window_minutes)| {
            let old = if stays {
                OldVersion::StaysValid
            } else {
                OldVersion::Replaced
            };
            let at = at.map(day);
            Event::Accept(Acceptance {
                old,
                at,
                window_minutes,
            })
        }),
        at().prop_map(|at| Event::Switch { at: at.map(day) }),
        any::<u8>().prop_map(|percent| Event::Canary { percent }),
        Just(Event::Confirm),
        Just(Event::Rollback),
        Just(Event::Fail {
            reason: "no".to_owned()
        }),
        Just(Event::Due),
    ];
    prop::collection::vec((0i64..72, event), 0..24)
}

/// What the bank itself accepts, told by nothing but its own words.
#[derive(Default)]
struct Bank {
    told: Option<Timestamp>,
    takes_new_from: Option<Timestamp>,
    takes_old_until: Option<Timestamp>,
}

impl Bank {
    fn hears(&mut self, event: &Event, facts: &Facts, now: Timestamp) {
        match event {
            Event::Announce => {
                let told = *self.told.get_or_insert(now);
                if !facts.procedure.answers() {
                    self.takes_new_from.get_or_insert(told + facts.lead_time);
                }
            }
            Event::Accept(yes) => {
                let from = yes.at.unwrap_or(now);
                let until = from + SignedDuration::from_mins(yes.window_minutes.into());
                let agreed = yes.old == OldVersion::Replaced;
                self.takes_old_until = agreed.then_some(from);
                self.takes_new_from = Some(until);
            }
            Event::Fail { .. } => *self = Self::default(),
            _ => {}
        }
    }

    fn takes_new(&self, now: Timestamp) -> bool {
        self.takes_new_from.is_some_and(|from| now >= from)
    }

    fn takes_old(&self, now: Timestamp) -> bool {
        self.takes_old_until.is_none_or(|until| now < until)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Never a version the bank does not take, always one when the bank takes one that lives.
    #[test]
    fn a_bank_is_never_without_a_usable_version(
        procedure in prop::sample::select(Procedure::ALL.to_vec()),
        steps in steps(),
    ) {
        let facts = facts(procedure);
        let mut bank = Bank::default();
        if procedure == Procedure::None {
            bank.takes_new_from = Some(day(-1));
        }
        let (mut progress, mut now) = (Progress::Pending, day(0));
        for (hours, event) in steps {
            for hour in 0..hours {
                let at = now + SignedDuration::from_hours(hour);
                let (old, new) = (
                    bank.takes_old(at) && facts.old_lives(at),
                    bank.takes_new(at) && facts.new_lives(at),
                );
                match side(&progress, &facts, at) {
                    Side::Old => prop_assert!(old || !new, "{progress:?} at {at}: old, bank takes new only"),
                    Side::New => prop_assert!(new, "{progress:?} at {at}: new, bank does not take it"),
                    Side::Split { .. } => prop_assert!(old && new, "{progress:?} at {at}: split"),
                    Side::Held { .. } => prop_assert!(!old && !new, "{progress:?} at {at}: held"),
                }
            }
            now += SignedDuration::from_hours(hours);
            if let Ok(after) = next(&progress, event.clone(), &facts, now) {
                bank.hears(&event, &facts, now);
                if matches!(event, Event::Fail { .. }) {
                    // A bank that refused is asked again before anything is used there.
                    prop_assert_eq!(side(&after, &facts, now), Side::Old);
                }
                progress = after;
            }
        }
    }

    /// The way back is open exactly while it is said to be.
    #[test]
    fn rollback_is_possible_exactly_while_it_is_said_to_be(
        procedure in prop::sample::select(Procedure::ALL.to_vec()),
        steps in steps(),
    ) {
        let facts = facts(procedure);
        let (mut progress, mut now) = (Progress::Pending, day(0));
        for (hours, event) in steps {
            now += SignedDuration::from_hours(hours);
            if let Ok(after) = next(&progress, event, &facts, now) {
                progress = after;
            }
            let said = way_back_until(&progress, &facts, now);
            let back = next(&progress, Event::Rollback, &facts, now);
            prop_assert_eq!(said.is_some(), back.is_ok());
            if let (Some(until), Ok(back)) = (said, back) {
                prop_assert_eq!(side(&back, &facts, now), Side::Old);
                prop_assert!(next(&progress, Event::Rollback, &facts, until).is_ok());
                let after = until + SignedDuration::from_nanos(1);
                prop_assert_eq!(next(&progress, Event::Rollback, &facts, after), Err(Refused::NoWayBack));
            }
        }
    }

    /// Between two instants of `next_change` a bank gets one and the same version.
    #[test]
    fn nothing_changes_unforeseen(
        procedure in prop::sample::select(Procedure::ALL.to_vec()),
        steps in steps(),
    ) {
        let facts = facts(procedure);
        let (mut progress, mut now) = (Progress::Pending, day(0));
        for (hours, event) in steps {
            let (before, change) = (side(&progress, &facts, now), next_change(&progress, &facts, now));
            for hour in 1..=hours {
                let at = now + SignedDuration::from_hours(hour);
                let foreseen = change.is_some_and(|change| change <= at)
                    || progress_matures(&progress, &facts).is_some_and(|from| from <= at && !facts.old_lives(at));
                prop_assert!(foreseen || side(&progress, &facts, at) == before, "{progress:?} at {at}");
            }
            now += SignedDuration::from_hours(hours);
            if let Ok(after) = next(&progress, event, &facts, now) {
                progress = after;
            }
        }
    }

    /// What is stored is what was meant.
    #[test]
    fn progress_survives_the_store(steps in steps()) {
        let facts = facts(Procedure::Announce);
        let (mut progress, mut now) = (Progress::Pending, day(0));
        for (hours, event) in steps {
            now += SignedDuration::from_hours(hours);
            if let Ok(after) = next(&progress, event, &facts, now) {
                progress = after;
            }
            let stored = serde_json::to_string(&progress).unwrap();
            prop_assert_eq!(serde_json::from_str::<Progress>(&stored).unwrap(), progress.clone());
        }
    }
}

/// When a bank that does not answer has loaded the new version.
fn progress_matures(progress: &Progress, facts: &Facts) -> Option<Timestamp> {
    match progress {
        Progress::Announced { at } if !facts.procedure.answers() => Some(*at + facts.lead_time),
        _ => None,
    }
}
