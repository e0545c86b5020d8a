//! Installation of an issued certificate, and activation.

use std::sync::Arc;
use std::time::Instant;

use sealkeep_cmp::signature::plain_scheme;
use sealkeep_profiles::certificate::Certificate;
use serde_json::json;

use super::CredentialError;
use super::checks::{self, Candidate, Finding};
use super::csr::armour;
use super::listed::Listed;
use super::reading::{self, Delivery};
use super::state::{self, Happening};
use crate::audit::Event;
use crate::domain::{
    CallerName, Credential, Environment, KeyOrigin, Name, Purpose, Version, VersionId, VersionState,
};
use crate::registry::{ChangeError, Registry};
use crate::store::{IssuedRow, StateChange};
use crate::world::Snapshot;

/// What the checks found; nothing of it blocks.
#[derive(Debug)]
pub struct Installed {
    /// The version.
    pub version: VersionId,
    /// All findings.
    pub findings: Vec<Finding>,
    /// The trusted list that makes the certificate qualified; none when only a pinned anchor vouches for it.
    pub listed: Option<Listed>,
}

/// A version that was put to use.
#[derive(Debug)]
pub struct Activated {
    /// The version.
    pub version: VersionId,
    /// The banks that were bound to it.
    pub banks: Vec<Name>,
    /// What should be known all the same.
    pub findings: Vec<Finding>,
    /// The trusted list that makes the certificate qualified; none when only a pinned anchor vouches for it.
    pub listed: Option<Listed>,
}

/// Which version a name means.
pub(super) struct Found {
    pub(super) credential: Arc<Credential>,
    pub(super) version: Arc<Version>,
}

impl Registry {
    /// Checks a chain for a version and installs it, unless a check blocks or only checking was asked for.
    pub async fn install(
        &self,
        who: &CallerName,
        name: &str,
        delivered: &[u8],
        validate_only: bool,
        deadline: Instant,
    ) -> Result<Installed, CredentialError> {
        let _turn = self.turn().await?;
        let found = self.find(name)?;
        let version = &found.version;
        found.takes_certificate()?;
        let state = next(version, Happening::Installed)?;
        let delivery = reading::read(delivered, &version.key.spki_sha256)?;
        let (mut findings, environment) = self.examine(&found, &delivery);
        let chain = delivery.chain;
        if !findings.iter().any(|finding| finding.code == "key.match") {
            findings.extend(self.key_proof(version, &chain[0], deadline).await?);
        }
        findings.extend(self.replica_finding(version));
        let (of_lists, listed) = environment
            .map(|world| self.listed(&chain, found.credential.purpose, world))
            .unwrap_or_default();
        findings.extend(of_lists);
        let environment = match environment {
            Some(known) if !findings.iter().any(|f| f.blocking) => known,
            _ => return Err(CredentialError::Blocked(findings)),
        };
        let installed = Installed {
            version: version.id.clone(),
            findings,
            listed,
        };
        if validate_only {
            return Ok(installed);
        }
        let data = json!({
            "version": version.id.to_string(),
            "certificate_sha256": hex::encode(chain[0].sha256()),
            "environment": environment.as_str(),
            "trusted_list": installed.listed.as_ref().map(|listed| listed.list.to_string()),
            "findings": installed.findings.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(),
        });
        let chain_pem = chain
            .iter()
            .map(|c| armour("CERTIFICATE", c.der()))
            .collect();
        let row = IssuedRow {
            chain_pem,
            environment,
        };
        let change = change_of(version, state);
        let write = self.world.store().install(&change, &row);
        self.change(who, Event::CredentialInstall, data, write)
            .await?;
        Ok(installed)
    }

    /// All checks that need no token.
    pub(super) fn examine(
        &self,
        found: &Found,
        delivery: &Delivery,
    ) -> (Vec<Finding>, Option<Environment>) {
        let (snapshot, version) = (self.world.load(), &found.version);
        checks::run(&Candidate {
            version,
            purpose: found.credential.purpose,
            previous: previous(&found.credential, version.id.number),
            others: others(&snapshot, &version.id),
            chain: &delivery.chain,
            extra: &delivery.extra,
            anchors: &self.trust,
            now: self.clock.now(),
        })
    }

    /// The key in the token makes a signature that verifies under the certificate: no other object answers to its id.
    async fn key_proof(
        &self,
        version: &Version,
        leaf: &Certificate,
        deadline: Instant,
    ) -> Result<Option<Finding>, CredentialError> {
        // Begins with a byte that no other signed language begins with.
        let challenge = [b"\0sealkeep/selftest/v1".as_slice(), &leaf.sha256()].concat();
        let Some(scheme) = plain_scheme(leaf.public_key().key_type()) else {
            return Ok(None);
        };
        let input = scheme.token_input(&challenge);
        let raw = self
            .tokens
            .sign(&version.key, scheme, &input, deadline)
            .await;
        let raw = raw.map_err(ChangeError::from)?;
        let verified = leaf.public_key().verify(scheme, &challenge, &raw.bytes);
        let detail = "the key in the token does not sign for this certificate";
        Ok(verified.err().map(|_| Finding::block("key.proof", detail)))
    }

