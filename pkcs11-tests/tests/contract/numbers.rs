//! Numbers of the backend on this machine, on SoftHSM; not part of the suite, because a busy machine has other numbers.
//!
//! ```text
//! TMPDIR=/dev/shm cargo test --release -p sealkeep-pkcs11-tests --test contract -- --ignored --nocapture --test-threads=1 numbers::
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType};
use sealkeep_pkcs11_tests::TestToken;
use sealkeep_profiles::algorithm::{PublicKey, SignatureScheme};
use sealkeep_service::backend::pkcs11::{Pkcs11Backend, Pkcs11Config, raw_sign_loop};
use sealkeep_service::backend::{BackendError, KeyBackend, KeyId, KeyRef, KeySpec, KeyUsage};

use crate::faulty::{Faulty, faulty_case_of};
use crate::support::*;

const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
/// Keys of a large house.
const KEYS_DEFAULT: usize = 1_000;
/// Says another number of keys.
const KEYS_ENV: &str = "SEALKEEP_TEST_KEYS";
const READY_MAX: Duration = Duration::from_secs(2);
/// How long each way of signing is measured, and in how many turns: shared machines change their speed.
const MEASURED: Duration = Duration::from_secs(2);
const TURNS: usize = 5;
/// Of the throughput that the module has without us (percent).
const POOL_PERCENT_MIN: f64 = 90.0;
/// Callers for each session.
const CALLERS_PER_SESSION: u16 = 16;
/// What an answer may take beyond its deadline.
const LATE_MAX: Duration = Duration::from_millis(50);
/// How much slower other keys may be while a signature hangs.
const SLOWER_MAX: f64 = 2.0;

/// DER of the OID of P-256, and of a SubjectPublicKeyInfo up to the point (RFC 5480 section 2).
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P256_SPKI_HEAD: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

/// Keys as the backend would make them, made without its searches.
fn make_keys(hsm: &TestToken, count: usize) -> Vec<KeyRef> {
    let session = other_session(hsm);
    let make = |_| {
        let id = KeyId::random();
        let own_id = || Attribute::Id(id.as_bytes().to_vec());
        let public = [
            Attribute::Token(true),
            Attribute::EcParams(P256.to_vec()),
            own_id(),
        ];
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Derive(false),
            own_id(),
        ];
        let pair = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private);
        let (public, _) = pair.unwrap();
        let point = session.get_attributes(public, &[AttributeType::EcPoint]);
        let Some(Attribute::EcPoint(point)) = point.unwrap().pop() else {
            panic!("no point")
        };
        let spki = [&hex::decode(P256_SPKI_HEAD).unwrap(), &point[2..]].concat();
        let spki_sha256 = PublicKey::from_spki_der(&spki).unwrap().spki_sha256();
        KeyRef { id, spki_sha256 }
    };
    (0..count).map(make).collect()
}

#[test]
#[ignore = "a number of this machine; the module's head has the command"]
fn a_thousand_keys_are_ready_in_time_and_never_searched_again() {
    case_with(
        module_path!(),
        "a_thousand_keys_are_ready_in_time_and_never_searched_again",
        |case| case,
    )
    .env(ISOLATION_ENV, |_| "process".into())
    .run(|hsm| {
        let count = std::env::var(KEYS_ENV).map_or(KEYS_DEFAULT, |count| count.parse().unwrap());
        let begun = Instant::now();
        let keys = make_keys(hsm, count);
        println!("{count} keys made in {:?}", begun.elapsed());
        let begun = Instant::now();
        let backend = start(hsm);
        let report = wait(backend.adopt(&keys, later())).unwrap();
        let ready = begun.elapsed();
        assert!(report.iter().all(|adopted| adopted.outcome.is_ok()));
        let searches = backend.counts().key_searches;
        for key in &keys {
            sign(&backend, key, SCHEME, b"m").unwrap();
        }
        let counts = backend.counts();
        println!(
            "{count} keys ready in {ready:?}; searches at start {searches}, while signing {}",
            counts.key_searches - searches
        );
        assert_eq!(counts.key_searches, searches);
        assert!(ready <= READY_MAX, "{ready:?}");
    });
}

