//! The worker under valgrind's memcheck: everything that it does, and every rung of its recovery, without an invalid read
//! or write, a use of memory that was not set, or a definite leak. Nothing is suppressed, of nobody's code.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealkeep_pkcs11_tests::TestToken;
use sealkeep_profiles::algorithm::{PublicKey, SignatureScheme};
use sealkeep_profiles::format::jwe::TokenWork;
use sealkeep_service::backend::worker::{TokenWorker, WorkerConfig};
use sealkeep_service::backend::{BackendError, GeneratedKey, KeyBackend, KeyId, KeySpec, KeyUsage};

use super::super::support::*;
use super::Faulty;

const EC: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
const RSA: SignatureScheme = SignatureScheme::RsaPssSha256;
/// Signatures at a time: valgrind runs some thirty times slower.
const IN_FLIGHT: usize = 100;

/// The worker's own program inside valgrind. It is not confined: valgrind could not work.
fn under_valgrind(hsm: &TestToken, faulty: &Faulty, log: &Path) -> WorkerConfig {
    let config = worker_config(hsm, faulty.config(hsm));
    let mut arguments = vec![
        "--tool=memcheck".into(),
        "--leak-check=full".into(),
        "--show-leak-kinds=definite".into(),
        "--errors-for-leak-kinds=definite".into(),
        "--vgdb=no".into(),
        format!("--log-file={}", log.display()).into(),
        std::env::current_exe().unwrap().into(),
    ];
    arguments.extend(config.arguments);
    WorkerConfig {
        program: "/usr/bin/valgrind".into(),
        arguments,
        confinement: None,
        ..config
    }
}

fn start(hsm: &TestToken, config: WorkerConfig) -> TokenWorker {
    let pin = hsm.pin();
    TokenWorker::start(config, Arc::new(move || Ok(pin.into()))).unwrap()
}

fn key(worker: &TokenWorker, spec: KeySpec, usage: KeyUsage) -> GeneratedKey {
    wait(worker.generate(KeyId::random(), "a key", spec, usage, later())).unwrap()
}

fn sign_many(worker: &TokenWorker, key: &GeneratedKey, scheme: SignatureScheme) {
    let input = scheme.token_input(b"m");
    let answers: Vec<_> = (0..IN_FLIGHT)
        .map(|_| worker.sign(&key.key, scheme, &input, later()))
        .collect();
    let public = PublicKey::from_spki_der(&key.spki_der).unwrap();
    for answer in answers {
        public.verify(scheme, b"m", &wait(answer).unwrap()).unwrap();
    }
}

fn ephemeral() -> PublicKey {
    let openssl = |arguments: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", arguments]).output().unwrap().stdout
    };
    let spki = openssl(
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | openssl pkey -pubout -outform DER",
    );
    PublicKey::from_spki_der(&spki).unwrap()
}

#[test]
#[ignore = "takes a minute and valgrind: deploy/memcheck.sh"]
fn the_worker_makes_no_memory_error() {
    super::faulty_case_of(module_path!(), "the_worker_makes_no_memory_error").run(|hsm| {
        let faulty = Faulty::new(hsm);
        // Made at full speed; under valgrind it would take minutes.
        let rsa = {
            let worker = start(hsm, worker_config(hsm, faulty.config(hsm)));
            key(&worker, KeySpec::Rsa { bits: 2048 }, KeyUsage::Sign)
        };
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("memcheck.log");
        let worker = start(hsm, under_valgrind(hsm, &faulty, &log));
        everything(&worker, &rsa, &faulty);
        assert_eq!(wait(worker.counts(later())).unwrap().workers_crashed, 0);
        drop(worker);
        let report = std::fs::read_to_string(&log).unwrap();
        assert!(report.contains("ERROR SUMMARY: 0 errors"), "{report}");
    });
}

fn everything(worker: &TokenWorker, rsa: &GeneratedKey, faulty: &Faulty) {
    let adopted = wait(worker.adopt(&[rsa.key], later())).unwrap();
    assert!(adopted[0].outcome.is_ok());
    sign_many(worker, rsa, RSA);
    let seal = key(worker, KeySpec::EcP256, KeyUsage::Sign);
    sign_many(worker, &seal, EC);
    let inbox = key(worker, KeySpec::EcP256, KeyUsage::Decrypt);
    let peer = ephemeral();
    let work = TokenWork::Ecdh { peer: &peer };
    assert!(
        wait(worker.decrypt(&inbox.key, work, later()))
            .unwrap()
            .is_some()
    );
    assert_eq!(
        wait(worker.public_key(&seal.key, later())).unwrap(),
        seal.spki_der
    );

    // Refused, late, and withdrawn.
    let unfit = worker.sign(&seal.key, RSA, &RSA.token_input(b"m"), later());
    assert_eq!(wait(unfit).unwrap_err().reason(), "SCHEME_UNFIT");
    let soon = Instant::now() + Duration::from_millis(1);
    let late = worker.sign(&seal.key, EC, &EC.token_input(b"m"), soon);
    assert_eq!(wait(late), Err(BackendError::Deadline));
    for _ in 0..IN_FLIGHT {
        drop(worker.sign(&seal.key, EC, &EC.token_input(b"m"), later()));
    }
    for event in ["logout", "close_sessions", "down"] {
        faulty.script(&format!(
            "rule = [{{ fn = 'C_SignInit', nth = 1, event = '{event}' }}]"
        ));
        sign_many(worker, &seal, EC);
    }
    wait(worker.destroy(&inbox.key, later())).unwrap();
}
