//! What the cases share: a started backend, deadlines, a second look at the token, another verifier.

use std::future::Future;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use sealkeep_pkcs11_tests::{Case, Kind, TestToken};
use sealkeep_profiles::algorithm::{PublicKey, SignatureScheme, ecdsa_raw_to_der};
use sealkeep_profiles::format::jwe::TokenWork;
use sealkeep_service::backend::pkcs11::{Counts, Pkcs11Backend, Pkcs11Config};
use sealkeep_service::backend::worker::{
    Confinement, ENVIRONMENT_DEFAULT, THIS_PROGRAM, TokenWorker, WorkerConfig, run_worker,
};
use sealkeep_service::backend::{
    Adopted, BackendError, BoxFuture, GeneratedKey, KeyBackend, KeyId, KeyRef, KeySpec, KeyUsage,
    Tally, TokenInfo, Unwrapped,
};
use secrecy::SecretString;

/// A test in its own process, once with the module in that process and once with a token worker between.
macro_rules! case {
    ($name:ident, $hsm:ident => $body:block) => {
        case!($name, |case| case, $hsm => $body);
    };
    ($name:ident, $setup:expr, $hsm:ident => $body:block) => {
        mod $name {
            use super::*;

            fn body($hsm: &sealkeep_pkcs11_tests::TestToken) $body

            #[test]
            fn in_thread() {
                case_with(module_path!(), "in_thread", $setup).run(body);
            }

            #[test]
            fn in_process() {
                case_with(module_path!(), "in_process", $setup)
                    .env(ISOLATION_ENV, |_| "process".into())
                    .run(body);
            }
        }
    };
}
pub(crate) use case;

/// A test that reaches into the module behind the backend's back: only where both are in one process.
macro_rules! case_in_thread {
    ($name:ident, $hsm:ident => $body:block) => {
        case_in_thread!($name, |case| case, $hsm => $body);
    };
    ($name:ident, $setup:expr, $hsm:ident => $body:block) => {
        #[test]
        fn $name() {
            case_with(module_path!(), stringify!($name), $setup)
                .run(|$hsm: &sealkeep_pkcs11_tests::TestToken| $body);
        }
    };
}
pub(crate) use case_in_thread;

/// For cases about what only SoftHSM does, or lets be done to it from outside: tokens in files that can be moved, a
/// second process whose changes are seen, Ed25519.
pub(crate) fn on_softhsm(case: Case) -> Case {
    case.on(Kind::SoftHsm)
}

/// Set in a case's process: where the module is.
pub(crate) const ISOLATION_ENV: &str = "SEALKEEP_TEST_ISOLATION";

pub(crate) fn case_with(
    module_path: &'static str,
    name: &'static str,
    setup: impl FnOnce(Case) -> Case,
) -> Case {
    setup(Case::new(module_path, name))
}

/// The token worker of the cases: this very binary, running one test that is none.
#[test]
#[ignore = "not a test: the worker process that other cases start, which pass `support::token_worker --exact --ignored` \
            and a socket as standard input"]
fn token_worker() {
    run_worker().unwrap();
}

/// The backend of a case.
pub(crate) enum Backend {
    Thread(Box<Pkcs11Backend>),
    Process(TokenWorker),
}

impl Backend {
    pub(crate) fn counts(&self) -> Counts {
        match self {
            Self::Thread(backend) => backend.counts(),
            Self::Process(worker) => wait(worker.counts(later())).unwrap(),
        }
    }

    fn get(&self) -> &dyn KeyBackend {
        match self {
            Self::Thread(backend) => &**backend,
            Self::Process(worker) => worker,
        }
    }
}

impl KeyBackend for Backend {
    fn generate(
        &self,
        id: KeyId,
        label: &str,
        spec: KeySpec,
        usage: KeyUsage,
        deadline: Instant,
    ) -> BoxFuture<Result<GeneratedKey, BackendError>> {
        self.get().generate(id, label, spec, usage, deadline)
    }

