//! Requests for certificates, carried to a QTSP and back.
//!
//! In: an officer's wish to have a version certified by one of the configured ways. Out: the certificate, installed through
//! the same checks as one that a person brings; or the reason why not. Never: a key, which an [`Enroller`] cannot see; a
//! step that is not written down before the next one begins.
//!
//! | room | what it knows |
//! |---|---|
//! | [`config`], `open` | what the operator wrote |
//! | `manual`, [`cmp`](CmpEnroller), [`acme`] | one way to a QTSP each |
//! | `decide` | what becomes of an enrolment after a step; pure |
//! | [`signer`](Signer) | what a key of the token signs for them |
//! | `wish` | what officers ask for |
//! | `carry` | whose step is due, and what came |
//!
//! An enrolment takes milliseconds or weeks. After every step its ticket is stored, and [`carry_on`] takes the next step
//! when it is due, after a restart too.

pub mod acme;
mod carry;
mod cmp;
pub mod config;
mod decide;
mod manual;
mod meter;
mod open;
mod signer;
mod wish;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use sealkeep_cmp::request::Reason;

pub use acme::{AcmeEnroller, AcmeServer};
pub use carry::carry_on;
pub use cmp::{CmpAccount, CmpEnroller};
pub use config::EnrollerConfig;
pub use manual::ManualEnroller;
pub use meter::Meter;
pub use open::EnrollerError;
pub use signer::Signer;

use crate::backend::BoxFuture;
use crate::domain::{Name, VersionId};

/// A way to a QTSP. Strangers plug in here: every QTSP has its own.
pub trait Enroller: std::fmt::Debug + Send + Sync + 'static {
    /// Takes one step: the first for a request without a ticket, else the one that the ticket stands before.
    fn step(&self, order: Order) -> BoxFuture<Result<Progress, EnrolError>>;

    /// How long a certificate may take before somebody should ask for it.
    fn patience(&self) -> SignedDuration;
}

/// What an enroller gets.
#[derive(Debug, Clone)]
pub struct Order {
    /// What the QTSP is asked for.
    pub errand: Errand,
    /// The version that it is about.
    pub version: VersionId,
    /// The key of that version, for a QTSP that wants another proof than the request's.
    pub key: Signer,
    /// The request, DER; its signature proves possession of the key.
    pub csr_der: Vec<u8>,
    /// SHA-256 of the SubjectPublicKeyInfo that has to come back.
    pub spki_sha256: [u8; 32],
    /// What the step before gave out.
    pub ticket: Option<String>,
}

/// What a QTSP is asked for.
#[derive(Debug, Clone)]
pub enum Errand {
    /// A certificate for the request.
    Certificate {
        /// The key of the version that it follows, when its certificate may speak for us now.
        renews: Option<Signer>,
    },
    /// That the certificate of the version is revoked.
    Revocation {
        /// The certificate, DER.
        certificate: Vec<u8>,
        /// Why.
        reason: Reason,
    },
}

/// How far a step got.
#[derive(Debug)]
pub enum Progress {
    /// Come back.
    Pending {
        /// To be stored and given to the next step.
        ticket: String,
        /// When, seconds from now.
        check_after_s: u32,
        /// What is being waited for, for a person.
        detail: String,
    },
    /// Certificates, DER.
    Issued(Vec<Vec<u8>>),
    /// The certificate is revoked.
    Revoked,
}

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// It may succeed later.
    #[error("{0}")]
    Later(String),
    /// It may succeed from the beginning: the QTSP forgot how far it was.
    #[error("{0}")]
    Anew(String),
    /// It will not.
    #[error("{0}")]
    Never(String),
}

/// The ways that the operator configured, by name.
pub type Enrollers = BTreeMap<Name, Arc<dyn Enroller>>;
