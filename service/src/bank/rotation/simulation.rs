//! Zero loss: 20 banks of all procedures, 400 days on a clock the test holds, callers signing every hour.
//!
//! The security team does what the plan says, once a day; banks answer in their own time, one refuses first, one asks
//! for the old version back; the QTSP is late once. The service restarts every third day, and time alone is written
//! down once a day only, so that who signs cannot depend on it. What a bank accepts is modelled apart from the service,
//! from nothing but what the bank was told and answered.
//!
//! Once with one service over a file, and once with two replicas over PostgreSQL: callers sign at both, the team works at
//! one today and at the other tomorrow, and one of them restarts while the other goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod bank;
mod officer;
mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_profiles::format::jwe::TokenWork;
use sealkeep_profiles::profile::Catalog;
use sealkeep_profiles::roles::Role as Psd2Role;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::postgres::Postgres;
use sealkeep_sandbox::qtsp::{Kind, Order, Qtsp};

use super::moving::Pick;
use super::plan::Action;
use super::progress::{Acceptance, Event, OldVersion, Progress};
use crate::audit::{AuditLog, AuditTask};
use crate::backend::tokens::Tokens;
use crate::backend::{
    Adopted, BackendError, BoxFuture, GeneratedKey, KeyBackend, KeyEvidence, KeyId, KeyRef,
    KeySpec, KeyUsage, TokenInfo, Unwrapped,
};
use crate::clock::Clock;
use crate::credential::TrustAnchors;
use crate::domain::{
    Bank, CallerName, Environment, Host, Name, Procedure, Purpose, RotationTerms, VersionId,
    VersionState,
};
use crate::registry::Registry;
use crate::store::{IssuedRow, NewVersion, OpenMode, Place, StateChange, Store, StoreError};
use crate::world::World;

use bank::{Accepts, terms};
use parts::{Manual, Untouchable, open};

const BANKS: usize = 20;
const DAYS: i64 = 400;
const LIFE_DAYS: u32 = 100;
const QTSP_DAYS: u32 = 10;
const WINDOW_MINUTES: u32 = 30;
const CREDENTIALS: [(&str, Purpose); 2] = [
    ("acme-seal", Purpose::Seal),
    ("acme-transport", Purpose::Transport),
];

/// The service, as far as a rotation needs it.
struct Running {
    registry: Registry,
    task: AuditTask,
}

