//! Keys from outside: proven in the token, or not in it at all.

use std::path::Path;
use std::process::Command;

use sealkeep_pkcs11_tests::NssToken;
use sealkeep_profiles::algorithm::{PublicKey, SignatureScheme};
use sealkeep_service::backend::pkcs11::{Pkcs11Backend, Pkcs11Config};
use sealkeep_service::backend::{BackendError, GeneratedKey, KeyBackend, KeyId, KeyUsage};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::faulty::faulty_case;
use super::support::*;

/// A key of OpenSSL's.
struct Outsider {
    key: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

impl Outsider {
    fn new(dir: &Path, algorithm: &str) -> Self {
        let openssl = |arguments: &str| {
            let mut command = Command::new("openssl");
            let output = command.args(arguments.split(' ')).current_dir(dir).output();
            let output = output.expect("openssl is not installed");
            assert!(output.status.success(), "openssl {arguments}: {output:?}");
            output.stdout
        };
        openssl(&format!("genpkey {algorithm} -out k.pem"));
        let key = openssl("pkcs8 -topk8 -nocrypt -in k.pem -outform der");
        let spki = openssl("pkey -in k.pem -pubout -outform der");
        Self {
            key: Zeroizing::new(key),
            public: PublicKey::from_spki_der(&spki).unwrap(),
        }
    }

    fn import_as(
        &self,
        backend: &Pkcs11Backend,
        id: KeyId,
        public: &PublicKey,
    ) -> Result<GeneratedKey, BackendError> {
        wait(backend.import(id, "import", public.clone(), self.key.clone(), later()))
    }

    fn import(&self, backend: &Pkcs11Backend) -> Result<GeneratedKey, BackendError> {
        self.import_as(backend, KeyId::random(), &self.public)
    }
}

const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";

fn start_in_thread(config: Pkcs11Config, pin: &str, dir: &Path) -> Pkcs11Backend {
    Pkcs11Backend::start(config, SecretString::from(pin), dir.join("pin-refused")).unwrap()
}

fn assert_imported(backend: &Pkcs11Backend, outsider: &Outsider, scheme: SignatureScheme) {
    let made = outsider.import(backend).unwrap();
    let evidence = made.evidence;
    assert!(
        evidence.is_protected() && !evidence.is_born_here(),
        "{evidence:?}"
    );
    assert_eq!(made.spki_der, outsider.public.spki_der());
    let input = scheme.token_input(b"m");
    let raw = wait(backend.sign(&made.key, scheme, &input, later())).unwrap();
    outsider.public.verify(scheme, b"m", &raw).unwrap();
    let adopted = wait(backend.adopt(&[made.key], later())).unwrap();
    assert_eq!(adopted[0].outcome, Ok(evidence));
}

case_in_thread!(every_kind_of_key_signs_after_its_import, hsm => {
    let backend = start_in_thread(config(hsm), hsm.pin(), hsm.dir());
    for (algorithm, scheme) in [
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:2048", SignatureScheme::RsaPssSha256),
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:4096", SignatureScheme::RsaPkcs1Sha256),
        (P256, SignatureScheme::EcdsaP256Sha256),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-384", SignatureScheme::EcdsaP384Sha384),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-521", SignatureScheme::EcdsaP521Sha512),
    ] {
        assert_imported(&backend, &Outsider::new(hsm.dir(), algorithm), scheme);
    }
});

case_in_thread!(a_key_that_is_not_the_one_of_the_certificate_does_not_stay, hsm => {
    let backend = start_in_thread(config(hsm), hsm.pin(), hsm.dir());
    let rsa = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
    for (mine, theirs) in [(P256, P256), (rsa, rsa), (P256, rsa)] {
        let outsider = Outsider::new(hsm.dir(), mine);
        let stranger = Outsider::new(hsm.dir(), theirs).public;
        let refused = outsider.import_as(&backend, KeyId::random(), &stranger);
        assert!(refused.is_err(), "{mine} for {theirs}");
        let objects = hsm.pkcs11_tool(&["--list-objects"]);
        assert!(objects.stdout.is_empty(), "{mine} for {theirs}: {objects:?}");
    }
});

