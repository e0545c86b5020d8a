//! The parts of the house, each made from its piece of the configuration.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::RunError;
use crate::clock::SharedClock;
use crate::config::{Config, MetricsConfig, PublicationConfig};
use crate::grpc::listener::{TlsError, TlsFiles};
use crate::metrics::{Exposition, MetricsListener};
use crate::publication::{Publication, PublicationListener, PublicationMeter, ServerFiles};
use crate::watch::sink::{AlertSink, LogSink, WebhookError, WebhookSink};
use crate::watch::{Kind, OwnCertificate, OwnCertificates, SecretFile, SecretFiles};
use crate::world::World;

/// The log, and the webhooks of the configuration.
pub(super) fn sinks(config: &Config) -> Result<Vec<Arc<dyn AlertSink>>, WebhookError> {
    let mut sinks: Vec<Arc<dyn AlertSink>> = vec![Arc::new(LogSink)];
    for webhook in &config.watch.webhook {
        sinks.push(Arc::new(WebhookSink::new(webhook)?));
    }
    Ok(sinks)
}

/// The shared secrets of webhooks and enrollers, by where they lie.
pub(super) fn secret_files(config: &Config) -> SecretFiles {
    let webhooks = config.watch.webhook.iter().map(|webhook| SecretFile {
        name: format!("watch.webhook {}", webhook.name),
        path: webhook.secret_file.clone(),
    });
    let enrollers = config.enroller.iter().cloned().flat_map(|mut enroller| {
        let name = format!("enroller {}", enroller.name());
        let files = enroller.files_mut().into_iter();
        let secret = files.map(|path| SecretFile {
            name: name.clone(),
            path: path.clone(),
        });
        secret.collect::<Vec<_>>()
    });
    SecretFiles {
        files: webhooks.chain(enrollers).collect(),
        days_max: config.watch.secret_days_max,
    }
}

/// The certificates by which the service and its callers know each other, as they are in use at the moment.
pub(super) fn own_certificates(
    tls_files: Arc<TlsFiles>,
    publication: Option<Arc<ServerFiles>>,
) -> OwnCertificates {
    Arc::new(move || {
        let loaded = tls_files.loaded();
        let own = |kind, der: &[u8]| OwnCertificate {
            kind,
            der: der.to_vec(),
        };
        let cas = loaded.caller_cas.iter().map(|ca| own(Kind::CallerCa, ca));
        let public = publication.as_ref().map(|files| files.certificate());
        let public = public.map(|der| own(Kind::ServerCertificate, &der));
        std::iter::once(own(Kind::ServerCertificate, &loaded.certificate))
            .chain(public)
            .chain(cas)
            .collect()
    })
}

/// The certificate and key of the public door.
pub(super) fn server_files(
    config: Option<&PublicationConfig>,
) -> Result<Option<Arc<ServerFiles>>, TlsError> {
    let load = |config: &PublicationConfig| {
        ServerFiles::load(config.certificate_file.clone(), config.key_file.clone())
    };
    config.map(load).transpose()
}

/// The public door where banks fetch our certificates, when one is configured.
pub(super) async fn open_publication(
    config: Option<(PublicationConfig, Arc<ServerFiles>)>,
    (clock, world): (SharedClock, Arc<World>),
    meter: PublicationMeter,
) -> Result<Door, RunError> {
    let mut tasks = JoinSet::new();
    if let Some((config, files)) = config {
        let listener = PublicationListener::bind(config.address, files).await?;
        tracing::info!("certificates on https://{}", listener.address()?);
        let publication = Publication::new(clock, world, config.urls);
        tasks.spawn(publication.serve(listener, meter));
    }
    Ok(Door(tasks))
}

/// The door of monitoring, when one is configured.
pub(super) async fn open_metrics(
    config: Option<&MetricsConfig>,
    exposition: Exposition,
) -> Result<Door, RunError> {
    let mut tasks = JoinSet::new();
    if let Some(config) = config {
        let listener = MetricsListener::bind(config.address).await?;
        tracing::info!("metrics on http://{}/metrics", listener.address()?);
        tasks.spawn(listener.serve(exposition));
    }
    Ok(Door(tasks))
}

/// An open door.
pub(super) struct Door(JoinSet<()>);

impl Door {
    /// Closes it. What it holds, the token among it, must be let go before the process ends.
    pub(super) async fn stop(mut self) {
        self.0.shutdown().await;
    }
}
