//! Each check, with a certificate that a pretend QTSP got wrong.
#![allow(clippy::unwrap_used)]

use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::CertificateDer;
use sealkeep_profiles::roles::Role;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::qtsp::{Kind, Order, Qtsp};

use super::*;
use crate::backend::{KeyEvidence, KeyId, KeyRef};
use crate::domain::{Name, VersionId, VersionState};

fn now() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// A version of a key that the test holds, and a QTSP that is trusted for one world.
struct Scene {
    qtsp: Qtsp,
    key: SoftwareKey,
    version: Version,
    purpose: Purpose,
    anchors: TrustAnchors,
}

impl Scene {
    fn new(environment: Environment, purpose: Purpose) -> Self {
        let qtsp = Qtsp::create(KeyKind::EcP256, now() - hours(24)).unwrap();
        let mut anchors = TrustAnchors::default();
        let root = sealkeep_sandbox::files::certificates_pem([qtsp.root()]);
        anchors.add_pem(environment, root.as_bytes()).unwrap();
        let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
        let mut scene = Self {
            version: version(&key, 2),
            qtsp,
            key,
            purpose,
            anchors,
        };
        scene.version.csr_der = Some(scene.request(&["tpp.demo-tpp.com"]));
        scene
    }

    fn order(&self) -> Order {
        let kind = match self.purpose {
            Purpose::Seal => Kind::Qsealc,
            _ => Kind::Qwac,
        };
        let mut order = Order::new(kind, &[Role::PSP_AI, Role::PSP_PI]);
        order.country = Some("DE".to_owned());
        order.organization = Some("Demo TPP GmbH".to_owned());
        order.organization_identifier = Some("PSDDE-BAFIN-123456".to_owned());
        order.nca_name = Some("BaFin".to_owned());
        if self.purpose == Purpose::Transport {
            order.dns_names = vec!["tpp.demo-tpp.com".to_owned()];
        } else {
            order.common_name = Some("Demo TPP GmbH".to_owned());
        }
        order
    }

    fn request(&self, dns_names: &[&str]) -> Vec<u8> {
        let names: Vec<_> = dns_names.iter().map(ToString::to_string).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        let identifier = rcgen::DnType::CustomDnType(vec![2, 5, 4, 97]);
        params
            .distinguished_name
            .push(identifier, "PSDDE-BAFIN-123456");
        let request = params.serialize_request(self.key.pair()).unwrap();
        request.der().to_vec()
    }

    fn chain(&self, change: impl FnOnce(&mut Order)) -> Vec<Certificate> {
        self.chain_at(now(), change)
    }

    fn chain_at(&self, at: Timestamp, change: impl FnOnce(&mut Order)) -> Vec<Certificate> {
        let mut order = self.order();
        change(&mut order);
        let chain = self.qtsp.issue_for(&order, &self.key, at).unwrap();
        chain.to_vec().iter().map(parse).collect()
    }

    fn candidate<'a>(&'a self, chain: &'a [Certificate]) -> Candidate<'a> {
        Candidate {
            version: &self.version,
            purpose: self.purpose,
            previous: None,
            others: Vec::new(),
            chain,
            extra: &[],
            anchors: &self.anchors,
            now: now(),
        }
    }

    fn findings(&self, chain: &[Certificate]) -> Vec<Finding> {
        run(&self.candidate(chain)).0
    }
}

fn parse(der: &CertificateDer<'_>) -> Certificate {
    Certificate::from_der(der).unwrap()
}

fn version(key: &SoftwareKey, number: u32) -> Version {
    use rcgen::PublicKeyData;
    let spki_der = key.pair().subject_public_key_info();
    let public = sealkeep_profiles::algorithm::PublicKey::from_spki_der(&spki_der).unwrap();
    Version {
        id: VersionId {
            credential: Name::try_from("c").unwrap(),
            number,
        },
        state: VersionState::Requested,
        frozen_from: None,
        token_set: "main".to_owned(),
        key: KeyRef {
            id: KeyId::random(),
            spki_sha256: public.spki_sha256(),
        },
        origin: crate::domain::KeyOrigin::Generated,
        key_algorithm: "ec-p256".to_owned(),
        spki_der,
        evidence: KeyEvidence {
            sensitive: true,
            extractable: false,
            always_sensitive: true,
            never_extractable: true,
            local: true,
            limits: Default::default(),
        },
        csr_der: None,
        issued: None,
        created: now(),
    }
}

