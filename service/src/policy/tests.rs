//! Each rule, at and beyond its limit, on a clock the test holds.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::profile::Catalog;
use sealkeep_profiles::request::{BodyParts, RequestParts};
use sealkeep_profiles::roles::Role as Psd2Role;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::qtsp::{Kind, Order, Qtsp};

use super::*;
use crate::backend::{KeyEvidence, KeyId, KeyRef};
use crate::domain::{
    Bank, Caller, Credential, Environment, GrantRule, Host, Name, Purpose, Role, VersionState,
};
use crate::world::Snapshot;

fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

fn now() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

/// A bank of one profile with one credential, and the caller that may use it.
struct Scene {
    profile: &'static str,
    base_path: &'static str,
    purpose: Purpose,
    state: VersionState,
    environment: Environment,
    roles: Vec<Psd2Role>,
    tls12_allowed: bool,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            profile: "stet-1.4",
            base_path: "/stet/psd2/v1.4",
            purpose: Purpose::Seal,
            state: VersionState::Active,
            environment: Environment::Sandbox,
            roles: vec![Psd2Role::PSP_AI, Psd2Role::PSP_PI],
            tls12_allowed: false,
        }
    }
}

impl Scene {
    fn leaf(&self) -> Certificate {
        let qtsp = Qtsp::create(KeyKind::EcP256, now()).unwrap();
        let kind = match self.purpose {
            Purpose::Seal => Kind::Qsealc,
            Purpose::Decryption => unreachable!("has no certificate"),
            Purpose::Transport => Kind::Qwac,
        };
        let mut order = Order::new(kind, &self.roles);
        order.country = Some("DE".into());
        order.organization = Some("Demo TPP GmbH".into());
        order.organization_identifier = Some("PSDDE-BAFIN-123456".into());
        order.common_name = Some("tpp.demo-tpp.com".into());
        order.dns_names = match self.purpose {
            Purpose::Seal | Purpose::Decryption => vec![],
            Purpose::Transport => vec!["tpp.demo-tpp.com".into()],
        };
        let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
        let chain = qtsp.issue_for(&order, &key, now()).unwrap();
        Certificate::from_der(&chain.leaf).unwrap()
    }

    fn decide(
        &self,
        operation: Operation,
        facts: Facts<'_>,
        at: impl FnOnce(&Certificate) -> Timestamp,
    ) -> Result<Permit, Unfit> {
        let leaf = self.leaf();
        let at = at(&leaf);
        let issued = Issued {
            chain: vec![leaf].into(),
            environment: self.environment,
        };
        let version = Arc::new(Version {
            id: VersionId {
                credential: name("cred"),
                number: 1,
            },
            state: self.state,
            frozen_from: None,
            token_set: "main".to_owned(),
            key: KeyRef {
                id: KeyId::from_bytes([1; 16]),
                spki_sha256: [2; 32],
            },
            origin: crate::domain::KeyOrigin::Generated,
            key_algorithm: "ec-p256".into(),
            spki_der: vec![],
            evidence: KeyEvidence {
                sensitive: true,
                extractable: false,
                always_sensitive: true,
                never_extractable: true,
                local: true,
                limits: Default::default(),
            },
            csr_der: None,
            issued: Some(issued.clone()),
            created: now(),
        });
        let credential = Arc::new(Credential {
            name: name("cred"),
            purpose: self.purpose,
            versions: vec![version.clone()],
        });
        let credentials = BTreeMap::from([(name("cred"), credential)]);
        let bank = Bank {
            name: name("bank"),
            environment: Environment::Sandbox,
            hosts: BTreeSet::from([Host::try_from("api.bank.example".to_owned()).unwrap()]),
            base_path: self.base_path.into(),
            profile: self.profile.into(),
            oauth_profile: String::new(),
            settings: BTreeMap::new(),
            credentials: vec![name("cred")],
            tls12_allowed: self.tls12_allowed,
            rotation: Default::default(),
        };
        let bound = BTreeMap::from([(name("cred"), version.clone())]);
        let profile = Catalog::embedded().get(self.profile).unwrap();
        let destination = {
            let profile = std::sync::Arc::new(profile.clone());
            Destination::new(bank, profile.clone(), profile, bound, &credentials)
        };
        let caller = CallerName::try_from("tpp.test".to_owned()).unwrap();
        let rule = GrantRule {
            operations: BTreeSet::from([operation]),
            credential: name("cred"),
            banks: BTreeSet::from([name("bank")]),
        };
        let known = Caller {
            name: caller.clone(),
            role: Role::Signer,
            grants: vec![rule],
        };
        let snapshot = Snapshot {
            callers: HashMap::from([(caller.clone(), known)]),
            banks: BTreeMap::from([(name("bank"), Arc::new(destination))]),
            credentials,
            ..Snapshot::default()
        };
        let grant = authz::grant(&snapshot, &caller, operation, "cred", "bank").unwrap();
        super::decide(grant, &version, &issued, self.purpose, facts, at)
    }

    fn http(&self, request: &HttpRequest) -> Result<Permit, Unfit> {
        self.decide(Operation::SignHttp, Facts::Http(request), |_| now())
    }
}

fn request(target: &str, headers: &[(&str, &str)]) -> HttpRequest {
    let headers: Vec<_> = headers
        .iter()
        .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
        .collect();
    HttpRequest::parse(RequestParts {
        method: "POST",
        authority: "api.bank.example",
        target,
        headers: &headers,
        body: BodyParts {
            bytes: Some(b"{}"),
            digests: &[],
        },
    })
    .unwrap()
}

const PAYMENT: &str = "/stet/psd2/v1.4/payment-requests";

