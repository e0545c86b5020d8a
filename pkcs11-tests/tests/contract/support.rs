//! What the cases share: a started backend, deadlines, a second look at the token, another verifier.

use std::future::Future;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use sealkeep_pkcs11_tests::SoftHsm;
use sealkeep_profiles::algorithm::{PublicKey, SignatureScheme, ecdsa_raw_to_der};
use sealkeep_service::backend::pkcs11::{Pkcs11Backend, Pkcs11Config};
use sealkeep_service::backend::{
    Adopted, BackendError, GeneratedKey, KeyBackend, KeyId, KeyRef, KeySpec, KeyUsage,
};
use secrecy::SecretString;

/// A test in its own process.
macro_rules! case {
    ($name:ident, $hsm:ident => $body:block) => {
        #[test]
        fn $name() {
            sealkeep_pkcs11_tests::Case::new(module_path!(), stringify!($name))
                .run(|$hsm: &sealkeep_pkcs11_tests::SoftHsm| $body);
        }
    };
}
pub(crate) use case;

/// The backend of a case.
pub(crate) type Backend = Pkcs11Backend;

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

pub(crate) fn config(hsm: &SoftHsm) -> Pkcs11Config {
    Pkcs11Config {
        name: "main".to_owned(),
        module: hsm.module().to_owned(),
        token_label: hsm.label().to_owned(),
        token_serial: None,
        session_count: 4,
        queue_length_max: 4096,
        allow_spy: false,
    }
}

pub(crate) fn marker(hsm: &SoftHsm) -> PathBuf {
    hsm.dir().join("pin-refused")
}

pub(crate) fn start_with(
    hsm: &SoftHsm,
    config: Pkcs11Config,
    pin: &str,
) -> Result<Pkcs11Backend, BackendError> {
    Pkcs11Backend::start(config, SecretString::from(pin), marker(hsm))
}

pub(crate) fn start(hsm: &SoftHsm) -> Pkcs11Backend {
    start_with(hsm, config(hsm), hsm.pin()).unwrap()
}

pub(crate) fn generate(backend: &Pkcs11Backend, spec: KeySpec) -> GeneratedKey {
    wait(backend.generate(KeyId::random(), "a test key", spec, KeyUsage::Sign, later())).unwrap()
}

pub(crate) fn adopt(backend: &Pkcs11Backend, key: &KeyRef) -> Adopted {
    wait(backend.adopt(&[*key], later())).unwrap().remove(0)
}

/// Signs a message, as the service does.
pub(crate) fn sign(
    backend: &Pkcs11Backend,
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
    hsm: &SoftHsm,
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
fn openssl_verifies_ed25519(hsm: &SoftHsm, spki_der: &[u8], message: &[u8], raw: &[u8]) -> bool {
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
pub(crate) fn module_and_slot(hsm: &SoftHsm) -> (Pkcs11, Slot) {
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

/// A session beside those of the backend. Logged in if the backend is.
pub(crate) fn other_session(hsm: &SoftHsm) -> Session {
    let (module, slot) = module_and_slot(hsm);
    module.open_rw_session(slot).unwrap()
}
