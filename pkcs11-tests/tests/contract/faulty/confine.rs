//! A hostile module in a worker: it runs as the service's user and knows the PIN, and can take neither anywhere.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealkeep_pkcs11_tests::TestToken;
use sealkeep_profiles::algorithm::{PublicKey, SignatureScheme};
use sealkeep_service::backend::worker::{Confinement, TokenWorker, WorkerConfig};
use sealkeep_service::backend::{
    BackendError, GeneratedKey, KeyBackend, KeyId, KeySpec, KeyUsage, Protection,
};
use tempfile::TempDir;

use super::super::support::*;
use super::{Faulty, faulty_worker_case};

const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
const DENIED: &str = "Permission denied (os error 13)";
const NOT_PERMITTED: &str = "Operation not permitted (os error 1)";
const NO_SUCH_FAMILY: &str = "Address family not supported by protocol (os error 97)";

/// A worker with a hostile module, and a key.
struct Prison<'a> {
    faulty: &'a Faulty,
    worker: TokenWorker,
    key: GeneratedKey,
}

fn start(
    hsm: &TestToken,
    faulty: &Faulty,
    confinement: Option<Confinement>,
) -> Result<TokenWorker, BackendError> {
    let config = WorkerConfig {
        confinement,
        ..worker_config(hsm, faulty.config(hsm))
    };
    let pin = hsm.pin();
    TokenWorker::start(config, Arc::new(move || Ok(pin.into())))
}

impl<'a> Prison<'a> {
    fn new(hsm: &TestToken, faulty: &'a Faulty, confinement: Option<Confinement>) -> Self {
        let worker = start(hsm, faulty, confinement).unwrap();
        let usage = KeyUsage::Sign;
        let key = worker.generate(KeyId::random(), "a key", KeySpec::EcP256, usage, later());
        Self {
            faulty,
            key: wait(key).unwrap(),
            worker,
        }
    }

    /// What becomes of one attempt in the middle of a signature, which succeeds in any case.
    fn attempt(&self, escape: &str) -> String {
        let outcomes = || -> Vec<String> {
            let lines = self.faulty.trace();
            let told = lines.iter().filter_map(|line| line["escape"].as_str());
            told.map(str::to_owned).collect()
        };
        let before = outcomes().len();
        self.faulty.script(&format!(
            "rule = [{{ fn = 'C_SignInit', nth = 1, escape = {escape} }}]"
        ));
        let signed = self
            .worker
            .sign(&self.key.key, SCHEME, &SCHEME.token_input(b"m"), later());
        let raw = wait(signed).unwrap();
        let public = PublicKey::from_spki_der(&self.key.spki_der).unwrap();
        public.verify(SCHEME, b"m", &raw).unwrap();
        let outcomes = outcomes();
        assert_eq!(outcomes.len(), before + 1, "{escape}");
        outcomes.into_iter().next_back().unwrap()
    }
}

fn of_file(verb: &str, path: &Path) -> String {
    format!("{{ {verb} = '{}' }}", path.display())
}

/// What lies beside the token's folder, as the service's database and keys do.
fn outside() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("server.key");
    std::fs::write(&secret, "a secret").unwrap();
    (dir, secret)
}

faulty_worker_case!(a_hostile_module_reads_and_writes_only_what_is_configured, hsm, faulty => {
    let prison = Prison::new(hsm, &faulty, Some(confinement(hsm)));
    assert_eq!(prison.worker.info().protections, Protection::ALL);

    let (outside, secret) = outside();
    let memory = format!("/proc/{}/mem", std::process::id());
    for closed in [&secret, Path::new("/etc/shadow"), Path::new("/root/.profile"), Path::new(&memory)] {
        assert_eq!(prison.attempt(&of_file("read", closed)), DENIED, "{}", closed.display());
    }
    let new = outside.path().join("new");
    for closed in [&secret, &new, Path::new("/usr/lib/new"), Path::new("/tmp/sealkeep-new")] {
        assert_eq!(prison.attempt(&of_file("write", closed)), DENIED, "{}", closed.display());
    }
    assert!(!new.exists());
    assert_eq!(std::fs::read(&secret).unwrap(), b"a secret");

    for open in [hsm.conf(), hsm.module().to_owned(), "/dev/urandom".into()] {
        assert_eq!(prison.attempt(&of_file("read", &open)), "done", "{}", open.display());
    }
    assert_eq!(prison.attempt(&of_file("write", &hsm.dir().join("new"))), "done");
    assert_eq!(wait(prison.worker.counts(later())).unwrap().workers_crashed, 0);
});

faulty_worker_case!(a_hostile_module_reaches_no_network_program_or_process, hsm, faulty => {
    let prison = Prison::new(hsm, &faulty, Some(confinement(hsm)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = format!("{{ connect = '{}' }}", listener.local_addr().unwrap());
    for (escape, stopped) in [
        (connect.as_str(), NO_SUCH_FAMILY),
        ("{ connect = '[::1]:1' }", NO_SUCH_FAMILY),
        ("'udp'", NO_SUCH_FAMILY),
        ("{ exec = '/bin/true' }", NOT_PERMITTED),
        ("{ spawn = '/bin/true' }", NOT_PERMITTED),
        ("'signal_parent'", NOT_PERMITTED),
    ] {
        assert_eq!(prison.attempt(escape), stopped, "{escape}");
    }
    assert_eq!(wait(prison.worker.counts(later())).unwrap().workers_crashed, 0);
});

faulty_worker_case!(a_token_on_a_network_has_a_network_and_no_more, hsm, faulty => {
    let network = Confinement { network: true, ..confinement(hsm) };
    let prison = Prison::new(hsm, &faulty, Some(network));
    let protections = prison.worker.info().protections;
    assert_eq!(protections, Protection::ALL[..4]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = format!("{{ connect = '{}' }}", listener.local_addr().unwrap());
    for (escape, outcome) in [(connect.as_str(), "done"), ("'udp'", "done"), ("{ exec = '/bin/true' }", NOT_PERMITTED)] {
        assert_eq!(prison.attempt(escape), outcome, "{escape}");
    }
    assert_eq!(prison.attempt(&of_file("read", &outside().1)), DENIED);
});

// What the others stop is not stopped by anything else.
faulty_worker_case!(without_hardening_every_door_is_open, hsm, faulty => {
    let prison = Prison::new(hsm, &faulty, None);
    assert_eq!(prison.worker.info().protections, Protection::ALL[..2]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = format!("{{ connect = '{}' }}", listener.local_addr().unwrap());
    let (_outside, secret) = outside();
    let read = of_file("read", &secret);
    for escape in [&connect, "'udp'", &read, "{ spawn = '/bin/true' }", "'signal_parent'"] {
        assert_eq!(prison.attempt(escape), "done", "{escape}");
    }
});

faulty_worker_case!(a_configured_path_that_is_not_there_is_told, hsm, faulty => {
    let absent = hsm.dir().join("absent");
    for (field, confinement) in [
        ("token.worker_read_paths", Confinement { read_paths: vec![absent.clone()], ..confinement(hsm) }),
        ("token.worker_write_paths", Confinement { write_paths: vec![absent.clone()], ..confinement(hsm) }),
    ] {
        let refused = start(hsm, &faulty, Some(confinement)).err().unwrap();
        assert_eq!(refused.reason(), "CONFIG_INVALID");
        assert!(refused.to_string().contains(field), "{refused}");
    }
});
