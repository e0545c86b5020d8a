//! How large a house may grow: 10,000 credentials with 50,000 bindings beside a house of ten.
//!
//! Not part of the suite, because a busy machine has other numbers.
//!
//! ```text
//! TMPDIR=/dev/shm cargo test --release -p sealkeep-service --test e2e -- --ignored --nocapture large::
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sealkeep_client::v1::bank_service_client::BankServiceClient;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::{self, KeyAlgorithm};
use sealkeep_client::{BodySource, Sealkeep};
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::profile::Catalog;
use sealkeep_profiles::roles::Role as Psd2Role;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::qtsp::{Kind, Order};
use sealkeep_service::backend::{KeyEvidence, KeyId, KeyLimits};
use sealkeep_service::bank::rotation::preview::steps;
use sealkeep_service::domain::{
    Bank, Environment, Host, KeyOrigin, Name, Purpose, RotationTerms, VersionId, VersionState,
};
use sealkeep_service::process;
use sealkeep_service::store::{IssuedRow, NewVersion, OpenMode, StateChange, Store};
use sealkeep_service::world::World;

use crate::house::{House, OFFICER, ORGANIZATION, TPP, payment};

const BANKS: u32 = 5_000;
const CREDENTIALS_PER_BANK: u32 = 10;
const LARGE: u32 = 10_000;
const SMALL: u32 = 10;

const LOAD_MAX: Duration = Duration::from_secs(1);
/// After every change; a replica that takes longer than 0.8 s to read what another has changed stops signing meanwhile.
const REFRESH_MAX: Duration = Duration::from_millis(600);
const PLAN_MAX: Duration = Duration::from_secs(2);
const PAGE_MAX: Duration = Duration::from_millis(50);
const MEMORY_BYTES_MAX: u64 = 300 << 20;
/// How much slower signatures may be than in the small house (percent).
const SLOWER_PERCENT_MAX: f64 = 5.0;
/// Signatures of a turn, and turns; the houses take turns, because shared machines change their speed.
const SIGNATURES: u32 = 500;
const TURNS: usize = 15;
/// The most that a page may have.
const PAGE_SIZE: u32 = 1_000;

fn name(kind: &str, n: u32) -> Name {
    Name::try_from(format!("{kind}-{n:05}")).unwrap()
}

/// Credentials, each with one active version. Their keys are in no token.
async fn add_credentials(store: &Store, house: &House, count: u32) {
    let now = Timestamp::now();
    let mut order = Order::new(Kind::Qsealc, &[Psd2Role::PSP_AI]);
    order.country = Some("DE".into());
    order.organization = Some("Acme".into());
    order.organization_identifier = Some(ORGANIZATION.into());
    for n in 0..count {
        let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
        let chain = house.qtsp.issue_for(&order, &key, now).unwrap();
        let leaf = Certificate::from_der(&chain.leaf).unwrap();
        let issued = IssuedRow {
            chain_pem: chain.to_pem(),
            environment: Environment::Sandbox,
        };
        let new = NewVersion {
            credential: name("seal", n),
            purpose: Purpose::Seal,
            token_set: "main".to_owned(),
            origin: KeyOrigin::Generated,
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
            created: now,
        };
        let number = store.insert_version(&new).await.unwrap();
        let id = VersionId {
            credential: new.credential,
            number,
        };
        let change = |from, to| StateChange {
            id: id.clone(),
            from,
            to,
        };
        let staged = change(VersionState::Requested, VersionState::Staged);
        store.install(&staged, &issued).await.unwrap();
        let active = change(VersionState::Staged, VersionState::Active);
        store.set_state_and_bind(&active, &[]).await.unwrap();
    }
}

/// Banks, each with some of the first `credentials`.
async fn add_banks(store: &Store, count: u32, credentials: u32) {
    let (mut banks, mut bindings) = (Vec::new(), Vec::new());
    for n in 0..count {
        let bound = (0..CREDENTIALS_PER_BANK)
            .map(|k| name("seal", (n * CREDENTIALS_PER_BANK + k) % credentials));
        let bound: Vec<_> = bound.collect();
        let first = |credential: &Name| VersionId {
            credential: credential.clone(),
            number: 1,
        };
        bindings.extend(bound.iter().map(|c| (name("bank", n), first(c))));
        banks.push(Bank {
            name: name("bank", n),
            environment: Environment::Sandbox,
            hosts: [Host::try_from(format!("api.bank-{n}.example")).unwrap()].into(),
            base_path: String::new(),
            profile: "berlin-group-1.3.4".to_owned(),
            settings: Default::default(),
            credentials: bound,
            tls12_allowed: false,
            oauth_profile: String::new(),
            rotation: RotationTerms::default(),
        });
    }
    store.put_banks(&banks, &bindings).await.unwrap();
}

