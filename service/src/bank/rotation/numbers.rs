//! How large a house may grow: 10,000 credentials with 50,000 bindings.
//!
//! `flock -x /tmp/quiet.lock cargo test --release -p sealkeep-service --lib -- --ignored --nocapture rotation::numbers`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::profile::Catalog;
use sealkeep_profiles::roles::Role as Psd2Role;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::qtsp::{Kind, Order, Qtsp};

use super::preview::steps;
use crate::backend::{KeyEvidence, KeyId, KeyLimits};
use crate::clock::monotonic;
use crate::domain::{
    Bank, Environment, Host, Name, Purpose, RotationTerms, VersionId, VersionState,
};
use crate::process;
use crate::store::{IssuedRow, NewVersion, OpenMode, StateChange, Store};
use crate::world::World;

const CREDENTIALS: u32 = 10_000;
const BANKS: u32 = 5_000;
const CREDENTIALS_PER_BANK: u32 = 10;
const LOAD_MAX: Duration = Duration::from_secs(1);
const PLAN_MAX: Duration = Duration::from_secs(2);
const MEMORY_BYTES_MAX: u64 = 300 << 20;

fn name(kind: &str, n: u32) -> Name {
    Name::try_from(format!("{kind}-{n:05}")).unwrap()
}

/// Credentials, each with one active version and the same certificate: what is measured does not look at who it is of.
async fn credentials(store: &Store, begin: Timestamp) {
    let qtsp = Qtsp::create(KeyKind::EcP256, begin).unwrap();
    let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
    let mut order = Order::new(Kind::Qsealc, &[Psd2Role::PSP_AI]);
    order.country = Some("DE".into());
    order.organization = Some("Acme".into());
    order.organization_identifier = Some("PSDDE-BAFIN-123456".into());
    let chain = qtsp.issue_for(&order, &key, begin).unwrap();
    let leaf = Certificate::from_der(&chain.leaf).unwrap();
    let row = IssuedRow {
        chain_pem: chain.to_pem(),
        environment: Environment::Sandbox,
    };
    for n in 0..CREDENTIALS {
        let new = NewVersion {
            credential: name("seal", n),
            purpose: Purpose::Seal,
            token_set: "main".to_owned(),
            origin: crate::domain::KeyOrigin::Generated,
            key_id: KeyId::random(),
            spki_der: leaf.public_key().spki_der().to_vec(),
            key_algorithm: "ec-p256".to_owned(),
            evidence: KeyEvidence {
                sensitive: true,
                extractable: false,
                always_sensitive: true,
                never_extractable: true,
                local: true,
                limits: KeyLimits::default(),
            },
            csr_der: None,
            created: begin,
        };
        let number = store.insert_version(&new).await.unwrap();
        let change = |from, to| StateChange {
            id: VersionId {
                credential: name("seal", n),
                number,
            },
            from,
            to,
        };
        let staged = change(VersionState::Requested, VersionState::Staged);
        store.install(&staged, &row).await.unwrap();
        let active = change(VersionState::Staged, VersionState::Active);
        store.set_state_and_bind(&active, &[]).await.unwrap();
    }
}

async fn banks(store: &Store) {
    let mut banks = Vec::new();
    let mut bindings = Vec::new();
    for n in 0..BANKS {
        let credentials = (0..CREDENTIALS_PER_BANK)
            .map(|k| name("seal", (n * CREDENTIALS_PER_BANK + k) % CREDENTIALS));
        let credentials: Vec<_> = credentials.collect();
        for credential in &credentials {
            let credential = credential.clone();
            let id = VersionId {
                credential,
                number: 1,
            };
            bindings.push((name("bank", n), id));
        }
        banks.push(Bank {
            name: name("bank", n),
            environment: Environment::Sandbox,
            hosts: [Host::try_from(format!("api.bank-{n}.example")).unwrap()].into(),
            base_path: String::new(),
            profile: "berlin-group-1.3.4".to_owned(),
            settings: BTreeMap::new(),
            credentials,
            tls12_allowed: false,
            oauth_profile: String::new(),
            rotation: RotationTerms::default(),
        });
    }
    store.put_banks(&banks, &bindings).await.unwrap();
}

#[tokio::test]
#[ignore = "measures; wants a quiet machine and a release build"]
async fn ten_thousand_credentials_with_fifty_thousand_bindings() {
    let begin: Timestamp = "2026-12-01T06:00:00Z".parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("s.db").into(), OpenMode::Create)
        .await
        .unwrap();
    credentials(&store, begin).await;
    banks(&store).await;
    let catalog = Arc::new(Catalog::embedded().clone());

    let before = process::usage().resident_bytes;
    let began = monotonic();
    let world = World::open(store.clone(), catalog).await.unwrap();
    let load = began.elapsed();
    let snapshot = world.load();
    let bound: usize = snapshot.banks.values().map(|bank| bank.bound.len()).sum();
    assert_eq!(bound, (BANKS * CREDENTIALS_PER_BANK) as usize);

    let began = monotonic();
    let credentials = snapshot.credentials.values();
    let planned: usize = credentials
        .map(|c| steps(&snapshot, c, 14, begin).len())
        .sum();
    let plan = began.elapsed();
    let resident = process::usage().resident_bytes;
    println!(
        "snapshot load {load:?}, plan for all {plan:?} ({planned} steps), memory {} MiB (snapshot {} MiB)",
        resident >> 20,
        resident.saturating_sub(before) >> 20
    );
    assert!(planned > bound);
    assert!(load <= LOAD_MAX, "{load:?}");
    assert!(plan <= PLAN_MAX, "{plan:?}");
    assert!(resident <= MEMORY_BYTES_MAX, "{resident} bytes");
}
