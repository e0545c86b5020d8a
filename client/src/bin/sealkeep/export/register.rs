//! The register of certificates and of the devices that store them.
//!
//! Delegated Regulation (EU) 2024/1774, article 7(4): a register of all certificates and certificate-storing devices, at
//! least for ICT assets supporting critical or important functions, kept up to date. In: credentials with all their
//! versions, banks, everything that ends, the token. Out: one entry for each version, whatever its state, and for each
//! other certificate. Never: an entry left out because its certificate is missing.

use crate::credential;
use crate::expiry;
use crate::failure::Failure;
use crate::words::{environment, purpose, rfc3339, short, state, time};
use jiff::Timestamp;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::status_service_client::StatusServiceClient;
use sealkeep_client::v1::{Credential, Expiry, GetStatusRequest, TokenStatus, Version};
use serde::Serialize;
use serde_json::json;
use std::collections::HashMap;

/// Where a certificate lies whose key is no token's.
const DEVICE_FILE: &str = "file";

#[derive(Debug)]
pub(super) struct Register {
    token: TokenStatus,
    entries: Vec<Entry>,
}

/// One certificate, or a version that waits for one. The fields are the columns, in this order.
#[derive(Debug, Default, Serialize)]
struct Entry {
    kind: String,
    name: String,
    state: String,
    purpose: String,
    environment: String,
    subject: String,
    organization_identifier: String,
    psd2_roles: String,
    issuer: String,
    serial_number: String,
    start_time: String,
    end_time: String,
    renew_time: String,
    sha256: String,
    device: String,
    key_algorithm: String,
    key_spki_sha256: String,
    key_leaves_device: Option<bool>,
    create_time: String,
    banks: String,
}

impl Register {
    pub(super) async fn read(sealkeep: &Sealkeep) -> Result<Self, Failure> {
        let status = sealkeep
            .call(GetStatusRequest {}, async |channel, request| {
                StatusServiceClient::new(channel).get_status(request).await
            })
            .await?;
        let expiries = expiry::all(sealkeep).await?;
        let credentials = credential::all(sealkeep).await?;
        let token = status.token.unwrap_or_default();
        Ok(Self::new(token, &credentials, &expiries))
    }

    fn new(token: TokenStatus, credentials: &[Credential], expiries: &[Expiry]) -> Self {
        let watched: HashMap<&str, &Expiry> = expiries
            .iter()
            .filter(|expiry| expiry.kind == "version")
            .map(|expiry| (expiry.name.as_str(), expiry))
            .collect();
        let mut entries = Vec::new();
        for credential in credentials {
            for version in &credential.versions {
                let name = short(&version.name);
                let watched = watched.get(name.as_str()).copied();
                entries.push(of_version(credential, version, name, watched));
            }
        }
        // Secrets and trusted lists end too, and are no certificates.
        let others = expiries.iter().filter(|expiry| {
            !matches!(expiry.kind.as_str(), "version" | "secret" | "trusted_list")
        });
        entries.extend(others.map(of_other));
        Self { token, entries }
    }

    pub(super) fn csv(&self) -> Result<String, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("CSV: {error}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        for entry in &self.entries {
            writer.serialize(entry).map_err(|error| failed(&error))?;
        }
        let bytes = writer.into_inner().map_err(|error| failed(&error))?;
        String::from_utf8(bytes).map_err(|error| failed(&error))
    }

    pub(super) fn json(&self, now: Timestamp) -> Result<String, Failure> {
        let token = &self.token;
        let entries = serde_json::to_value(&self.entries);
        let entries = entries.map_err(|error| Failure::failed(format!("JSON: {error}")))?;
        let register = json!({
            "register": "certificates and certificate-storing devices",
            "time": rfc3339(Some(now)),
            "devices": [{
                "name": token.name,
                "label": token.label,
                "serial_number": token.serial_number,
                "module": token.module,
                "ready": token.ready,
            }],
            "certificates": entries,
        });
        Ok(format!("{register:#}\n"))
    }
}

