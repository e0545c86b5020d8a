//! `sealkeep credential ...`: keys in the token, requests for certificates, certificates.
//!
//! In: names, subjects, PEM files. Out: CSRs and what is known of credentials. Never: a private key; there is no way to
//! ask for one.

use crate::failure::Failure;
use crate::files;
use crate::report::{Report, pairs, table};
use crate::words::{
    For, Key, environment, left, name, purpose, rfc3339, short, state, time, version_name,
};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::{
    ActivateVersionRequest, CertificateSubject, CertificateSummary, Credential,
    EnrolCredentialRequest, Finding, GetCertificateSigningRequestRequest, GetCredentialRequest,
    InstallCertificateRequest, KeyAlgorithm, KeyProtection, ListCredentialsRequest, Purpose,
    Version,
};
use sealkeep_client::{Sealkeep, clock};
use serde_json::{Value, json};
use std::path::PathBuf;

/// How many credentials one call asks for.
const PAGE_SIZE: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a key in the token and a signing request for it.
    Enrol(Box<Enrol>),
    /// Print the signing request of a version.
    Csr {
        /// NAME, or NAME@VERSION.
        #[arg(value_parser = version_name)]
        name: String,
        /// Write the PEM here instead of to stdout.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Check an issued certificate and install it.
    Install {
        /// NAME, or NAME@VERSION.
        #[arg(value_parser = version_name)]
        name: String,
        /// The certificate and its issuers, leaf first, PEM.
        file: PathBuf,
        /// Check only; install nothing.
        #[arg(long)]
        check: bool,
    },
    /// Use an installed version.
    Activate {
        /// NAME, or NAME@VERSION.
        #[arg(value_parser = version_name)]
        name: String,
        /// Also move the banks that are bound to an older version.
        #[arg(long)]
        rebind: bool,
    },
    /// All credentials.
    List,
    /// One credential.
    Show {
        /// The credential.
        #[arg(value_parser = name)]
        name: String,
    },
}

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
    /// ISO 3166-1 alpha-2 code.
    #[arg(long)]
    country: String,
    /// Legal name.
    #[arg(long)]
    organization: String,
    /// ETSI identifier, for example PSDDE-BAFIN-123456.
    #[arg(long)]
    organization_identifier: String,
    /// Common name; for a QWAC one of its DNS names.
    #[arg(long)]
    common_name: String,
    /// DNS name of a QWAC; may be repeated.
    #[arg(long = "dns", value_name = "NAME")]
    dns: Vec<String>,
    /// Write the PEM here instead of to stdout.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Verb {
    pub(crate) async fn run(self, sealkeep: &Sealkeep) -> Result<Report, Failure> {
        match self {
            Self::Enrol(enrol) => enrol.run(sealkeep).await,
            Self::Csr { name, out } => csr(sealkeep, name, out).await,
            Self::Install { name, file, check } => install(sealkeep, name, file, check).await,
            Self::Activate { name, rebind } => activate(sealkeep, name, rebind).await,
            Self::List => list(sealkeep).await,
            Self::Show { name } => show(sealkeep, name).await,
        }
    }
}

impl Enrol {
    async fn run(self, sealkeep: &Sealkeep) -> Result<Report, Failure> {
        let request = EnrolCredentialRequest {
            credential: self.name,
            purpose: Purpose::from(self.purpose).into(),
            key_algorithm: KeyAlgorithm::from(self.key).into(),
            subject: Some(CertificateSubject {
                country: self.country,
                organization: self.organization,
                organization_identifier: self.organization_identifier,
                common_name: self.common_name,
                dns_names: self.dns,
            }),
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
        let json = json!({ "version": version_json(&version), "csr_pem": answer.csr_pem });
        let report = pem_report(answer.csr_pem, self.out, json)?;
        Ok(report.note(made).note(format!(
            "next: have the CSR issued, then `sealkeep credential install {name} CHAIN.pem`"
        )))
    }
}

async fn csr(sealkeep: &Sealkeep, name: String, out: Option<PathBuf>) -> Result<Report, Failure> {
    let request = GetCertificateSigningRequestRequest { name };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .get_certificate_signing_request(request)
                .await
        })
        .await?;
    let json = json!({ "version": answer.version, "csr_pem": answer.csr_pem });
    pem_report(answer.csr_pem, out, json)
}

/// The PEM on stdout, or in a file and a line about it.
fn pem_report(pem: String, out: Option<PathBuf>, json: Value) -> Result<Report, Failure> {
    let Some(path) = out else {
        return Ok(Report::new(pem, json));
    };
    std::fs::write(&path, pem).map_err(|error| Failure::file(&path, &error))?;
    Ok(Report::new("", json).note(format!("written to {}", path.display())))
}