/// The finding with this code. Whatever blocks says what to ask for.
fn the<'a>(findings: &'a [Finding], code: &str) -> &'a Finding {
    for finding in findings.iter().filter(|finding| finding.blocking) {
        assert!(!finding.way_out().is_empty(), "{finding:?}");
    }
    let found = findings.iter().find(|finding| finding.code == code);
    found.unwrap_or_else(|| panic!("no {code} among {findings:?}"))
}

fn blocks(findings: &[Finding], code: &str) {
    assert!(the(findings, code).blocking, "{code} only warns");
}

fn warns(findings: &[Finding], code: &str) {
    assert!(!the(findings, code).blocking, "{code} blocks");
}

#[test]
fn a_good_certificate_is_blocked_by_nothing_in_either_world() {
    for environment in [Environment::Sandbox, Environment::Production] {
        for purpose in [Purpose::Transport, Purpose::Seal] {
            let scene = Scene::new(environment, purpose);
            let chain = scene.chain(|_| ());
            let (findings, world) = run(&scene.candidate(&chain));
            let blocking: Vec<_> = findings.iter().filter(|f| f.blocking).collect();
            assert!(blocking.is_empty(), "{purpose:?}: {blocking:?}");
            assert_eq!(world, Some(environment));
        }
    }
}

#[test]
fn blocks_another_key() {
    let scene = Scene::new(Environment::Sandbox, Purpose::Transport);
    let other = Scene::new(Environment::Sandbox, Purpose::Transport);
    let findings = scene.findings(&other.chain(|_| ()));
    blocks(&findings, "key.match");
    let evidence = &the(&findings, "key.match").evidence;
    assert!(evidence.contains(&hex::encode(scene.version.key.spki_sha256)));
}

#[test]
fn blocks_what_is_no_certificate_for_mutual_tls() {
    let scene = Scene::new(Environment::Sandbox, Purpose::Transport);
    let no_client_auth = scene.chain(|order| order.oddities.no_client_auth = true);
    blocks(&scene.findings(&no_client_auth), "eku.client_auth");
    let binding = scene.chain(|order| order.oddities.tls_binding = true);
    let findings = scene.findings(&binding);
    blocks(&findings, "kind");
    assert!(the(&findings, "kind").detail.contains("2-QWAC"));
    let seal = Scene::new(Environment::Sandbox, Purpose::Seal);
    blocks(&seal.findings(&scene.chain(|_| ())), "kind");
    blocks(&scene.findings(&seal.chain(|_| ())), "kind");
}

#[test]
fn blocks_a_ca_and_a_precertificate() {
    let scene = Scene::new(Environment::Sandbox, Purpose::Seal);
    let ca = [parse(scene.qtsp.issuing()), parse(scene.qtsp.root())];
    blocks(&scene.findings(&ca), "kind.ca");
    // RFC 6962 section 3.1: a critical extension with a NULL.
    let mut poison =
        rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 11_129, 2, 4, 3], vec![5, 0]);
    poison.set_criticality(true);
    let mut params = rcgen::CertificateParams::default();
    params.custom_extensions.push(poison);
    let precertificate = params.self_signed(scene.key.pair()).unwrap();
    let chain = [parse(precertificate.der())];
    blocks(&scene.findings(&chain), "ct.precert");
}

#[test]
fn blocks_a_lost_role_and_another_organisation() {
    let scene = Scene::new(Environment::Sandbox, Purpose::Seal);
    let before = scene.chain(|_| ());
    let after = |chain: &[Certificate]| {
        let mut candidate = scene.candidate(chain);
        candidate.previous = Some(&before[0]);
        run(&candidate).0
    };
    let poorer = scene.chain(|order| order.roles = vec![Role::PSP_AI]);
    let findings = after(&poorer);
    blocks(&findings, "roles.coverage");
    assert!(the(&findings, "roles.coverage").detail.contains("PSP_PI"));
    let other =
        scene.chain(|order| order.organization_identifier = Some("PSDDE-BAFIN-999999".to_owned()));
    blocks(&after(&other), "orgid.continuity");
    // The first certificate has only the request to be compared with.
    blocks(&scene.findings(&other), "orgid.continuity");
    let no_psd2 = scene.chain(|order| order.oddities.no_psd2 = true);
    blocks(&after(&no_psd2), "qcs.psd2_missing");
}

