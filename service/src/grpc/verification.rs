//! The beginning of a verification: who may, and what to send.

use sealkeep_proto::v1;
use tonic::Status;

use super::error::status_of;
use super::{Api, wire};
use crate::authz;
use crate::bank::rotation::verification::other;
use crate::domain::{CallerName, Name, Operation, Purpose};

impl Api {
    /// Whoever may use the credential at the bank may try its next version there.
    pub(super) async fn begin(
        &self,
        caller: &CallerName,
        message: v1::BeginVerificationRequest,
    ) -> Result<v1::BeginVerificationResponse, Status> {
        let v1::BeginVerificationRequest { credential, bank } = message;
        let snapshot = self.0.world.load();
        let purpose = snapshot.credentials.get(credential.as_str());
        let operation = match purpose.map(|credential| credential.purpose) {
            Some(Purpose::Transport) => Operation::Tls,
            _ => Operation::SignHttp,
        };
        authz::grant(&snapshot, caller, operation, &credential, &bank)
            .map_err(|denied| status_of(&denied))?;
        let bank = wire::name("bank", bank)?;
        let registry = &self.0.registry;
        let begun = registry.begin_verification(caller, &credential, &bank);
        let (verification, request) = begun.await.map_err(|error| status_of(&error))?;
        let destination = snapshot.banks.get(&bank);
        let tried = snapshot.credentials.get(&verification.version.credential);
        let takes_part = |purpose| match tried.filter(|tried| tried.purpose == purpose) {
            Some(tried) => tried.name.to_string(),
            None => other(&snapshot, &bank, purpose).map_or_else(String::new, Name::to_string),
        };
        Ok(v1::BeginVerificationResponse {
            verification: verification.id,
            expire_time: Some(wire::time(verification.expires)),
            request: Some(wire::harmless_out(request)),
            transport_credential: takes_part(Purpose::Transport),
            seal_credential: takes_part(Purpose::Seal),
            tls12_allowed: destination.is_some_and(|d| d.bank.tls12_allowed),
        })
    }
}
