//! `sealkeepd key import`: an existing QSealC or QWAC comes into the token, on the operator's machine.
//!
//! In: a configuration that allows it, a PKCS#12 file, a file with its password, a credential, an officer. Out: a `Staged`
//! version that is marked as imported for ever. It needs the store for itself, so no service runs meanwhile, and whoever
//! can run it has the PIN anyway; the officer is named, not authenticated. Never: a password on a command line, a file that
//! others can read, a key in the token whose certificate a check blocks.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::audit::AuditLog;
use crate::authz;
use crate::backend::pkcs11::Pkcs11Backend;
use crate::backend::tokens::Tokens;
use crate::clock::{self, SharedClock, SystemClock};
use crate::config::Config;
use crate::credential::pkcs12::{self, Contents, Pkcs12Error};
use crate::credential::{CredentialError, ImportRequest, Installed};
use crate::domain::{CallerName, Name, Purpose, Role};
use crate::pin;
use crate::profiles::Profiles;
use crate::registry::{ChangeError, Registry};
use crate::run::RunError;
use crate::store::{OpenMode, Store};
use crate::world::World;

/// How long the token may take over one import, seconds: it makes an RSA key for it.
const IMPORT_TIMEOUT_S: u64 = 120;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The configuration does not allow it.
    #[error("token.import is off: no key comes in from outside")]
    NotAllowed,
    /// Nobody with this name may do it.
    #[error("{0} is no officer here")]
    NotOfficer(CallerName),
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Others can read the file.
    #[error("{path}: mode is {mode:04o}: others can read the key")]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file gives no key.
    #[error("{path}: {source}")]
    Pkcs12 {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: Pkcs12Error,
    },
    /// Key or certificate were refused.
    #[error(transparent)]
    Refused(#[from] CredentialError),
}

impl ImportError {
    /// The stable reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotAllowed => "IMPORT_NOT_ALLOWED",
            Self::NotOfficer(_) => "NOT_AN_OFFICER",
            Self::File { .. } => "IO",
            Self::Exposed { .. } => "PKCS12_EXPOSED",
            Self::Pkcs12 { source, .. } => source.reason(),
            Self::Refused(error) => match error {
                CredentialError::Blocked(_) => "CERTIFICATE_BLOCKED",
                CredentialError::Unreadable(_) => "CERTIFICATE_UNREADABLE",
                CredentialError::PurposeDiffers { .. } => "PURPOSE_DIFFERS",
                CredentialError::KeyKnown(_) => "KEY_KNOWN",
                CredentialError::Change(ChangeError::Backend(error)) => error.reason(),
                CredentialError::Change(ChangeError::Audit(_)) => "AUDIT_UNAVAILABLE",
                _ => "IMPORT_FAILED",
            },
        }
    }

    /// What a person can do about it, when that is known.
    pub fn way_out(&self) -> Option<&'static str> {
        match self {
            Self::NotAllowed => Some(
                "have a new certificate issued for a key of the token; if that cannot be, set `import = true` in [token] for as long as it takes",
            ),
            Self::NotOfficer(_) => Some("name one: `sealkeep access list` shows them"),
            Self::Exposed { .. } => Some("chmod 0400; and ask who had the key already"),
            Self::Pkcs12 { source, .. } => source.way_out(),
            Self::Refused(CredentialError::Change(ChangeError::Backend(_))) => {
                Some("`sealkeepd token doctor` tells what the token can do")
            }
            Self::File { .. } | Self::Refused(_) => None,
        }
    }
}

/// What an operator wants.
#[derive(Debug)]
pub struct Wish {
    /// The PKCS#12 file.
    pub file: PathBuf,
    /// A file of mode 0400 with its password.
    pub password_file: PathBuf,
    /// The credential; made when absent.
    pub credential: Name,
    /// Transport or seal.
    pub purpose: Purpose,
    /// In whose name it stands in the log.
    pub officer: CallerName,
}

/// Imports.
///
/// # Errors
/// [`RunError`]; nothing stays in the token then.
pub async fn run(
    config: &Config,
    token: Option<&str>,
    pin_env: Option<&str>,
    wish: Wish,
) -> Result<Installed, RunError> {
    let config_of_token = config.token(token)?;
    if !config_of_token.import {
        return Err(ImportError::NotAllowed.into());
    }
    let contents = open(&wish)?;
    let trust = config.trust_anchors()?;
    let profiles = Profiles::read(config.profiles.directory.as_deref())?;
    let pin = pin::read(config_of_token, pin_env)?;
    let store = Store::open(&config.place()?, OpenMode::Existing).await?;
    let clock: SharedClock = Arc::new(SystemClock);
    store.name_token_sets(config.tokens[0].set_name()).await?;
    let world = Arc::new(World::open(store.clone(), profiles.catalog).await?);
    if authz::role(&world.load(), &wish.officer, &[Role::Officer]).is_err() {
        return Err(ImportError::NotOfficer(wish.officer).into());
    }
    let (audit, task) = AuditLog::open(store.clone(), clock.clone()).await?;
    let token = Arc::new(Pkcs11Backend::start(
        config.pkcs11(config_of_token),
        pin,
        config.pin_marker(config_of_token),
    )?);
    let tokens = Tokens::of(token.clone());
    let registry = Registry::new(clock, world, audit, tokens, trust);
    let request = ImportRequest {
        credential: wish.credential,
        token_set: config_of_token.set_name().to_owned(),
        purpose: wish.purpose,
        contents,
    };
    let deadline = clock::monotonic() + Duration::from_secs(IMPORT_TIMEOUT_S);
    let imported = registry
        .import(&wish.officer, &token, request, deadline)
        .await;
    drop(registry);
    task.finished().await;
    store.close().await;
    Ok(imported.map_err(ImportError::from)?)
}

/// What was done, and what is left to do.
pub fn told(installed: &Installed) -> String {
    let version = &installed.version;
    let mut lines = vec![format!(
        "imported {version}: staged, its certificate is installed"
    )];
    let findings = installed.findings.iter();
    lines.extend(findings.map(|it| format!("  {}  {}", it.code, it.detail)));
    lines.push(format!(
        "next: start sealkeepd; sealkeep key attest {version}; sealkeep credential activate {version}"
    ));
    lines.push(
        "the key existed outside of the token: destroy the file and every copy, and renew with a key of the token"
            .to_owned(),
    );
    lines.join("\n")
}

fn open(wish: &Wish) -> Result<Contents, RunError> {
    let password = pin::from_file(&wish.password_file)?;
    let bytes = read(&wish.file)?;
    let contents = pkcs12::open(&bytes, &password);
    let contents = contents.map_err(|source| ImportError::Pkcs12 {
        path: wish.file.clone(),
        source,
    });
    Ok(contents?)
}

/// Reads the file, if nobody else can.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    let fault = |source| ImportError::File {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(fault)?;
    let mode = file.metadata().map_err(fault)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(ImportError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    // One byte more than is taken: a file that is too large is told so.
    let limit = pkcs12::FILE_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(fault)?;
    Ok(bytes)
}
