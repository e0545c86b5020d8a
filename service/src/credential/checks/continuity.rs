//! The certificate says of the firm what its predecessor and the request said: client ids and consents at banks hang on
//! it.

use std::collections::BTreeSet;

use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::qualified::Psd2Statement;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::{Case, Finding};

/// organizationIdentifier, X.520.
const ORGANIZATION_IDENTIFIER: &str = "2.5.4.97";

pub(super) fn check(case: &Case<'_>, found: &mut Vec<Finding>) {
    request(case, found);
    let Some(previous) = case.candidate.previous else {
        return;
    };
    let leaf = case.leaf;
    let (old, new) = (
        previous.organization_identifier(),
        leaf.organization_identifier(),
    );
    if old != new {
        found.push(organization(old, new));
    }
    let roles = |of: &Certificate| {
        let psd2 = of.qualified().psd2();
        psd2.map(Psd2Statement::roles).unwrap_or_default()
    };
    let (held, holds) = (roles(previous), roles(leaf));
    for lost in held.iter().filter(|role| !holds.contains(*role)) {
        found.push(Finding::block(
            "roles.coverage",
            format!("role {lost} is lost"),
        ));
    }
    if previous.issuer() != leaf.issuer() {
        let seen = format!(
            "was {}, is {}",
            previous.issuer().rfc2253(),
            leaf.issuer().rfc2253()
        );
        let detail = "banks that pin the issuer must be told";
        found.push(Finding::warn("chain.issuer_changed", detail).seen(seen));
    }
}

fn organization(was: Option<&str>, is: Option<&str>) -> Finding {
    let text = |id: Option<&str>| id.unwrap_or("none").to_owned();
    let detail = format!("was {}, is {}", text(was), text(is));
    Finding::block("orgid.continuity", detail)
}

/// What was asked for. The first certificate of a credential has no predecessor, only this.
fn request(case: &Case<'_>, found: &mut Vec<Finding>) {
    // Our own request, read back from the store; one that does not parse has nothing to compare.
    let csr_der = case.candidate.version.csr_der.as_deref();
    let Ok((_, csr)) = X509CertificationRequest::from_der(csr_der.unwrap_or_default()) else {
        return;
    };
    let subject = csr.certification_request_info.subject.iter_attributes();
    let asked = subject
        .filter(|attribute| attribute.attr_type().to_id_string() == ORGANIZATION_IDENTIFIER)
        .find_map(|attribute| attribute.as_str().ok());
    let is = case.leaf.organization_identifier();
    if asked.is_some() && case.candidate.previous.is_none() && asked != is {
        found.push(organization(asked, is));
    }
    let issued: BTreeSet<_> = case.leaf.dns_names().iter().map(String::as_str).collect();
    let names = csr.requested_extensions().into_iter().flatten();
    let names = names.filter_map(|extension| match extension {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    let wanted: BTreeSet<_> = names
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        })
        .collect();
    let missing: Vec<_> = wanted.difference(&issued).copied().collect();
    if !missing.is_empty() {
        let detail = "DNS names of the request are not in the certificate";
        found.push(Finding::warn("san.domain", detail).seen(missing.join(" ")));
    }
}
