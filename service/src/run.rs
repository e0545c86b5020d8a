//! The house, put together: opened in order, closed in reverse.

mod error;
mod parts;
mod tokens;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::approval;
use crate::audit::{AuditLog, Event};
use crate::backend::BackendError;
use crate::bank::rotation::settle;
use crate::clock::{self, SharedClock, SystemClock};
use crate::config::Config;
use crate::credential::{enrolment, revocation};
use crate::domain::{Caller, CallerName, Role};
use crate::grpc::listener::{Listener, TlsFiles};
use crate::grpc::meter::Meter;
use crate::grpc::{self, Rooms};
use crate::metrics::{Exposition, State};
use crate::profiles::{self, Profiles};
use crate::publication::PublicationMeter;
use crate::registry::Registry;
use crate::replica;
use crate::signing::Signing;
use crate::store::{OpenMode, Store};
use crate::watch::{Sources, Watch};
use crate::world::World;

pub use error::RunError;
use parts::{open_metrics, open_publication, own_certificates, secret_files, server_files, sinks};
pub(crate) use tokens::pin_source;

/// Makes the store and its first officer.
pub async fn init(config: &Config, officer: CallerName) -> Result<(), RunError> {
    let store = Store::open(&config.place()?, OpenMode::Create).await?;
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
    let publication = server_files(config.publication.as_ref())?;
    let trust = config.trust_anchors()?;
    let lists = config.list_terms()?;
    let enrollers = config.enrollers()?;
    let revocations = Arc::new(config.revocation.revocations());
    let profiles = Profiles::read(config.profiles.directory.as_deref())?;
    let (sinks, secrets) = (sinks(&config)?, secret_files(&config));
    let store = Store::open(&config.place()?, OpenMode::Existing).await?;
    store.name_token_sets(config.tokens[0].set_name()).await?;
    let world = Arc::new(World::open(store.clone(), profiles.catalog.clone()).await?);
    let (audit, audit_task) = AuditLog::open(store.clone(), clock.clone()).await?;
    let tokens = tokens::open(&config, pin_env).await?;
    let unready = tokens::adopt(&tokens, &store, &world.load()).await?;
    let statuses = tokens.statuses();
    let start = json!({
        "software": env!("CARGO_PKG_VERSION"),
        "tokens": statuses.iter().map(|status| json!({
            "name": status.info.name,
            "set": status.set,
            "label": status.info.label,
            "serial": status.info.serial,
            "module": status.info.module,
            "ready": status.info.ready,
        })).collect::<Vec<_>>(),
        "unready_keys": unready,
        "profiles_sha256": hex::encode(profiles.fingerprint),
    });
    audit.append(Event::Start, None, start).await?;

    let tending = tokio::spawn(tokens.clone().tend());
    let listener = Listener::bind(listen.address, tls_files.clone()).await?;
    let address = listener.address()?;
    let registry = Registry::new(
        clock.clone(),
        world.clone(),
        audit.clone(),
        tokens.clone(),
        trust,
    )
    .with_lists(lists)
    .with_approvals(config.approval_rules())
    .with_enrollers(enrollers)
    .with_revocation(revocations.clone());
    let following = config
        .profiles
        .directory
        .map(|directory| tokio::spawn(profiles::watch(directory, registry.clone(), profiles)));
    let sources = Sources {
        certificates: own_certificates(tls_files.clone(), publication.clone()),
        secrets,
        revocation: *revocations.rules(),
    };
    let watch = Watch::open(clock.clone(), world.clone(), sources, sinks).await?;
    let replicated = tokio::spawn(replica::follow(world.clone(), tokens.clone()));
    let leading = tokio::spawn(replica::lead(store.clone(), once(&registry, &watch)));
    let signing = Signing::new(clock.clone(), world.clone(), audit.clone(), tokens.clone());
    let enrolments = registry.enrolling.clone();
    let (started_at, meter) = (clock.now(), Meter::default());
    let published = PublicationMeter::default();
    let state = State {
        watch: watch.clone(),
        world: world.clone(),
        tokens: tokens.clone(),
        canaries: registry.outcomes.clone(),
        clock: clock.clone(),
        started: started_at,
    };
    let exposition = Exposition::new(state, |registry| {
        signing.register(registry);
        audit.register(registry);
        meter.register(registry);
        watch.register(registry);
        enrolments.register(registry);
        revocations.register(registry);
        published.register(registry);
    });
    let monitoring = open_metrics(config.metrics.as_ref(), exposition).await?;
    let publishing = config.publication.zip(publication);
    let publishing = open_publication(publishing, (clock.clone(), world.clone()), published);
    let publishing = publishing.await?;
    let watching = watch.start();
    let rooms = Rooms {
        signing,
        registry,
        world,
        audit: audit.clone(),
        tokens,
        clock: clock.clone(),
        started: started_at,
        tls_files,
        watch,
        meter,
    };
    let ready_ms = started.elapsed().as_millis();
    tracing::info!(
        ready_ms,
        tokens = statuses.iter().filter(|it| it.info.ready).count(),
        keys = statuses.iter().map(|it| it.info.key_count).sum::<u32>(),
        "sealkeepd ready on {address}"
    );
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let serving = grpc::serve(rooms, listener, listen.reflection, async {
        wait_for_signal().await;
        let _ = stopping.send(());
    });
    drain(serving, stopped, config.runtime.drain_timeout_s).await?;
    // Whatever it was doing is finished at the next start, or by the next leader.
    leading.abort();
    replicated.abort();
    tending.abort();
    if let Some(following) = following {
        following.abort();
    }
    watching.stop().await;
    monitoring.stop().await;
    publishing.stop().await;
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

/// The tasks that one replica does for all. They begin by finishing what a crash left half done; keys are adopted already.
fn once(registry: &Registry, watch: &Watch) -> impl Fn() -> JoinSet<()> + use<> {
    let (registry, watch) = (registry.clone(), watch.clone());
    move || {
        let mut tasks = JoinSet::new();
        tasks.spawn(enrolment::carry_on(registry.clone()));
        tasks.spawn(approval::carry_out_when_due(registry.clone()));
        tasks.spawn(settle::settle_when_due(registry.clone()));
        tasks.spawn(revocation::keep_asking(registry.clone()));
        watch.deliver_in(&mut tasks);
        tasks
    }
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
    config.list_terms()?;
    Profiles::read(config.profiles.directory.as_deref())?;
    sinks(&config)?;
    let listen = &config.listen;
    TlsFiles::load(
        listen.certificate_file.clone(),
        listen.key_file.clone(),
        listen.caller_ca_file.clone(),
    )?;
    server_files(config.publication.as_ref())?;
    for token in &config.tokens {
        if !token.module.exists() {
            return Err(BackendError::ModuleMissing(token.module.clone()).into());
        }
    }
    Ok(config)
}
