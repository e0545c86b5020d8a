//! Two tokens in one folder, with one key that was made outside of them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sealkeep_pkcs11_tests::{Case, TestToken};
use sealkeep_profiles::algorithm::{PublicKey, SignatureScheme};
use sealkeep_service::backend::pkcs11::Pkcs11Config;
use sealkeep_service::backend::tokens::{MemberConfig, RawSignature, Replica, TokenSet, Tokens};
use sealkeep_service::backend::worker::TokenWorker;
use sealkeep_service::backend::{BackendError, KeyBackend, KeyId, KeyRef, TokenInfo};
use tokio::runtime::Runtime;

use crate::support::{config, later, on_softhsm, worker_config};

pub(crate) const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
/// The labels of the two tokens; the first is the one every case has.
pub(crate) const LABELS: [&str; 2] = ["sealkeep-test", "sealkeep-b"];
/// The name of the set.
pub(crate) const SET: &str = "pair";

/// A case with a second token in its folder.
pub(crate) fn case_of(module_path: &'static str, name: &'static str) -> Case {
    let case = on_softhsm(crate::faulty::faulty_case_of(module_path, name));
    case.prepared(|hsm| hsm.add_token(LABELS[1]))
}

/// A test in its own process, with two tokens.
macro_rules! pair_case {
    ($name:ident, $hsm:ident => $body:block) => {
        #[test]
        fn $name() {
            crate::tokens::pair::case_of(module_path!(), stringify!($name))
                .run(|$hsm: &sealkeep_pkcs11_tests::TestToken| $body);
        }
    };
}
pub(crate) use pair_case;

/// A key made by openssl, and its pin.
pub(crate) struct OutsideKey {
    pub(crate) file: PathBuf,
    pub(crate) key: KeyRef,
    pub(crate) public: PublicKey,
}

impl OutsideKey {
    pub(crate) fn p256(hsm: &TestToken) -> Self {
        let id = KeyId::random();
        let (file, spki) = (
            hsm.dir().join(format!("{id}.pem")),
            hsm.dir().join(format!("{id}.der")),
        );
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        };
        let [pem, der] = [&file, &spki].map(|path| path.to_str().unwrap());
        openssl(&[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-pkeyopt",
            "ec_param_enc:named_curve",
            "-out",
            pem,
        ]);
        openssl(&[
            "pkey", "-in", pem, "-pubout", "-outform", "DER", "-out", der,
        ]);
        let public = PublicKey::from_spki_der(&std::fs::read(&spki).unwrap()).unwrap();
        let spki_sha256 = public.spki_sha256();
        Self {
            file,
            key: KeyRef { id, spki_sha256 },
            public,
        }
    }

    /// Puts it into a token, under its id.
    pub(crate) fn import(&self, hsm: &TestToken, label: &str) {
        self.import_as(hsm, label, self.key.id);
    }

    /// Puts it into a token under another id.
    pub(crate) fn import_as(&self, hsm: &TestToken, label: &str, id: KeyId) {
        hsm.import_key(label, &id.to_string(), &self.file);
    }
}

/// The set of the two tokens, and their workers.
pub(crate) struct Pair {
    pub(crate) tokens: Tokens,
    workers: [Arc<Mutex<Option<Arc<TokenWorker>>>>; 2],
    pub(crate) runtime: Runtime,
}

impl Pair {
    /// Both tokens by the real module, open.
    pub(crate) fn open(hsm: &TestToken) -> Self {
        Self::open_with(hsm, |_, config| config)
    }

