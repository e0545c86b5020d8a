//! Which certificates of a service a qualifier is about.
//!
//! In: a CriteriaList element; a certificate. Out: [`Criteria`]; whether it meets them. Never: a criterion taken as met
//! that is not understood: the service is then left out. Serves ETSI TS 119 612 clause 5.5.9.2.2.

use roxmltree::Node;
use sealkeep_profiles::certificate::{Certificate, KeyUsage};
use serde::{Deserialize, Serialize};

use super::list::short;
use super::xml::{self, ADDITIONAL, SIE, XADES};

/// How deep criteria nest. Lists in use nest two deep.
const DEPTH_MAX: usize = 8;

/// The names of the bits of key usage, in their order (RFC 5280 section 4.2.1.3).
const KEY_USAGES: [&str; 9] = [
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "crlSign",
    "encipherOnly",
    "decipherOnly",
];

/// Criteria, and how many of them must be met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Criteria {
    /// How many.
    pub assert: Assert,
    /// Each of them.
    pub all: Vec<Criterion>,
}

/// How many criteria must be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assert {
    /// Each one.
    All,
    /// One or more.
    AtLeastOne,
    /// None of them.
    None,
}

/// One criterion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// All these certificate policies, dotted.
    Policies(Vec<String>),
    /// These bits of the key usage, by number, set or not.
    KeyUsage(Vec<(u8, bool)>),
    /// All these extended key usages, dotted.
    ExtendedKeyUsage(Vec<String>),
    /// All these attribute types in the subject, dotted.
    SubjectAttributes(Vec<String>),
    /// Criteria within.
    Within(Criteria),
}

impl Criteria {
    /// Whether a certificate meets them.
    pub fn met_by(&self, certificate: &Certificate) -> bool {
        let mut each = self.all.iter().map(|one| one.met_by(certificate));
        match self.assert {
            Assert::All => each.all(|met| met),
            Assert::AtLeastOne => each.any(|met| met),
            Assert::None => !each.any(|met| met),
        }
    }
}

impl Criterion {
    fn met_by(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Policies(oids) => oids.iter().all(|oid| certificate.policies().contains(oid)),
            // A certificate that states no key usage meets no criterion about it.
            Self::KeyUsage(bits) => certificate.key_usage().is_some_and(|usage: KeyUsage| {
                bits.iter()
                    .all(|(bit, wanted)| usage.bit((*bit).into()) == *wanted)
            }),
            Self::ExtendedKeyUsage(oids) => oids.iter().all(|oid| certificate.has_eku(oid)),
            Self::SubjectAttributes(oids) => oids.iter().all(|oid| {
                let mut attributes = certificate.subject().attributes();
                attributes.any(|attribute| attribute.oid() == *oid)
            }),
            Self::Within(criteria) => criteria.met_by(certificate),
        }
    }
}

/// Reads a CriteriaList.
pub(super) fn read(list: Node<'_, '_>) -> Result<Criteria, &'static str> {
    read_within(list, 0)
}

fn read_within(list: Node<'_, '_>, depth: usize) -> Result<Criteria, &'static str> {
    if depth > DEPTH_MAX {
        return Err("criteria nest too deeply");
    }
    let assert = match list.attribute("assert") {
        Some("all") => Assert::All,
        Some("atLeastOne") => Assert::AtLeastOne,
        Some("none") => Assert::None,
        _ => return Err("criteria that do not say how many must be met"),
    };
    let mut all = Vec::new();
    for node in list.children().filter(Node::is_element) {
        match (node.tag_name().namespace(), node.tag_name().name()) {
            (Some(SIE), "PolicySet") => {
                all.push(Criterion::Policies(identifiers(node, "PolicyIdentifier")?));
            }
            (Some(SIE), "KeyUsage") => all.push(Criterion::KeyUsage(key_usage(node)?)),
            (Some(SIE), "CriteriaList") => {
                all.push(Criterion::Within(read_within(node, depth + 1)?));
            }
            // For people.
            (Some(SIE), "Description") => {}
            (Some(SIE), "otherCriteriaList") => {
                for other in node.children().filter(Node::is_element) {
                    all.push(other_criterion(other)?);
                }
            }
            _ => return Err("a criterion that is not understood"),
        }
    }
    match all.is_empty() {
        true => Err("criteria without a criterion"),
        false => Ok(Criteria { assert, all }),
    }
}

fn other_criterion(node: Node<'_, '_>) -> Result<Criterion, &'static str> {
    match (node.tag_name().namespace(), node.tag_name().name()) {
        (Some(ADDITIONAL), "ExtendedKeyUsage") => {
            identifiers(node, "KeyPurposeId").map(Criterion::ExtendedKeyUsage)
        }
        (Some(ADDITIONAL), "CertSubjectDNAttribute") => {
            identifiers(node, "AttributeOID").map(Criterion::SubjectAttributes)
        }
        _ => Err("a criterion that is not understood"),
    }
}

/// The object identifiers below, dotted. They are written bare or as `urn:oid:`, whatever their qualifier says.
fn identifiers(node: Node<'_, '_>, name: &'static str) -> Result<Vec<String>, &'static str> {
    let all = node
        .children()
        .filter(|child| child.is_element() && child.tag_name().name() == name);
    let texts = all.map(|one| {
        let identifier = xml::child(one, XADES, "Identifier").map(xml::text);
        let identifier = identifier.unwrap_or_default();
        let oid = match identifier.get(..8) {
            Some(urn) if urn.eq_ignore_ascii_case("urn:oid:") => &identifier[8..],
            _ => identifier,
        };
        let dotted = !oid.is_empty() && oid.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        dotted
            .then(|| short(oid))
            .ok_or("an object identifier that is none")
    });
    let oids: Vec<_> = texts.collect::<Result<_, _>>()?;
    match oids.is_empty() {
        true => Err("a criterion without a value"),
        false => Ok(oids),
    }
}

fn key_usage(node: Node<'_, '_>) -> Result<Vec<(u8, bool)>, &'static str> {
    let bits = xml::children(node, SIE, "KeyUsageBit").map(|bit| {
        let name = bit.attribute("name").unwrap_or_default();
        let number = (0_u8..).zip(KEY_USAGES).find(|(_, known)| *known == name);
        let (number, _) = number.ok_or("a key usage that does not exist")?;
        match xml::text(bit) {
            "true" | "1" => Ok((number, true)),
            "false" | "0" => Ok((number, false)),
            _ => Err("a key usage that is neither true nor false"),
        }
    });
    let bits: Vec<_> = bits.collect::<Result<_, _>>()?;
    match bits.is_empty() {
        true => Err("a criterion without a value"),
        false => Ok(bits),
    }
}
