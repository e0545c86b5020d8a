//! The version that a bank moves to, tried at the bank before anything is switched.
//!
//! In: a signer that may sign for the bank anyway, then what it saw there. Out: for a short time the right to have one
//! handshake door and one harmless request signed with the new version; then evidence beside the rotation. Never: a
//! connection of its own (keys stay here, the way to the bank is the caller's), nor a change of who signs what.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::campaign::{RotationError, known, moving, open};
use super::evidence::{Seen, judge};
use crate::audit::Event;
use crate::domain::{CallerName, HarmlessRequest, Name, Purpose, VersionId};
use crate::registry::Registry;
use crate::world::Snapshot;

/// How long a verification may be used, seconds.
pub const VERIFICATION_TTL_S: i64 = 120;

/// A verification under way: for one bank at most one at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Its name.
    pub id: String,
    /// The number of the rotation.
    pub rotation: u32,
    /// The bank.
    pub bank: Name,
    /// The version that is tried.
    pub version: VersionId,
    /// Who tries it.
    pub caller: CallerName,
    /// Until when.
    pub expires: Timestamp,
}

/// A verification that came to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub caller: CallerName,
    /// The version that was tried.
    pub version: VersionId,
    /// The stable word of what went wrong; empty when the bank took the version.
    pub reason: String,
    /// What was seen.
    pub seen: Seen,
}

impl Verification {
    /// Whether a caller may use it for a bank now.
    pub fn serves(&self, caller: &CallerName, bank: &Name, now: Timestamp) -> bool {
        self.caller == *caller && self.bank == *bank && now < self.expires
    }
}

impl Registry {
    /// Begins a verification; one that was begun and not concluded for the same bank ends.
    pub async fn begin_verification(
        &self,
        who: &CallerName,
        credential: &str,
        bank: &Name,
    ) -> Result<(Verification, HarmlessRequest), RotationError> {
        let _turn = self.turn().await?;
        let (snapshot, now) = (self.world.load(), self.clock.now());
        let rotation = open(&snapshot, credential)?;
        if known(&snapshot, credential)?.purpose == Purpose::Decryption {
            return Err(RotationError::Unverifiable);
        }
        let moving = moving(&snapshot, &rotation, bank)?;
        let request = harmless(&snapshot, bank)?;
        let verification = Verification {
            id: uuid::Uuid::new_v4().simple().to_string(),
            rotation: rotation.number,
            bank: bank.clone(),
            version: moving.new.id.clone(),
            caller: who.clone(),
            expires: now + SignedDuration::from_secs(VERIFICATION_TTL_S),
        };
        let data = json!({
            "verification": verification.id,
            "rotation": rotation.number,
            "bank": bank,
            "version": verification.version.to_string(),
        });
        let write = self.world.store().begin_verification(&verification);
        self.change(who, Event::RotationVerify, data, write).await?;
        Ok((verification, request))
    }

    /// Takes down what was seen, and judges it.
    pub async fn conclude_verification(
        &self,
        who: &CallerName,
        id: &str,
        seen: Seen,
    ) -> Result<Verified, RotationError> {
        let _turn = self.turn().await?;
        let (snapshot, now) = (self.world.load(), self.clock.now());
        let found = snapshot.verifications.get(id);
        let found = found.filter(|verification| verification.caller == *who);
        let verification = found.ok_or(RotationError::VerificationEnded)?;
        let credential = &verification.version.credential;
        let purpose = known(&snapshot, credential.as_str())?.purpose;
        let (seen, wanted) = (seen.cut(), harmless(&snapshot, &verification.bank)?);
        let verified = Verified {
            at: now,
            caller: who.clone(),
            version: verification.version.clone(),
            reason: judge(&seen, purpose, &wanted).reason().to_owned(),
            seen,
        };
        let data = json!({
            "verification": verification.id,
            "rotation": verification.rotation,
            "bank": verification.bank,
            "version": verified.version.to_string(),
            "reason": verified.reason,
            "seen": verified.seen,
        });
        let write = self.world.store().conclude_verification(id, &verified);
        self.change(who, Event::RotationVerify, data, write).await?;
        Ok(verified)
    }
}

/// What else takes part in a connection to the bank: its first credential of a purpose, when a version of it is bound.
pub fn other<'a>(snapshot: &'a Snapshot, bank: &Name, purpose: Purpose) -> Option<&'a Name> {
    let destination = snapshot.banks.get(bank)?;
    let credential = destination.default_credential(purpose)?;
    let bound = destination.bound.contains_key(credential);
    bound.then_some(credential)
}

/// The bank's harmless request, with its host.
fn harmless(snapshot: &Snapshot, bank: &Name) -> Result<HarmlessRequest, RotationError> {
    let destination = snapshot.banks.get(bank);
    let destination = destination.ok_or_else(|| RotationError::NotMoving(bank.to_string()))?;
    let bank = &destination.bank;
    let unconfigured = || RotationError::VerifyUnconfigured(bank.name.clone());
    let mut request = bank.rotation.verify.clone().ok_or_else(unconfigured)?;
    request.host = request.host.or_else(|| bank.hosts.first().cloned());
    Ok(request)
}
