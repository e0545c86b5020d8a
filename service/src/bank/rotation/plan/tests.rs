//! Dates of single banks, and what must be true of every plan.

use proptest::prelude::*;

use super::super::progress::OldVersion;
use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn mover(bank: &str, procedure: Procedure, ends: &str) -> Mover {
    let ends = at(ends);
    Mover {
        bank: Name::try_from(bank).unwrap(),
        terms: RotationTerms {
            procedure,
            lead_time_days: 10,
            contact: "psd2@bank.example".to_owned(),
            ..RotationTerms::default()
        },
        old: Validity {
            begins: ends - days(365),
            ends,
        },
        progress: Progress::Pending,
    }
}

fn subject(new: Option<NewVersion>) -> Subject {
    Subject {
        purpose: Purpose::Transport,
        qtsp_lead_days: 14,
        new,
    }
}

fn new(begins: &str, life_days: i64) -> NewVersion {
    let begins = at(begins);
    NewVersion {
        validity: Validity {
            begins,
            ends: begins + days(life_days),
        },
        issuer_differs: false,
        digital_signature: true,
    }
}

fn dates_of(steps: &[Step]) -> Vec<(&'static str, String)> {
    let date = |step: &Step| step.by.to_zoned(TimeZone::UTC).date().to_string();
    steps
        .iter()
        .map(|step| (step.action.as_str(), date(step)))
        .collect()
}

#[test]
fn dates_are_counted_back_from_the_end() {
    let bank = mover("a", Procedure::Overlap, "2027-03-31T00:00:00Z");
    let steps = plan(
        &subject(None),
        &[bank],
        &SlowestAnswers::new(),
        at("2026-11-26T00:00:00Z"),
    );
    let wanted = [
        ("order", "2027-02-19"),
        ("have", "2027-03-05"),
        ("announce", "2027-03-07"),
        ("switch", "2027-03-17"),
        ("retire", "2027-03-31"),
    ];
    assert_eq!(
        dates_of(&steps),
        wanted.map(|(action, date)| (action, date.to_owned()))
    );
    assert!(steps.iter().all(|step| step.risks.is_empty() && !step.done));
}

#[test]
fn a_short_life_has_a_short_margin() {
    let mut bank = mover("a", Procedure::None, "2029-05-17T00:00:00Z");
    bank.old.begins = bank.old.ends - days(47);
    let steps = plan(
        &subject(None),
        &[bank],
        &SlowestAnswers::new(),
        at("2029-04-01T00:00:00Z"),
    );
    let switch = steps
        .iter()
        .find(|step| step.action == Action::Switch)
        .unwrap();
    assert_eq!(
        switch.by,
        at("2029-05-09T04:00:00Z"),
        "47 days / 6 = 7 d 20 h"
    );
}

#[test]
fn a_bank_that_took_longer_than_it_said_is_told_earlier() {
    let bank = mover("a", Procedure::Overlap, "2027-03-31T00:00:00Z");
    let answers = [(bank.bank.clone(), days(21))].into();
    let steps = plan(
        &subject(None),
        &[bank],
        &answers,
        at("2026-11-26T00:00:00Z"),
    );
    let announce = steps
        .iter()
        .find(|step| step.action == Action::Announce)
        .unwrap();
    assert_eq!(announce.by, at("2027-02-24T00:00:00Z"));
    assert!(
        announce.reason.contains("took 21 days before"),
        "{}",
        announce.reason
    );
}

#[test]
fn irreversible_steps_are_flagged_before_they_happen() {
    let banks = [
        mover("one", Procedure::SwapAt, "2027-03-31T00:00:00Z"),
        mover("two", Procedure::Register, "2027-03-31T00:00:00Z"),
        mover("three", Procedure::Overlap, "2027-03-31T00:00:00Z"),
    ];
    let steps = plan(
        &subject(None),
        &banks,
        &SlowestAnswers::new(),
        at("2026-11-26T00:00:00Z"),
    );
    let flagged: Vec<_> = steps
        .iter()
        .filter(|step| step.irreversible)
        .map(|step| (step.action, step.bank.as_ref().map_or("", Name::as_str)))
        .collect();
    let wanted = [
        (Action::Announce, "two"),
        (Action::ChangeOver, "one"),
        (Action::Retire, ""),
    ];
    assert_eq!(flagged, wanted);
}

#[test]
fn what_is_late_says_how_late() {
    let bank = mover("a", Procedure::Overlap, "2026-12-31T00:00:00Z");
    let steps = plan(
        &subject(None),
        &[bank],
        &SlowestAnswers::new(),
        at("2026-12-01T12:00:00Z"),
    );
    let order = &steps[0];
    assert_eq!(
        (order.action, &order.risks[..]),
        (Action::Order, &[Risk::Late { days: 10 }][..])
    );
    assert!(
        steps
            .iter()
            .filter(|s| s.action == Action::Switch)
            .all(|s| s.risks.is_empty())
    );
}