    /// Puts a version to use. Binds it to the banks that list its credential and have no version of it yet; with
    /// `rebind` also to those that have another one. Its issuer is asked first whether it is revoked.
    pub async fn activate(
        &self,
        who: &CallerName,
        name: &str,
        rebind: bool,
    ) -> Result<Activated, CredentialError> {
        // The network is not waited for under the turn; a version that is stopped for what it said is found stopped below.
        let mut findings = self.revocation_findings(&self.find(name)?.version).await?;
        if findings.iter().any(|finding| finding.blocking) {
            return Err(CredentialError::Blocked(findings));
        }
        let _turn = self.turn().await?;
        let found = self.find(name)?;
        let version = &found.version;
        let published = found.credential.purpose == Purpose::Decryption;
        let happening = match published {
            true => Happening::Published,
            false => Happening::Activated,
        };
        let state = next(version, happening)?;
        let now = self.clock.now();
        let valid = version.issued.as_ref().map_or(published, |issued| {
            (issued.leaf().not_before()..=issued.leaf().not_after()).contains(&now)
        });
        if !valid {
            return Err(CredentialError::NotValidNow(version.id.clone()));
        }
        let (of_lists, listed) = self.still_listed(version, found.credential.purpose)?;
        findings.extend(of_lists);
        let snapshot = self.world.load();
        if rebind && snapshot.rotations.contains_key(&version.id.credential) {
            return Err(CredentialError::RotationOpen(version.id.credential.clone()));
        }
        let proven_at = self.require_replicas(version).await?;
        let banks: Vec<Name> = snapshot
            .banks
            .values()
            .filter(|d| d.bank.credentials.contains(&version.id.credential))
            .filter(|d| rebind || !d.bound.contains_key(&version.id.credential))
            .map(|d| d.bank.name.clone())
            .collect();
        let data = json!({
            "version": version.id.to_string(),
            "banks": banks.iter().map(Name::as_str).collect::<Vec<_>>(),
            "trusted_list": listed.as_ref().map(|listed| listed.list.to_string()),
            "findings": findings.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(),
            "tokens": proven_at,
        });
        let change = change_of(version, state);
        let write = self.world.store().set_state_and_bind(&change, &banks);
        self.change(who, Event::CredentialActivate, data, write)
            .await?;
        Ok(Activated {
            version: version.id.clone(),
            banks,
            findings,
            listed,
        })
    }

    /// `credentials/{credential}/versions/{number}`, or `credentials/{credential}` for the newest.
    pub(super) fn find(&self, name: &str) -> Result<Found, CredentialError> {
        let unknown = || CredentialError::Unknown(name.chars().take(200).collect());
        let rest = name.strip_prefix("credentials/").ok_or_else(unknown)?;
        let snapshot = self.world.load();
        let (credential, number) = match VersionId::from_resource(name) {
            Ok(id) => (id.credential, Some(id.number)),
            Err(_) => (Name::try_from(rest).map_err(|_| unknown())?, None),
        };
        let credential = snapshot.credentials.get(&credential).ok_or_else(unknown)?;
        let version = match number {
            Some(number) => credential.version(number),
            None => credential.newest(),
        };
        let version = version.ok_or_else(unknown)?.clone();
        Ok(Found {
            credential: credential.clone(),
            version,
        })
    }

    /// The request of a version, PEM.
    pub fn csr_pem(&self, name: &str) -> Result<(VersionId, String), CredentialError> {
        let version = self.find(name)?.version;
        match &version.csr_der {
            Some(csr_der) => Ok((version.id.clone(), super::csr::pem(csr_der))),
            None => Err(without_request(&version)),
        }
    }
}

/// Why a version has no signing request.
pub(super) fn without_request(version: &Version) -> CredentialError {
    match version.origin {
        KeyOrigin::Generated => CredentialError::WithoutCertificate(version.id.clone()),
        KeyOrigin::Imported => CredentialError::WithoutRequest(version.id.clone()),
    }
}

impl Found {
    fn takes_certificate(&self) -> Result<(), CredentialError> {
        match self.credential.purpose {
            Purpose::Transport | Purpose::Seal => Ok(()),
            Purpose::Decryption => {
                Err(CredentialError::WithoutCertificate(self.version.id.clone()))
            }
        }
    }
}

/// The step from the state a version is in.
pub(super) fn change_of(version: &Version, to: VersionState) -> StateChange {
    StateChange {
        id: version.id.clone(),
        from: version.state,
        to,
    }
}

pub(super) fn next(
    version: &Version,
    happening: Happening,
) -> Result<VersionState, CredentialError> {
    state::next(version.state, happening).map_err(|source| CredentialError::State {
        version: version.id.clone(),
        source,
    })
}

/// The certificates of all other versions.
fn others<'a>(snapshot: &'a Snapshot, version: &VersionId) -> Vec<&'a Certificate> {
    let versions = snapshot.credentials.values().flat_map(|c| &c.versions);
    versions
        .filter(|other| other.id != *version)
        .filter_map(|other| Some(other.issued.as_ref()?.leaf()))
        .collect()
}

/// The certificate of the newest older version that has one.
fn previous(credential: &Credential, number: u32) -> Option<&Certificate> {
    let older = credential
        .versions
        .iter()
        .rev()
        .filter(|v| v.id.number < number);
    older
        .filter_map(|v| v.issued.as_ref())
        .map(|issued| issued.leaf())
        .next()
}
