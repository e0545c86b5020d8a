//! QWAC for transport, QSealC for seal (EN 319 412-4 and -3; TS 119 411-5 for the 2-QWAC).

use sealkeep_profiles::certificate::CertificateKind;

use super::{Case, Finding};
use crate::domain::Purpose;

/// id-kp-clientAuth, RFC 5280 section 4.2.1.12.
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

pub(super) fn check(case: &Case<'_>, found: &mut Vec<Finding>) {
    let leaf = case.leaf;
    if leaf.is_precertificate() {
        let detail = "a precertificate of certificate transparency is not usable";
        found.push(Finding::block("ct.precert", detail));
    }
    if leaf.is_ca() {
        found.push(Finding::block(
            "kind.ca",
            "the certificate of a CA, not of a TPP",
        ));
    }
    let (wanted, name) = match case.candidate.purpose {
        Purpose::Transport => (CertificateKind::Qwac, "QWAC"),
        Purpose::Seal => (CertificateKind::Qsealc, "QSealC"),
        // Has no certificate: the installation is refused before any check.
        Purpose::Decryption => return,
    };
    let kind = leaf.kind();
    if kind == CertificateKind::TlsBinding {
        let detail = "a 2-QWAC signs TLS certificate bindings; it opens no mutual TLS";
        found.push(Finding::block("kind", detail));
    } else if kind != wanted {
        let remark = leaf.kind_remark().map_or("", |remark| remark.code());
        let seen = leaf.extended_key_usage().unwrap_or_default().join(" ");
        let seen = format!("extended key usage: {seen}");
        found.push(Finding::block("kind", format!("not a {name} {remark}").trim_end()).seen(seen));
    }
    if case.candidate.purpose == Purpose::Transport && !leaf.has_eku(CLIENT_AUTH) {
        let detail = "extended key usage lacks clientAuth; banks refuse it";
        found.push(Finding::block("eku.client_auth", detail));
    }
    let digital_signature = leaf
        .key_usage()
        .is_some_and(|usage| usage.digital_signature());
    if kind == wanted && !digital_signature {
        let detail = "key usage lacks digitalSignature; some banks and JWS libraries want it";
        found.push(Finding::warn("ku", detail));
    }
}