#[test]
fn what_a_bank_may_dislike_is_known_before_it_is_told() {
    let mut bank = mover("a", Procedure::Overlap, "2027-06-30T00:00:00Z");
    bank.terms.enforces_cabf_validity = true;
    bank.terms.wants_digital_signature = true;
    for (begins, life, code) in [
        ("2026-03-14T00:00:00Z", 398, None),
        ("2026-03-15T00:00:00Z", 201, Some(200)),
        ("2027-03-14T00:00:00Z", 200, None),
        ("2027-03-15T00:00:00Z", 101, Some(100)),
        ("2029-03-15T00:00:00Z", 48, Some(47)),
    ] {
        let steps = plan(
            &subject(Some(new(begins, life))),
            std::slice::from_ref(&bank),
            &SlowestAnswers::new(),
            at(begins),
        );
        let announce = steps
            .iter()
            .find(|step| step.action == Action::Announce)
            .unwrap();
        let max = announce.risks.iter().find_map(|risk| match risk {
            Risk::LivesTooLong { max, .. } => Some(*max),
            _ => None,
        });
        assert_eq!(max, code, "{begins}");
    }
    let mut other = new("2027-05-01T00:00:00Z", 90);
    other.issuer_differs = true;
    other.digital_signature = false;
    let steps = plan(
        &subject(Some(other)),
        &[bank],
        &SlowestAnswers::new(),
        at("2027-05-02T00:00:00Z"),
    );
    let announce = steps
        .iter()
        .find(|step| step.action == Action::Announce)
        .unwrap();
    assert_eq!(
        announce.risks,
        [Risk::NoDigitalSignature, Risk::IssuerChanges]
    );
}

#[test]
fn an_agreed_moment_after_the_end_is_a_hole() {
    let mut bank = mover("a", Procedure::SwapAt, "2027-03-31T00:00:00Z");
    let moment = at("2027-04-02T10:00:00Z");
    bank.progress = Progress::Scheduled {
        from: moment,
        until: moment,
        old: OldVersion::Replaced,
        taken_from: None,
    };
    let ends = bank.old.ends;
    let steps = plan(
        &subject(None),
        &[bank],
        &SlowestAnswers::new(),
        at("2027-03-01T00:00:00Z"),
    );
    let change = steps
        .iter()
        .find(|step| step.action == Action::ChangeOver)
        .unwrap();
    assert_eq!(change.by, moment);
    assert!(change.risks.contains(&Risk::EndsFirst { ends }));
}

#[test]
fn nothing_to_move_is_nothing_to_do() {
    assert_eq!(
        plan(
            &subject(None),
            &[],
            &SlowestAnswers::new(),
            at("2027-03-01T00:00:00Z")
        ),
        []
    );
}

fn movers() -> impl Strategy<Value = Vec<Mover>> {
    let one = (
        prop::sample::select(Procedure::ALL.to_vec()),
        0u32..60,
        1i64..800,
        1i64..1_000,
    );
    prop::collection::vec(one, 1..40).prop_map(|all| {
        let bank = |(n, (procedure, lead_time_days, ends_in, life)): (usize, _)| {
            let mut mover = mover(&format!("bank-{n}"), procedure, "2027-01-01T00:00:00Z");
            mover.old.ends = at("2027-01-01T00:00:00Z") + days(ends_in);
            mover.old.begins = mover.old.ends - days(life);
            mover.terms.lead_time_days = lead_time_days;
            mover
        };
        all.into_iter().enumerate().map(bank).collect()
    })
}

proptest! {
    /// Whoever keeps to the dates never lacks a version.
    #[test]
    fn the_steps_of_a_bank_come_in_order_before_its_end(movers in movers(), now in 0i64..400) {
        let now = at("2027-01-01T00:00:00Z") + days(now);
        let steps = plan(&subject(None), &movers, &SlowestAnswers::new(), now);
        let of = |action, bank: &Name| steps.iter().find(|s| s.action == action && s.bank.as_ref() == Some(bank));
        let whole = |action| steps.iter().find(|s| s.action == action).unwrap().by;
        prop_assert!(whole(Action::Order) < whole(Action::Have));
        for mover in &movers {
            let switch = of(Action::Switch, &mover.bank).or(of(Action::ChangeOver, &mover.bank)).unwrap();
            prop_assert!(switch.by < mover.old.ends);
            prop_assert!(whole(Action::Have) < switch.by);
            if let Some(announce) = of(Action::Announce, &mover.bank) {
                prop_assert!(announce.by + days(mover.terms.lead_time_days.into()) <= switch.by);
                prop_assert!(whole(Action::Have) < announce.by);
            }
        }
        prop_assert!(steps.is_sorted_by_key(|step| step.by));
    }

    #[test]
    fn the_order_of_banks_does_not_matter(
        movers in movers().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        took in prop::collection::vec(0i64..90, 0..8),
    ) {
        let now = at("2027-01-01T00:00:00Z");
        let (sorted, shuffled) = movers;
        let answers = took.iter().enumerate();
        let answers: SlowestAnswers = answers
            .map(|(n, took)| (sorted[n % sorted.len()].bank.clone(), days(*took)))
            .collect();
        let one = plan(&subject(None), &sorted, &answers, now);
        prop_assert_eq!(one, plan(&subject(None), &shuffled, &answers, now));
    }

    #[test]
    fn change_overs_have_somebody_to_watch_them(movers in movers()) {
        let steps = plan(&subject(None), &movers, &SlowestAnswers::new(), at("2027-01-01T00:00:00Z"));
        let mut on_day: BTreeMap<Date, u32> = BTreeMap::new();
        for step in steps.iter().filter(|step| step.action == Action::ChangeOver) {
            let date = step.by.to_zoned(TimeZone::UTC).date();
            prop_assert!(!matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday));
            *on_day.entry(date).or_default() += 1;
        }
        prop_assert!(on_day.values().all(|count| *count <= CHANGE_OVERS_PER_DAY_MAX));
    }
}