#[test]
fn a_fit_payment_gets_a_permit_that_names_it() {
    let permit = Scene::default().http(&request(PAYMENT, &[])).unwrap();
    assert_eq!(
        (permit.bank(), permit.caller().as_str()),
        ("bank", "tpp.test")
    );
    assert!(
        permit.bank_operation().unwrap().contains("payment"),
        "{permit:?}"
    );
}

#[test]
fn only_active_and_retiring_versions_get_a_permit() {
    use VersionState::*;
    for state in [Requested, Staged, Retired, Destroyed, Frozen, Revoked] {
        let refused = Scene {
            state,
            ..Scene::default()
        }
        .http(&request(PAYMENT, &[]));
        let reason = match state {
            Frozen => "VERSION_FROZEN",
            Revoked => "VERSION_REVOKED",
            _ => "VERSION_NOT_ACTIVE",
        };
        assert_eq!(refused.unwrap_err().reason(), reason);
    }
    for state in [Active, Retiring] {
        Scene {
            state,
            ..Scene::default()
        }
        .http(&request(PAYMENT, &[]))
        .unwrap();
    }
}

#[test]
fn a_certificate_is_valid_from_its_first_to_its_last_second() {
    let request = request(PAYMENT, &[]);
    let facts = Facts::Http(&request);
    let second = SignedDuration::from_secs(1);
    let at = |at: fn(&Certificate) -> Timestamp, by: SignedDuration| {
        let decided = Scene::default().decide(Operation::SignHttp, facts, |leaf| at(leaf) + by);
        decided.map(drop).map_err(|unfit| unfit.reason())
    };
    assert_eq!(at(Certificate::not_before, SignedDuration::ZERO), Ok(()));
    assert_eq!(
        at(Certificate::not_before, -second),
        Err("CERTIFICATE_NOT_YET_VALID")
    );
    assert_eq!(at(Certificate::not_after, SignedDuration::ZERO), Ok(()));
    assert_eq!(
        at(Certificate::not_after, SignedDuration::from_millis(999)),
        Ok(())
    );
    assert_eq!(
        at(Certificate::not_after, second),
        Err("CERTIFICATE_EXPIRED")
    );
}

#[test]
fn worlds_do_not_mix() {
    let scene = Scene {
        environment: Environment::Production,
        ..Scene::default()
    };
    assert_eq!(
        scene.http(&request(PAYMENT, &[])).unwrap_err().reason(),
        "ENVIRONMENT_MISMATCH"
    );
}

#[test]
fn each_call_takes_its_role() {
    let only = |roles: &[Psd2Role], target: &str| {
        let scene = Scene {
            roles: roles.to_vec(),
            ..Scene::default()
        };
        scene
            .http(&request(target, &[]))
            .map(drop)
            .map_err(|unfit| unfit.reason())
    };
    assert_eq!(only(&[Psd2Role::PSP_PI], PAYMENT), Ok(()));
    assert_eq!(
        only(&[Psd2Role::PSP_AI], PAYMENT),
        Err("ROLE_NOT_IN_CERTIFICATE")
    );
    let nowhere = "/stet/psd2/v1.4/nothing";
    assert_eq!(only(&[Psd2Role::PSP_PI], nowhere), Err("OPERATION_UNKNOWN"));
    assert_eq!(
        only(&[Psd2Role::PSP_PI], "/payment-requests"),
        Err("OPERATION_UNKNOWN")
    );
}

#[test]
fn a_date_is_at_most_the_skew_away() {
    let skew = Catalog::embedded()
        .get("stet-1.4")
        .unwrap()
        .freshness()
        .unwrap()
        .skew_seconds_max;
    let dated = |seconds: i64| {
        let at = now() + SignedDuration::from_secs(seconds);
        let date = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let decided = Scene::default().http(&request(PAYMENT, &[("Date", &date)]));
        decided.map(drop).map_err(|unfit| unfit.reason())
    };
    let skew = i64::from(skew);
    assert_eq!((dated(skew), dated(-skew)), (Ok(()), Ok(())));
    assert_eq!(dated(skew + 1), Err("REQUEST_NOT_FRESH"));
    assert_eq!(dated(-skew - 1), Err("REQUEST_NOT_FRESH"));
    let odd = Scene::default().http(&request(PAYMENT, &[("Date", "yesterday")]));
    assert_eq!(odd.unwrap_err().reason(), "DATE_MALFORMED");
}

#[test]
fn keys_do_the_work_of_their_purpose_only() {
    let transport = Scene {
        purpose: Purpose::Transport,
        ..Scene::default()
    };
    let refused = transport.decide(Operation::SignJws, Facts::Jws, |_| now());
    assert_eq!(refused.unwrap_err().reason(), "KEY_PURPOSE_MISMATCH");
    let refused = Scene::default().decide(Operation::Tls, Facts::Tls13, |_| now());
    assert_eq!(refused.unwrap_err().reason(), "KEY_PURPOSE_MISMATCH");
    transport
        .decide(Operation::Tls, Facts::Tls13, |_| now())
        .unwrap();
}

#[test]
fn tls_1_2_goes_to_the_banks_that_allow_it_and_to_their_hosts() {
    let tls12 = |tls12_allowed, server_name| {
        let scene = Scene {
            purpose: Purpose::Transport,
            tls12_allowed,
            ..Scene::default()
        };
        let decided = scene.decide(Operation::Tls, Facts::Tls12 { server_name }, |_| now());
        decided.map(drop).map_err(|unfit| unfit.reason())
    };
    assert_eq!(tls12(true, "api.bank.example"), Ok(()));
    assert_eq!(tls12(true, "evil.example"), Err("HOST_NOT_ALLOWED"));
    assert_eq!(tls12(false, "api.bank.example"), Err("TLS12_NOT_ALLOWED"));
}
