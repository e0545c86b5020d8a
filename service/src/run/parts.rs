//! The parts of the house, each made from its piece of the configuration.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::RunError;
use crate::backend::pkcs11::Pkcs11Backend;
use crate::backend::worker::{PinSource, TokenWorker};
use crate::backend::{Adopted, BackendError, KeyBackend, KeyRef};
use crate::clock;
use crate::config::{Config, Isolation, MetricsConfig};
use crate::domain::VersionState;
use crate::grpc::listener::TlsFiles;
use crate::metrics::{Exposition, MetricsListener};
use crate::pin;
use crate::watch::sink::{AlertSink, LogSink, WebhookError, WebhookSink};
use crate::watch::{Kind, OwnCertificate, OwnCertificates};
use crate::world::Snapshot;

/// How long finding all keys at start may take, seconds.
const ADOPT_TIMEOUT_S: u64 = 60;

/// Reads the PIN each time it is needed, so that it is nowhere in the meantime.
pub(crate) fn pin_source(config: &Config, env: Option<String>) -> PinSource {
    let token = config.token.clone();
    Arc::new(move || {
        pin::read(&token, env.as_deref())
            .map_err(|error| BackendError::PinUnavailable(error.to_string()))
    })
}

/// Loading a vendor's module and logging in block for as long as they like.
pub(super) async fn open_token(
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
pub(super) async fn adopt(
    backend: &dyn KeyBackend,
    snapshot: &Snapshot,
) -> Result<Vec<String>, RunError> {
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
pub(super) fn sinks(config: &Config) -> Result<Vec<Arc<dyn AlertSink>>, WebhookError> {
    let mut sinks: Vec<Arc<dyn AlertSink>> = vec![Arc::new(LogSink)];
    for webhook in &config.watch.webhook {
        sinks.push(Arc::new(WebhookSink::new(webhook)?));
    }
    Ok(sinks)
}

/// The certificates by which the service and its callers know each other, as they are in use at the moment.
pub(super) fn own_certificates(tls_files: Arc<TlsFiles>) -> OwnCertificates {
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
pub(super) async fn open_metrics(
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
pub(super) struct Monitoring(JoinSet<()>);

impl Monitoring {
    /// Closes it. It holds the token, which must be let go before the process ends.
    pub(super) async fn stop(mut self) {
        self.0.shutdown().await;
    }
}