    /// Both tokens, their configurations changed; open.
    pub(crate) fn open_with(
        hsm: &TestToken,
        change: impl Fn(usize, Pkcs11Config) -> Pkcs11Config,
    ) -> Self {
        let workers = [(); 2].map(|()| Arc::new(Mutex::new(None)));
        let members = [0, 1].map(|place| {
            let token = Pkcs11Config {
                name: format!("token-{place}"),
                token_label: LABELS[place].to_owned(),
                ..config(hsm)
            };
            let mut config = worker_config(hsm, change(place, token));
            config.pin_marker = hsm.dir().join(format!("pin-{place}/refused"));
            let (about, pin) = (
                TokenInfo::closed(&config.token.name, LABELS[place], None, ""),
                hsm.pin(),
            );
            let opened = Arc::clone(&workers[place]);
            let open = move || {
                let worker = TokenWorker::start(config.clone(), Arc::new(move || Ok(pin.into())))?;
                let worker = Arc::new(worker);
                *opened.lock().unwrap() = Some(Arc::clone(&worker));
                Ok(worker as Arc<dyn KeyBackend>)
            };
            MemberConfig {
                about,
                is_required: true,
                open: Arc::new(open),
            }
        });
        let set = TokenSet::new(SET, members.into()).unwrap();
        let tokens = Tokens::new(vec![set]).unwrap();
        tokens.open().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self {
            tokens,
            workers,
            runtime,
        }
    }

    /// Makes keys known and has the tokens prove them.
    pub(crate) fn adopt(&self, keys: &[KeyRef]) -> Vec<Result<(), BackendError>> {
        let report = self.tokens.adopt(SET, keys, later());
        let report = self.runtime.block_on(report).unwrap();
        let outcomes = report.into_iter().map(|adopted| adopted.outcome.map(drop));
        outcomes.collect()
    }

    /// What each token has of a key, asked now.
    pub(crate) fn prove(&self, key: &KeyRef) -> [Replica; 2] {
        let report = self.runtime.block_on(self.tokens.prove(key, later()));
        let replicas: Vec<_> = report.unwrap().into_iter().map(|it| it.replica).collect();
        replicas.try_into().unwrap()
    }

    pub(crate) fn sign(
        &self,
        key: &KeyRef,
        message: &[u8],
        deadline: Instant,
    ) -> Result<RawSignature, BackendError> {
        let input = SCHEME.token_input(message);
        let answer = self.tokens.sign(key, SCHEME, &input, deadline);
        self.runtime.block_on(answer)
    }

    /// Signs and verifies; how long it took.
    pub(crate) fn signed(
        &self,
        key: &OutsideKey,
        patience: Duration,
    ) -> Result<Duration, BackendError> {
        let begun = Instant::now();
        let raw = self.sign(&key.key, b"m", begun + patience)?;
        let verified = key.public.verify(SCHEME, b"m", &raw.bytes);
        verified.expect("a signature by the key that was asked for");
        Ok(begun.elapsed())
    }

    /// So many signatures that verify.
    pub(crate) fn signs(&self, key: &OutsideKey, count: usize) {
        for _ in 0..count {
            self.signed(key, Duration::from_secs(5)).unwrap();
        }
    }

    pub(crate) fn pid(&self, place: usize) -> Option<u32> {
        self.workers[place].lock().unwrap().as_ref()?.worker_pid()
    }

    /// Sends a signal to a token's worker; which process that was.
    pub(crate) fn signal(&self, name: &str, place: usize) -> u32 {
        let pid = self.pid(place).expect("a worker");
        let kill = Command::new("kill").args([name, &pid.to_string()]).status();
        assert!(kill.unwrap().success());
        pid
    }

    /// Has a token's worker stand still; returns when it does.
    pub(crate) fn stop(&self, place: usize) -> u32 {
        let pid = self.signal("-STOP", place);
        until("it stands still", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit_once(')')
                .is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
        });
        pid
    }

    /// Signatures that one token made.
    pub(crate) fn made_by(&self, place: usize) -> u64 {
        let worker = self.workers[place].lock().unwrap().clone().unwrap();
        self.runtime
            .block_on(worker.counts(later()))
            .unwrap()
            .signatures
    }
}

/// Waits for what must come.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::yield_now();
    }
}
