//! A worker that dies, hangs or cannot start: what its callers hear, and what the supervisor does.

use std::collections::HashSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sealkeep_pkcs11_tests::TestToken;
use sealkeep_profiles::algorithm::{PublicKey, SignatureScheme};
use sealkeep_service::backend::worker::{TokenWorker, WorkerConfig};
use sealkeep_service::backend::{BackendError, GeneratedKey, KeyBackend, KeyId, KeySpec, KeyUsage};

use super::support::*;

const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
/// How late an answer may come after its deadline.
const LATE_MAX: Duration = Duration::from_millis(50);

fn worker(hsm: &TestToken) -> TokenWorker {
    worker_with(hsm, worker_config(hsm, config(hsm)))
}

fn worker_with(hsm: &TestToken, config: WorkerConfig) -> TokenWorker {
    let pin = hsm.pin();
    TokenWorker::start(config, Arc::new(move || Ok(pin.into()))).unwrap()
}

fn key(worker: &TokenWorker) -> GeneratedKey {
    wait(worker.generate(
        KeyId::random(),
        "a key",
        KeySpec::EcP256,
        KeyUsage::Sign,
        later(),
    ))
    .unwrap()
}

fn signed(worker: &TokenWorker, key: &GeneratedKey, deadline: Instant) -> Result<(), BackendError> {
    let raw = wait(worker.sign(&key.key, SCHEME, &SCHEME.token_input(b"m"), deadline))?;
    let public = PublicKey::from_spki_der(&key.spki_der).unwrap();
    public
        .verify(SCHEME, b"m", &raw)
        .expect("the signature of this key");
    Ok(())
}

fn signal(name: &str, worker: &TokenWorker) -> u32 {
    let pid = worker.worker_pid().unwrap();
    assert!(
        Command::new("kill")
            .args([name, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
    pid
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::yield_now();
    }
}

case_in_thread!(killed_worker_costs_only_what_it_was_doing, hsm => {
    let worker = worker(hsm);
    let made = [key(&worker), key(&worker)];
    let mut pids = HashSet::new();
    for round in 0..5 {
        let input = SCHEME.token_input(b"m");
        let in_flight: Vec<_> =
            (0..2000).map(|n| worker.sign(&made[n % 2].key, SCHEME, &input, later())).collect();
        pids.insert(signal("-KILL", &worker));
        let mut lost = 0;
        for answer in in_flight {
            match wait(answer) {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.reason(), "TOKEN_UNAVAILABLE", "{error}");
                    lost += 1;
                }
            }
        }
        assert!(lost > 0, "round {round}: 2000 signatures take longer than a kill");
        // Asked while there is no worker: waits for the next one.
        for made in &made {
            signed(&worker, made, later()).unwrap();
        }
    }
    assert_eq!(pids.len(), 5);
    let counts = wait(worker.counts(later())).unwrap();
    assert_eq!((counts.workers_started, counts.workers_crashed), (6, 5));
    assert_eq!(worker.info().key_count, 2);
});

case_in_thread!(stopped_worker_holds_nobody_beyond_the_deadline_and_is_replaced, hsm => {
    let worker = worker(hsm);
    let made = key(&worker);
    let stopped = signal("-STOP", &worker);
    until("it is stopped", || {
        let stat = std::fs::read_to_string(format!("/proc/{stopped}/stat")).unwrap();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    });
    for timeout in [10, 100, 300].map(Duration::from_millis) {
        let begun = Instant::now();
        let late = signed(&worker, &made, begun + timeout);
        assert_eq!(late, Err(BackendError::Deadline));
        assert!(begun.elapsed() <= timeout + LATE_MAX, "{:?}", begun.elapsed());
    }
    // A patient caller is told when the worker is replaced; the next one is served.
    let told = signed(&worker, &made, later()).unwrap_err();
    assert_eq!(told.reason(), "TOKEN_UNAVAILABLE", "{told}");
    signed(&worker, &made, later()).unwrap();
    assert_ne!(worker.worker_pid(), Some(stopped));
});

case_in_thread!(worker_that_crashes_too_often_is_given_a_rest, hsm => {
    let mut config = worker_config(hsm, config(hsm));
    config.crashes_per_minute_max = 3;
    let worker = worker_with(hsm, config);
    let made = key(&worker);
    for crash in 1..=3 {
        signal("-KILL", &worker);
        until("noticed", || !worker.info().ready);
        if crash < 3 {
            signed(&worker, &made, later()).unwrap();
        }
    }
    until("the circuit opens", || worker.info().problem.is_some_and(|p| p.contains("too often")));
    let begun = Instant::now();
    let refused = signed(&worker, &made, later()).unwrap_err();
    assert_eq!(refused.reason(), "TOKEN_UNAVAILABLE", "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(5), "refused at once, not at the deadline");
});

case_in_thread!(pin_that_was_changed_is_tried_once_by_the_next_worker_and_by_none_after, hsm => {
    let reads = Arc::new(AtomicUsize::new(0));
    let (pin, counted) = (hsm.pin(), Arc::clone(&reads));
    let source = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(pin.into())
    };
    let worker = TokenWorker::start(worker_config(hsm, config(hsm)), Arc::new(source)).unwrap();
    let made = key(&worker);
    other_session(hsm).set_pin(&hsm.pin().into(), &"111111".into()).unwrap();
    signal("-KILL", &worker);
    let refused = BackendError::PinRefused { marker: marker(hsm) };
    until("the refusal is known", || signed(&worker, &made, later()) == Err(refused.clone()));
    for _ in 0..20 {
        assert_eq!(signed(&worker, &made, later()), Err(refused.clone()));
    }
    assert!(marker(hsm).exists());
    assert_eq!(reads.load(Ordering::Relaxed), 2, "one PIN for each worker");
});

case_in_thread!(worker_that_cannot_start_says_why, hsm => {
    let mut config = worker_config(hsm, config(hsm));
    config.arguments = vec!["--list".into()];
    let pin = hsm.pin();
    let started = TokenWorker::start(config, Arc::new(move || Ok(pin.into())));
    let error = started.err().unwrap();
    assert_eq!(error.reason(), "TOKEN_UNAVAILABLE");
    assert!(error.to_string().contains("exited with status 0"), "{error}");

    let absent = Arc::new(|| Err(BackendError::PinUnavailable("none".to_owned())));
    let started = TokenWorker::start(worker_config(hsm, super::support::config(hsm)), absent);
    assert_eq!(started.err().unwrap().reason(), "PIN_UNAVAILABLE");
});

case_in_thread!(key_that_is_gone_is_missing_for_the_next_worker_too, hsm => {
    let worker = worker(hsm);
    let (gone, stays) = (key(&worker), key(&worker));
    let id = gone.key.id.to_string();
    let deleted = hsm.pkcs11_tool(&["--delete-object", "--type", "privkey", "--id", &id]);
    assert!(deleted.status.success(), "{deleted:?}");
    signal("-KILL", &worker);
    until("the next worker signs", || signed(&worker, &stays, later()).is_ok());
    assert_eq!(signed(&worker, &gone, later()), Err(BackendError::KeyUnknown(gone.key.id)));
});