case_in_thread!(an_id_that_is_taken_is_refused_and_its_key_stays, hsm => {
    let backend = start_in_thread(config(hsm), hsm.pin(), hsm.dir());
    let outsider = Outsider::new(hsm.dir(), P256);
    let id = KeyId::random();
    let made = outsider.import_as(&backend, id, &outsider.public).unwrap();
    let again = outsider.import_as(&backend, id, &outsider.public);
    assert_eq!(again, Err(BackendError::KeyExists(id)));
    assert!(wait(backend.public_key(&made.key, later())).is_ok());
});

case_in_thread!(nonsense_for_a_key_is_refused_and_costs_nothing, hsm => {
    let backend = start_in_thread(config(hsm), hsm.pin(), hsm.dir());
    let mut outsider = Outsider::new(hsm.dir(), P256);
    for nonsense in [vec![], vec![0x30; 138], vec![0; 5000]] {
        outsider.key = Zeroizing::new(nonsense);
        assert!(outsider.import(&backend).is_err());
    }
    let usage = KeyUsage::Sign;
    let spec = sealkeep_service::backend::KeySpec::EcP256;
    let made = wait(backend.generate(KeyId::random(), "after", spec, usage, later()));
    assert!(made.is_ok(), "{made:?}");
});

faulty_case!(whatever_breaks_no_key_stays_behind, hsm, faulty => {
    let backend = start_in_thread(faulty.config(hsm), hsm.pin(), hsm.dir());
    let outsider = Outsider::new(hsm.dir(), P256);
    for rule in [
        "fn = 'C_GenerateKeyPair', rv = 'CKR_FUNCTION_FAILED'",
        "fn = 'C_GenerateKeyPair', rv = 'CKR_MECHANISM_INVALID'",
        "fn = 'C_UnwrapKey', rv = 'CKR_MECHANISM_INVALID'",
        "fn = 'C_UnwrapKey', after = 2, rv = 'CKR_DEVICE_MEMORY'",
        "fn = 'C_CreateObject', rv = 'CKR_DEVICE_ERROR'",
        "fn = 'C_Sign', output = 'corrupt'",
        "fn = 'C_Sign', rv = 'CKR_DEVICE_ERROR'",
        // The token did it, and the answer was lost. The third call is the one that brings the key.
        "fn = 'C_UnwrapKey', after = 2, rv = 'CKR_DEVICE_ERROR', when = 'after'",
        "fn = 'C_CreateObject', rv = 'CKR_SESSION_CLOSED', when = 'after'",
    ] {
        faulty.script(&format!("rule = [{{ {rule} }}]"));
        let refused = outsider.import(&backend);
        assert!(refused.is_err(), "{rule}: {refused:?}");
        faulty.script("");
        let objects = hsm.pkcs11_tool(&["--list-objects"]);
        assert!(objects.stdout.is_empty(), "{rule}: {objects:?}");
    }
    assert!(outsider.import(&backend).is_ok());
});

/// NSS means another wrapping by the same name, and takes no elliptic-curve keys so.
#[test]
fn nss_takes_an_rsa_key_and_refuses_another_without_a_trace() {
    let nss = NssToken::new();
    let dir = tempfile::tempdir().unwrap();
    let pin = std::fs::read_to_string(nss.pin_file()).unwrap();
    let config = Pkcs11Config {
        name: "nss".to_owned(),
        module: NssToken::module(),
        token_label: NssToken::LABEL.to_owned(),
        token_serial: None,
        session_count: 1,
        queue_length_max: 16,
        allow_spy: false,
        init_string: Some(nss.init_string()),
    };
    let backend = start_in_thread(config, pin.trim_end(), dir.path());
    let ec = Outsider::new(dir.path(), P256);
    let refused = ec.import(&backend).unwrap_err();
    assert!(refused.to_string().contains("CKR_"), "{refused}");
    let rsa = Outsider::new(dir.path(), "-algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    assert_imported(&backend, &rsa, SignatureScheme::RsaPkcs1Sha256);
}