/// Signatures per second through the pool, with so many callers that no session waits for one.
fn pooled(
    backend: &Arc<Pkcs11Backend>,
    key: &KeyRef,
    scheme: SignatureScheme,
    sessions: u16,
) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .unwrap();
    let begun = Instant::now();
    let (end, key) = (begun + MEASURED / TURNS as u32, *key);
    let callers: Vec<_> = (0..CALLERS_PER_SESSION * sessions)
        .map(|_| {
            let backend = Arc::clone(backend);
            runtime.spawn(async move {
                let input = scheme.token_input(b"m");
                let mut signed = 0_u32;
                while Instant::now() < end {
                    backend.sign(&key, scheme, &input, later()).await.unwrap();
                    signed += 1;
                }
                signed
            })
        })
        .collect();
    let signed = callers
        .into_iter()
        .map(|caller| runtime.block_on(caller).unwrap());
    f64::from(signed.sum::<u32>()) / begun.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a number of this machine; the module's head has the command"]
fn the_pool_has_the_throughput_of_the_module() {
    case_with(
        module_path!(),
        "the_pool_has_the_throughput_of_the_module",
        |case| case,
    )
    .run(|hsm| {
        let mut worst = f64::MAX;
        for sessions in [1, 4, 16] {
            for (spec, scheme) in [
                (KeySpec::Rsa { bits: 2048 }, SignatureScheme::RsaPkcs1Sha256),
                (KeySpec::EcP256, SCHEME),
            ] {
                let (raw, pool) = throughputs(hsm, sessions, spec, scheme);
                let percent = 100.0 * pool / raw;
                println!(
                    "{sessions} sessions, {spec}: raw {raw:.0}/s, pool {pool:.0}/s, {percent:.0} %"
                );
                // P-256 is shown only: a soft token signs in some 25 us, and to wake whoever waits for it takes 7.
                if matches!(spec, KeySpec::Rsa { .. }) {
                    worst = worst.min(percent);
                }
            }
        }
        assert!(worst >= POOL_PERCENT_MIN, "{worst} %");
    });
}

/// Signatures per second by the module alone and through the pool: the turn in the middle of several.
fn throughputs(
    hsm: &TestToken,
    sessions: u16,
    spec: KeySpec,
    scheme: SignatureScheme,
) -> (f64, f64) {
    let config = Pkcs11Config {
        session_count: sessions,
        ..config(hsm)
    };
    let backend = Pkcs11Backend::start(config, hsm.pin().into(), marker(hsm)).unwrap();
    let backend = Arc::new(backend);
    let made = backend.generate(KeyId::random(), "n", spec, KeyUsage::Sign, later());
    let key = wait(made).unwrap().key;
    let turn = MEASURED / TURNS as u32;
    let mut turns: Vec<(f64, f64)> = (0..TURNS)
        .map(|_| {
            let raw = raw_sign_loop(&backend, &key, scheme, sessions, turn).unwrap();
            (raw.per_second(), pooled(&backend, &key, scheme, sessions))
        })
        .collect();
    turns.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    turns[TURNS / 2]
}

#[test]
#[ignore = "a number of this machine; the module's head has the command"]
fn a_hung_signature_is_answered_in_time_and_others_hardly_notice() {
    faulty_case_of(module_path!(), "a_hung_signature_is_answered_in_time_and_others_hardly_notice")
        .env(ISOLATION_ENV, |_| "process".into())
        .run(|hsm| {
            let faulty = Faulty::new(hsm);
            let backend = faulty.start(hsm);
            let [hangs, other] = [(); 2].map(|()| generate(&backend, KeySpec::EcP256).key);
            let p99 = |backend: &Backend| {
                let mut times: Vec<_> = (0..1_000).map(|_| {
                    let begun = Instant::now();
                    sign(backend, &other, SCHEME, b"m").unwrap();
                    begun.elapsed()
                }).collect();
                times.sort();
                times[990]
            };
            let idle = p99(&backend);
            faulty.script("rule = [{ fn = 'C_Sign', hang = true, count = 1 }]");
            // Longer than a thousand others take.
            let deadline = Instant::now() + Duration::from_millis(1_500);
            let hung = backend.sign(&hangs, SCHEME, &SCHEME.token_input(b"m"), deadline);
            let answered = std::thread::spawn(move || (wait(hung), Instant::now()));
            faulty.wait_for_hangs(1);
            let beside = p99(&backend);
            let (outcome, at) = answered.join().unwrap();
            let late = at.saturating_duration_since(deadline);
            println!("hung signature answered {late:?} after its deadline; p99 of others {beside:?}, idle {idle:?}");
            assert_eq!(outcome, Err(BackendError::Deadline));
            assert!(late <= LATE_MAX, "{late:?}");
            assert!(beside.as_secs_f64() <= SLOWER_MAX * idle.as_secs_f64(), "{beside:?}, idle {idle:?}");
            faulty.script("");
        });
}
