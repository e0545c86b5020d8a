//! The desk where CMP is spoken, visited by a client that is not ours: `openssl cmp`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use sealkeep_cmp::Account;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::roles::Role;
use sealkeep_sandbox::clock::Clock;
use sealkeep_sandbox::files;
use sealkeep_sandbox::key::KeyKind;
use sealkeep_sandbox::qtsp::{CmpDesk, CmpServer, Qtsp, Reason};

/// Identity of a seal, as `openssl req` takes it.
const SUBJECT: &str =
    "/C=DE/O=Demo TPP GmbH/organizationIdentifier=PSDDE-BAFIN-123456/CN=Demo TPP GmbH";

struct Desk {
    folder: tempfile::TempDir,
    server: CmpServer,
    _runtime: tokio::runtime::Runtime,
}

impl Desk {
    fn open(questions: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let qtsp = Qtsp::create(KeyKind::EcP256, now).unwrap();
        qtsp.save(folder.path()).unwrap();
        let account = Account {
            reference: "kid1".to_owned(),
            secret: "sesame".to_owned().into(),
        };
        let roles = [Role::PSP_AI, Role::PSP_PI];
        let desk = CmpDesk::open(folder.path(), account, &roles, questions, now).unwrap();
        let certificate = desk.server_certificate_pem();
        files::write_public(&folder.path().join("cmp.pem"), &certificate).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = runtime.block_on(CmpServer::start(listen, desk, Clock::system()));
        let desk = Self {
            folder,
            server: server.unwrap(),
            _runtime: runtime,
        };
        for name in ["old", "new"] {
            desk.openssl(&format!(
                "req|-new|-newkey|ec|-pkeyopt|ec_paramgen_curve:P-256|-nodes|-keyout|{name}.key|-out|{name}.csr|-subj|{SUBJECT}"
            ))
            .unwrap();
        }
        desk
    }

    /// Arguments are separated by bars; what it says, when it fails.
    fn openssl(&self, arguments: &str) -> Result<(), String> {
        let output = Command::new("openssl")
            .args(arguments.split('|'))
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        // Informative lines go to stdout, among them what a server says when it revokes nothing.
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        output.status.success().then_some(()).ok_or(said)
    }

    fn cmp(&self, arguments: &str) -> Result<(), String> {
        let addr = self.server.addr();
        self.openssl(&format!(
            "cmp|-config||-server|{addr}|-path|pkix/|{arguments}"
        ))
    }

    fn enrol(&self) -> Result<(), String> {
        self.cmp("-cmd|p10cr|-csr|old.csr|-ref|kid1|-secret|pass:sesame|-certout|old.pem")
    }

    fn renew(&self) -> Result<(), String> {
        self.cmp(
            "-cmd|kur|-cert|old.pem|-key|old.key|-newkey|new.key|-srvcert|cmp.pem|-certout|new.pem",
        )
    }

    fn revoke(&self) -> Result<(), String> {
        self.cmp("-cmd|rr|-oldcert|old.pem|-revreason|1|-ref|kid1|-secret|pass:sesame")
    }

    fn certificate(&self, name: &str) -> Certificate {
        let pem = std::fs::read(self.folder.path().join(name)).unwrap();
        Certificate::chain_from_pem(&pem).unwrap().remove(0)
    }

    fn verifies(&self, name: &str) -> bool {
        let verify = format!("verify|-x509_strict|-CAfile|root.pem|-untrusted|issuing.pem|{name}");
        self.openssl(&verify).is_ok()
    }
}

fn exists(desk: &Desk, name: &str) -> bool {
    Path::new(&desk.folder.path().join(name)).exists()
}

#[test]
fn issues_at_once_or_when_asked_often_enough() {
    for questions in [0, 2] {
        let desk = Desk::open(questions);
        desk.enrol().unwrap();
        assert!(desk.verifies("old.pem"));
        let issued = desk.certificate("old.pem");
        assert_eq!(issued.organization_identifier(), Some("PSDDE-BAFIN-123456"));
    }
}

#[test]
fn renews_under_the_old_certificate_until_that_is_revoked() {
    let desk = Desk::open(1);
    desk.enrol().unwrap();
    desk.renew().unwrap();
    assert!(desk.verifies("new.pem"));
    let (old, new) = (desk.certificate("old.pem"), desk.certificate("new.pem"));
    assert_eq!(old.subject().rfc2253(), new.subject().rfc2253());
    assert_ne!(
        old.public_key().spki_sha256(),
        new.public_key().spki_sha256()
    );
    desk.revoke().unwrap();
    // The OCSP responder of the same folder knows.
    let revoked = Qtsp::load(desk.folder.path()).unwrap().revoked();
    assert_eq!(revoked.len(), 1);
    assert_eq!(revoked[0].serial, old.serial_hex());
    assert_eq!(revoked[0].reason, Reason::KeyCompromise);
    let again = desk.revoke().unwrap_err();
    assert!(again.contains("certRevoked"), "{again}");
    let distrusted = desk.renew().unwrap_err();
    assert!(distrusted.contains("received ERROR"), "{distrusted}");
}

#[test]
fn turns_away_whoever_does_not_know_the_secret() {
    let desk = Desk::open(0);
    let refused = desk.cmp("-cmd|p10cr|-csr|old.csr|-ref|kid1|-secret|pass:guess|-certout|old.pem");
    assert!(refused.is_err());
    assert!(!exists(&desk, "old.pem"));
    let stranger = "-cmd|rr|-oldcert|cmp.pem|-revreason|1|-ref|kid1|-secret|pass:sesame";
    let refused = desk.cmp(stranger).unwrap_err();
    assert!(refused.contains("badCertId"), "{refused}");
}
