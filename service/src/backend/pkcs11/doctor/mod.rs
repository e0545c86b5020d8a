//! The doctor: what works on a token, found by trying.
//!
//! In: a configuration and the PIN. Out: an [`Examination`]. Keys are made, used and destroyed; nothing else in the token
//! is touched. Lists of mechanisms are not asked: tokens list what they refuse and refuse what they list. One login, one
//! thread, no backend; it works beside a running service, whose login belongs to another process.
//! Serves PKCS#11 v2.40; what to make of the facts is decided elsewhere.

mod facts;
mod probe;

use std::path::Path;
use std::time::{Duration, Instant};

use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::Session;
use cryptoki::slot::Limit;
use secrecy::SecretString;

use super::config::Pkcs11Config;
use super::module::{About, Module};
use super::recovery::Fault;
use super::session::TokenSession;
use super::token::{Token, Unwatched};
use crate::backend::{BackendError, KeyId, KeySpec, KeyUsage};
use crate::clock::monotonic;

pub use facts::{
    AlgorithmFacts, Examination, KeyFacts, ModuleFacts, PointForm, SearchFacts, SessionFacts,
    TokenFacts, Trial,
};

/// What is tried, from quick to slow; longer RSA keys last.
const KINDS: &[(KeySpec, KeyUsage)] = &[
    (KeySpec::EcP256, KeyUsage::Sign),
    (KeySpec::EcP384, KeyUsage::Sign),
    (KeySpec::EcP521, KeyUsage::Sign),
    (KeySpec::Ed25519, KeyUsage::Sign),
    (KeySpec::EcP256, KeyUsage::Decrypt),
    (KeySpec::EcP384, KeyUsage::Decrypt),
    (KeySpec::Rsa { bits: 2048 }, KeyUsage::Sign),
    (KeySpec::Rsa { bits: 2048 }, KeyUsage::Decrypt),
    (KeySpec::Rsa { bits: 3072 }, KeyUsage::Sign),
    (KeySpec::Rsa { bits: 4096 }, KeyUsage::Sign),
];

/// A token that is logged in to for one command.
struct Visit {
    module: Module,
    token: Token,
    /// Carries the login: it is closed last.
    _anchor: Session,
}

impl Visit {
    fn begin(
        config: &Pkcs11Config,
        pin: &SecretString,
        pin_marker: &Path,
    ) -> Result<Self, BackendError> {
        config.check()?;
        let module = Module::load(config)?;
        let serial = config.token_serial.as_deref();
        let token = Token::find(&module.context, &config.token_label, serial)?;
        let anchor = token.log_in(&module.context, pin, pin_marker, &Unwatched)?;
        Ok(Self {
            module,
            token,
            _anchor: anchor,
        })
    }

    /// A new session for each thing that is tried: after an error a session may be stuck in it.
    fn session(&self) -> Result<TokenSession, Fault> {
        let session = self.module.context.open_rw_session(self.token.slot)?;
        Ok(TokenSession::new(session, &self.module, 1))
    }
}

/// Tries everything that the service may ask of a token. Takes as long as its RSA keys.
///
/// # Errors
/// `Module*`, `Token*` and `Pin*` as [`Pkcs11Backend::start`](super::Pkcs11Backend::start); what fails later is a fact.
pub fn examine(
    config: &Pkcs11Config,
    pin: &SecretString,
    pin_marker: &Path,
) -> Result<Examination, BackendError> {
    let visit = Visit::begin(config, pin, pin_marker)?;
    let (token, told_max) = token_facts(&visit)?;
    let sessions = SessionFacts {
        wanted: config.session_count,
        opened: opened(&visit, config.session_count),
        told_max,
    };
    let kinds = KINDS.iter();
    Ok(Examination {
        module: module_facts(&visit.module.about),
        token,
        sessions,
        search: search(&visit)?,
        keys: kinds
            .map(|(spec, usage)| probe::key(&visit, *spec, *usage))
            .collect(),
        import: probe::import(&visit),
    })
}

fn module_facts(about: &About) -> ModuleFacts {
    ModuleFacts {
        path: about.path.display().to_string(),
        file: about.identity().file.to_owned(),
        manufacturer: about.manufacturer.clone(),
        library: about.library.clone(),
        library_version: about.library_version.clone(),
        cryptoki_version: about.cryptoki_version.clone(),
    }
}

/// With the sessions it says that it has, if it says so.
fn token_facts(visit: &Visit) -> Result<(TokenFacts, Option<u64>), BackendError> {
    let info = visit.module.context.get_token_info(visit.token.slot);
    let info = info.map_err(Fault::from)?;
    let told_max = match info.max_session_count() {
        Limit::Max(max) => Some(max),
        _ => None,
    };
    let facts = TokenFacts {
        label: info.label().trim_end().to_owned(),
        serial: visit.token.serial.clone(),
        manufacturer: visit.token.manufacturer.clone(),
        model: info.model().trim_end().to_owned(),
        firmware: info.firmware_version().to_string(),
        write_protected: info.write_protected(),
        pin_count_low: info.user_pin_count_low(),
    };
    Ok((facts, told_max))
}

fn opened(visit: &Visit, wanted: u16) -> u16 {
    let open = || visit.module.context.open_ro_session(visit.token.slot).ok();
    let sessions: Vec<_> = (0..wanted).map_while(|_| open()).collect();
    u16::try_from(sessions.len()).unwrap_or(wanted)
}

fn search(visit: &Visit) -> Result<SearchFacts, BackendError> {
    let session = visit.session()?;
    let private = || {
        vec![
            Attribute::Token(true),
            Attribute::Class(ObjectClass::PRIVATE_KEY),
        ]
    };
    let all = session.find_objects(&private()).map_err(Fault::from)?;
    let absent = Attribute::Id(KeyId::random().as_bytes().to_vec());
    let one = [private(), vec![absent]].concat();
    let begun = monotonic();
    session.find_objects(&one).map_err(Fault::from)?;
    Ok(SearchFacts {
        private_keys: all.len(),
        by_id_us: since(begun),
    })
}

/// Microseconds since then.
fn since(begun: Instant) -> u64 {
    micros(monotonic() - begun)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
