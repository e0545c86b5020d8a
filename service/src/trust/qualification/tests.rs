//! Qualification as a table: what the list says, what the certificate says, when; and what follows.
#![allow(clippy::unwrap_used)]

use jiff::{SignedDuration, Timestamp};
use sealkeep_profiles::roles::Role;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::qtsp::{Kind, Order, Qtsp};

use super::super::criteria::{Assert, Criteria, Criterion};
use super::super::list::{ListKind, Skipped};
use super::super::service::Overrule;
use super::*;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// A certificate issued a day ago, by a CA that a list names since ten days.
struct Scene {
    chain: Vec<Certificate>,
    list: TrustedList,
}

impl Scene {
    fn new(kind: Kind) -> Self {
        let qtsp = Qtsp::create(KeyKind::EcP256, NOW - days(20)).unwrap();
        let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
        let mut order = Order::new(kind, &[Role::PSP_AI]);
        order.country = Some("DE".to_owned());
        order.organization = Some("Demo TPP GmbH".to_owned());
        order.organization_identifier = Some("PSDDE-BAFIN-123456".to_owned());
        order.dns_names = match kind {
            Kind::Qwac => vec!["tpp.demo-tpp.com".to_owned()],
            Kind::Qsealc => Vec::new(),
        };
        let chain = qtsp.issue_for(&order, &key, NOW - days(1)).unwrap();
        let chain: Vec<_> = chain
            .to_vec()
            .iter()
            .map(|der| Certificate::from_der(der).unwrap())
            .collect();
        let service = Service {
            provider: "QTSP".to_owned(),
            name: "CA".to_owned(),
            certificates: vec![chain[1].clone()],
            periods: vec![granted(NOW - days(10))],
        };
        let list = TrustedList {
            territory: "FR".try_into().unwrap(),
            kind: ListKind::National,
            version: 6,
            sequence_number: 1,
            operator: String::new(),
            issued: NOW,
            next_update: NOW + days(100),
            signer_spki_sha256: [0; 32],
            services: vec![service],
            skipped: Skipped::default(),
        };
        Self { chain, list }
    }

    fn period(&mut self) -> &mut Period {
        &mut self.list.services[0].periods[0]
    }

    fn overrule(&mut self, qualifiers: &[&str]) {
        let any = Criterion::SubjectAttributes(vec!["2.5.4.97".to_owned()]);
        self.period().overrules.push(Overrule {
            qualifiers: qualifiers.iter().map(ToString::to_string).collect(),
            criteria: Criteria {
                assert: Assert::All,
                all: vec![any],
            },
        });
    }

    fn qualify(&self, wanted: Use, at: Timestamp) -> Result<Listing, NotQualified> {
        qualify(&self.chain, wanted, std::iter::once(&self.list), at)
    }
}

fn granted(begin: Timestamp) -> Period {
    Period {
        begin,
        service_type: CA_QC.to_owned(),
        status: "granted".to_owned(),
        issues_for: vec![
            "ForWebSiteAuthentication".to_owned(),
            "ForeSeals".to_owned(),
        ],
        overrules: Vec::new(),
    }
}

#[test]
fn a_listed_issuer_makes_its_certificates_qualified_for_their_use() {
    for (kind, right, wrong) in [
        (Kind::Qwac, Use::Website, Use::Seal),
        (Kind::Qsealc, Use::Seal, Use::Website),
    ] {
        let scene = Scene::new(kind);
        let listing = scene.qualify(right, NOW).unwrap();
        assert_eq!((listing.service.as_str(), listing.qscd), ("CA", false));
        assert_eq!(listing.since, NOW - days(10));
        let other = scene.qualify(wrong, NOW).unwrap_err();
        assert!(matches!(other, NotQualified::OtherType { .. }), "{other}");
    }
}

/// The issuer is found by name and key: in the chain, above it, and not by either alone.
#[test]
fn the_issuer_is_its_name_and_its_key() {
    let mut scene = Scene::new(Kind::Qwac);
    let ca = scene.chain.pop().unwrap();
    assert!(
        scene.qualify(Use::Website, NOW).is_ok(),
        "its signature says so"
    );
    let stranger = Scene::new(Kind::Qwac);
    assert_eq!(stranger.chain[1].subject(), ca.subject());
    scene.list.services[0].certificates = vec![stranger.chain[1].clone()];
    let refused = scene.qualify(Use::Website, NOW).unwrap_err();
    assert_eq!(refused, NotQualified::Unlisted);
    // A leaf of somebody else with the same name, delivered together with the listed certificate.
    let mixed = [stranger.chain[0].clone(), ca.clone()];
    scene.list.services[0].certificates = vec![ca];
    let refused = qualify(&mixed, Use::Website, std::iter::once(&scene.list), NOW);
    assert_eq!(refused.unwrap_err(), NotQualified::Unlisted);
    let nothing = qualify(&[], Use::Website, std::iter::once(&scene.list), NOW);
    assert_eq!(nothing.unwrap_err(), NotQualified::Unlisted);
}