struct Simulation {
    clock: Arc<Manual>,
    /// Where each replica keeps its state.
    places: Vec<Place>,
    replicas: Vec<Option<Running>>,
    /// The one where the security team works, and which leads.
    on_duty: usize,
    qtsp: Qtsp,
    who: CallerName,
    terms: BTreeMap<Name, RotationTerms>,
    accepts: BTreeMap<(Name, &'static str), Accepts>,
    /// When the QTSP delivers.
    ordered: BTreeMap<&'static str, Timestamp>,
    /// When a bank answers.
    answers: BTreeMap<(Name, &'static str), Timestamp>,
    /// Rotations in which the bank has refused, or was rolled back, already.
    once: BTreeSet<(&'static str, Name, &'static str, u32)>,
    restarted_in: BTreeSet<&'static str>,
    completed: u32,
}

fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

impl Simulation {
    async fn new(places: Vec<Place>) -> Self {
        let begin: Timestamp = "2026-12-01T06:00:00Z".parse().unwrap();
        let clock = Arc::new(Manual(AtomicI64::new(begin.as_second())));
        let mut simulation = Self {
            qtsp: Qtsp::create(KeyKind::EcP256, begin).unwrap(),
            clock,
            replicas: places.iter().map(|_| None).collect(),
            places,
            on_duty: 0,
            who: CallerName::try_from("officer.test".to_owned()).unwrap(),
            terms: (0..BANKS)
                .map(|n| (name(&format!("bank-{n:02}")), terms(n)))
                .collect(),
            accepts: BTreeMap::new(),
            ordered: BTreeMap::new(),
            answers: BTreeMap::new(),
            once: BTreeSet::new(),
            restarted_in: BTreeSet::new(),
            completed: 0,
        };
        for replica in 0..simulation.replicas.len() {
            simulation.start(replica, OpenMode::Create).await;
        }
        for (credential, purpose) in CREDENTIALS {
            let number = simulation.issue(credential, purpose).await;
            let id = VersionId {
                credential: name(credential),
                number,
            };
            let store = simulation.registry().world.store().clone();
            let change = change(id, VersionState::Staged, VersionState::Active);
            store.set_state_and_bind(&change, &[]).await.unwrap();
        }
        simulation.banks().await;
        simulation
    }

    async fn banks(&mut self) {
        let bank = |(bank, terms): (&Name, &RotationTerms)| Bank {
            name: bank.clone(),
            environment: Environment::Sandbox,
            hosts: [Host::try_from("api.bank.example".to_owned()).unwrap()].into(),
            base_path: String::new(),
            profile: "berlin-group-1.3.4".to_owned(),
            settings: BTreeMap::new(),
            credentials: CREDENTIALS.map(|(credential, _)| name(credential)).to_vec(),
            tls12_allowed: false,
            oauth_profile: String::new(),
            rotation: terms.clone(),
        };
        let banks: Vec<_> = self.terms.iter().map(bank).collect();
        let mut bindings = Vec::new();
        for bank in self.terms.keys() {
            for (credential, _) in CREDENTIALS {
                let id = VersionId {
                    credential: name(credential),
                    number: 1,
                };
                bindings.push((bank.clone(), id));
                let accepts = self.accepts.entry((bank.clone(), credential)).or_default();
                accepts.adds(1, Timestamp::MIN);
            }
        }
        let world = self.registry().world.clone();
        world.store().put_banks(&banks, &bindings).await.unwrap();
        self.hear().await;
    }

    /// Of the replica on duty.
    fn registry(&self) -> &Registry {
        &self.replicas[self.on_duty].as_ref().unwrap().registry
    }

    /// All replicas hear what was changed; how fast they do is measured elsewhere, with real time.
    async fn hear(&self) {
        for replica in self.replicas.iter().flatten() {
            replica.registry.world.refresh().await.unwrap();
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn start(&mut self, replica: usize, mode: OpenMode) {
        let store = open(&self.places[replica], mode).await;
        let catalog = Arc::new(Catalog::embedded().clone());
        let world = Arc::new(World::open(store.clone(), catalog).await.unwrap());
        let (audit, task) = AuditLog::open(store, self.clock.clone()).await.unwrap();
        let trust = TrustAnchors::default();
        let registry = Registry::new(
            self.clock.clone(),
            world,
            audit,
            Tokens::of(Arc::new(Untouchable)),
            trust,
        );
        self.replicas[replica] = Some(Running { registry, task });
    }

    /// Restarts the replica on duty. If there is another one, it takes over, and callers sign there meanwhile.
    async fn restart(&mut self) {
        let snapshot = self.registry().world.load();
        let moves = snapshot.banks.values().flat_map(|bank| bank.moves.values());
        self.restarted_in
            .extend(moves.map(|moving| moving.progress.word()));
        drop(snapshot);
        let restarted = self.on_duty;
        let Running { registry, task } = self.replicas[restarted].take().unwrap();
        let store = registry.world.store().clone();
        drop(registry);
        task.finished().await;
        store.close().await;
        drop(store);
        self.callers_sign();
        self.start(restarted, OpenMode::Existing).await;
        self.relieve();
    }

    /// Another replica goes on duty.
    fn relieve(&mut self) {
        self.on_duty = (self.on_duty + 1) % self.replicas.len();
    }

    /// At every replica that runs.
    fn callers_sign(&self) -> usize {
        let worlds = self.replicas.iter().flatten().map(|r| &r.registry.world);
        worlds.map(|world| self.callers_sign_at(world)).sum()
    }

    /// Whoever signs now must be accepted; whoever could be must not be refused.
    fn callers_sign_at(&self, world: &World) -> usize {
        let (snapshot, now) = (world.load(), self.now());
        let mut signed = 0;
        for (bank, destination) in &snapshot.banks {
            for (credential, _) in CREDENTIALS {
                let accepts = &self.accepts[&(bank.clone(), credential)];
                let known = &snapshot.credentials[credential].versions;
                let valid = |number: u32| {
                    let version = known.iter().find(|v| v.id.number == number);
                    let leaf = version
                        .and_then(|v| v.issued.as_ref())
                        .map(|issued| issued.leaf());
                    leaf.is_some_and(|leaf| (leaf.not_before()..=leaf.not_after()).contains(&now))
                };
                for share in [0, 50] {
                    let could = known
                        .iter()
                        .any(|v| accepts.takes(v.id.number, now) && valid(v.id.number));
                    let progress = destination.moves.get(credential).map(|m| &m.progress);
                    match destination.pick(credential, now, || share) {
                        Some(Pick::Version(version)) => {
                            let number = version.id.number;
                            let right = version.state.signs()
                                && valid(number)
                                && accepts.takes(number, now);
                            assert!(
                                right,
                                "{now}: {bank} does not accept {} ({progress:?}): {accepts:?}",
                                version.id
                            );
                            signed += 1;
                        }
                        Some(Pick::Held { .. }) => {
                            assert!(!could, "{now}: {bank} {credential} held, {progress:?}")
                        }
                        None => panic!("{now}: {bank} has no {credential}"),
                    }
                }
            }
        }
        signed
    }
}

#[tokio::test]
async fn twenty_banks_lose_nothing_in_four_hundred_days() {
    let dir = tempfile::tempdir().unwrap();
    lose_nothing(vec![dir.path().join("s.db").into()]).await;
}

#[tokio::test]
async fn nor_do_they_with_two_replicas() {
    let database = Postgres::start().unwrap();
    let replica = |replica: &str| Place::Postgres {
        url: database.url().into(),
        replica: name(replica),
    };
    lose_nothing(vec![replica("a"), replica("b")]).await;
}

async fn lose_nothing(places: Vec<Place>) {
    let replicas = places.len();
    let mut simulation = Simulation::new(places).await;
    let mut signed = 0;
    for day in 0..DAYS {
        if day % 3 == 0 {
            simulation.restart().await;
        }
        simulation.registry().settle_rotations().await.unwrap();
        simulation.hear().await;
        for (credential, purpose) in CREDENTIALS {
            simulation.officer_works(credential, purpose).await;
            simulation.hear().await;
            simulation.relieve();
        }
        // Every ten minutes: the windows are half an hour long.
        for _ in 0..144 {
            signed += simulation.callers_sign();
            simulation.clock.0.fetch_add(600, Ordering::SeqCst);
        }
    }
    assert!(signed > replicas * 4_500_000, "{signed}");
    assert!(
        simulation.completed >= 8,
        "{} rotations",
        simulation.completed
    );
    let restarted: Vec<_> = simulation.restarted_in.iter().copied().collect();
    assert_eq!(restarted, Progress::WORDS, "a restart in every state");
    let snapshot = simulation.registry().world.load();
    for (credential, _) in CREDENTIALS {
        let retired = snapshot.credentials[credential].versions.iter();
        let retired = retired
            .filter(|version| version.state == VersionState::Retired)
            .count();
        assert!(
            retired >= 3,
            "{credential}: {retired} versions have aged out"
        );
    }
}

fn change(id: VersionId, from: VersionState, to: VersionState) -> StateChange {
    StateChange { id, from, to }
}
