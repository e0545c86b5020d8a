//! Many signatures while everything breaks at random: none by another key, no caller without an answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_service::backend::{BackendError, GeneratedKey, KeyBackend, KeySpec};

use super::super::support::*;
use super::{Faulty, faulty_case};

const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
/// Signatures if the environment does not say: some ten seconds.
const OPERATIONS_DEFAULT: usize = 20_000;
/// Says how many signatures; the full number is 100000.
const OPERATIONS_ENV: &str = "SEALKEEP_TEST_FAULT_OPERATIONS";
/// Signatures that are asked for at a time.
const AT_A_TIME: usize = 64;
/// Deadline of each (seconds): the delays below are far shorter.
const DEADLINE: Duration = Duration::from_secs(5);
/// What a caller may wait beyond its deadline, on a busy machine.
const ANSWER_LATE_MAX: Duration = Duration::from_millis(500);

/// Several calls in a hundred go wrong, in every way that a backend must survive; some need a new initialisation.
const STORM: &str = "rule = [
    { fn = 'C_SignInit', p = 0.01, seed = 1, rv = 'CKR_SESSION_HANDLE_INVALID' },
    { fn = 'C_SignInit', p = 0.01, seed = 2, rv = 'CKR_KEY_HANDLE_INVALID' },
    { fn = 'C_SignInit', p = 0.01, seed = 3, rv = 'CKR_OPERATION_ACTIVE' },
    { fn = 'C_SignInit', p = 0.01, seed = 4, delay_ms = [1, 20] },
    { fn = 'C_Sign', p = 0.01, seed = 5, rv = 'CKR_SESSION_CLOSED' },
    { fn = 'C_Sign', p = 0.002, seed = 6, rv = 'CKR_DEVICE_ERROR', when = 'after' },
    { fn = 'C_Sign', p = 0.01, seed = 7, rv = 'CKR_DEVICE_MEMORY' },
    { fn = 'C_Sign', p = 0.01, seed = 8, output = 'short' },
    { fn = 'C_Sign', p = 0.01, seed = 9, output = 'corrupt' },
    { fn = 'C_OpenSession', p = 0.02, seed = 10, rv = 'CKR_GENERAL_ERROR' },
    { fn = 'C_FindObjects', p = 0.01, seed = 11, rv = 'CKR_FUNCTION_FAILED' },
    { fn = 'C_GetAttributeValue', p = 0.005, seed = 12, rv = 'CKR_DEVICE_ERROR' },
]
[token]
handles = 'permuted'
[watch]
discard_after_error = true
functions_forbidden = ['C_Logout', 'C_DestroyObject', 'C_GenerateKeyPair']
";

/// How the callers fared.
#[derive(Debug, Default)]
struct Tally {
    good: usize,
    /// Verifies under no key: whoever assembles the answer withholds it.
    corrupt: usize,
    /// Verifies under another key than the one asked for.
    by_another_key: usize,
    answered_late: usize,
    errors: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn count(
        &mut self,
        keys: &[GeneratedKey],
        asked: usize,
        message: &[u8],
        outcome: Result<Vec<u8>, BackendError>,
    ) {
        let raw = match outcome {
            Ok(raw) => raw,
            Err(error) => return *self.errors.entry(error.reason()).or_default() += 1,
        };
        match keys
            .iter()
            .position(|key| verifies(key, SCHEME, message, &raw))
        {
            Some(by) if by == asked => self.good += 1,
            Some(_) => self.by_another_key += 1,
            None => self.corrupt += 1,
        }
    }
}

fn storm(backend: &Backend, keys: &[GeneratedKey], operations: usize) -> Tally {
    let mut tally = Tally::default();
    for first in (0..operations).step_by(AT_A_TIME) {
        let deadline = Instant::now() + DEADLINE;
        let numbers = first..operations.min(first + AT_A_TIME);
        let asked: Vec<_> = numbers
            .map(|number| {
                let message = format!("request {number}").into_bytes();
                let input = SCHEME.token_input(&message);
                let answer = backend.sign(&keys[number % keys.len()].key, SCHEME, &input, deadline);
                (number, message, answer)
            })
            .collect();
        for (number, message, answer) in asked {
            tally.count(keys, number % keys.len(), &message, wait(answer));
        }
        tally.answered_late += usize::from(Instant::now() > deadline + ANSWER_LATE_MAX);
    }
    tally
}

fn keys(backend: &Backend) -> Vec<GeneratedKey> {
    (0..4).map(|_| generate(backend, KeySpec::EcP256)).collect()
}

fn start(hsm: &sealkeep_pkcs11_tests::TestToken, faulty: &Faulty) -> (Backend, Vec<GeneratedKey>) {
    // So from the start: handles that were given out before would be worth nothing.
    faulty.script("[token]\nhandles = 'permuted'");
    let backend = faulty.start(hsm);
    let keys = keys(&backend);
    (backend, keys)
}

faulty_case!(no_signature_by_another_key_and_no_caller_without_an_answer, hsm, faulty => {
    let operations = std::env::var(OPERATIONS_ENV).map_or(OPERATIONS_DEFAULT, |count| count.parse().unwrap());
    let (backend, keys) = start(hsm, &faulty);
    faulty.script(STORM);
    let started = Instant::now();
    let tally = storm(&backend, &keys, operations);
    println!("{operations} signatures in {:?}: {tally:?}", started.elapsed());

    assert_eq!((tally.by_another_key, tally.answered_late), (0, 0), "{tally:?}");
    let errors: usize = tally.errors.values().sum();
    assert_eq!(tally.good + tally.corrupt + errors, operations, "{tally:?}");
    // The storm was one, and most callers did not notice.
    assert!(tally.corrupt > 0 && backend.counts().faults > operations as u64 / 100, "{tally:?}");
    assert!(tally.good > operations * 9 / 10, "{tally:?}");
    for reason in tally.errors.keys() {
        let expected = ["TOKEN_UNAVAILABLE", "TOKEN_EXHAUSTED", "TOKEN_MALFORMED_ANSWER"];
        assert!(expected.contains(reason), "{tally:?}");
    }
    faulty.script("[token]\nhandles = 'permuted'");
    let calm = storm(&backend, &keys, 400);
    assert_eq!(calm.good, 400, "{calm:?}");
    assert!(backend.info().ready);
});

faulty_case!(the_judge_knows_a_signature_of_another_key, hsm, faulty => {
    let (backend, keys) = start(hsm, &faulty);
    // A failover to a clone that numbers its keys in another way: nothing tells but the signature.
    faulty.script(
        "rule = [{ fn = 'C_SignInit', nth = 100, event = 'permute_handles' }]\n[token]\nhandles = 'permuted'",
    );
    let tally = storm(&backend, &keys, 400);
    let refused: usize = tally.errors.values().sum();
    assert!(tally.by_another_key + refused > 200, "{tally:?}");
});
