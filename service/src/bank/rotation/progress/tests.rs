//! The whole table, cell by cell; what must be true of every way through it stands in `properties`.

mod properties;

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
