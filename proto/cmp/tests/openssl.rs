//! Whole exchanges against a server that is not ours, the mock server of `openssl cmp`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::prelude::*;
use sealkeep_cmp::request::{self, Body, Reason, Update};
use sealkeep_cmp::signature::{identifier, plain_scheme};
use sealkeep_cmp::{Account, CmpError, Outgoing, Peer, Speaker, Step, Ticket};
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::roles::Role;
use sealkeep_sandbox::files::certificates_pem;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::qtsp::{Chain, Kind, Order, Qtsp, SealUsage, SigningRequest};

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

/// A QTSP, and a request with the certificate that it made for it.
struct Scene {
    qtsp: Qtsp,
    key: SoftwareKey,
    csr: Vec<u8>,
    chain: Chain,
    server_key: SoftwareKey,
    server_certificate: Certificate,
}

fn seal() -> Order {
    let mut order = Order::new(Kind::Qsealc, &[Role::PSP_AI]);
    order.seal_usage = SealUsage::Both;
    order
}

fn csr(key: &SoftwareKey) -> Vec<u8> {
    let mut params = rcgen::CertificateParams::default();
    let name = &mut params.distinguished_name;
    name.push(rcgen::DnType::CountryName, "DE");
    name.push(rcgen::DnType::OrganizationName, "Demo TPP GmbH");
    let identifier = rcgen::DnType::CustomDnType(vec![2, 5, 4, 97]);
    name.push(identifier, "PSDDE-BAFIN-123456");
    name.push(rcgen::DnType::CommonName, "Demo TPP GmbH");
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.serialize_request(key.pair()).unwrap().der().to_vec()
}

impl Scene {
    fn new() -> Self {
        let now = Timestamp::now();
        let qtsp = Qtsp::create(KeyKind::EcP256, now).unwrap();
        let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
        let csr = csr(&key);
        let chain = issue(&qtsp, &csr);
        let server_key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
        let mut order = seal();
        order.country = Some("FR".to_owned());
        order.organization = Some("QTSP".to_owned());
        order.organization_identifier = Some("PSDFR-ACPR-1".to_owned());
        let server = qtsp.issue_for(&order, &server_key, now).unwrap();
        Self {
            qtsp,
            key,
            csr,
            chain,
            server_key,
            server_certificate: Certificate::from_der(&server.leaf).unwrap(),
        }
    }

    fn leaf(&self) -> Vec<u8> {
        self.chain.leaf.to_vec()
    }

    /// The chain, as it is sent along.
    fn sent_along(&self) -> Vec<Vec<u8>> {
        self.chain.to_vec().iter().map(|der| der.to_vec()).collect()
    }

