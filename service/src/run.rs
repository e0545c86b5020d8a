//! The house, put together: opened in order, closed in reverse.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::approval;
use crate::audit::{AuditError, AuditLog, Event};
use crate::backend::pkcs11::Pkcs11Backend;
use crate::backend::worker::{PinSource, TokenWorker};
use crate::backend::{Adopted, BackendError, KeyBackend, KeyRef};
use crate::bank::rotation::settle;
use crate::clock::{self, SharedClock, SystemClock};
use crate::config::{Config, ConfigError, Isolation, MetricsConfig};
use crate::credential::enrolment;
use crate::domain::{Caller, CallerName, Role, VersionState};
use crate::grpc::listener::{Listener, TlsError, TlsFiles};
use crate::grpc::meter::Meter;
use crate::grpc::{self, Rooms};
use crate::metrics::{Exposition, MetricsListener, State};
use crate::pin::{self, PinError};
use crate::profiles::{self, Profiles, ProfilesError};
use crate::registry::Registry;
use crate::signing::Signing;
use crate::store::{OpenMode, Store, StoreError};
use crate::watch::sink::{AlertSink, LogSink, WebhookError, WebhookSink};
use crate::watch::{Kind, OwnCertificate, OwnCertificates, Watch};
use crate::world::{Snapshot, World, WorldError};

/// How long finding all keys at start may take, seconds.
const ADOPT_TIMEOUT_S: u64 = 60;

/// Why the service does not run. [`RunError::reason`] is the stable word, [`RunError::exit_code`] what the process
/// manager sees.
#[derive(Debug, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "each variant is named after the room whose error it carries"
)]
pub enum RunError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error(transparent)]
    Profiles(#[from] ProfilesError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    World(#[from] WorldError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("gRPC: {0}")]
    Grpc(#[from] tonic::transport::Error),
    #[error(
        "this store has officers already; they give others access with `sealkeep access apply`"
    )]
    Initialised,
}

impl RunError {
    /// The stable reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Config(_) | Self::Webhook(_) => "CONFIG_INVALID",
            Self::Pin(_) => "PIN_UNAVAILABLE",
            Self::Profiles(_) | Self::World(WorldError::ProfileUnknown { .. }) => {
                "PROFILES_INVALID"
            }
            Self::Store(StoreError::InUse(_)) => "STORE_IN_USE",
            Self::Store(StoreError::Absent(_)) => "STORE_ABSENT",
            Self::Store(StoreError::NotDurable { .. }) => "STORE_NOT_DURABLE",
            Self::Store(_) | Self::World(_) => "STORE_UNAVAILABLE",
            Self::Audit(_) => "AUDIT_UNAVAILABLE",
            Self::Backend(error) => error.reason(),
            Self::Tls(_) => "TLS_MATERIAL_INVALID",
            Self::Io(_) => "IO",
            Self::Grpc(_) => "GRPC",
            Self::Initialised => "INITIALISED",
        }
    }

    /// What a person can do about it, when that is known.
    pub fn way_out(&self) -> Option<&'static str> {
        match self {
            Self::Backend(BackendError::PinRefused { .. }) => {
                Some("put the right PIN in its place, then run `sealkeepd clear-pin`")
            }
            Self::Backend(BackendError::TokenNotFound { .. }) => {
                Some("compare token.label with the output of `pkcs11-tool --list-slots`")
            }
            Self::Backend(BackendError::ModuleMissing(_)) => {
                Some("install the vendor's PKCS#11 library, or correct token.module")
            }
            Self::Backend(BackendError::ModuleSpies(_)) => {
                Some("name the real module; `token.allow_spy` is for tests")
            }
            Self::World(WorldError::ProfileUnknown { .. }) => {
                Some("put the profile back into profiles.directory; then give the bank another one")
            }
            _ => None,
        }
    }

    /// 78 (EX_CONFIG of sysexits.h) when starting again cannot help and a person must act: the unit file lists it in
    /// `RestartPreventExitStatus=`. 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Webhook(_)
            | Self::Pin(_)
            | Self::Tls(_)
            | Self::Profiles(_)
            | Self::World(WorldError::ProfileUnknown { .. })
            | Self::Initialised
            | Self::Store(StoreError::Absent(_) | StoreError::NotDurable { .. }) => 78,
            Self::Backend(
                BackendError::PinRefused { .. }
                | BackendError::PinFinalTry
                | BackendError::PinLocked
                | BackendError::PinMarker { .. }
                | BackendError::PinUnavailable(_)
                | BackendError::TokenAmbiguous { .. }
                | BackendError::ModuleMissing(_)
                | BackendError::ModuleInvalid { .. }
                | BackendError::ModuleSpies(_)
                | BackendError::ConfigInvalid { .. },
            ) => 78,
            _ => 1,
        }
    }
}