fn of_version(
    credential: &Credential,
    version: &Version,
    name: String,
    watched: Option<&Expiry>,
) -> Entry {
    let certificate = version.certificate.clone().unwrap_or_default();
    let at = |seconds, nanos| rfc3339(time(seconds, nanos));
    Entry {
        kind: "version".to_owned(),
        name,
        state: state(version.state).to_owned(),
        purpose: purpose(credential.purpose).to_owned(),
        environment: environment(version.environment).to_owned(),
        subject: certificate.subject,
        organization_identifier: certificate.organization_identifier,
        psd2_roles: certificate.psd2_roles.join(" "),
        issuer: certificate.issuer,
        serial_number: certificate.serial_number,
        start_time: certificate
            .not_before_time
            .map(|t| at(t.seconds, t.nanos))
            .unwrap_or_default(),
        end_time: certificate
            .not_after_time
            .map(|t| at(t.seconds, t.nanos))
            .unwrap_or_default(),
        renew_time: rfc3339(watched.and_then(expiry::renew)),
        sha256: certificate.sha256,
        device: version.token.clone(),
        key_algorithm: version.key_algorithm.clone(),
        key_spki_sha256: version.spki_sha256.clone(),
        key_leaves_device: version.protection.as_ref().map(|key| key.extractable),
        create_time: version
            .create_time
            .map(|t| at(t.seconds, t.nanos))
            .unwrap_or_default(),
        banks: watched.map(|e| e.banks.join(" ")).unwrap_or_default(),
    }
}

fn of_other(expiry: &Expiry) -> Entry {
    Entry {
        kind: expiry.kind.clone(),
        name: expiry.name.clone(),
        subject: expiry.subject.clone(),
        issuer: expiry.issuer.clone(),
        serial_number: expiry.serial_number.clone(),
        start_time: rfc3339(expiry::start(expiry)),
        end_time: rfc3339(expiry::end(expiry)),
        renew_time: rfc3339(expiry::renew(expiry)),
        sha256: expiry.sha256.clone(),
        device: DEVICE_FILE.to_owned(),
        banks: expiry.banks.join(" "),
        ..Entry::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sealkeep_client::v1::{CertificateSummary, KeyProtection, VersionState};

    fn register() -> Register {
        let version = |number: u32, certificate| Version {
            name: format!("credentials/acme-seal/versions/{number}"),
            number,
            state: VersionState::Active.into(),
            token: "main".into(),
            protection: Some(KeyProtection::default()),
            certificate,
            ..Version::default()
        };
        let certificate = CertificateSummary {
            subject: "CN=Acme, \"Seals\"".into(),
            serial_number: "0a".into(),
            ..CertificateSummary::default()
        };
        let credential = Credential {
            name: "acme-seal".into(),
            versions: vec![version(1, Some(certificate)), version(2, None)],
            ..Credential::default()
        };
        let expiry = |kind: &str, name: &str| Expiry {
            kind: kind.into(),
            name: name.into(),
            banks: vec!["ing-de".into(), "bunq".into()],
            ..Expiry::default()
        };
        let expiries = [expiry("version", "acme-seal@1"), expiry("chain", "CN=QTSP")];
        Register::new(TokenStatus::default(), &[credential], &expiries)
    }

    #[test]
    fn every_version_and_every_other_certificate_has_a_line() {
        let csv = register().csv().unwrap();
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let header = reader.headers().unwrap().clone();
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        let column = |name: &str| header.iter().position(|h| h == name).unwrap();
        let of =
            |name: &str| -> Vec<_> { rows.iter().map(|r| r[column(name)].to_owned()).collect() };
        assert_eq!(of("name"), ["acme-seal@1", "acme-seal@2", "CN=QTSP"]);
        assert_eq!(of("subject"), ["CN=Acme, \"Seals\"", "", ""]);
        assert_eq!(of("device"), ["main", "main", "file"]);
        assert_eq!(of("banks"), ["ing-de bunq", "", "ing-de bunq"]);
        assert_eq!(of("key_leaves_device"), ["false", "false", ""]);
    }

    #[test]
    fn the_json_register_names_the_devices() {
        let json = register().json(Timestamp::UNIX_EPOCH).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["devices"].as_array().unwrap().len(), 1);
        assert_eq!(json["certificates"].as_array().unwrap().len(), 3);
        assert_eq!(json["time"], "1970-01-01T00:00:00Z");
    }
}
