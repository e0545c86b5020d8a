//! Credentials and versions as text for people and as JSON for programs.
//!
//! In: wire messages. Out: tables and values. Never: a call; never protection of a key left unsaid.

use super::revocation::line;
use crate::report::{pairs, printable, table};
use crate::words::{environment, key_origin, left, purpose, rfc3339, short, state, time};
use jiff::Timestamp;
use sealkeep_client::v1::{
    CertificateRevocation, CertificateSummary, Credential, KeyOrigin, KeyProtection, TrustBasis,
    Version,
};
use serde_json::{Value, json};

pub(super) fn versions_table(credentials: &[Credential], now: Timestamp) -> String {
    let row = |credential: &Credential, version: &Version| {
        let end = version.certificate.as_ref().and_then(not_after);
        let roles = version.certificate.as_ref().map(|c| c.psd2_roles.join(" "));
        [
            short(&version.name),
            purpose(credential.purpose).to_owned(),
            state(version.state).to_owned(),
            key(version),
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

pub(super) fn details(
    version: &Version,
    revocation: Option<&CertificateRevocation>,
    now: Timestamp,
) -> String {
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
            format!("{} in token {}", key(version), version.token),
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
    if let Some(revocation) = revocation {
        rows.push(("revocation", line(revocation)));
    }
    pairs(&rows)
}

/// The kind of key; one that was not made in the token says so wherever it is shown.
fn key(version: &Version) -> String {
    match version.key_origin() {
        KeyOrigin::Imported => format!("{} (imported)", version.key_algorithm),
        _ => version.key_algorithm.clone(),
    }
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

/// Who vouches for a certificate, in a line.
pub(super) fn trust_line(trust: &TrustBasis) -> String {
    let text = match trust.trusted_list.as_str() {
        "" => "vouched for by a pinned anchor alone; no trusted list confirms it".to_owned(),
        list => format!(
            "qualified by the trusted list {list}, issue {}: {}, {}, granted since {}",
            trust.sequence_number,
            trust.provider,
            trust.service,
            granted(trust)
        ),
    };
    format!("{}\n", printable(&text))
}

pub(super) fn trust_json(trust: &TrustBasis) -> Value {
    json!({
        "trusted_list": trust.trusted_list,
        "sequence_number": trust.sequence_number,
        "provider": trust.provider,
        "service": trust.service,
        "granted_time": granted(trust),
        "qscd": trust.qscd,
    })
}

fn granted(trust: &TrustBasis) -> String {
    let since = trust.granted_time.as_ref();
    rfc3339(since.and_then(|at| time(at.seconds, at.nanos)))
}

pub(super) fn version_line(version: &Version) -> String {
    let end = version.certificate.as_ref().and_then(not_after);
    let roles = version
        .certificate
        .as_ref()
        .map(|c| c.psd2_roles.join(" "))
        .unwrap_or_default();
    let row = [
        short(&version.name),
        state(version.state).to_owned(),
        key(version),
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

pub(super) fn to_json(credential: &Credential) -> Value {
    json!({
        "name": credential.name,
        "purpose": purpose(credential.purpose),
        "versions": credential.versions.iter().map(version_json).collect::<Vec<_>>(),
    })
}

pub(super) fn version_json(version: &Version) -> Value {
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
        "key_origin": key_origin(version.key_origin),
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

    #[test]
    fn an_imported_key_is_called_so() {
        let mut version = Version {
            key_algorithm: "rsa-2048".into(),
            ..Default::default()
        };
        version.set_key_origin(KeyOrigin::Imported);
        assert_eq!(key(&version), "rsa-2048 (imported)");
        assert!(version_line(&version).contains("(imported)"));
        assert_eq!(version_json(&version)["key_origin"], "imported");
    }
}
