//! The pretend QTSP and the internal PKI, judged by openssl, which knows nothing of this crate.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use jiff::Timestamp;
use sealkeep_profiles::certificate::{Certificate, CertificateKind};
use sealkeep_profiles::roles::Role;
use sealkeep_sandbox::files::certificates_pem;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::pki::{Pki, PkiError, Subject};
use sealkeep_sandbox::qtsp::{
    Chain, Kind, Order, Qtsp, QtspError, RequestError, SealUsage, SigningRequest,
};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
const SUBJECT: &str = "/C=DE/O=Demo TPP GmbH/2.5.4.97=PSDDE-BAFIN-123456/CN=tpp.demo.example.com";

fn openssl(folder: &Path, arguments: &str) -> Output {
    let arguments = arguments.split('|');
    Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// A signing request made by openssl, with extensions that rcgen's own reader refuses.
fn request(folder: &Path, new_key: &str) -> String {
    let make = format!(
        "req|-new|-newkey|{new_key}|-nodes|-keyout|tpp.key|-subj|{SUBJECT}|-addext|1.3.6.1.5.5.7.1.3=DER:3000|-out|tpp.csr"
    );
    let output = openssl(folder, &make);
    assert!(output.status.success(), "{output:?}");
    fs::read_to_string(folder.join("tpp.csr")).unwrap()
}

const RSA: &str = "rsa:2048";
const EC: &str = "ec|-pkeyopt|ec_paramgen_curve:P-256";

struct Desk {
    folder: TempDir,
    qtsp: Qtsp,
}

impl Desk {
    fn open() -> Self {
        let qtsp = Qtsp::create(KeyKind::EcP256, NOW).unwrap();
        let folder = tempfile::tempdir().unwrap();
        qtsp.save(folder.path()).unwrap();
        Self { folder, qtsp }
    }

    fn order(&self, order: &Order, new_key: &str) -> Result<Chain, QtspError> {
        let csr = request(self.folder.path(), new_key);
        let request = SigningRequest::from_pem(csr.as_bytes()).unwrap();
        self.qtsp.issue(order, &request, NOW)
    }

    fn issue(&self, order: &Order) -> Certificate {
        Certificate::from_der(&self.order(order, EC).unwrap().leaf).unwrap()
    }

    /// `openssl verify` at the time of these tests.
    fn verify(&self, chain: &Chain, purpose: &str) -> bool {
        fs::write(
            self.folder.path().join("leaf.pem"),
            certificates_pem([&chain.leaf]),
        )
        .unwrap();
        let at = NOW.as_second();
        let verify = format!(
            "verify|-x509_strict|-attime|{at}|{purpose}-CAfile|root.pem|-untrusted|issuing.pem|leaf.pem"
        );
        openssl(self.folder.path(), &verify).status.success()
    }
}

fn order(kind: Kind) -> Order {
    Order::new(kind, &[Role::PSP_AI, Role::PSP_PI])
}

#[test]
fn issues_what_openssl_verifies() {
    let desk = Desk::open();
    for new_key in [RSA, EC] {
        let qwac = desk.order(&order(Kind::Qwac), new_key).unwrap();
        assert!(desk.verify(&qwac, "-purpose|sslclient|"));
        assert!(desk.verify(&qwac, "-purpose|sslserver|"));
        let seal = desk.order(&order(Kind::Qsealc), new_key).unwrap();
        assert!(desk.verify(&seal, ""));
    }
}

#[test]
fn certifies_the_key_of_the_request_and_its_subject() {
    let desk = Desk::open();
    let chain = desk.order(&order(Kind::Qwac), RSA).unwrap();
    fs::write(desk.folder.path().join("leaf.pem"), chain.to_pem()).unwrap();
    let key = openssl(desk.folder.path(), "pkey|-in|tpp.key|-pubout");
    let certified = openssl(desk.folder.path(), "x509|-in|leaf.pem|-pubkey|-noout");
    assert_eq!(key.stdout, certified.stdout);
    let text = openssl(desk.folder.path(), "x509|-in|leaf.pem|-noout|-text");
    let text = String::from_utf8(text.stdout).unwrap();
    for expected in [
        "C = DE, O = Demo TPP GmbH, organizationIdentifier = PSDDE-BAFIN-123456, CN = tpp.demo.example.com",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "DNS:tpp.demo.example.com",
        "Policy: 0.4.0.194112.1.6",
        "CA:FALSE",
        "OCSP - URI:http://qtsp.sealkeep.example.com/ocsp",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}

#[test]
fn writes_the_psd2_statement_that_was_ordered() {
    let desk = Desk::open();
    let mut order = order(Kind::Qsealc);
    order.nca_name = Some("Authority".to_owned());
    let certificate = desk.issue(&order);
    assert_eq!(certificate.kind(), CertificateKind::Qsealc);
    assert_eq!(
        certificate.organization_identifier(),
        Some("PSDDE-BAFIN-123456")
    );
    let qualified = certificate.qualified();
    assert!(
        qualified.findings().is_empty(),
        "{:?}",
        qualified.findings()
    );
    let psd2 = qualified.psd2().unwrap();
    assert_eq!(
        psd2.roles(),
        [Role::PSP_AI, Role::PSP_PI].into_iter().collect()
    );
    assert_eq!(
        (psd2.nca_name(), psd2.nca_id()),
        (Some("Authority"), Some("DE-BAFIN"))
    );
}

#[test]
fn believes_the_order_more_than_the_request() {
    let desk = Desk::open();
    let mut order = order(Kind::Qwac);
    order.organization_identifier = Some("PSDNL-DNB-B0163".to_owned());
    order.dns_names = vec!["a.example.com".to_owned(), "b.example.com".to_owned()];
    let certificate = desk.issue(&order);
    assert_eq!(
        certificate.organization_identifier(),
        Some("PSDNL-DNB-B0163")
    );
    assert_eq!(certificate.dns_names(), ["a.example.com", "b.example.com"]);
    assert_eq!(
        certificate.qualified().psd2().unwrap().nca_id(),
        Some("NL-DNB")
    );
}

#[test]
fn is_valid_for_the_days_ordered() {
    let desk = Desk::open();
    let mut order = order(Kind::Qwac);
    order.days = 10;
    let certificate = desk.issue(&order);
    let seconds = certificate
        .not_after()
        .duration_since(certificate.not_before())
        .as_secs();
    assert_eq!(seconds, 10 * 24 * 3600 - 1);
    assert!(certificate.not_before() < NOW && NOW < certificate.not_after());
}

#[test]
fn gives_a_renewal_over_the_same_key_another_serial() {
    let desk = Desk::open();
    let csr = request(desk.folder.path(), EC);
    let request = SigningRequest::from_pem(csr.as_bytes()).unwrap();
    let serial = || {
        let chain = desk.qtsp.issue(&order(Kind::Qwac), &request, NOW).unwrap();
        Certificate::from_der(&chain.leaf).unwrap().serial_hex()
    };
    assert_ne!(serial(), serial());
}

#[test]
fn makes_every_oddity_that_is_ordered() {
    let desk = Desk::open();
    let odd = |kind, change: fn(&mut Order)| {
        let mut order = order(kind);
        change(&mut order);
        desk.issue(&order)
    };
    let expired = odd(Kind::Qwac, |order| order.oddities.expired = true);
    assert!(expired.not_after() < NOW);
    let early = odd(Kind::Qwac, |order| order.oddities.not_yet_valid = true);
    assert!(early.not_before() > NOW);
    let binding = odd(Kind::Qwac, |order| order.oddities.tls_binding = true);
    assert_eq!(binding.kind(), CertificateKind::TlsBinding);
    let serving = odd(Kind::Qwac, |order| order.oddities.no_client_auth = true);
    assert_eq!(serving.kind(), CertificateKind::Other);
    let plain = odd(Kind::Qsealc, |order| order.oddities.no_psd2 = true);
    assert!(plain.qualified().psd2().is_none());
    let less = odd(Kind::Qsealc, |order| {
        order.oddities.missing_roles = vec![Role::PSP_PI]
    });
    assert!(
        !less
            .qualified()
            .psd2()
            .unwrap()
            .roles()
            .contains(Role::PSP_PI)
    );
}

#[test]
fn certifies_another_key_only_when_told_to() {
    let desk = Desk::open();
    let csr = request(desk.folder.path(), RSA);
    let request = SigningRequest::from_pem(csr.as_bytes()).unwrap();
    let key = |wrong| {
        let mut order = order(Kind::Qsealc);
        order.oddities.wrong_key = wrong;
        let chain = desk.qtsp.issue(&order, &request, NOW).unwrap();
        Certificate::from_der(&chain.leaf)
            .unwrap()
            .public_key()
            .spki_sha256()
    };
    assert_eq!(key(false), key(false));
    assert_ne!(key(false), key(true));
}

#[test]
fn marks_a_seal_for_what_it_is_used_as() {
    let desk = Desk::open();
    for (usage, expected) in [
        (SealUsage::Commitment, "Non Repudiation"),
        (SealUsage::Signature, "Digital Signature"),
        (SealUsage::Both, "Digital Signature, Non Repudiation"),
    ] {
        let mut order = order(Kind::Qsealc);
        order.seal_usage = usage;
        let chain = desk.order(&order, EC).unwrap();
        fs::write(desk.folder.path().join("leaf.pem"), chain.to_pem()).unwrap();
        let text = openssl(desk.folder.path(), "x509|-in|leaf.pem|-noout|-ext|keyUsage");
        let text = String::from_utf8(text.stdout).unwrap();
        assert_eq!(text.lines().nth(1).unwrap().trim(), expected);
    }
}

#[test]
fn refuses_a_request_signed_by_another_key() {
    let desk = Desk::open();
    request(desk.folder.path(), EC);
    let der = openssl(desk.folder.path(), "req|-in|tpp.csr|-outform|DER").stdout;
    let mut bent = der.clone();
    let organization = der.windows(4).position(|bytes| bytes == b"Demo").unwrap();
    bent[organization] = b'X';
    assert!(SigningRequest::from_der(&der).is_ok());
    assert!(matches!(
        SigningRequest::from_der(&bent),
        Err(RequestError::Signature)
    ));
}

#[test]
fn refuses_what_is_no_request_and_weak_keys() {
    let desk = Desk::open();
    assert!(matches!(
        SigningRequest::from_der(b"0"),
        Err(RequestError::Malformed(_))
    ));
    let weak = request(desk.folder.path(), "rsa:1024");
    let refused = SigningRequest::from_pem(weak.as_bytes());
    assert!(matches!(refused, Err(RequestError::Key(_))), "{refused:?}");
}

#[test]
fn refuses_orders_that_make_no_certificate() {
    let desk = Desk::open();
    let refused = |change: fn(&mut Order)| {
        let mut order = order(Kind::Qwac);
        change(&mut order);
        desk.order(&order, EC).unwrap_err().to_string()
    };
    assert!(refused(|order| order.days = 0).contains("days"));
    assert!(refused(|order| order.roles.clear()).contains("at least one role"));
    assert!(refused(|order| order.country = Some(String::new())).contains("country"));
    assert!(
        refused(|order| order.organization_identifier = Some("VATDE-1".to_owned())).contains("NCA")
    );
}

#[test]
fn is_the_same_after_it_was_saved_and_read() {
    let desk = Desk::open();
    let again = Qtsp::load(desk.folder.path()).unwrap();
    let csr = request(desk.folder.path(), EC);
    let request = SigningRequest::from_pem(csr.as_bytes()).unwrap();
    let chain = again.issue(&order(Kind::Qwac), &request, NOW).unwrap();
    assert!(desk.verify(&chain, "-purpose|sslclient|"));
    assert_eq!(desk.qtsp.root(), again.root());
}

#[test]
fn can_be_founded_on_rsa_too() {
    let qtsp = Qtsp::create(KeyKind::Rsa3072, NOW).unwrap();
    let folder = tempfile::tempdir().unwrap();
    qtsp.save(folder.path()).unwrap();
    let desk = Desk { folder, qtsp };
    assert!(desk.verify(&desk.order(&order(Kind::Qsealc), EC).unwrap(), ""));
}

#[test]
fn never_shows_a_key_in_debug_output() {
    let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
    assert_eq!(format!("{key:?}"), r#"SoftwareKey("ec-p256", ..)"#);
}

#[test]
fn knows_callers_and_servers_by_their_san() {
    let pki = Pki::create(NOW).unwrap();
    let folder = tempfile::tempdir().unwrap();
    pki.save(folder.path()).unwrap();
    let pki = Pki::load(folder.path()).unwrap();
    let caller = Subject {
        name: "payments".to_owned(),
        uris: vec!["spiffe://demo.example.com/payments".to_owned()],
        days: 1,
        ..Subject::default()
    };
    let server = Subject {
        name: "sealkeepd".to_owned(),
        dns_names: vec!["localhost".to_owned()],
        addresses: vec!["127.0.0.1".parse().unwrap()],
        server: true,
        days: 1,
        ..Subject::default()
    };
    for (subject, purpose, other, san) in [
        (
            caller,
            "sslclient",
            "sslserver",
            "URI:spiffe://demo.example.com/payments",
        ),
        (
            server,
            "sslserver",
            "sslclient",
            "DNS:localhost, IP Address:127.0.0.1",
        ),
    ] {
        let issued = pki.issue(&subject, NOW).unwrap();
        let pem = certificates_pem([&issued.certificate]);
        fs::write(folder.path().join("leaf.pem"), pem).unwrap();
        let at = NOW.as_second();
        let verify = |purpose| {
            let verify = format!(
                "verify|-x509_strict|-attime|{at}|-purpose|{purpose}|-CAfile|ca.pem|leaf.pem"
            );
            openssl(folder.path(), &verify).status.success()
        };
        assert!(verify(purpose) && !verify(other));
        let text = openssl(
            folder.path(),
            "x509|-in|leaf.pem|-noout|-ext|subjectAltName",
        );
        assert!(String::from_utf8(text.stdout).unwrap().contains(san));
    }
}

#[test]
fn refuses_a_subject_without_san_or_without_a_day() {
    let pki = Pki::create(NOW).unwrap();
    let nameless = Subject {
        name: "x".to_owned(),
        days: 1,
        ..Subject::default()
    };
    assert!(matches!(
        pki.issue(&nameless, NOW),
        Err(PkiError::Unsaid(_))
    ));
    let brief = Subject {
        dns_names: vec!["localhost".to_owned()],
        days: 0,
        ..nameless
    };
    assert!(matches!(pki.issue(&brief, NOW), Err(PkiError::Unsaid(_))));
}