/// Makes the store and its first officer.
pub async fn init(config: &Config, officer: CallerName) -> Result<(), RunError> {
    let store = Store::open(&config.store.sqlite_file, OpenMode::Create).await?;
    if store
        .callers()
        .await?
        .iter()
        .any(|caller| caller.role == Role::Officer)
    {
        return Err(RunError::Initialised);
    }
    let clock: SharedClock = Arc::new(SystemClock);
    let (audit, task) = AuditLog::open(store.clone(), clock).await?;
    let data = json!({ "callers": [{ "name": officer.as_str(), "role": Role::Officer }] });
    audit.append(Event::AccessApply, None, data).await?;
    let first = Caller {
        name: officer,
        role: Role::Officer,
        grants: Vec::new(),
    };
    store.put_callers(&[first]).await?;
    drop(audit);
    task.finished().await;
    store.close().await;
    Ok(())
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(config: Config, pin_env: Option<String>) -> Result<(), RunError> {
    let started = clock::monotonic();
    let clock: SharedClock = Arc::new(SystemClock);
    let listen = &config.listen;
    let tls_files = TlsFiles::load(
        listen.certificate_file.clone(),
        listen.key_file.clone(),
        listen.caller_ca_file.clone(),
    )?;
    let trust = config.trust_anchors()?;
    let enrollers = config.enrollers()?;
    let profiles = Profiles::read(config.profiles.directory.as_deref())?;
    let sinks = sinks(&config)?;
    let store = Store::open(&config.store.sqlite_file, OpenMode::Existing).await?;
    let world = Arc::new(World::open(store.clone(), profiles.catalog.clone()).await?);
    let (audit, audit_task) = AuditLog::open(store.clone(), clock.clone()).await?;
    let backend = open_token(&config, pin_env).await?;
    let unready = adopt(&*backend, &world.load()).await?;
    let token = backend.info();
    let start = json!({
        "software": env!("CARGO_PKG_VERSION"),
        "token": { "label": token.label, "serial": token.serial, "module": token.module },
        "unready_keys": unready,
        "profiles_sha256": hex::encode(profiles.fingerprint),
    });
    audit.append(Event::Start, None, start).await?;

    let listener = Listener::bind(listen.address, tls_files.clone()).await?;
    let address = listener.address()?;
    let registry = Registry::new(
        clock.clone(),
        world.clone(),
        audit.clone(),
        backend.clone(),
        trust,
    )
    .with_approvals(config.approval_rules())
    .with_enrollers(enrollers);
    let enrolling = tokio::spawn(enrolment::carry_on(registry.clone()));
    // Begins by finishing what a crash left half done; keys are adopted already.
    let approving = tokio::spawn(approval::carry_out_when_due(registry.clone()));
    let settling = tokio::spawn(settle::settle_when_due(registry.clone()));
    let following = config
        .profiles
        .directory
        .map(|directory| tokio::spawn(profiles::watch(directory, registry.clone(), profiles)));
    let own = own_certificates(tls_files.clone());
    let watch = Watch::open(clock.clone(), world.clone(), own, sinks).await?;
    let signing = Signing::new(clock.clone(), world.clone(), audit.clone(), backend.clone());
    let (started_at, meter) = (clock.now(), Meter::default());
    let state = State {
        watch: watch.clone(),
        world: world.clone(),
        backend: backend.clone(),
        started: started_at,
    };
    let exposition = Exposition::new(state, |registry| {
        signing.register(registry);
        audit.register(registry);
        meter.register(registry);
        watch.register(registry);
    });
    let monitoring = open_metrics(config.metrics.as_ref(), exposition).await?;
    let watching = watch.start();
    let rooms = Rooms {
        signing,
        registry,
        world,
        audit: audit.clone(),
        backend,
        clock: clock.clone(),
        started: started_at,
        tls_files,
        watch,
        meter,
    };
    let ready_ms = started.elapsed().as_millis();
    tracing::info!(
        ready_ms,
        keys = token.key_count,
        "sealkeepd ready on {address}"
    );
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let serving = grpc::serve(rooms, listener, listen.reflection, async {
        wait_for_signal().await;
        let _ = stopping.send(());
    });
    drain(serving, stopped, config.runtime.drain_timeout_s).await?;
    settling.abort();
    if let Some(following) = following {
        following.abort();
    }
    watching.stop().await;
    monitoring.stop().await;
    // Whatever it was doing is finished at the next start.
    approving.abort();
    enrolling.abort();
    audit.append(Event::Stop, None, json!({})).await?;
    drop(audit);
    let patience = Duration::from_secs(1);
    if tokio::time::timeout(patience, audit_task.finished())
        .await
        .is_err()
    {
        tracing::warn!("connections are still open and are cut");
    }
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Serves; once asked to stop, waits no longer than the drain time for what is in flight.
async fn drain(
    serving: impl Future<Output = Result<(), tonic::transport::Error>>,
    stopped: tokio::sync::oneshot::Receiver<()>,
    drain_timeout_s: u64,
) -> Result<(), RunError> {
    let patience = async {
        let _ = stopped.await;
        tokio::time::sleep(Duration::from_secs(drain_timeout_s)).await;
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = patience => {
            tracing::warn!(drain_timeout_s, "connections did not finish in time");
            Ok(())
        }
    }
}

/// Reads the PIN each time it is needed, so that it is nowhere in the meantime.
pub(crate) fn pin_source(config: &Config, env: Option<String>) -> PinSource {
    let token = config.token.clone();
    Arc::new(move || {
        pin::read(&token, env.as_deref())
            .map_err(|error| BackendError::PinUnavailable(error.to_string()))
    })
}

/// Loading a vendor's module and logging in block for as long as they like.
async fn open_token(
    config: &Config,
    pin_env: Option<String>,
) -> Result<Arc<dyn KeyBackend>, RunError> {
    let pin = pin_source(config, pin_env);
    let (isolation, worker) = (config.token.isolation, config.worker());
    let opening = tokio::task::spawn_blocking(move || {
        let backend: Arc<dyn KeyBackend> = match isolation {
            Isolation::Process => Arc::new(TokenWorker::start(worker, pin)?),
            Isolation::Thread => {
                let backend = Pkcs11Backend::start(worker.token, pin()?, worker.pin_marker)?;
                Arc::new(backend)
            }
        };
        Ok::<_, BackendError>(backend)
    });
    let opened = opening
        .await
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(opened?)
}

/// Makes every known key ready; names those that are not. A key that is missing today does not stop the others.
async fn adopt(backend: &dyn KeyBackend, snapshot: &Snapshot) -> Result<Vec<String>, RunError> {
    let versions = snapshot
        .credentials
        .values()
        .flat_map(|credential| &credential.versions);
    let versions: Vec<_> = versions
        .filter(|version| version.state != VersionState::Destroyed)
        .collect();
    let keys: Vec<KeyRef> = versions.iter().map(|version| version.key).collect();
    let deadline = clock::monotonic() + Duration::from_secs(ADOPT_TIMEOUT_S);
    let adopted: Vec<Adopted> = backend.adopt(&keys, deadline).await?;
    let mut unready = Vec::new();
    for (version, adopted) in versions.iter().zip(adopted) {
        if let Err(error) = adopted.outcome {
            tracing::error!(version = %version.id, reason = error.reason(), %error, "key not ready");
            unready.push(version.id.to_string());
        }
    }
    Ok(unready)
}

/// The log, and the webhooks of the configuration.
fn sinks(config: &Config) -> Result<Vec<Arc<dyn AlertSink>>, WebhookError> {
    let mut sinks: Vec<Arc<dyn AlertSink>> = vec![Arc::new(LogSink)];
    for webhook in &config.watch.webhook {
        sinks.push(Arc::new(WebhookSink::new(webhook)?));
    }
    Ok(sinks)
}

/// The certificates by which the service and its callers know each other, as they are in use at the moment.
fn own_certificates(tls_files: Arc<TlsFiles>) -> OwnCertificates {
    Arc::new(move || {
        let loaded = tls_files.loaded();
        let own = |kind, der: &[u8]| OwnCertificate {
            kind,
            der: der.to_vec(),
        };
        let cas = loaded.caller_cas.iter().map(|ca| own(Kind::CallerCa, ca));
        std::iter::once(own(Kind::ServerCertificate, &loaded.certificate))
            .chain(cas)
            .collect()
    })
}

/// The door of monitoring, when one is configured.
async fn open_metrics(
    config: Option<&MetricsConfig>,
    exposition: Exposition,
) -> Result<Monitoring, RunError> {
    let mut tasks = JoinSet::new();
    if let Some(config) = config {
        let listener = MetricsListener::bind(config.address).await?;
        tracing::info!("metrics on http://{}/metrics", listener.address()?);
        tasks.spawn(listener.serve(exposition));
    }
    Ok(Monitoring(tasks))
}

/// The open door of monitoring.
struct Monitoring(JoinSet<()>);

impl Monitoring {
    /// Closes it. It holds the token, which must be let go before the process ends.
    async fn stop(mut self) {
        self.0.shutdown().await;
    }
}

async fn wait_for_signal() {
    // Cannot fail: the runtime has its signal driver, and neither signal is forbidden (signal(7)).
    let stream = |kind| signal(kind).unwrap_or_else(|e| unreachable!("signal handler: {e}"));
    let (mut terminate, mut interrupt) = (
        stream(SignalKind::terminate()),
        stream(SignalKind::interrupt()),
    );
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
}

/// Checks everything that can be checked without opening the token or the store.
pub fn check(path: &Path) -> Result<Config, RunError> {
    let config = Config::read(path)?;
    config.trust_anchors()?;
    Profiles::read(config.profiles.directory.as_deref())?;
    sinks(&config)?;
    let listen = &config.listen;
    TlsFiles::load(
        listen.certificate_file.clone(),
        listen.key_file.clone(),
        listen.caller_ca_file.clone(),
    )?;
    if !config.token.module.exists() {
        return Err(BackendError::ModuleMissing(config.token.module.clone()).into());
    }
    Ok(config)
}