#[test]
fn blocks_a_chain_with_a_hole_and_names_who_is_missing() {
    let scene = Scene::new(Environment::Production, Purpose::Seal);
    let chain = scene.chain(|_| ());
    let (findings, world) = run(&scene.candidate(&chain[..1]));
    assert_eq!(world, None);
    blocks(&findings, "chain.build");
    let hole = the(&findings, "chain.build");
    assert!(hole.detail.contains("hole"), "{hole:?}");
    let issuer = chain[0].issuer().rfc2253();
    assert!(hole.evidence.contains(&issuer), "{hole:?}");

    let stranger = Scene::new(Environment::Production, Purpose::Seal);
    let mut rooted = stranger.chain(|_| ());
    rooted.push(parse(stranger.qtsp.root()));
    let findings = scene.findings(&rooted);
    // Both QTSPs have the same names, so only the signature tells.
    assert!(
        the(&findings, "chain.build")
            .detail
            .contains("does not verify")
    );
}

#[test]
fn a_certificate_of_tomorrow_is_blocked_in_production_and_noted_in_a_sandbox() {
    for (environment, blocking) in [
        (Environment::Production, true),
        (Environment::Sandbox, false),
    ] {
        let scene = Scene::new(environment, Purpose::Seal);
        let chain = scene.chain(|order| order.oddities.not_yet_valid = true);
        let findings = scene.findings(&chain);
        assert_eq!(the(&findings, "validity.window").blocking, blocking);
        let ended = scene.chain(|order| order.oddities.expired = true);
        blocks(&scene.findings(&ended), "validity.window");
    }
}

#[test]
fn warns_of_a_short_overlap_and_of_a_validity_that_browsers_refuse() {
    let scene = Scene::new(Environment::Sandbox, Purpose::Transport);
    let before = scene.chain_at(now() - hours(24 * 180), |order| order.days = 199);
    let chain = scene.chain(|order| order.days = 365);
    let mut candidate = scene.candidate(&chain);
    candidate.previous = Some(&before[0]);
    let findings = run(&candidate).0;
    warns(&findings, "validity.overlap");
    warns(&findings, "validity.schedule");
    let short = scene.chain(|order| order.days = 199);
    let findings = scene.findings(&short);
    assert!(findings.iter().all(|f| f.code != "validity.schedule"));
}

#[test]
fn warns_of_dns_names_that_were_asked_for_and_are_not_there() {
    let mut scene = Scene::new(Environment::Sandbox, Purpose::Transport);
    let chain = scene.chain(|_| ());
    assert!(
        scene
            .findings(&chain)
            .iter()
            .all(|f| f.code != "san.domain")
    );
    scene.version.csr_der = Some(scene.request(&["tpp.demo-tpp.com", "b.demo-tpp.com"]));
    let findings = scene.findings(&chain);
    warns(&findings, "san.domain");
    assert_eq!(the(&findings, "san.domain").evidence, "b.demo-tpp.com");
}

#[test]
fn blocks_a_certificate_or_key_that_another_version_has() {
    let scene = Scene::new(Environment::Sandbox, Purpose::Seal);
    let (chain, again) = (scene.chain(|_| ()), scene.chain(|_| ()));
    for (other, words) in [(&chain[0], "this certificate"), (&again[0], "same key")] {
        let mut candidate = scene.candidate(&chain);
        candidate.others = vec![other];
        let findings = run(&candidate).0;
        blocks(&findings, "dup");
        assert!(the(&findings, "dup").detail.contains(words));
    }
}

#[test]
fn tells_what_was_left_out() {
    let scene = Scene::new(Environment::Sandbox, Purpose::Seal);
    let (chain, extra) = (scene.chain(|_| ()), scene.chain(|_| ()));
    let mut candidate = scene.candidate(&chain);
    candidate.extra = &extra[..1];
    warns(&run(&candidate).0, "chain.extra");
}
