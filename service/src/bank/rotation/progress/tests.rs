//! The whole table, and what must be true of every way through it.

use proptest::prelude::*;

use super::*;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn day(n: i64) -> Timestamp {
    let start: Timestamp = "2026-12-01T09:00:00Z".parse().unwrap();
    start + SignedDuration::from_hours(24 * n)
}

fn facts(procedure: Procedure) -> Facts {
    Facts {
        procedure,
        lead_time: DAY * 5,
        old_ends: Some(day(30)),
        new: Some((day(-1), day(365))),
    }
}

fn yes(old: OldVersion, at: Option<i64>) -> Event {
    Event::Accept(Acceptance {
        old,
        at: at.map(day),
        window_minutes: 0,
    })
}

/// One letter a state: what the table says at day 10, when the bank was told on day 9 and the change is due on day 20.
fn letter(outcome: &Result<Progress, Refused>) -> &'static str {
    match outcome {
        Ok(Progress::Pending) => "p",
        Ok(Progress::Announced { .. }) => "a",
        Ok(Progress::Accepted { .. }) => "y",
        Ok(Progress::Scheduled { .. }) => "s",
        Ok(Progress::Canary { .. }) => "c",
        Ok(Progress::Switched { .. }) => "S",
        Ok(Progress::Confirmed { .. }) => "C",
        Ok(Progress::Failed { .. }) => "f",
        Err(_) => "-",
    }
}

fn states() -> Vec<Progress> {
    use OldVersion::{Replaced, StaysValid};
    let at = day(9);
    let scheduled = |old| Progress::Scheduled {
        from: day(20),
        until: day(20),
        old,
        taken_from: None,
    };
    vec![
        Progress::Pending,
        Progress::Announced { at },
        Progress::Accepted { at },
        scheduled(StaysValid),
        scheduled(Replaced),
        Progress::Canary { at, percent: 10 },
        Progress::Switched {
            at,
            old: StaysValid,
        },
        Progress::Switched { at, old: Replaced },
        Progress::Confirmed {
            at,
            old: StaysValid,
        },
        Progress::Confirmed { at, old: Replaced },
        Progress::Failed {
            at,
            reason: "rejected".to_owned(),
        },
    ]
}

fn events() -> Vec<Event> {
    vec![
        Event::Announce,
        yes(OldVersion::StaysValid, None),
        yes(OldVersion::Replaced, Some(25)),
        Event::Switch { at: None },
        Event::Switch { at: Some(day(12)) },
        Event::Canary { percent: 10 },
        Event::Confirm,
        Event::Rollback,
        Event::Fail {
            reason: "x".to_owned(),
        },
        Event::Due,
    ]
}

fn table(procedure: Procedure) -> Vec<String> {
    let row = |state: &Progress| {
        let cell = |event| letter(&next(state, event, &facts(procedure), day(10)));
        events().into_iter().map(cell).collect::<String>()
    };
    states().iter().map(row).collect()
}

#[test]
fn the_whole_table_of_a_bank_that_answers() {
    // Columns: announce, accept, accept and replace, switch, switch then, canary, confirm, rollback, fail, due.
    let wanted = [
        "a-------fp".to_owned(),
        "ays-----fa".to_owned(),
        "yysSsc--fy".to_owned(),
        "-ysSsc-yfs".to_owned(),
        "-ys-----fs".to_owned(),
        "---Ssc-yfc".to_owned(),
        "------CyfS".to_owned(),
        "------C--S".to_owned(),
        "------CyfC".to_owned(),
        "------C--C".to_owned(),
        "a-------ff".to_owned(),
    ];
    assert_eq!(table(Procedure::Overlap), wanted);
}

#[test]
fn a_bank_without_formalities_is_switched_at_once() {
    let rows = table(Procedure::None);
    assert_eq!(rows[0], "aysSsc--fp");
}

#[test]
fn a_bank_that_does_not_answer_has_its_lead_time() {
    let facts = facts(Procedure::Announce);
    let told = next(&Progress::Pending, Event::Announce, &facts, day(1)).unwrap();
    let early = next(&told, Event::Switch { at: None }, &facts, day(5));
    assert_eq!(early, Err(Refused::LeadTime { at: day(6) }));
    assert!(next(&told, Event::Switch { at: None }, &facts, day(6)).is_ok());
}

#[test]
fn a_bank_with_one_certificate_needs_the_moment_and_is_held_in_the_window() {
    let facts = facts(Procedure::SwapAt);
    let told = Progress::Announced { at: day(1) };
    for incomplete in [
        yes(OldVersion::StaysValid, Some(8)),
        yes(OldVersion::Replaced, None),
    ] {
        let refused = next(&told, incomplete, &facts, day(2));
        assert_eq!(refused, Err(Refused::MomentMissing));
    }
    let agreed = Event::Accept(Acceptance {
        old: OldVersion::Replaced,
        at: Some(day(8)),
        window_minutes: 30,
    });
    let agreed = next(&told, agreed, &facts, day(2)).unwrap();
    let until = day(8) + SignedDuration::from_mins(30);
    let nano = SignedDuration::from_nanos(1);
    assert_eq!(side(&agreed, &facts, day(8) - nano), Side::Old);
    assert_eq!(side(&agreed, &facts, day(8)), Side::Held { until });
    assert_eq!(side(&agreed, &facts, until - nano), Side::Held { until });
    assert_eq!(side(&agreed, &facts, until), Side::New);
    assert_eq!(next_change(&agreed, &facts, day(3)), Some(day(8)));
    assert_eq!(next_change(&agreed, &facts, day(8)), Some(until));
    assert_eq!(way_back_until(&agreed, &facts, day(3)), None);
    let called_off = next(&agreed, Event::Fail { reason: "x".into() }, &facts, day(7)).unwrap();
    assert_eq!(side(&called_off, &facts, day(9)), Side::Old);
    let too_late = next(&agreed, Event::Fail { reason: "x".into() }, &facts, day(9));
    assert_eq!(too_late, Err(Refused::NoWayBack));
}