/// One credential whose key is in the token, and `credentials` beside it.
async fn house_of(credentials: u32) -> House {
    let mut house = House::with_seal(KeyAlgorithm::EcP256).await;
    house.kill();
    let store = Store::open(&house.place(), OpenMode::Existing)
        .await
        .unwrap();
    add_credentials(&store, &house, credentials).await;
    let banks = credentials * BANKS / LARGE;
    add_banks(&store, banks, credentials).await;
    store.close().await;
    drop(store);
    house.start();
    house
}

async fn sign_some(tpp: &Sealkeep) -> Duration {
    let bank = tpp.bank("bank");
    let begun = Instant::now();
    for _ in 0..SIGNATURES {
        let (parts, body) = payment().into_parts();
        let body = BodySource::Bytes(body.as_bytes());
        bank.sign_parts(&parts, body).await.unwrap();
    }
    begun.elapsed()
}

/// The slowest page of a list.
async fn pages<F: Future<Output = String>>(page: impl Fn(String) -> F) -> (Duration, usize) {
    let (mut token, mut slowest, mut count) = (String::new(), Duration::ZERO, 0);
    loop {
        let begun = Instant::now();
        token = page(token).await;
        slowest = slowest.max(begun.elapsed());
        count += 1;
        if token.is_empty() {
            return (slowest, count);
        }
    }
}

#[tokio::test]
#[ignore = "numbers of this machine; the module's head has the command"]
async fn ten_thousand_credentials_cost_a_signature_nothing() {
    let (small, large) = (house_of(SMALL).await, house_of(LARGE).await);
    let tpps = [small.connect(TPP), large.connect(TPP)];
    for tpp in &tpps {
        sign_some(tpp).await;
    }
    let mut ratios = Vec::new();
    for turn in 0..TURNS {
        let order = [turn % 2, 1 - turn % 2];
        let mut taken = [Duration::ZERO; 2];
        for at in order {
            taken[at] = sign_some(&tpps[at]).await;
        }
        ratios.push(taken[1].as_secs_f64() / taken[0].as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    let slower = 100.0 * (ratios[TURNS / 2] - 1.0);

    let officer = large.connect(OFFICER);
    let credentials = pages(async |page_token| {
        let request = v1::ListCredentialsRequest {
            page_size: PAGE_SIZE,
            page_token,
        };
        let call = officer.call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .list_credentials(request)
                .await
        });
        call.await.unwrap().next_page_token
    });
    let (credentials, credential_pages) = credentials.await;
    let banks = pages(async |page_token| {
        let request = v1::ListBanksRequest {
            page_size: PAGE_SIZE,
            page_token,
        };
        let call = officer.call(request, async |channel, request| {
            BankServiceClient::new(channel).list_banks(request).await
        });
        call.await.unwrap().next_page_token
    });
    let (banks, bank_pages) = banks.await;
    let resident = process::usage_of(&large.pid().to_string()).resident_bytes;
    println!(
        "signatures {slower:+.1} %, slowest page of {PAGE_SIZE}: credentials {credentials:?} ({credential_pages} pages), \
         banks {banks:?} ({bank_pages}); memory {} MiB",
        resident >> 20
    );
    assert_eq!((credential_pages, bank_pages), (11, 6));
    assert!(credentials <= PAGE_MAX && banks <= PAGE_MAX);
    assert!(resident <= MEMORY_BYTES_MAX, "{resident} bytes");
    assert!(slower <= SLOWER_PERCENT_MAX, "{ratios:?}");
}

#[tokio::test]
#[ignore = "numbers of this machine; the module's head has the command"]
async fn a_snapshot_of_ten_thousand_is_read_and_planned_in_time() {
    let house = House::build();
    let store = Store::open(&house.place(), OpenMode::Create).await.unwrap();
    add_credentials(&store, &house, LARGE).await;
    add_banks(&store, BANKS, LARGE).await;
    let catalog = Arc::new(Catalog::embedded().clone());
    let begun = Instant::now();
    let world = World::open(store, catalog).await.unwrap();
    let load = begun.elapsed();
    let snapshot = world.load();
    let bound: usize = snapshot.banks.values().map(|bank| bank.bound.len()).sum();
    assert_eq!(bound, (BANKS * CREDENTIALS_PER_BANK) as usize);

    let begun = Instant::now();
    let credentials = snapshot.credentials.values();
    let planned = credentials.map(|c| steps(&snapshot, c, 14, Timestamp::now()).len());
    let planned: usize = planned.sum();
    let plan = begun.elapsed();
    drop(snapshot);
    let begun = Instant::now();
    world.refresh().await.unwrap();
    let refresh = begun.elapsed();
    println!("snapshot load {load:?}, again {refresh:?}, plan for all {plan:?} ({planned} steps)");
    assert!(planned > bound);
    assert!(refresh <= REFRESH_MAX, "{refresh:?}");
    assert!(load <= LOAD_MAX, "{load:?}");
    assert!(plan <= PLAN_MAX, "{plan:?}");
}
