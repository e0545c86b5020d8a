//! Which of the two seals a certificate is: QWAC, QSealC, or neither.
//!
//! In: a parsed certificate. Out: its kind, and a remark where the answer is not the plain one. Never guesses in the
//! dark: what states neither type nor usage is neither kind. Serves EN 319 412-5 clause 4.2.3 (QcType), TS 119 495
//! clause 5.3 (usages) and TS 119 411-5 (2-QWAC).

use super::{Certificate, eku};
use crate::qualified::QcType;

/// What a certificate can be used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateKind {
    /// Website authentication that may open mutual TLS as a client.
    Qwac,
    /// Electronic seal.
    Qsealc,
    /// 2-QWAC: signs TLS certificate bindings and is no TLS certificate.
    TlsBinding,
    /// Neither, see [`KindRemark`].
    Other,
}

/// What is to be said about a certificate's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KindRemark {
    /// The certificate of a CA.
    Ca,
    /// A precertificate of Certificate Transparency.
    Precertificate,
    /// Key usage, extended key usage or basic constraints cannot be read.
    UsageUnreadable,
    /// No QcType, but a PSD2 statement: the kind was taken from the usages.
    QcTypeMissing,
    /// Neither QcType nor PSD2 statement.
    NotQualified,
    /// QcType web without clientAuth: it cannot open mutual TLS to a bank. Renewals lose it silently.
    ClientAuthMissing,
    /// QcType eseal with an extended key usage of TLS.
    SealWithTlsUsage,
    /// QcType eseal whose key usage permits no signature.
    SealWithoutSignature,
    /// A QcType for neither, or several of them.
    QcTypeUnfit,
    /// The usages permit neither, or do not tell which.
    UsageUnfit,
}

impl KindRemark {
    /// The stable code, as in reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Ca => "kind_ca",
            Self::Precertificate => "kind_precertificate",
            Self::UsageUnreadable => "kind_usage_unreadable",
            Self::QcTypeMissing => "kind_qc_type_missing",
            Self::NotQualified => "kind_not_qualified",
            Self::ClientAuthMissing => "kind_client_auth_missing",
            Self::SealWithTlsUsage => "kind_seal_with_tls_usage",
            Self::SealWithoutSignature => "kind_seal_without_signature",
            Self::QcTypeUnfit => "kind_qc_type_unfit",
            Self::UsageUnfit => "kind_usage_unfit",
        }
    }
}

/// Identifiers of the extensions this decision rests on.
const DECIDING: &[&str] = &["2.5.29.15", "2.5.29.19", "2.5.29.37"];

type Answer = (CertificateKind, Option<KindRemark>);

pub(super) fn of(certificate: &Certificate) -> Answer {
    let other = |remark| (CertificateKind::Other, Some(remark));
    if certificate.is_ca()
        || certificate
            .key_usage()
            .is_some_and(|usage| usage.key_cert_sign())
    {
        return other(KindRemark::Ca);
    }
    if certificate.is_precertificate() {
        return other(KindRemark::Precertificate);
    }
    if certificate
        .unreadable()
        .iter()
        .any(|oid| DECIDING.contains(&oid.as_str()))
    {
        return other(KindRemark::UsageUnreadable);
    }
    if certificate
        .extended_key_usage()
        .is_some_and(|usages| usages == [eku::TLS_BINDING])
    {
        return (CertificateKind::TlsBinding, None);
    }
    match certificate.qualified().qc_types() {
        [] if certificate.qualified().psd2().is_some() => by_usage(certificate),
        [] => other(KindRemark::NotQualified),
        [QcType::Web] => web(certificate),
        [QcType::Eseal] => seal(certificate),
        _ => other(KindRemark::QcTypeUnfit),
    }
}

fn web(certificate: &Certificate) -> Answer {
    match certificate.has_eku(eku::CLIENT_AUTH) {
        true => (CertificateKind::Qwac, None),
        false => (CertificateKind::Other, Some(KindRemark::ClientAuthMissing)),
    }
}

fn seal(certificate: &Certificate) -> Answer {
    if has_tls_usage(certificate) {
        return (CertificateKind::Other, Some(KindRemark::SealWithTlsUsage));
    }
    match certificate.key_usage() {
        Some(usage) if usage.signs() => (CertificateKind::Qsealc, None),
        _ => (
            CertificateKind::Other,
            Some(KindRemark::SealWithoutSignature),
        ),
    }
}

/// Sandbox certificates without QcType: decide by usages, as long as these say anything.
fn by_usage(certificate: &Certificate) -> Answer {
    let signs = certificate.key_usage().is_some_and(|usage| usage.signs());
    if certificate.has_eku(eku::CLIENT_AUTH) {
        (CertificateKind::Qwac, Some(KindRemark::QcTypeMissing))
    } else if signs && !has_tls_usage(certificate) {
        (CertificateKind::Qsealc, Some(KindRemark::QcTypeMissing))
    } else {
        (CertificateKind::Other, Some(KindRemark::UsageUnfit))
    }
}

fn has_tls_usage(certificate: &Certificate) -> bool {
    [eku::CLIENT_AUTH, eku::SERVER_AUTH, eku::TLS_BINDING]
        .iter()
        .any(|oid| certificate.has_eku(oid))
}