    /// A server that answers with this certificate.
    fn serve(&self, leaf: &[u8], more: &[&str]) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, pem: String| -> PathBuf {
            let path = dir.path().join(name);
            std::fs::write(&path, pem).unwrap();
            path
        };
        let issued = file("issued.pem", certificates_pem([&leaf.to_vec().into()]));
        let ca = file("ca.pem", certificates_pem([&self.chain.issuing]));
        let root = file("root.pem", certificates_pem([self.qtsp.root()]));
        let server = self.server_certificate.der().to_vec().into();
        let certificate = file("server.pem", certificates_pem([&server]));
        let key = file("server.key", self.server_key.pair().serialize_pem());
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = Command::new("openssl")
            .args(["cmp", "-config", "", "-port", &port.to_string()])
            .args(["-srv_ref", "srv", "-srv_secret", "pass:sesame"])
            .args([PathBuf::from("-rsp_cert"), issued])
            .args([PathBuf::from("-rsp_extracerts"), ca.clone()])
            .args([PathBuf::from("-srv_cert"), certificate])
            .args([PathBuf::from("-srv_key"), key])
            .args([PathBuf::from("-srv_trusted"), root])
            .args([PathBuf::from("-srv_untrusted"), ca])
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

fn issue(qtsp: &Qtsp, csr: &[u8]) -> Chain {
    let request = SigningRequest::from_der(csr).unwrap();
    qtsp.issue(&seal(), &request, Timestamp::now()).unwrap()
}

fn spki_sha256(certificate: &[u8]) -> [u8; 32] {
    let certificate = Certificate::from_der(certificate).unwrap();
    certificate.public_key().spki_sha256()
}

/// AlgorithmIdentifier and signature, as X.509 carries them.
fn sign(key: &SoftwareKey, message: &[u8]) -> (&'static [u8], Vec<u8>) {
    let scheme = plain_scheme(sealkeep_profiles::algorithm::KeyType::EcP256).unwrap();
    let signature = rcgen::SigningKey::sign(key.pair(), message).unwrap();
    (identifier(scheme).unwrap(), signature)
}

impl Server {
    fn post(&self, message: &[u8]) -> Vec<u8> {
        let begun = Instant::now();
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
    fn play(
        &self,
        peer: &Peer<'_>,
        key: &SoftwareKey,
        begun: (Ticket, Outgoing),
    ) -> (Result<Step, CmpError>, u32) {
        let mut random = random();
        let (mut ticket, mut outgoing) = begun;
        let mut waits = 0;
        loop {
            let answer = self.post(&ready(outgoing, key));
            let stored = serde_json::to_string(&ticket).unwrap();
            assert!(!stored.contains("sesame"));
            ticket = serde_json::from_str(&stored).unwrap();
            match ticket.answer(peer, &answer, &mut random) {
                Ok(Step::Send(next)) => outgoing = next,
                Ok(Step::Wait { .. }) => {
                    waits += 1;
                    outgoing = ticket.poll(peer, &mut random).unwrap();
                }
                ended => return (ended, waits),
            }
        }
    }

    /// A certificate for the request of a scene.
    fn certify(&self, account: &Account, scene: &Scene) -> (Result<Step, CmpError>, u32) {
        let peer = by_secret(account);
        let body = request::certificate(&scene.csr);
        let wanted = spki_sha256(&scene.leaf());
        let begun = Ticket::request(&peer, body, wanted, &mut random()).unwrap();
        self.play(&peer, &scene.key, begun)
    }
}

fn ready(outgoing: Outgoing, key: &SoftwareKey) -> Vec<u8> {
    match outgoing {
        Outgoing::Ready(message) => message,
        Outgoing::Unsigned(message) => {
            let (_, signature) = sign(key, &message.input());
            message.signed(&signature)
        }
    }
}

fn account(secret: &str) -> Account {
    Account {
        reference: "kid1".to_owned(),
        secret: secret.to_owned().into(),
    }
}

fn by_secret(account: &Account) -> Peer<'_> {
    Peer {
        account,
        server_certificates: &[],
        speaker: Speaker::Secret,
    }
}

fn random() -> impl FnMut() -> [u8; 16] {
    || *uuid::Uuid::new_v4().as_bytes()
}

#[test]
fn a_certificate_is_issued_and_confirmed() {
    let scene = Scene::new();
    let server = scene.serve(&scene.leaf(), &[]);
    let (ended, waits) = server.certify(&account("sesame"), &scene);
    assert_eq!(ended, Ok(Step::Issued(scene.sent_along())));
    assert_eq!(waits, 0);
}

#[test]
fn a_server_that_takes_its_time_is_asked_again() {
    let scene = Scene::new();
    let server = scene.serve(&scene.leaf(), &["-poll_count", "2", "-check_after", "1"]);
    let (ended, waits) = server.certify(&account("sesame"), &scene);
    assert_eq!(ended, Ok(Step::Issued(scene.sent_along())));
    assert!(waits >= 2, "{waits}");
}

#[test]
fn a_certificate_for_another_key_is_refused_to_the_server() {
    let scene = Scene::new();
    let server = scene.serve(&Scene::new().leaf(), &[]);
    let (ended, _) = server.certify(&account("sesame"), &scene);
    assert_eq!(ended, Err(CmpError::WrongKey));
}

#[test]
fn a_refusal_is_told_in_the_servers_words_and_says_whether_it_passes() {
    let scene = Scene::new();
    for (failure, expected) in [
        (
            "9",
            CmpError::Rejected {
                words: "no such order, badPOP".to_owned(),
            },
        ),
        (
            "24",
            CmpError::Unavailable {
                words: "no such order, systemUnavail".to_owned(),
            },
        ),
    ] {
        let refusal = [
            "-pkistatus",
            "2",
            "-failure",
            failure,
            "-statusstring",
            "no such order",
        ];
        let server = scene.serve(&scene.leaf(), &refusal);
        let (ended, _) = server.certify(&account("sesame"), &scene);
        assert_eq!(ended, Err(expected));
    }
}

#[test]
fn with_the_wrong_secret_nothing_is_believed() {
    let scene = Scene::new();
    let server = scene.serve(&scene.leaf(), &[]);
    let (ended, _) = server.certify(&account("guess"), &scene);
    assert_eq!(ended, Err(CmpError::Unprotected));
}

/// The new key proves itself, the old one speaks; the server answers by a certificate that must be the one we know. The
/// mock server of OpenSSL 3.0 wants the certificate it will answer with as the one to be replaced, and nothing else.
#[test]
fn a_renewal_is_signed_by_the_old_key_and_answered_by_a_known_server() {
    let scene = Scene::new();
    let new_key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
    let new_csr = csr(&new_key);
    let new = issue(&scene.qtsp, &new_csr);
    let account = account("unused");
    let (algorithm, _) = sign(&scene.key, b"");
    let chain = scene.sent_along();
    let known = [scene.server_certificate.clone()];
    let foreign = [Scene::new().server_certificate];
    let wrong = CmpError::Broken {
        words: "wrong certid, badRequest".to_owned(),
    };
    for (server_certificates, replaced, expected) in [
        (&known, new.leaf.to_vec(), Ok(())),
        (&known, scene.leaf(), Err(wrong)),
        (&foreign, new.leaf.to_vec(), Err(CmpError::Unprotected)),
    ] {
        let peer = Peer {
            account: &account,
            server_certificates,
            speaker: Speaker::Certificate {
                chain: &chain,
                algorithm,
            },
        };
        let server = scene.serve(&new.leaf, &["-poll_count", "1", "-check_after", "1"]);
        let update = Update::new(&new_csr, &replaced).unwrap();
        let (algorithm, proof) = sign(&new_key, update.input());
        let body = update.proven(algorithm, &proof);
        let begun = Ticket::request(&peer, body, spki_sha256(&new.leaf), &mut random()).unwrap();
        let (ended, _) = server.play(&peer, &scene.key, begun);
        let ended = ended.map(|step| match step {
            Step::Issued(chain) => assert_eq!(chain[0], new.leaf.to_vec()),
            other => panic!("{other:?}"),
        });
        assert_eq!(ended, expected);
    }
}

/// The proof of possession is checked, not only carried.
#[test]
fn a_renewal_that_the_new_key_did_not_sign_is_refused() {
    let scene = Scene::new();
    let update = Update::new(&scene.csr, &scene.leaf()).unwrap();
    let stranger = SoftwareKey::generate(KeyKind::EcP256).unwrap();
    let (algorithm, proof) = sign(&stranger, update.input());
    let body = update.proven(algorithm, &proof);
    let account = account("sesame");
    let peer = by_secret(&account);
    let begun = Ticket::request(&peer, body, spki_sha256(&scene.leaf()), &mut random()).unwrap();
    let server = scene.serve(&scene.leaf(), &[]);
    let (ended, _) = server.play(&peer, &scene.key, begun);
    assert!(matches!(ended, Err(CmpError::Rejected { .. })), "{ended:?}");
}

fn revoke(server: &Server, body: Body, scene: &Scene) -> Result<Step, CmpError> {
    let account = account("sesame");
    let peer = by_secret(&account);
    let begun = Ticket::revoke(&peer, body, &mut random()).unwrap();
    server.play(&peer, &scene.key, begun).0
}

#[test]
fn a_certificate_is_revoked_and_another_is_not() {
    let scene = Scene::new();
    let server = scene.serve(&scene.leaf(), &[]);
    for reason in Reason::ALL {
        let body = request::revocation(&scene.leaf(), reason).unwrap();
        assert_eq!(
            revoke(&server, body, &scene),
            Ok(Step::Revoked),
            "{reason:?}"
        );
    }
    let body = request::revocation(&Scene::new().leaf(), Reason::Superseded).unwrap();
    let refused = revoke(&server, body, &scene);
    assert!(
        matches!(refused, Err(CmpError::Rejected { .. })),
        "{refused:?}"
    );
}

/// An answer of another exchange, or the same one twice, moves nothing.
#[test]
fn an_answer_is_believed_once_and_only_for_its_own_request() {
    let scene = Scene::new();
    let server = scene.serve(&scene.leaf(), &[]);
    let (account, mut random) = (account("sesame"), random());
    let peer = by_secret(&account);
    let mut begin = || {
        let body = request::certificate(&scene.csr);
        Ticket::request(&peer, body, spki_sha256(&scene.leaf()), &mut random).unwrap()
    };
    let (mut ticket, message) = begin();
    let (mut other, _) = begin();
    let answer = server.post(&ready(message, &scene.key));
    let foreign = other.answer(&peer, &answer, &mut random);
    assert_eq!(foreign, Err(CmpError::Foreign));
    let taken = ticket.answer(&peer, &answer, &mut random);
    assert!(matches!(taken, Ok(Step::Send(_))));
    let again = ticket.answer(&peer, &answer, &mut random);
    assert_eq!(again, Err(CmpError::Foreign));
}

/// One flipped bit anywhere makes an error, never a panic and never a certificate.
#[test]
fn a_changed_answer_is_never_believed() {
    let scene = Scene::new();
    let server = scene.serve(&scene.leaf(), &[]);
    let account = account("sesame");
    let peer = by_secret(&account);
    let body = request::certificate(&scene.csr);
    let wanted = spki_sha256(&scene.leaf());
    let (ticket, message) = Ticket::request(&peer, body, wanted, &mut random()).unwrap();
    let answer = server.post(&ready(message, &scene.key));
    // The certificate sent along stands behind the MAC in two frames of four bytes each; chains are checked later.
    let protected = answer.len() - scene.chain.issuing.len() - 8;
    for at in 0..protected {
        let mut changed = answer.clone();
        changed[at] ^= 1 << (at % 8);
        let step = ticket.clone().answer(&peer, &changed, &mut random());
        assert!(step.is_err(), "byte {at}: {step:?}");
    }
}

proptest! {
    #[test]
    fn noise_is_never_believed(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let account = account("sesame");
        let peer = by_secret(&account);
        let body = request::certificate(&[0x30, 0]);
        let (mut ticket, _) = Ticket::request(&peer, body, [0; 32], &mut random()).unwrap();
        prop_assert!(ticket.answer(&peer, &noise, &mut random()).is_err());
        prop_assert!(Update::new(&noise, &noise).is_err());
        prop_assert!(request::revocation(&noise, Reason::Superseded).is_err());
        let read = sealkeep_cmp::server::Request::read(&account, |_| true, &noise);
        prop_assert!(read.is_err());
    }
}
