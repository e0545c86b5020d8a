//! `sealkeep credential enrol` and `csr`: a key in the token, and its request.

use super::shown::version_json;
use crate::failure::Failure;
use crate::report::Report;
use crate::words::{For, Key, name, short};
use clap::Args;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::{
    CertificateSubject, EnrolCredentialRequest, GetCertificateSigningRequestRequest, KeyAlgorithm,
    Purpose, RequestedPsd2Statement, Version,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The purposes whose keys get a certificate, and so need its subject.
const CERTIFIED: [(&str, &str); 2] = [("purpose", "transport"), ("purpose", "seal")];

#[derive(Debug, Args)]
pub(crate) struct Enrol {
    /// The credential; made when it does not exist.
    #[arg(value_parser = name)]
    name: String,
    /// What it is for.
    #[arg(long)]
    purpose: For,
    /// The key pair to make in the token.
    #[arg(long)]
    key: Key,
    /// The token, or the set of tokens, that is to hold the key; the first of the service's configuration by default.
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    /// ISO 3166-1 alpha-2 code.
    #[arg(long, required_if_eq_any = CERTIFIED)]
    country: Option<String>,
    /// Legal name.
    #[arg(long, required_if_eq_any = CERTIFIED)]
    organization: Option<String>,
    /// ETSI identifier, for example PSDDE-BAFIN-123456.
    #[arg(long, required_if_eq_any = CERTIFIED)]
    organization_identifier: Option<String>,
    /// Common name; for a QWAC one of its DNS names.
    #[arg(long, required_if_eq_any = CERTIFIED)]
    common_name: Option<String>,
    /// DNS name of a QWAC; may be repeated.
    #[arg(long = "dns", value_name = "NAME")]
    dns: Vec<String>,
    /// PSD2 roles for the request, separated by commas: only for directories that take them from there.
    #[arg(long, value_delimiter = ',', value_name = "ROLES", requires_all = ["nca_name", "nca_id"])]
    psd2_roles: Vec<String>,
    /// Name of the competent authority, with --psd2-roles.
    #[arg(long, requires = "psd2_roles")]
    nca_name: Option<String>,
    /// Its identifier, for example DE-BAFIN.
    #[arg(long, requires = "psd2_roles")]
    nca_id: Option<String>,
    /// Write the PEM here instead of to stdout.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Enrol {
    pub(super) async fn run(self, sealkeep: &Sealkeep) -> Result<Report, Failure> {
        let psd2 = (!self.psd2_roles.is_empty()).then(|| RequestedPsd2Statement {
            roles: self.psd2_roles,
            nca_name: self.nca_name.unwrap_or_default(),
            nca_id: self.nca_id.unwrap_or_default(),
        });
        let request = EnrolCredentialRequest {
            credential: self.name,
            purpose: Purpose::from(self.purpose).into(),
            key_algorithm: KeyAlgorithm::from(self.key).into(),
            subject: Some(CertificateSubject {
                country: self.country.unwrap_or_default(),
                organization: self.organization.unwrap_or_default(),
                organization_identifier: self.organization_identifier.unwrap_or_default(),
                common_name: self.common_name.unwrap_or_default(),
                dns_names: self.dns,
                psd2,
            }),
            token: self.token.unwrap_or_default(),
        };
        let answer = sealkeep
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .enrol_credential(request)
                    .await
            })
            .await?;
        let version = answer.version.unwrap_or_default();
        let name = short(&version.name);
        let made = format!(
            "{name}: {} key made in token {}",
            version.key_algorithm, version.token
        );
        if self.purpose == For::Decryption {
            return Ok(published(&version, &answer.decryption_algorithms).note(made));
        }
        let json = json!({ "version": version_json(&version), "csr_pem": answer.csr_pem });
        let next =
            format!("next: have it issued, then `sealkeep credential install {name} CHAIN.pem`");
        let (text, written) = pem(answer.csr_pem, self.out)?;
        let mut report = Report::new(text, json).note(made);
        if let Some(written) = written {
            report = report.note(written);
        }
        Ok(report.note(next))
    }
}

/// A key that banks encrypt to: what they have to know of it.
fn published(version: &Version, algorithms: &[String]) -> Report {
    let jwk: Value = serde_json::from_str(&version.encryption_jwk).unwrap_or_default();
    let json = json!({
        "version": version_json(version),
        "encryption_jwk": jwk,
        "decryption_algorithms": algorithms,
    });
    let name = short(&version.name);
    Report::new(format!("{jwk:#}\n"), json)
        .note(format!("the token decrypts {}", algorithms.join(", ")))
        .note(format!(
            "next: give banks this key, then `sealkeep credential activate {name}`"
        ))
}

pub(super) async fn csr(
    sealkeep: &Sealkeep,
    name: String,
    out: Option<PathBuf>,
) -> Result<Report, Failure> {
    let request = GetCertificateSigningRequestRequest { name };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .get_certificate_signing_request(request)
                .await
        })
        .await?;
    let json = json!({ "version": answer.version, "csr_pem": answer.csr_pem });
    let (text, written) = pem(answer.csr_pem, out)?;
    let report = Report::new(text, json);
    Ok(match written {
        Some(written) => report.note(written),
        None => report,
    })
}

/// The PEM for stdout; or it goes into a file, and stderr says so.
fn pem(pem: String, out: Option<PathBuf>) -> Result<(String, Option<String>), Failure> {
    let Some(path) = out else {
        return Ok((pem, None));
    };
    std::fs::write(&path, pem).map_err(|error| Failure::file(&path, &error))?;
    Ok((
        String::new(),
        Some(format!("signing request written to {}", path.display())),
    ))
}