#[test]
fn what_counts_is_what_the_service_was_then() {
    let mut scene = Scene::new(Kind::Qwac);
    let mut withdrawn = granted(NOW - days(2));
    withdrawn.status = "withdrawn".to_owned();
    scene.list.services[0].periods.insert(0, withdrawn);
    let at = |day| scene.qualify(Use::Website, NOW - days(day));
    let lost = NotQualified::Status {
        status: "withdrawn".to_owned(),
        since: NOW - days(2),
    };
    assert_eq!(at(11).unwrap_err(), NotQualified::NotYetListed);
    assert!(at(10).is_ok(), "a period begins with its first second");
    assert!(at(3).is_ok());
    assert_eq!(at(2).unwrap_err(), lost);
    assert_eq!(at(0).unwrap_err(), lost);
}

#[test]
fn each_step_has_its_reason() {
    type Change = fn(&mut Scene);
    let table: [(Change, &str); 9] = [
        (
            |s| s.period().service_type = "http://x".to_owned(),
            "not listed as one of qualified",
        ),
        (
            |s| s.period().issues_for.remove(0).clear(),
            "listed for ForeSeals, not ForWebSiteAuthentication",
        ),
        (
            |s| s.period().issues_for.clear(),
            "not ForWebSiteAuthentication",
        ),
        (
            |s| s.period().status = "recognisedatnationallevel".to_owned(),
            "recognisedatnationallevel",
        ),
        (
            |s| s.overrule(&["NotQualified"]),
            "neither the certificate nor the list",
        ),
        (
            |s| s.overrule(&["QCForESeal"]),
            "qualified for seals, not website",
        ),
        (
            |s| s.overrule(&["QCForESig"]),
            "qualified for signatures, not website",
        ),
        (
            |s| s.overrule(&["QCForWSA", "QCForESeal"]),
            "contradicts itself",
        ),
        (
            |s| s.overrule(&["QCStatement", "NotQualified"]),
            "contradicts itself",
        ),
    ];
    for (change, words) in table {
        let mut scene = Scene::new(Kind::Qwac);
        change(&mut scene);
        let refused = scene.qualify(Use::Website, NOW).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused} / {words}");
    }
}

#[test]
fn the_list_overrules_the_certificate() {
    let mut scene = Scene::new(Kind::Qsealc);
    scene.overrule(&["QCForWSA", "QCWithQSCD", "QCQSCDManagedOnBehalf"]);
    let listing = scene.qualify(Use::Website, NOW).unwrap();
    assert!(listing.qscd);
    // Criteria that the certificate does not meet change nothing.
    let mut scene = Scene::new(Kind::Qwac);
    scene.overrule(&["NotQualified"]);
    scene.period().overrules[0].criteria.assert = Assert::None;
    assert!(scene.qualify(Use::Website, NOW).is_ok());
}

/// A CA may be listed once for each use; entries that disagree about the same use are no basis.
#[test]
fn several_entries_must_agree() {
    let mut scene = Scene::new(Kind::Qwac);
    let mut seals = scene.list.services[0].clone();
    seals.periods[0].issues_for = vec!["ForeSeals".to_owned()];
    seals.periods[0].status = "withdrawn".to_owned();
    scene.list.services.push(seals);
    assert!(scene.qualify(Use::Website, NOW).is_ok());
    let mut twin = scene.list.services[0].clone();
    scene.list.services.push(twin.clone());
    assert!(scene.qualify(Use::Website, NOW).is_ok());
    twin.periods[0].status = "withdrawn".to_owned();
    scene.list.services.push(twin);
    assert!(scene.qualify(Use::Website, NOW).is_err());
}

#[test]
fn criteria_are_met_all_one_or_none() {
    let scene = Scene::new(Kind::Qwac);
    let leaf = &scene.chain[0];
    let policy = |oid: &str| Criterion::Policies(vec![oid.to_owned()]);
    let (yes, no) = (policy("0.4.0.194112.1.6"), policy("1.2.3"));
    let usage = |bits: &[(u8, bool)]| Criterion::KeyUsage(bits.to_vec());
    for (assert, all, met) in [
        (Assert::All, vec![yes.clone(), yes.clone()], true),
        (Assert::All, vec![yes.clone(), no.clone()], false),
        (Assert::AtLeastOne, vec![no.clone(), yes.clone()], true),
        (Assert::AtLeastOne, vec![no.clone()], false),
        (Assert::None, vec![no.clone()], true),
        (Assert::None, vec![no, yes.clone()], false),
        (Assert::All, vec![usage(&[(0, true), (1, false)])], true),
        (Assert::All, vec![usage(&[(0, true), (1, true)])], false),
        (
            Assert::All,
            vec![Criterion::ExtendedKeyUsage(vec![
                "1.3.6.1.5.5.7.3.2".to_owned(),
            ])],
            true,
        ),
        (
            Assert::All,
            vec![Criterion::Within(Criteria {
                assert: Assert::None,
                all: vec![yes],
            })],
            false,
        ),
    ] {
        let criteria = Criteria { assert, all };
        assert_eq!(criteria.met_by(leaf), met, "{criteria:?}");
    }
}