async fn install(
    sealkeep: &Sealkeep,
    name: String,
    file: PathBuf,
    check: bool,
) -> Result<Report, Failure> {
    let certificate_chain_pem = files::read(&file)?;
    let request = InstallCertificateRequest {
        name,
        certificate_chain_pem,
        validate_only: check,
    };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .install_certificate(request)
                .await
        })
        .await?;
    let version = answer.version.unwrap_or_default();
    let finding = |finding: &Finding| {
        let weight = if finding.blocking { "blocks" } else { "notes" };
        [
            weight.to_owned(),
            finding.code.clone(),
            finding.detail.clone(),
        ]
    };
    let rows: Vec<_> = answer.findings.iter().map(finding).collect();
    let mut text = version_line(&version);
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(["FINDING", "CODE", "DETAIL"], rows));
    }
    let findings = answer
        .findings
        .iter()
        .map(|f| json!({ "code": f.code, "blocking": f.blocking, "detail": f.detail }));
    let json = json!({
        "version": version_json(&version),
        "findings": findings.collect::<Vec<_>>(),
    });
    let name = short(&version.name);
    let next = match check {
        true => "checked only; nothing was installed".to_owned(),
        false => format!("next: `sealkeep credential activate {name}`"),
    };
    Ok(Report::new(text, json).note(next))
}

async fn activate(sealkeep: &Sealkeep, name: String, rebind: bool) -> Result<Report, Failure> {
    let request = ActivateVersionRequest { name, rebind };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .activate_version(request)
                .await
        })
        .await?;
    let version = answer.version.unwrap_or_default();
    let bound = match answer.bound_banks.is_empty() {
        true => {
            "no bank was bound by this; banks that list the credential later are bound when applied"
                .to_owned()
        }
        false => format!("bound to {}", answer.bound_banks.join(", ")),
    };
    let json = json!({ "version": version_json(&version), "bound_banks": answer.bound_banks });
    Ok(Report::new(version_line(&version), json).note(bound))
}

async fn list(sealkeep: &Sealkeep) -> Result<Report, Failure> {
    let mut credentials = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListCredentialsRequest {
            page_size: PAGE_SIZE,
            page_token,
        };
        let page = sealkeep
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .list_credentials(request)
                    .await
            })
            .await?;
        credentials.extend(page.credentials);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let json = json!({ "credentials": credentials.iter().map(to_json).collect::<Vec<_>>() });
    Ok(Report::new(
        versions_table(&credentials, clock::now()),
        json,
    ))
}

