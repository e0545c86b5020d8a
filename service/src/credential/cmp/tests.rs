//! The whole exchange against a server that is not ours: the mock server of `openssl cmp`.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;
use sealkeep_profiles::roles::Role;
use sealkeep_sandbox::files::certificates_pem;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::qtsp::{Kind, Order, Qtsp, SigningRequest};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A request, and the certificate that a QTSP made for it.
struct Scene {
    csr: Vec<u8>,
    spki_sha256: [u8; 32],
    leaf: Vec<u8>,
    issuing: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let now = "2026-11-24T10:00:00Z".parse().unwrap();
        let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
        let mut params = rcgen::CertificateParams::default();
        let name = &mut params.distinguished_name;
        name.push(rcgen::DnType::CountryName, "DE");
        name.push(rcgen::DnType::OrganizationName, "Demo TPP GmbH");
        let identifier = rcgen::DnType::CustomDnType(vec![2, 5, 4, 97]);
        name.push(identifier, "PSDDE-BAFIN-123456");
        name.push(rcgen::DnType::CommonName, "Demo TPP GmbH");
        let csr = params.serialize_request(key.pair()).unwrap();
        let request = SigningRequest::from_der(csr.der()).unwrap();
        let qtsp = Qtsp::create(KeyKind::EcP256, now).unwrap();
        let order = Order::new(Kind::Qsealc, &[Role::PSP_AI]);
        let chain = qtsp.issue(&order, &request, now).unwrap();
        let leaf = Certificate::from_der(&chain.leaf).unwrap();
        Self {
            csr: csr.der().to_vec(),
            spki_sha256: leaf.public_key().spki_sha256(),
            leaf: chain.leaf.to_vec(),
            issuing: chain.issuing.to_vec(),
        }
    }

    /// A server that answers with this certificate.
    fn serve(&self, leaf: &[u8], more: &[&str]) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let (issued, ca) = (dir.path().join("issued.pem"), dir.path().join("ca.pem"));
        std::fs::write(&issued, certificates_pem([&leaf.to_vec().into()])).unwrap();
        std::fs::write(&ca, certificates_pem([&self.issuing.clone().into()])).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = Command::new("openssl")
            .args(["cmp", "-config", "", "-port", &port.to_string()])
            .args(["-srv_ref", "srv", "-srv_secret", "pass:sesame"])
            .arg("-rsp_cert")
            .arg(&issued)
            .arg("-rsp_extracerts")
            .arg(&ca)
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Server {
            child,
            port,
            _dir: dir,
        }
    }
}

impl Server {
    fn post(&self, message: &[u8]) -> Vec<u8> {
        let begun = crate::clock::monotonic();
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => break stream,
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
            }
        };
        let head = format!(
            "POST /pkix/ HTTP/1.0\r\nContent-Type: application/pkixcmp\r\nContent-Length: {}\r\n\r\n",
            message.len()
        );
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(message).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        answer.split_off(end.unwrap() + 4)
    }

    /// Plays an exchange to its end; counts the waits. The ticket goes through its stored form at every step.
    fn play(&self, account: &Account, scene: &Scene) -> (Result<Vec<Vec<u8>>, CmpError>, u32) {
        let mut random = random();
        let (mut ticket, mut message) = begin(account, &scene.csr, scene.spki_sha256, &mut random);
        let mut waits = 0;
        loop {
            let answer = self.post(&message);
            let stored = serde_json::to_string(&ticket).unwrap();
            assert!(!stored.contains("sesame"));
            ticket = serde_json::from_str(&stored).unwrap();
            match ticket.answer(account, &answer, &mut random) {
                Ok(Step::Send(next)) => message = next,
                Ok(Step::Wait { .. }) => {
                    waits += 1;
                    message = ticket.poll(account, &mut random).unwrap();
                }
                Ok(Step::Issued(chain)) => return (Ok(chain), waits),
                Err(error) => return (Err(error), waits),
            }
        }
    }
}

fn account(secret: &str) -> Account {
    Account {
        reference: "kid1".to_owned(),
        secret: secret.to_owned().into(),
    }
}

