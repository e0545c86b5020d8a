//! A token that is lost or hangs costs no caller an answer while another one has the key.

use std::time::{Duration, Instant};

use sealkeep_service::backend::BackendError;
use sealkeep_service::backend::pkcs11::Pkcs11Config;

use super::pair::{OutsideKey, Pair, SCHEME, pair_case, until};
use crate::faulty::{Faulty, faulty_module};
use crate::support::later;

/// A caller's time: as the service's default.
const PATIENCE: Duration = Duration::from_secs(2);
/// What an answer may take while a token says nothing: the time until it is called silent, on a busy machine.
const SILENCE_COSTS_MAX: Duration = Duration::from_millis(900);
/// Beyond a deadline, on a busy machine.
const ANSWER_LATE_MAX: Duration = Duration::from_millis(500);

fn replicated(hsm: &sealkeep_pkcs11_tests::TestToken, pair: &Pair) -> OutsideKey {
    let key = OutsideKey::p256(hsm);
    for label in super::pair::LABELS {
        key.import(hsm, label);
    }
    assert_eq!(pair.adopt(&[key.key]), [Ok(())]);
    assert!(
        pair.prove(&key.key)
            .iter()
            .all(|replica| replica.is_proven())
    );
    key
}

pair_case!(both_tokens_of_a_set_sign, hsm => {
    let pair = Pair::open(hsm);
    let key = replicated(hsm, &pair);
    for _ in 0..100 {
        pair.signed(&key, PATIENCE).unwrap();
    }
    let made = [pair.made_by(0), pair.made_by(1)];
    assert_eq!(made[0] + made[1], 100, "{made:?}");
    assert!(made.iter().all(|count| *count > 0), "{made:?}");
});

pair_case!(a_killed_token_costs_no_caller_an_error, hsm => {
    let pair = Pair::open(hsm);
    let key = replicated(hsm, &pair);
    for round in 0..6 {
        let lost = round % 2;
        let deadline = later();
        let input = SCHEME.token_input(b"m");
        let under_way: Vec<_> =
            (0..400).map(|_| pair.tokens.sign(&key.key, SCHEME, &input, deadline)).collect();
        pair.signal("-KILL", lost);
        for answer in under_way {
            let raw = pair.runtime.block_on(answer).unwrap();
            key.public.verify(SCHEME, b"m", &raw.bytes).unwrap();
        }
        pair.signed(&key, PATIENCE).unwrap();
        until("the next worker", || pair.pid(lost).is_some() && pair.tokens.statuses()[lost].info.ready);
    }
    let failovers: u64 = pair.tokens.statuses().iter().map(|status| status.failover_count).sum();
    assert!(failovers > 0, "requests of the lost workers went on to the other token");
});

pair_case!(a_token_that_stands_still_costs_a_moment_and_no_error, hsm => {
    let pair = Pair::open(hsm);
    let key = replicated(hsm, &pair);
    for _ in 0..40 {
        pair.signed(&key, PATIENCE).unwrap();
    }
    let stopped = pair.stop(0);
    let mut times: Vec<_> = (0..200).map(|_| pair.signed(&key, PATIENCE).unwrap()).collect();
    times.sort();
    assert!(*times.last().unwrap() < SILENCE_COSTS_MAX, "{:?}", times.last());
    // Few callers meet the silence: the token rests, and is tried by one at a time.
    assert!(times[190] < Duration::from_millis(50), "{:?}", &times[180..]);
    // Its worker is replaced, and it takes its share again.
    until("another worker", || {
        pair.signed(&key, PATIENCE).unwrap();
        pair.pid(0).is_some_and(|pid| pid != stopped)
    });
    until("it signs again", || {
        pair.signed(&key, PATIENCE).unwrap();
        pair.made_by(0) > 0
    });
});

pair_case!(one_session_that_hangs_costs_its_caller_a_part_of_the_time, hsm => {
    let faulty = Faulty::new(hsm);
    let pair = Pair::open_with(hsm, |place, config| match place {
        0 => Pkcs11Config { module: faulty_module(), ..config },
        _ => config,
    });
    let key = replicated(hsm, &pair);
    faulty.script("rule = [{ fn = 'C_Sign', hang = true, count = 1 }]");
    let times: Vec<_> = (0..100).map(|_| pair.signed(&key, PATIENCE).unwrap()).collect();
    assert_eq!(faulty.trace().iter().filter(|line| line["event"] == "hang").count(), 1);
    assert!(times.iter().all(|took| *took < SILENCE_COSTS_MAX), "{times:?}");
    faulty.script("");
});

pair_case!(without_any_token_callers_are_told_in_time, hsm => {
    let pair = Pair::open(hsm);
    let key = replicated(hsm, &pair);
    for _ in 0..2 {
        pair.stop(0);
        pair.stop(1);
        let begun = Instant::now();
        let error = pair.sign(&key.key, b"m", begun + PATIENCE).unwrap_err();
        assert!(matches!(error, BackendError::Unavailable { .. } | BackendError::Deadline), "{error}");
        assert!(begun.elapsed() < PATIENCE + ANSWER_LATE_MAX, "{:?}", begun.elapsed());
        until("a worker signs", || pair.signed(&key, PATIENCE).is_ok());
        until("both workers", || [0, 1].iter().all(|at| pair.tokens.statuses()[*at].info.ready));
    }
});

pair_case!(a_token_that_comes_later_is_opened_and_takes_its_share, hsm => {
    let late = "sealkeep-late";
    let pair = Pair::open_with(hsm, |place, config| match place {
        0 => Pkcs11Config { token_label: late.to_owned(), ..config },
        _ => config,
    });
    let key = OutsideKey::p256(hsm);
    key.import(hsm, super::pair::LABELS[1]);
    assert_eq!(pair.adopt(&[key.key]), [Ok(())]);
    let away = &pair.tokens.statuses()[0];
    assert!(!away.info.ready && away.info.problem.as_ref().unwrap().contains(late), "{away:?}");
    pair.signed(&key, PATIENCE).unwrap();

    let tending = pair.runtime.spawn(pair.tokens.clone().tend());
    hsm.add_token(late);
    key.import(hsm, late);
    until("it signs", || {
        pair.signed(&key, PATIENCE).unwrap();
        pair.pid(0).is_some() && pair.made_by(0) > 0
    });
    tending.abort();
});
