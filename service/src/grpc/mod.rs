//! Wire in, one call, wire out.
//!
//! In: gRPC requests of callers that TLS has authenticated. Out: answers, or a `Status` with a stable reason word. This
//! is the only place that builds a `Status`. Never: a decision.

mod access;
mod approval;
mod audit;
mod bank;
mod compromise;
mod credential;
mod decryption;
mod edge;
mod enrolment;
mod entry;
mod error;
mod expiry;
mod jwt;
mod key;
pub mod listener;
pub mod meter;
mod rotation;
mod signing;
mod status;
mod tls;
mod trust;
mod verification;
mod watch;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sealkeep_proto::v1::access_service_server::AccessServiceServer;
use sealkeep_proto::v1::approval_service_server::ApprovalServiceServer;
use sealkeep_proto::v1::audit_service_server::AuditServiceServer;
use sealkeep_proto::v1::bank_service_server::BankServiceServer;
use sealkeep_proto::v1::credential_service_server::CredentialServiceServer;
use sealkeep_proto::v1::decryption_service_server::DecryptionServiceServer;
use sealkeep_proto::v1::enrolment_service_server::EnrolmentServiceServer;
use sealkeep_proto::v1::jwt_service_server::JwtServiceServer;
use sealkeep_proto::v1::key_service_server::KeyServiceServer;
use sealkeep_proto::v1::rotation_service_server::RotationServiceServer;
use sealkeep_proto::v1::signing_service_server::SigningServiceServer;
use sealkeep_proto::v1::status_service_server::StatusServiceServer;
use sealkeep_proto::v1::tls_service_server::TlsServiceServer;
use sealkeep_proto::v1::trust_service_server::TrustServiceServer;
use sealkeep_proto::v1::watch_service_server::WatchServiceServer;
use tonic::transport::Server;
use tower::util::MapResponseLayer;

use crate::audit::AuditLog;
use crate::backend::tokens::Tokens;
use crate::clock::SharedClock;
use crate::registry::Registry;
use crate::signing::Signing;
use crate::watch::Watch;
use crate::world::World;
use listener::{Listener, TlsFiles};
use meter::Meter;

/// Largest request message, bytes: a body of 256 KiB with its headers.
const REQUEST_BYTES_MAX: usize = 512 * 1024;
/// Largest header list of an HTTP/2 request, bytes.
const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// Requests of one connection that are worked on at once; more are shed.
const CONCURRENT_PER_CONNECTION_MAX: usize = 512;
/// After this a connection is asked to close, so that a caller proves its identity again, seconds.
const CONNECTION_AGE_MAX_S: u64 = 15 * 60;
/// How long a connection may take to finish what it has begun when it is asked to close, seconds.
const CONNECTION_GRACE_S: u64 = 30;
/// Ping interval and patience for silent connections, seconds.
const KEEPALIVE_INTERVAL_S: u64 = 30;
const KEEPALIVE_TIMEOUT_S: u64 = 10;

/// What the handlers work with.
#[derive(Clone)]
pub struct Rooms {
    /// Where signatures are made.
    pub signing: Signing,
    /// Where changes are made.
    pub registry: Registry,
    /// What the service knows.
    pub world: Arc<World>,
    /// The log.
    pub audit: AuditLog,
    /// What holds keys.
    pub tokens: Tokens,
    /// The time.
    pub clock: SharedClock,
    /// When the service started.
    pub started: Timestamp,
    /// The service's own TLS material, for what expires when.
    pub tls_files: Arc<TlsFiles>,
    /// What ends when, and who is told.
    pub watch: Watch,
    /// Where calls are counted.
    pub meter: Meter,
}

/// One implementation of every service.
#[derive(Clone)]
struct Api(Arc<Rooms>);

/// Serves until `shutdown` resolves, then finishes what is in flight.
pub async fn serve(
    rooms: Rooms,
    listener: Listener,
    reflection: bool,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let meter = rooms.meter.clone();
    let api = Api(Arc::new(rooms));
    let (health, health_service) = tonic_health::server::health_reporter();
    health
        .set_service_status("", tonic_health::ServingStatus::Serving)
        .await;
    let reflection = reflection.then(|| {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(sealkeep_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            // Cannot fail: the descriptor sets were made by our own build and the libraries'.
            .unwrap_or_else(|e| unreachable!("descriptor set: {e}"))
    });
    macro_rules! capped {
        ($server:ident) => {
            $server::new(api.clone()).max_decoding_message_size(REQUEST_BYTES_MAX)
        };
    }
    Server::builder()
        .layer(meter::MeterLayer(meter))
        .layer(MapResponseLayer::new(edge::dress))
        .concurrency_limit_per_connection(CONCURRENT_PER_CONNECTION_MAX)
        .load_shed(true)
        .max_connection_age(Duration::from_secs(CONNECTION_AGE_MAX_S))
        .max_connection_age_grace(Duration::from_secs(CONNECTION_GRACE_S))
        .http2_keepalive_interval(Some(Duration::from_secs(KEEPALIVE_INTERVAL_S)))
        .http2_keepalive_timeout(Some(Duration::from_secs(KEEPALIVE_TIMEOUT_S)))
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
        .add_service(health_service)
        .add_optional_service(reflection)
        .add_service(capped!(SigningServiceServer))
        .add_service(capped!(JwtServiceServer))
        .add_service(capped!(DecryptionServiceServer))
        .add_service(capped!(TlsServiceServer))
        .add_service(capped!(CredentialServiceServer))
        .add_service(capped!(KeyServiceServer))
        .add_service(capped!(BankServiceServer))
        .add_service(capped!(RotationServiceServer))
        .add_service(capped!(AccessServiceServer))
        .add_service(capped!(ApprovalServiceServer))
        .add_service(capped!(EnrolmentServiceServer))
        .add_service(capped!(TrustServiceServer))
        .add_service(capped!(AuditServiceServer))
        .add_service(capped!(StatusServiceServer))
        .add_service(capped!(WatchServiceServer))
        .serve_with_incoming_shutdown(listener.connections(), async move {
            shutdown.await;
            health
                .set_service_status("", tonic_health::ServingStatus::NotServing)
                .await;
        })
        .await
}