fn random() -> impl FnMut() -> [u8; 16] {
    || *uuid::Uuid::new_v4().as_bytes()
}

#[test]
fn a_certificate_is_issued_and_confirmed() {
    let scene = Scene::new();
    let server = scene.serve(&scene.leaf, &[]);
    let (chain, waits) = server.play(&account("sesame"), &scene);
    assert_eq!(chain.unwrap(), [scene.leaf.clone(), scene.issuing.clone()]);
    assert_eq!(waits, 0);
}

#[test]
fn a_server_that_takes_its_time_is_asked_again() {
    let scene = Scene::new();
    let server = scene.serve(&scene.leaf, &["-poll_count", "2", "-check_after", "1"]);
    let (chain, waits) = server.play(&account("sesame"), &scene);
    assert_eq!(chain.unwrap()[0], scene.leaf);
    assert!(waits >= 2, "{waits}");
}

#[test]
fn a_certificate_for_another_key_is_refused_to_the_server() {
    let scene = Scene::new();
    let server = scene.serve(&Scene::new().leaf, &[]);
    let (chain, _) = server.play(&account("sesame"), &scene);
    assert_eq!(chain, Err(CmpError::WrongKey));
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let scene = Scene::new();
    let refusal = [
        "-pkistatus",
        "2",
        "-failure",
        "9",
        "-statusstring",
        "no such order",
    ];
    let server = scene.serve(&scene.leaf, &refusal);
    let (chain, _) = server.play(&account("sesame"), &scene);
    let words = "no such order, badPOP".to_owned();
    assert_eq!(chain, Err(CmpError::Rejected { words }));
}

#[test]
fn with_the_wrong_secret_nothing_is_believed() {
    let scene = Scene::new();
    let server = scene.serve(&scene.leaf, &[]);
    let (chain, _) = server.play(&account("guess"), &scene);
    assert_eq!(chain, Err(CmpError::Unprotected));
}

/// An answer of another exchange, or the same one twice, moves nothing.
#[test]
fn an_answer_is_believed_once_and_only_for_its_own_request() {
    let scene = Scene::new();
    let server = scene.serve(&scene.leaf, &[]);
    let (account, mut random) = (account("sesame"), random());
    let (mut ticket, message) = begin(&account, &scene.csr, scene.spki_sha256, &mut random);
    let (mut other, _) = begin(&account, &scene.csr, scene.spki_sha256, &mut random);
    let answer = server.post(&message);
    let foreign = other.answer(&account, &answer, &mut random);
    assert_eq!(foreign, Err(CmpError::Foreign));
    assert!(matches!(
        ticket.answer(&account, &answer, &mut random),
        Ok(Step::Send(_))
    ));
    let again = ticket.answer(&account, &answer, &mut random);
    assert_eq!(again, Err(CmpError::Foreign));
}

/// One flipped bit anywhere makes an error, never a panic and never a certificate.
#[test]
fn a_changed_answer_is_never_believed() {
    let scene = Scene::new();
    let server = scene.serve(&scene.leaf, &[]);
    let (account, mut random) = (account("sesame"), random());
    let (ticket, message) = begin(&account, &scene.csr, scene.spki_sha256, &mut random);
    let answer = server.post(&message);
    // The certificate sent along stands behind the MAC in two frames of four bytes each; chains are checked later.
    let protected = answer.len() - scene.issuing.len() - 8;
    for at in 0..protected {
        let mut changed = answer.clone();
        changed[at] ^= 1 << (at % 8);
        let mut random = self::random();
        let step = ticket.clone().answer(&account, &changed, &mut random);
        assert!(step.is_err(), "byte {at}: {step:?}");
    }
}

proptest! {
    #[test]
    fn noise_is_never_believed(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut random = random();
        let (mut ticket, _) = begin(&account("sesame"), &[0x30, 0], [0; 32], &mut random);
        prop_assert!(ticket.answer(&account("sesame"), &noise, &mut random).is_err());
    }
}