    fn sign(
        &self,
        key: &KeyRef,
        scheme: SignatureScheme,
        input: &[u8],
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<u8>, BackendError>> {
        self.get().sign(key, scheme, input, deadline)
    }

    fn decrypt(
        &self,
        key: &KeyRef,
        work: TokenWork<'_>,
        deadline: Instant,
    ) -> BoxFuture<Result<Unwrapped, BackendError>> {
        self.get().decrypt(key, work, deadline)
    }

    fn adopt(
        &self,
        keys: &[KeyRef],
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<Adopted>, BackendError>> {
        self.get().adopt(keys, deadline)
    }

    fn public_key(
        &self,
        key: &KeyRef,
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<u8>, BackendError>> {
        self.get().public_key(key, deadline)
    }

    fn destroy(&self, key: &KeyRef, deadline: Instant) -> BoxFuture<Result<(), BackendError>> {
        self.get().destroy(key, deadline)
    }

    fn info(&self) -> TokenInfo {
        self.get().info()
    }

    fn tally(&self) -> Tally {
        self.get().tally()
    }
}

/// A deadline that only a hanging test meets: RSA-4096 keys take long on a busy machine.
pub(crate) fn later() -> Instant {
    Instant::now() + Duration::from_secs(240)
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(future)
}

pub(crate) fn config(hsm: &TestToken) -> Pkcs11Config {
    Pkcs11Config {
        name: "main".to_owned(),
        module: hsm.module().to_owned(),
        token_label: hsm.label().to_owned(),
        token_serial: None,
        session_count: 4,
        queue_length_max: 4096,
        allow_spy: false,
        init_string: None,
    }
}

pub(crate) fn marker(hsm: &TestToken) -> PathBuf {
    hsm.dir().join("pin/refused")
}

pub(crate) fn start_with(
    hsm: &TestToken,
    config: Pkcs11Config,
    pin: &str,
) -> Result<Backend, BackendError> {
    let pin = SecretString::from(pin);
    if std::env::var(ISOLATION_ENV).as_deref() != Ok("process") {
        let backend = Pkcs11Backend::start(config, pin, marker(hsm))?;
        return Ok(Backend::Thread(Box::new(backend)));
    }
    let worker = TokenWorker::start(
        worker_config(hsm, config),
        Arc::new(move || Ok(pin.clone())),
    )?;
    Ok(Backend::Process(worker))
}

pub(crate) fn worker_config(hsm: &TestToken, token: Pkcs11Config) -> WorkerConfig {
    let arguments = [
        "support::token_worker",
        "--exact",
        "--ignored",
        "--nocapture",
    ];
    WorkerConfig {
        token,
        pin_marker: marker(hsm),
        program: THIS_PROGRAM.into(),
        arguments: arguments.map(Into::into).to_vec(),
        environment: ENVIRONMENT_DEFAULT.map(str::to_owned).to_vec(),
        confinement: Some(confinement(hsm)),
        crashes_per_minute_max: 1000,
    }
}

/// The token's folder and nothing else; scripts and traces of the faulty module are there too.
pub(crate) fn confinement(hsm: &TestToken) -> Confinement {
    Confinement {
        write_paths: vec![hsm.dir().to_owned()],
        ..Confinement::default()
    }
}

pub(crate) fn start(hsm: &TestToken) -> Backend {
    start_with(hsm, config(hsm), hsm.pin()).unwrap()
}

pub(crate) fn generate(backend: &Backend, spec: KeySpec) -> GeneratedKey {
    wait(backend.generate(KeyId::random(), "a test key", spec, KeyUsage::Sign, later())).unwrap()
}

pub(crate) fn adopt(backend: &Backend, key: &KeyRef) -> Adopted {
    wait(backend.adopt(&[*key], later())).unwrap().remove(0)
}

/// Signs a message, as the service does.
pub(crate) fn sign(
    backend: &Backend,
    key: &KeyRef,
    scheme: SignatureScheme,
    message: &[u8],
) -> Result<Vec<u8>, BackendError> {
    wait(backend.sign(key, scheme, &scheme.token_input(message), later()))
}

pub(crate) fn verifies(
    key: &GeneratedKey,
    scheme: SignatureScheme,
    message: &[u8],
    raw: &[u8],
) -> bool {
    PublicKey::from_spki_der(&key.spki_der)
        .unwrap()
        .verify(scheme, message, raw)
        .is_ok()
}

/// The opinion of an implementation that is not ours.
pub(crate) fn openssl_verifies(
    hsm: &TestToken,
    key: &GeneratedKey,
    scheme: SignatureScheme,
    message: &[u8],
    raw: &[u8],
) -> bool {
    let file = |name: &str, bytes: &[u8]| {
        let path = hsm.dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let signature = if scheme.is_ecdsa() {
        ecdsa_raw_to_der(raw).unwrap()
    } else {
        raw.to_vec()
    };
    if scheme == SignatureScheme::Ed25519 {
        return openssl_verifies_ed25519(hsm, &key.spki_der, message, raw);
    }
    let mut command = Command::new("openssl");
    command.args([
        "dgst",
        &format!("-{}", scheme.hash()),
        "-keyform",
        "DER",
        "-verify",
    ]);
    command.arg(file("key.der", &key.spki_der));
    if scheme.name().contains("pss") {
        command.args([
            "-sigopt",
            "rsa_padding_mode:pss",
            "-sigopt",
            "rsa_pss_saltlen:digest",
        ]);
    }
    command
        .arg("-signature")
        .arg(file("signature", &signature))
        .arg(file("message", message));
    let output = command.output().expect("openssl is not installed");
    output.status.success() && output.stdout.starts_with(b"Verified OK")
}

/// `openssl dgst` has no whole messages, `openssl pkeyutl -rawin` has.
fn openssl_verifies_ed25519(hsm: &TestToken, spki_der: &[u8], message: &[u8], raw: &[u8]) -> bool {
    let mut command = Command::new("openssl");
    command.args(["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-rawin"]);
    for (option, name, bytes) in [
        ("-inkey", "key.der", spki_der),
        ("-sigfile", "signature", raw),
        ("-in", "message", message),
    ] {
        let path = hsm.dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        command.arg(option).arg(path);
    }
    let output = command.output().expect("openssl is not installed");
    output.status.success()
}

/// The module and slot as another part of the same process sees them: to do what the backend would never do.
pub(crate) fn module_and_slot(hsm: &TestToken) -> (Pkcs11, Slot) {
    let module = Pkcs11::new(hsm.module()).unwrap();
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => panic!("{error}"),
    }
    let slots = module.get_slots_with_token().unwrap();
    let mut ours = slots
        .into_iter()
        .filter(|slot| module.get_token_info(*slot).unwrap().label().trim_end() == hsm.label());
    let slot = ours.next().unwrap();
    (module, slot)
}

/// A session beside those of the backend, logged in: with the backend, or in this process alone.
pub(crate) fn other_session(hsm: &TestToken) -> Session {
    let (module, slot) = module_and_slot(hsm);
    let session = module.open_rw_session(slot).unwrap();
    match session.login(UserType::User, Some(&hsm.pin().into())) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => session,
        Err(error) => panic!("{error}"),
    }
}
