//! A service of a trusted list that issues qualified certificates, with its history.
//!
//! In: a TSPService element. Out: [`Service`]: whose CA certificates, and what its standing was from when on. Never: a
//! service with a critical extension that is not understood (clause 5.5.9), since it may say anything. Serves ETSI TS 119 612
//! clauses 5.5 and 5.6.

use jiff::Timestamp;
use roxmltree::Node;
use sealkeep_profiles::certificate::Certificate;
use serde::{Deserialize, Serialize};

use super::certificates;
use super::criteria::{self, Criteria};
use super::list::{Skipped, short};
use super::xml::{self, SIE, TSL};

/// The type of a service that issues qualified certificates (clause 5.5.1.1).
pub(super) const CA_QC: &str = "http://uri.etsi.org/TrstSvc/Svctype/CA/QC";
/// What most URIs of statuses and qualifiers begin with.
const PREFIX: &str = "http://uri.etsi.org/TrstSvc/TrustedList/";

/// A service that issues, or issued, qualified certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Who runs it.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// The certificates of its CA; one key, mostly one certificate.
    #[serde(with = "certificates")]
    pub certificates: Vec<Certificate>,
    /// What it was from when on, newest first; never empty.
    pub periods: Vec<Period>,
}

/// What a service was, from its begin to that of the next newer period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// When it began.
    pub begin: Timestamp,
    /// The type of the service, a URI.
    pub service_type: String,
    /// Its status, the last part of the URI: `granted`, `withdrawn`, ...
    pub status: String,
    /// For what it issues, the last parts of the URIs: `ForWebSiteAuthentication`, `ForeSeals`, `ForeSignatures`, ...
    pub issues_for: Vec<String>,
    /// Where it overrules what its certificates say of themselves.
    pub overrules: Vec<Overrule>,
}

/// What holds for the certificates that meet criteria, whatever they say (clause 5.5.9.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrule {
    /// The last parts of the URIs: `NotQualified`, `QCForWSA`, ...
    pub qualifiers: Vec<String>,
    /// Which certificates.
    pub criteria: Criteria,
}

impl Service {
    /// What it was at that time; none before it was listed.
    pub fn at(&self, at: Timestamp) -> Option<&Period> {
        self.periods.iter().find(|period| period.begin <= at)
    }
}

/// Reads a service. None when it never issued qualified certificates, or cannot be used, which is counted.
pub(super) fn read(node: Node<'_, '_>, provider: &str, skipped: &mut Skipped) -> Option<Service> {
    let current = xml::child(node, TSL, "ServiceInformation")?;
    let history = xml::child(node, TSL, "ServiceHistory");
    let history = history
        .into_iter()
        .flat_map(|history| xml::children(history, TSL, "ServiceHistoryInstance"));
    let nodes: Vec<_> = std::iter::once(current).chain(history).collect();
    let of_type = |node: &Node<'_, '_>| service_type(*node) == CA_QC;
    if !nodes.iter().any(of_type) {
        return None;
    }
    let name = xml::child(current, TSL, "ServiceName");
    let name = short(&name.map(|n| xml::english(n, "Name")).unwrap_or_default());
    let periods: Result<Vec<_>, _> = nodes.iter().map(|node| period(*node)).collect();
    let mut periods = periods.map_err(|why| skipped.push(&name, why)).ok()?;
    periods.sort_by_key(|period| std::cmp::Reverse(period.begin));
    let identity = xml::child(current, TSL, "ServiceDigitalIdentity");
    let certificates = identity.map(|identity| certificates::read(identity, &name, skipped))?;
    if certificates.is_empty() {
        skipped.push(&name, "no certificate that can be read");
        return None;
    }
    Some(Service {
        provider: provider.to_owned(),
        name,
        certificates,
        periods,
    })
}

fn service_type<'a>(node: Node<'a, '_>) -> &'a str {
    let node = xml::child(node, TSL, "ServiceTypeIdentifier");
    node.map(xml::text).unwrap_or_default()
}

fn period(node: Node<'_, '_>) -> Result<Period, &'static str> {
    let text = |name| {
        xml::child(node, TSL, name)
            .map(xml::text)
            .unwrap_or_default()
    };
    let begin = text("StatusStartingTime").parse();
    let mut period = Period {
        begin: begin.map_err(|_| "a status without the time it began")?,
        service_type: short(service_type(node)),
        status: last(text("ServiceStatus"), "Svcstatus/"),
        issues_for: Vec::new(),
        overrules: Vec::new(),
    };
    let extensions = xml::child(node, TSL, "ServiceInformationExtensions");
    let extensions = extensions
        .into_iter()
        .flat_map(|all| xml::children(all, TSL, "Extension"));
    for extension in extensions {
        let critical = matches!(extension.attribute("Critical"), Some("true" | "1"));
        for content in extension.children().filter(Node::is_element) {
            let known = extend(&mut period, content)?;
            if critical && !known {
                return Err("a critical extension that is not understood");
            }
        }
    }
    Ok(period)
}

/// Whether the extension is understood.
fn extend(period: &mut Period, content: Node<'_, '_>) -> Result<bool, &'static str> {
    if content.has_tag_name((TSL, "AdditionalServiceInformation")) {
        let uri = xml::child(content, TSL, "URI").map(xml::text);
        let uri = last(uri.unwrap_or_default(), "SvcInfoExt/");
        period.issues_for.push(uri);
    } else if content.has_tag_name((SIE, "Qualifications")) {
        for element in xml::children(content, SIE, "QualificationElement") {
            period.overrules.push(overrule(element)?);
        }
    } else {
        // When expired certificates stay on its revocation lists: says nothing about qualification.
        return Ok(content.has_tag_name((TSL, "ExpiredCertsRevocationInfo")));
    }
    Ok(true)
}

fn overrule(element: Node<'_, '_>) -> Result<Overrule, &'static str> {
    let qualifiers = xml::child(element, SIE, "Qualifiers");
    let qualifiers = qualifiers
        .into_iter()
        .flat_map(|all| xml::children(all, SIE, "Qualifier"))
        .map(|one| last(one.attribute("uri").unwrap_or_default(), "SvcInfoExt/"));
    let list = xml::child(element, SIE, "CriteriaList");
    Ok(Overrule {
        qualifiers: qualifiers.collect(),
        criteria: criteria::read(list.ok_or("qualifiers without criteria")?)?,
    })
}

/// The last part of a URI of ETSI; others whole, so that they mean nothing here.
fn last(uri: &str, folder: &str) -> String {
    let rest = uri.strip_prefix(PREFIX);
    let rest = rest.and_then(|rest| rest.strip_prefix(folder));
    short(rest.unwrap_or(uri))
}
