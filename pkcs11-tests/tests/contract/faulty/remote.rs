//! A network HSM: SoftHSM behind p11-kit's socket, stalled and cut while it signs.

use std::time::{Duration, Instant};

use sealkeep_pkcs11_tests::{Case, RemoteHsm, TestToken};
use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_service::backend::pkcs11::Pkcs11Config;
use sealkeep_service::backend::{BackendError, GeneratedKey, KeyBackend, KeySpec};

use super::super::support::*;

const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
/// What a caller may wait beyond its deadline, on a busy machine.
const ANSWER_LATE_MAX: Duration = Duration::from_millis(500);
/// From the token's return to the first signature.
const BACK_MAX: Duration = Duration::from_secs(2);
/// The same where a worker has to be replaced first.
const REPLACED_MAX: Duration = Duration::from_secs(6);

/// A test in its own process, whose module speaks to a server that the test starts.
fn remote_case(name: &'static str) -> Case {
    Case::new(module_path!(), name)
        .env(RemoteHsm::ADDRESS_ENV, |hsm| RemoteHsm::address(hsm).into())
}

fn start_remote(hsm: &TestToken) -> Backend {
    let config = Pkcs11Config {
        module: RemoteHsm::module(),
        ..config(hsm)
    };
    start_with(hsm, config, hsm.pin()).unwrap()
}

/// Keeps signing, breaks the connection in the middle, and returns what the callers were told. Each must have been
/// told in time.
fn break_mid_traffic(
    backend: &Backend,
    made: &GeneratedKey,
    break_it: impl FnOnce(),
) -> Vec<BackendError> {
    let digest = SCHEME.hash().digest(b"m");
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut answers: Vec<_> = (0..2000)
        .map(|_| backend.sign(&made.key, SCHEME, &digest, deadline))
        .collect();
    let rest = answers.split_off(50);
    for answer in answers {
        assert!(
            verifies(made, SCHEME, b"m", &wait(answer).unwrap()),
            "before it broke"
        );
    }
    break_it();
    let outcomes: Vec<_> = rest.into_iter().map(wait).collect();
    assert!(Instant::now() < deadline + ANSWER_LATE_MAX);
    for raw in outcomes.iter().flatten() {
        assert!(verifies(made, SCHEME, b"m", raw));
    }
    outcomes.into_iter().filter_map(Result::err).collect()
}

/// Tries until a signature comes.
fn signs_again(backend: &Backend, made: &GeneratedKey, within: Duration) {
    let back = Instant::now();
    let digest = SCHEME.hash().digest(b"m");
    let soon = || Instant::now() + Duration::from_millis(500);
    let tries = std::iter::repeat_with(|| wait(backend.sign(&made.key, SCHEME, &digest, soon())));
    let raw = tries
        .take_while(|_| back.elapsed() < within)
        .find_map(Result::ok);
    assert!(verifies(
        made,
        SCHEME,
        b"m",
        &raw.expect("no signature in time")
    ));
}

#[test]
fn a_stalled_line_costs_the_callers_their_deadline_and_no_more() {
    remote_case("a_stalled_line_costs_the_callers_their_deadline_and_no_more").run(|hsm| {
        let remote = RemoteHsm::serve(hsm);
        let backend = start_remote(hsm);
        let made = generate(&backend, KeySpec::EcP256);
        assert_eq!(remote.connections(), 1);
        let errors = break_mid_traffic(&backend, &made, || remote.stall());
        assert!(
            !errors.is_empty(),
            "the line was stalled after the last signature"
        );
        assert!(
            errors.iter().all(|error| *error == BackendError::Deadline),
            "{errors:?}"
        );
        remote.resume();
        signs_again(&backend, &made, BACK_MAX);
    });
}

#[test]
fn a_cut_line_is_unavailable_at_once() {
    remote_case("a_cut_line_is_unavailable_at_once").run(|hsm| {
        let remote = RemoteHsm::serve(hsm);
        let backend = start_remote(hsm);
        let made = generate(&backend, KeySpec::EcP256);
        let errors = break_mid_traffic(&backend, &made, || remote.cut());
        // There may be none: a new connection serves those who have the time.
        let known = ["TOKEN_UNAVAILABLE", "TOKEN_DEADLINE"];
        assert!(
            errors.iter().all(|error| known.contains(&error.reason())),
            "{errors:?}"
        );
    });
}

#[test]
fn a_cut_line_is_back_within_two_seconds() {
    // Cut at the wrong moment, p11-kit's client never wakes the threads that wait inside it: it takes another process.
    let case = remote_case("a_cut_line_is_back_within_two_seconds");
    let case = case.env(ISOLATION_ENV, |_| "process".into());
    case.run(|hsm| {
        let remote = RemoteHsm::serve(hsm);
        let backend = start_remote(hsm);
        let made = generate(&backend, KeySpec::EcP256);
        for _ in 0..5 {
            break_mid_traffic(&backend, &made, || remote.cut());
            signs_again(&backend, &made, REPLACED_MAX);
        }
        assert!(backend.info().ready);
    });
}
