//! The client identity of TLS connections to one bank, swapped whole when the bank's binding moves.
//!
//! In: certificate chains and schemes as the service names them. Out: what rustls presents (`ResolvesClientCert`).
//! Never: a certificate whose public key is not the remote key's.

use crate::error::Error;
use crate::tls::key::{RemoteKey, RemoteKeyParts};
use crate::tls::thread::SignerThread;
use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use sealkeep_proto::v1::{GetTlsIdentityResponse, VersionState, WatchCredentialResponse};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{oneshot, watch};

/// What is presented now, and the means to make the next one.
pub(crate) struct Identity {
    bank: Arc<str>,
    /// The verification it is presented for; empty for everything else.
    verification: Arc<str>,
    tls12_allowed: bool,
    signer: SignerThread,
    current: ArcSwap<Generation>,
    /// Held while the next generation is made: the watch and a refresh may hear of it at the same time.
    turn: Mutex<()>,
    changes: watch::Sender<u64>,
    /// Dropped with the identity: ends its watch.
    _alive: oneshot::Sender<()>,
}

/// One version as presented.
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) version: String,
    pub(crate) certified: Arc<CertifiedKey>,
    /// Whether the service signs with it now; a frozen version is still presented and refused there, with the reason.
    signs: bool,
}

impl Identity {
    /// Makes the identity and has it watched. That of a verification is not: it presents what is tried, not what is
    /// bound.
    pub(crate) fn new(
        bank: &Arc<str>,
        verification: &Arc<str>,
        answer: GetTlsIdentityResponse,
        signer: SignerThread,
    ) -> Result<Arc<Self>, Error> {
        let (alive, gone) = oneshot::channel();
        let tls12_allowed = answer.tls12_allowed;
        let first = Named {
            version: answer.version,
            chain: answer.certificate_chain,
            schemes: answer.signature_schemes,
        };
        let certified = first.certify(bank, verification, tls12_allowed, &signer)?;
        let first = Generation {
            number: 0,
            version: first.version,
            certified,
            signs: true,
        };
        let identity = Arc::new(Self {
            bank: bank.clone(),
            verification: verification.clone(),
            tls12_allowed,
            signer: signer.clone(),
            current: ArcSwap::from_pointee(first),
            turn: Mutex::new(()),
            changes: watch::Sender::new(0),
            _alive: alive,
        });
        if verification.is_empty() {
            let (credential, watched) = (answer.credential, Arc::downgrade(&identity));
            signer.follow(credential, bank.clone(), watched, gone)?;
        }
        Ok(identity)
    }

    pub(crate) fn current(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// Takes over what the watch, or a new `GetTlsIdentity`, says. When no version is bound any more the last one stays: the service then refuses
    /// its signatures with a reason, which says more than a connection without a certificate. The same version stopped
    /// or let go on is a change too: connections that were opened with a key that is not trusted now end.
    pub(crate) fn update(&self, said: WatchCredentialResponse) -> Result<(), Error> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current();
        let signs = signs(said.state).unwrap_or(current.signs);
        let same = said.bound_version == current.version && signs == current.signs;
        if said.bound_version.is_empty() || same {
            return Ok(());
        }
        let named = Named {
            version: said.bound_version,
            chain: said.certificate_chain,
            schemes: said.signature_schemes,
        };
        let certified = named.certify(
            &self.bank,
            &self.verification,
            self.tls12_allowed,
            &self.signer,
        )?;
        let number = current.number + 1;
        self.current.store(Arc::new(Generation {
            number,
            version: named.version,
            certified,
            signs,
        }));
        self.changes.send_replace(number);
        Ok(())
    }

    pub(crate) async fn changed(&self, seen: u64) {
        let mut changes = self.changes.subscribe();
        // The sender lives in `self`, so the wait ends only by a change.
        let _ = changes.wait_for(|number| *number > seen).await;
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], offered: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let certified = self.current.load().certified.clone();
        certified
            .key
            .choose_scheme(offered)
            .is_some()
            .then_some(certified)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("bank", &self.bank)
            .field("version", &self.current.load().version)
            .finish_non_exhaustive()
    }
}

/// Whether a version in this state signs; none when the service did not say.
fn signs(state: i32) -> Option<bool> {
    match VersionState::try_from(state) {
        Ok(VersionState::Unspecified) | Err(_) => None,
        Ok(state) => Some(matches!(
            state,
            VersionState::Active | VersionState::Retiring
        )),
    }
}

/// A version as the service names it.
struct Named {
    version: String,
    chain: Vec<Vec<u8>>,
    schemes: Vec<u32>,
}

impl Named {
    fn certify(
        &self,
        bank: &Arc<str>,
        verification: &Arc<str>,
        tls12_allowed: bool,
        signer: &SignerThread,
    ) -> Result<Arc<CertifiedKey>, Error> {
        let malformed = |what: String| Error::broken("IDENTITY_MALFORMED", what);
        let chain: Vec<CertificateDer<'static>> = self
            .chain
            .iter()
            .cloned()
            .map(CertificateDer::from)
            .collect();
        let Some(leaf) = chain.first() else {
            return Err(malformed(format!("{} has no certificate", self.version)));
        };
        let key = RemoteKey::new(RemoteKeyParts {
            bank: bank.clone(),
            verification: verification.clone(),
            version: self.version.as_str().into(),
            schemes: schemes(&self.schemes),
            leaf,
            tls12_allowed,
            signer: signer.clone(),
        })?;
        let certified = CertifiedKey::new(chain, Arc::new(key));
        certified
            .keys_match()
            .map_err(|error| malformed(error.to_string()))?;
        Ok(Arc::new(certified))
    }
}

fn schemes(codes: &[u32]) -> Vec<SignatureScheme> {
    codes
        .iter()
        .filter_map(|code| u16::try_from(*code).ok())
        .map(SignatureScheme::from)
        .collect()
}