#[test]
fn nothing_is_announced_or_switched_without_a_valid_new_version() {
    let mut facts = facts(Procedure::None);
    facts.new = None;
    let pending = Progress::Pending;
    for event in [
        Event::Announce,
        Event::Switch { at: None },
        Event::Canary { percent: 1 },
    ] {
        assert_eq!(
            next(&pending, event, &facts, day(1)),
            Err(Refused::NoNewVersion)
        );
    }
    facts.new = Some((day(3), day(40)));
    let early = next(&pending, Event::Switch { at: None }, &facts, day(2));
    assert_eq!(early, Err(Refused::NewNotValid { at: day(2) }));
    assert!(next(&pending, Event::Switch { at: Some(day(3)) }, &facts, day(2)).is_ok());
}

#[test]
fn refuses_words_outside_their_limits() {
    let facts = facts(Procedure::None);
    let try_it = |event| next(&Progress::Pending, event, &facts, day(1)).unwrap_err();
    for percent in [0, 100, 255] {
        assert_eq!(try_it(Event::Canary { percent }), Refused::Percent);
    }
    let past = try_it(Event::Switch { at: Some(day(0)) });
    assert_eq!(past, Refused::MomentPassed { at: day(0) });
    for reason in [String::new(), "x".repeat(REASON_BYTES_MAX + 1)] {
        assert_eq!(try_it(Event::Fail { reason }), Refused::Reason);
    }
    let window = |old, window_minutes| {
        try_it(Event::Accept(Acceptance {
            old,
            at: None,
            window_minutes,
        }))
    };
    assert_eq!(
        window(OldVersion::Replaced, WINDOW_MINUTES_MAX + 1),
        Refused::Window
    );
    assert_eq!(window(OldVersion::StaysValid, 1), Refused::Window);
}

#[test]
fn a_bank_that_takes_the_new_version_gets_it_when_the_old_one_ends() {
    for (progress, procedure, wanted) in [
        (Progress::Pending, Procedure::None, Side::New),
        (Progress::Pending, Procedure::Overlap, Side::Old),
        (
            Progress::Announced { at: day(9) },
            Procedure::Announce,
            Side::New,
        ),
        (
            Progress::Announced { at: day(9) },
            Procedure::Overlap,
            Side::Old,
        ),
        (
            Progress::Accepted { at: day(9) },
            Procedure::Overlap,
            Side::New,
        ),
        (
            Progress::Canary {
                at: day(9),
                percent: 1,
            },
            Procedure::Overlap,
            Side::New,
        ),
    ] {
        assert_eq!(
            side(&progress, &facts(procedure), day(31)),
            wanted,
            "{progress:?}"
        );
    }
}

/// A bank that says from when on it takes both gets nothing new before, whoever orders what.
#[test]
fn an_order_never_comes_before_the_day_the_bank_named() {
    let facts = facts(Procedure::None);
    let step = |progress: &Progress, event, at| next(progress, event, &facts, day(at));
    let switch = |at: Option<i64>| Event::Switch { at: at.map(day) };
    let named = step(
        &Progress::Pending,
        yes(OldVersion::StaysValid, Some(20)),
        10,
    )
    .unwrap();
    let early = Err(Refused::Agreed { at: day(20) });
    for event in [switch(None), switch(Some(19)), Event::Canary { percent: 5 }] {
        assert_eq!(step(&named, event, 11), early);
    }
    let ordered = step(&named, switch(Some(22)), 11).unwrap();
    assert_eq!(step(&ordered, switch(None), 12), early);
    let called_off = step(&ordered, Event::Rollback, 12).unwrap();
    assert_eq!(called_off, Progress::Accepted { at: day(20) });
    assert_eq!(step(&called_off, switch(None), 13), early);
    for progress in [&ordered, &called_off] {
        assert!(step(progress, switch(None), 20).is_ok());
    }
    for progress in [&named, &ordered, &called_off] {
        // Also when the old version ends meanwhile: the bank would not take the new one.
        let ended = Facts {
            old_ends: Some(day(15)),
            ..facts
        };
        assert_eq!(side(progress, &ended, day(16)), Side::Old);
        assert_eq!(next_change(progress, &ended, day(16)), Some(day(20)));
        assert_eq!(side(progress, &ended, day(20)), Side::New);
    }
}

#[test]
fn a_new_version_that_is_frozen_is_not_begun_with() {
    let mut facts = facts(Procedure::Overlap);
    facts.new = None;
    let ordered = |old| Progress::Scheduled {
        from: day(12),
        until: day(12),
        old,
        taken_from: None,
    };
    for (progress, wanted) in [
        (ordered(OldVersion::StaysValid), Side::Old),
        // The bank has forgotten the old one: signing with it would not help.
        (ordered(OldVersion::Replaced), Side::New),
        (
            Progress::Canary {
                at: day(9),
                percent: 99,
            },
            Side::Old,
        ),
    ] {
        assert_eq!(side(&progress, &facts, day(13)), wanted, "{progress:?}");
    }
}

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
                if matches!((&event, procedure), (Event::Fail { .. }, _)) {
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
