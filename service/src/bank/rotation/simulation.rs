//! Zero loss: 20 banks of all procedures, 400 days on a clock the test holds, callers signing every hour.
//!
//! The security team does what the plan says, once a day; banks answer in their own time, one refuses first, one asks
//! for the old version back; the QTSP is late once. The service restarts every third day, and time alone is written
//! down once a day only, so that who signs cannot depend on it. What a bank accepts is modelled apart from the service,
//! from nothing but what the bank was told and answered.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_profiles::format::jwe::TokenWork;
use sealkeep_profiles::profile::Catalog;
use sealkeep_profiles::roles::Role as Psd2Role;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
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
use crate::store::{IssuedRow, NewVersion, OpenMode, StateChange, Store, StoreError};
use crate::world::World;

const BANKS: usize = 20;
const DAYS: i64 = 400;
const LIFE_DAYS: u32 = 100;
const QTSP_DAYS: u32 = 10;
const WINDOW_MINUTES: u32 = 30;
const CREDENTIALS: [(&str, Purpose); 2] = [
    ("acme-seal", Purpose::Seal),
    ("acme-transport", Purpose::Transport),
];

#[derive(Debug)]
struct Manual(AtomicI64);

impl Clock for Manual {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// A rotation moves names and pointers; no verb of it may touch a key.
struct Untouchable;

impl KeyBackend for Untouchable {
    fn generate(
        &self,
        _: KeyId,
        _: &str,
        _: KeySpec,
        _: KeyUsage,
        _: Instant,
    ) -> BoxFuture<Result<GeneratedKey, BackendError>> {
        panic!("a rotation generated a key")
    }
    fn sign(
        &self,
        _: &KeyRef,
        _: SignatureScheme,
        _: &[u8],
        _: Instant,
    ) -> BoxFuture<Result<Vec<u8>, BackendError>> {
        panic!("a rotation used a key")
    }
    fn decrypt(
        &self,
        _: &KeyRef,
        _: TokenWork<'_>,
        _: Instant,
    ) -> BoxFuture<Result<Unwrapped, BackendError>> {
        panic!("a rotation decrypted")
    }
    fn adopt(&self, _: &[KeyRef], _: Instant) -> BoxFuture<Result<Vec<Adopted>, BackendError>> {
        panic!("a rotation looked for keys")
    }
    fn public_key(&self, _: &KeyRef, _: Instant) -> BoxFuture<Result<Vec<u8>, BackendError>> {
        panic!("a rotation read a key")
    }
    fn destroy(&self, _: &KeyRef, _: Instant) -> BoxFuture<Result<(), BackendError>> {
        panic!("a rotation destroyed a key")
    }
    fn info(&self) -> TokenInfo {
        panic!("a rotation asked for the token")
    }
}

/// What one bank accepts of one credential: version, from, until.
#[derive(Debug, Default)]
struct Accepts(Vec<(u32, Timestamp, Option<Timestamp>)>);

impl Accepts {
    fn takes(&self, version: u32, now: Timestamp) -> bool {
        let alive = |until: &Option<Timestamp>| until.is_none_or(|until| now < until);
        let mut rows = self.0.iter();
        rows.any(|(number, from, until)| *number == version && now >= *from && alive(until))
    }