fn versions_table(credentials: &[Credential], now: Timestamp) -> String {
    let row = |credential: &Credential, version: &Version| {
        let end = version.certificate.as_ref().and_then(not_after);
        let roles = version.certificate.as_ref().map(|c| c.psd2_roles.join(" "));
        [
            short(&version.name),
            purpose(credential.purpose).to_owned(),
            state(version.state).to_owned(),
            version.key_algorithm.clone(),
            rfc3339(end),
            left(end, now),
            roles.unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = credentials
        .iter()
        .flat_map(|credential| credential.versions.iter().map(move |v| row(credential, v)))
        .collect();
    if rows.is_empty() {
        return "No credentials. Make one: sealkeep credential enrol NAME ...\n".to_owned();
    }
    table(
        [
            "CREDENTIAL",
            "PURPOSE",
            "STATE",
            "KEY",
            "ENDS",
            "IN",
            "ROLES",
        ],
        rows,
    )
}

async fn show(sealkeep: &Sealkeep, name: String) -> Result<Report, Failure> {
    let answer = sealkeep
        .call(
            GetCredentialRequest { credential: name },
            async |channel, request| {
                CredentialServiceClient::new(channel)
                    .get_credential(request)
                    .await
            },
        )
        .await?;
    let credential = answer.credential.unwrap_or_default();
    let now = clock::now();
    let mut text = format!("{}, {}\n", credential.name, purpose(credential.purpose));
    for version in &credential.versions {
        text.push('\n');
        text.push_str(&details(version, now));
    }
    Ok(Report::new(text, to_json(&credential)))
}

fn details(version: &Version, now: Timestamp) -> String {
    let created = version
        .create_time
        .and_then(|created| time(created.seconds, created.nanos));
    let mut rows = vec![
        (
            "version",
            format!("{}, {}", short(&version.name), state(version.state)),
        ),
        ("made", rfc3339(created)),
        ("environment", environment(version.environment).to_owned()),
        (
            "key",
            format!("{} in token {}", version.key_algorithm, version.token),
        ),
        (
            "",
            version
                .protection
                .as_ref()
                .map(protection)
                .unwrap_or_default(),
        ),
        ("", format!("SPKI SHA-256 {}", version.spki_sha256)),
    ];
    if let Some(certificate) = &version.certificate {
        let end = not_after(certificate);
        rows.extend([
            ("subject", certificate.subject.clone()),
            ("issuer", certificate.issuer.clone()),
            ("serial", certificate.serial_number.clone()),
            ("begins", rfc3339(not_before(certificate))),
            ("ends", format!("{}  ({})", rfc3339(end), left(end, now))),
            ("organisation", certificate.organization_identifier.clone()),
            ("roles", certificate.psd2_roles.join(" ")),
            ("authority", certificate.nca_id.clone()),
            ("SHA-256", certificate.sha256.clone()),
        ]);
    }
    pairs(&rows)
}

fn protection(protection: &KeyProtection) -> String {
    let says = |yes: bool, is: &'static str, is_not: &'static str| if yes { is } else { is_not };
    [
        says(protection.sensitive, "sensitive", "NOT SENSITIVE"),
        says(protection.extractable, "EXTRACTABLE", "not extractable"),
        says(
            protection.always_sensitive,
            "always was",
            "WAS NOT ALWAYS SENSITIVE",
        ),
        says(protection.never_extractable, "never was", "WAS EXTRACTABLE"),
        says(
            protection.local,
            "made in the token",
            "NOT MADE IN THE TOKEN",
        ),
    ]
    .join(", ")
}

fn version_line(version: &Version) -> String {
    let end = version.certificate.as_ref().and_then(not_after);
    let roles = version
        .certificate
        .as_ref()
        .map(|c| c.psd2_roles.join(" "))
        .unwrap_or_default();
    let row = [
        short(&version.name),
        state(version.state).to_owned(),
        version.key_algorithm.clone(),
        rfc3339(end),
        roles,
    ];
    table(["VERSION", "STATE", "KEY", "ENDS", "ROLES"], vec![row])
}

fn not_before(certificate: &CertificateSummary) -> Option<Timestamp> {
    certificate
        .not_before_time
        .as_ref()
        .and_then(|begin| time(begin.seconds, begin.nanos))
}

fn not_after(certificate: &CertificateSummary) -> Option<Timestamp> {
    certificate
        .not_after_time
        .as_ref()
        .and_then(|end| time(end.seconds, end.nanos))
}

fn to_json(credential: &Credential) -> Value {
    json!({
        "name": credential.name,
        "purpose": purpose(credential.purpose),
        "versions": credential.versions.iter().map(version_json).collect::<Vec<_>>(),
    })
}

fn version_json(version: &Version) -> Value {
    let certificate = version.certificate.as_ref().map(|certificate| {
        json!({
            "subject": certificate.subject,
            "issuer": certificate.issuer,
            "serial_number": certificate.serial_number,
            "not_before_time": rfc3339(not_before(certificate)),
            "not_after_time": rfc3339(not_after(certificate)),
            "organization_identifier": certificate.organization_identifier,
            "psd2_roles": certificate.psd2_roles,
            "nca_id": certificate.nca_id,
            "sha256": certificate.sha256,
        })
    });
    let protection = version.protection.as_ref().map(|protection| {
        json!({
            "sensitive": protection.sensitive,
            "extractable": protection.extractable,
            "always_sensitive": protection.always_sensitive,
            "never_extractable": protection.never_extractable,
            "local": protection.local,
        })
    });
    json!({
        "name": version.name,
        "number": version.number,
        "state": state(version.state),
        "environment": environment(version.environment),
        "key_algorithm": version.key_algorithm,
        "spki_sha256": version.spki_sha256,
        "token": version.token,
        "protection": protection,
        "certificate": certificate,
        "create_time": rfc3339(version.create_time.and_then(|t| time(t.seconds, t.nanos))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_protection_shouts() {
        let strong = KeyProtection {
            sensitive: true,
            extractable: false,
            always_sensitive: true,
            never_extractable: true,
            local: true,
        };
        assert_eq!(
            protection(&strong),
            "sensitive, not extractable, always was, never was, made in the token"
        );
        assert!(protection(&KeyProtection::default()).contains("NOT SENSITIVE"));
        assert!(
            protection(&KeyProtection {
                extractable: true,
                ..strong
            })
            .contains(" EXTRACTABLE")
        );
    }

    #[test]
    fn a_version_without_certificate_has_a_row_too() {
        let version = Version {
            name: "credentials/acme-seal/versions/1".into(),
            state: 1,
            key_algorithm: "rsa-2048".into(),
            ..Default::default()
        };
        let credential = Credential {
            versions: vec![version],
            purpose: 2,
            ..Default::default()
        };
        let text = versions_table(&[credential], Timestamp::UNIX_EPOCH);
        assert!(
            text.contains("acme-seal@1  seal     requested  rsa-2048"),
            "{text}"
        );
    }
}
