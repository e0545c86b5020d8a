//! Why the service does not run.

use crate::audit::AuditError;
use crate::backend::BackendError;
use crate::config::ConfigError;
use crate::credential::enrolment::EnrollerError;
use crate::grpc::listener::TlsError;
use crate::import::ImportError;
use crate::pin::PinError;
use crate::profiles::ProfilesError;
use crate::store::StoreError;
use crate::watch::sink::WebhookError;
use crate::world::WorldError;

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
    Enroller(#[from] EnrollerError),
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
    #[error(transparent)]
    Import(#[from] ImportError),
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
            Self::Config(_) | Self::Webhook(_) | Self::Enroller(_) => "CONFIG_INVALID",
            Self::Pin(_) => "PIN_UNAVAILABLE",
            Self::Profiles(_) | Self::World(WorldError::ProfileUnknown { .. }) => {
                "PROFILES_INVALID"
            }
            Self::Store(StoreError::InUse(_)) => "STORE_IN_USE",
            Self::Store(StoreError::Absent(_)) => "STORE_ABSENT",
            Self::Store(StoreError::NotDurable { .. }) => "STORE_NOT_DURABLE",
            Self::Store(StoreError::Unauthenticated(_)) => "STORE_UNAUTHENTICATED",
            Self::Store(_) | Self::World(_) => "STORE_UNAVAILABLE",
            Self::Audit(_) => "AUDIT_UNAVAILABLE",
            Self::Backend(error) => error.reason(),
            Self::Tls(_) => "TLS_MATERIAL_INVALID",
            Self::Import(error) => error.reason(),
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
            Self::Backend(BackendError::TokenNotFound { .. }) => Some(
                "compare token.label with the output of `pkcs11-tool --list-slots`; if it is there, name what the \
                     module reads and writes in token.worker_read_paths and token.worker_write_paths",
            ),
            Self::Backend(BackendError::ModuleInvalid { .. }) => Some(
                "compare token.module with the vendor's manual; if it is right, name what the module reads and writes \
                 in token.worker_read_paths and token.worker_write_paths",
            ),
            Self::Backend(BackendError::ModuleMissing(_)) => {
                Some("install the vendor's PKCS#11 library, or correct token.module")
            }
            Self::Backend(BackendError::ModuleSpies(_)) => {
                Some("name the real module; `token.allow_spy` is for tests")
            }
            Self::World(WorldError::ProfileUnknown { .. }) => {
                Some("put the profile back into profiles.directory; then give the bank another one")
            }
            Self::Import(error) => error.way_out(),
            _ => None,
        }
    }

    /// 78 (EX_CONFIG of sysexits.h) when starting again cannot help and a person must act: the unit file lists it in
    /// `RestartPreventExitStatus=`. 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Webhook(_)
            | Self::Enroller(_)
            | Self::Pin(_)
            | Self::Tls(_)
            | Self::Profiles(_)
            | Self::World(WorldError::ProfileUnknown { .. })
            | Self::Initialised
            | Self::Import(ImportError::NotAllowed)
            | Self::Store(
                StoreError::Absent(_)
                | StoreError::NotDurable { .. }
                | StoreError::Unauthenticated(_),
            ) => 78,
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
                | BackendError::ConfigInvalid { .. }
                | BackendError::SetUnknown(_),
            ) => 78,
            _ => 1,
        }
    }
}