    fn adds(&mut self, version: u32, from: Timestamp) {
        if !self.0.iter().any(|(number, ..)| *number == version) {
            self.0.push((version, from, None));
        }
    }
}

/// The service, as far as a rotation needs it.
struct Running {
    registry: Registry,
    task: AuditTask,
}

struct Simulation {
    dir: tempfile::TempDir,
    clock: Arc<Manual>,
    running: Option<Running>,
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

fn terms(n: usize) -> RotationTerms {
    let procedure = Procedure::ALL[n % Procedure::ALL.len()];
    let lead_time_days = match procedure {
        Procedure::None | Procedure::PublishUrl => 0,
        _ => 3 + u32::try_from(n).unwrap(),
    };
    RotationTerms {
        procedure,
        lead_time_days,
        contact: "psd2@bank.example".to_owned(),
        ..RotationTerms::default()
    }
}

fn word(progress: &Progress) -> &'static str {
    match progress {
        Progress::Pending => "pending",
        Progress::Announced { .. } => "announced",
        Progress::Accepted { .. } => "accepted",
        Progress::Scheduled { .. } => "scheduled",
        Progress::Canary { .. } => "canary",
        Progress::Switched { .. } => "switched",
        Progress::Confirmed { .. } => "confirmed",
        Progress::Failed { .. } => "failed",
    }
}

impl Simulation {
    async fn new() -> Self {
        let begin: Timestamp = "2026-12-01T06:00:00Z".parse().unwrap();
        let clock = Arc::new(Manual(AtomicI64::new(begin.as_second())));
        let mut simulation = Self {
            dir: tempfile::tempdir().unwrap(),
            qtsp: Qtsp::create(KeyKind::EcP256, begin).unwrap(),
            clock,
            running: None,
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
        simulation.start(OpenMode::Create).await;
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
        world.refresh().await.unwrap();
    }

    fn registry(&self) -> &Registry {
        &self.running.as_ref().unwrap().registry
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn start(&mut self, mode: OpenMode) {
        let store = open(&self.dir.path().join("s.db"), mode).await;
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
        self.running = Some(Running { registry, task });
    }

    async fn restart(&mut self) {
        let snapshot = self.registry().world.load();
        let moves = snapshot.banks.values().flat_map(|bank| bank.moves.values());
        self.restarted_in
            .extend(moves.map(|moving| word(&moving.progress)));
        drop(snapshot);
        let Running { registry, task } = self.running.take().unwrap();
        let store = registry.world.store().clone();
        drop(registry);
        task.finished().await;
        store.close().await;
        drop(store);
        self.start(OpenMode::Existing).await;
    }

    /// A key and its certificate, installed.
    async fn issue(&self, credential: &str, purpose: Purpose) -> u32 {
        let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
        let kind = match purpose {
            Purpose::Transport => Kind::Qwac,
            _ => Kind::Qsealc,
        };
        let mut order = Order::new(kind, &[Psd2Role::PSP_AI]);
        order.days = LIFE_DAYS;
        order.country = Some("DE".into());
        order.organization = Some("Acme".into());
        order.organization_identifier = Some("PSDDE-BAFIN-123456".into());
        order.common_name = Some("tpp.acme.example".into());
        if purpose == Purpose::Transport {
            order.dns_names = vec!["tpp.acme.example".into()];
        }
        let chain = self.qtsp.issue_for(&order, &key, self.now()).unwrap();
        let leaf = sealkeep_profiles::certificate::Certificate::from_der(&chain.leaf).unwrap();
        let new = NewVersion {
            credential: name(credential),
            purpose,
            token_set: "main".to_owned(),
            key_id: KeyId::random(),
            spki_der: leaf.public_key().spki_der().to_vec(),
            key_algorithm: "ec-p256".to_owned(),
            evidence: KeyEvidence {
                sensitive: true,
                extractable: false,
                always_sensitive: true,
                never_extractable: true,
                local: true,
                limits: Default::default(),
            },
            csr_der: None,
            created: self.now(),
        };
        let store = self.registry().world.store();
        let number = store.insert_version(&new).await.unwrap();
        let row = IssuedRow {
            chain_pem: chain.to_pem(),
            environment: Environment::Sandbox,
        };
        let id = VersionId {
            credential: name(credential),
            number,
        };
        let change = change(id, VersionState::Requested, VersionState::Staged);
        store.install(&change, &row).await.unwrap();
        self.registry().world.refresh().await.unwrap();
        number
    }

    /// Whoever signs now must be accepted; whoever could be must not be refused.
    fn callers_sign(&self) -> usize {
        let (snapshot, now) = (self.registry().world.load(), self.now());
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

    /// The security team's morning.
    async fn officer_works(&mut self, credential: &'static str, purpose: Purpose) {
        let now = self.now();
        let registry = self.registry().clone();
        let plan = registry.plan_rotation(credential, QTSP_DAYS).await.unwrap();
        let open = registry.world.load().rotations.get(credential).cloned();
        let order_due = plan
            .iter()
            .any(|step| step.action == Action::Order && step.by <= now);
        match open.map(|rotation| (rotation.number, rotation.to)) {
            None if order_due => {
                registry
                    .start_rotation(&self.who, credential, "renewal")
                    .await
                    .unwrap();
                // The second order is late by eight days.
                let late = if self.completed == 1 { 8 } else { 0 };
                self.ordered
                    .insert(credential, now + days(i64::from(QTSP_DAYS) + late));
            }
            Some((_, None)) if self.ordered[credential] <= now => {
                let number = self.issue(credential, purpose).await;
                let id = VersionId {
                    credential: name(credential),
                    number,
                };
                registry
                    .attach_rotation(&self.who, &id.resource())
                    .await
                    .unwrap();
            }
            Some((number, Some(to))) => self.campaign(credential, purpose, number, to).await,
            _ => {}
        }
    }

    async fn campaign(
        &mut self,
        credential: &'static str,
        purpose: Purpose,
        rotation: u32,
        to: u32,
    ) {
        let registry = self.registry().clone();
        let (snapshot, now) = (registry.world.load(), self.now());
        let mut all_done = true;
        for (bank, destination) in &snapshot.banks {
            let moving = &destination.moves[credential];
            all_done &= matches!(moving.progress, Progress::Confirmed { .. });
            if let Some(event) =
                self.next_event(credential, purpose, rotation, bank, &moving.progress)
            {
                let banks = BTreeSet::from([bank.clone()]);
                registry
                    .step_rotation(&self.who, credential, &banks, &event)
                    .await
                    .unwrap();
                self.bank_hears(bank, credential, to, &event, now);
            }
        }
        if all_done {
            registry
                .complete_rotation(&self.who, credential)
                .await
                .unwrap();
            self.completed += 1;
            self.answers.retain(|(_, of), _| *of != credential);
        }
    }

    fn next_event(
        &mut self,
        credential: &'static str,
        purpose: Purpose,
        rotation: u32,
        bank: &Name,
        progress: &Progress,
    ) -> Option<Event> {
        let (now, terms) = (self.now(), self.terms[bank].clone());
        let key = (bank.clone(), credential);
        let mut first = |what| self.once.insert((what, bank.clone(), credential, rotation));
        match progress {
            Progress::Pending if terms.procedure.is_told() => Some(Event::Announce),
            Progress::Pending => Some(Event::Switch { at: None }),
            Progress::Failed { .. } => Some(Event::Announce),
            Progress::Announced { .. } if bank.as_str() == "bank-08" && first("refuses") => {
                Some(Event::Fail {
                    reason: "they want another form".to_owned(),
                })
            }
            Progress::Announced { .. } if terms.procedure.answers() => {
                let answer = self.answers.entry(key);
                let answer = *answer.or_insert(now + days(terms.lead_time_days.into()));
                let moment = now + days(2) + SignedDuration::from_hours(4);
                (answer <= now).then_some(Event::Accept(match terms.procedure.replaces() {
                    true => Acceptance {
                        old: OldVersion::Replaced,
                        at: Some(moment),
                        window_minutes: WINDOW_MINUTES,
                    },
                    false => Acceptance {
                        old: OldVersion::StaysValid,
                        at: None,
                        window_minutes: 0,
                    },
                }))
            }
            Progress::Announced { at } => (now >= *at + days(terms.lead_time_days.into()))
                .then_some(Event::Switch { at: None }),
            Progress::Accepted { .. } if purpose == Purpose::Seal && first("canary") => {
                Some(Event::Canary { percent: 10 })
            }
            Progress::Accepted { .. } if bank.as_str() == "bank-15" => Some(Event::Switch {
                at: Some(now + SignedDuration::from_mins(100)),
            }),
            Progress::Accepted { .. } | Progress::Canary { .. } => Some(Event::Switch { at: None }),
            Progress::Switched {
                old: OldVersion::StaysValid,
                ..
            } if bank.as_str() == "bank-01" && first("back") => Some(Event::Rollback),
            Progress::Switched { .. } => Some(Event::Confirm),
            Progress::Scheduled { .. } | Progress::Confirmed { .. } => None,
        }
    }

    /// What the bank does with what it was told, and what its answer means.
    fn bank_hears(
        &mut self,
        bank: &Name,
        credential: &'static str,
        to: u32,
        event: &Event,
        now: Timestamp,
    ) {
        let terms = self.terms[bank].clone();
        let accepts = self.accepts.get_mut(&(bank.clone(), credential)).unwrap();
        match event {
            // It accepts whatever is qualified.
            Event::Switch { .. } if terms.procedure == Procedure::None => {
                accepts.adds(to, Timestamp::MIN)
            }
            Event::Announce if !terms.procedure.answers() => {
                accepts.adds(to, now + days(terms.lead_time_days.into()));
            }
            Event::Fail { .. } => accepts.0.retain(|(number, ..)| *number != to),
            Event::Accept(yes) => {
                let from = yes.at.unwrap_or(now);
                if yes.old == OldVersion::Replaced {
                    accepts
                        .0
                        .iter_mut()
                        .for_each(|(.., until)| *until = Some(from));
                }
                accepts.adds(
                    to,
                    from + SignedDuration::from_mins(yes.window_minutes.into()),
                );
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn twenty_banks_lose_nothing_in_four_hundred_days() {
    let mut simulation = Simulation::new().await;
    let mut signed = 0;
    for day in 0..DAYS {
        if day % 3 == 0 {
            simulation.restart().await;
        }
        simulation.registry().settle_rotations().await.unwrap();
        for (credential, purpose) in CREDENTIALS {
            simulation.officer_works(credential, purpose).await;
        }
        // Every ten minutes: the windows are half an hour long.
        for _ in 0..144 {
            signed += simulation.callers_sign();
            simulation.clock.0.fetch_add(600, Ordering::SeqCst);
        }
    }
    assert!(signed > 4_500_000, "{signed}");
    assert!(
        simulation.completed >= 8,
        "{} rotations",
        simulation.completed
    );
    let wanted = [
        "accepted",
        "announced",
        "canary",
        "confirmed",
        "failed",
        "pending",
        "scheduled",
        "switched",
    ];
    let restarted: Vec<_> = simulation.restarted_in.iter().copied().collect();
    assert_eq!(restarted, wanted, "a restart in every state");
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

/// A process that another test starts just now holds the files of this one until it runs its own program.
async fn open(path: &Path, mode: OpenMode) -> Store {
    let opened = async {
        loop {
            match Store::open(path, mode).await {
                Err(StoreError::InUse(_)) => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    };
    let opened = tokio::time::timeout(Duration::from_secs(10), opened).await;
    opened.expect("the store is free again")
}
