//! A trusted list: who supervises whom, and until when the list counts.
//!
//! In: [`SignedXml`]. Out: [`TrustedList`], or why the file is none. An entry that is wrong is left out and counted; a
//! national list has dozens of CA certificates that no strict parser takes, and the others must not be lost with them.
//! Only services that issue qualified certificates are kept. Versions 5 and 6 (the same to us: version 6 allows more
//! values). Never: the time, a decision about a certificate. Serves ETSI TS 119 612 clauses 5.3 and 5.4.

use std::fmt;

use jiff::Timestamp;
use roxmltree::Node;
use serde::{Deserialize, Serialize};

use super::certificates;
use super::service::{self, Service};
use super::signature::SignedXml;
use super::signers::Signer;
use super::xml::{self, ADDITIONAL, TSL};

/// The versions of the format that are read.
pub const VERSIONS: [u32; 2] = [5, 6];
/// How many entries that were left out are named; the others are only counted.
const SKIPPED_NAMED_MAX: usize = 20;
/// The longest name that is kept, characters.
const NAME_CHARS_MAX: usize = 200;

const LIST_OF_LISTS: &str = "http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUlistofthelists";
const LIST: &str = "http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUgeneric";
const XML_LIST: &str = "application/vnd.etsi.tsl+xml";

/// Why signed XML is not a trusted list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Another document, or a part that every list has is missing or wrong.
    #[error("not a trusted list: {0}")]
    Malformed(&'static str),
    /// A version that is not read.
    #[error("version {0} of the format; 5 and 6 are read")]
    Version(String),
    /// Neither the list of the lists nor a national one.
    #[error("a list of another type: {0}")]
    Type(String),
}

impl ListError {
    /// The stable word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "LIST_MALFORMED",
            Self::Version(_) => "LIST_VERSION",
            Self::Type(_) => "LIST_TYPE",
        }
    }
}

/// A country, or `EU` for the list of the lists: two capital letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Territory([u8; 2]);

impl Territory {
    /// The two letters.
    pub fn as_str(&self) -> &str {
        // Cannot fail: both bytes are A to Z.
        std::str::from_utf8(&self.0).unwrap_or_else(|e| unreachable!("territory: {e}"))
    }
}

impl TryFrom<&str> for Territory {
    type Error = ListError;

    fn try_from(text: &str) -> Result<Self, ListError> {
        match text.as_bytes() {
            [a @ b'A'..=b'Z', b @ b'A'..=b'Z'] => Ok(Self([*a, *b])),
            _ => Err(ListError::Malformed(
                "SchemeTerritory is two capital letters",
            )),
        }
    }
}

impl TryFrom<String> for Territory {
    type Error = ListError;

    fn try_from(text: String) -> Result<Self, ListError> {
        text.as_str().try_into()
    }
}

impl From<Territory> for String {
    fn from(territory: Territory) -> Self {
        territory.as_str().to_owned()
    }
}

impl fmt::Display for Territory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListKind {
    /// The list of the lists: points at national lists and at who signs them.
    ListOfLists,
    /// A national list: names the services.
    National,
}

/// Where the list of the lists says that a national list is, and who signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// Whose list.
    pub territory: Territory,
    /// Where it is published.
    pub location: String,
    /// The keys that may sign it.
    pub signers: Vec<Signer>,
}

/// A trusted list, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedList {
    /// Whose.
    pub territory: Territory,
    /// What it is.
    pub kind: ListKind,
    /// Version of the format.
    pub version: u32,
    /// Counts up with each issue of the list.
    pub sequence_number: u64,
    /// Who publishes it.
    pub operator: String,
    /// When it was issued.
    pub issued: Timestamp,
    /// When the next issue is due: after it this one is stale.
    pub next_update: Timestamp,
    /// SHA-256 of the key that signed it, as SubjectPublicKeyInfo.
    #[serde(with = "hex::serde")]
    pub signer_spki_sha256: [u8; 32],
    /// Those that issue qualified certificates, in the order of the list.
    pub services: Vec<Service>,
    /// What was left out.
    pub skipped: Skipped,
}

/// Entries that cannot be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// How many.
    pub count: u32,
    /// The first of them, in words.
    pub named: Vec<String>,
}

impl Skipped {
    /// Counts one.
    pub(super) fn push(&mut self, what: &str, why: impl fmt::Display) {
        self.count += 1;
        if self.named.len() < SKIPPED_NAMED_MAX {
            self.named.push(format!("{}: {why}", short(what)));
        }
    }
}

/// Reads a national list, or the list of the lists with what it points at.
///
/// # Errors
/// [`ListError`].
pub(super) fn read(signed: &SignedXml) -> Result<(TrustedList, Vec<Pointer>), ListError> {
    let unparsable = "its signed part does not parse";
    let document = xml::parse(signed.text()).map_err(|_| ListError::Malformed(unparsable))?;
    let root = document.root_element();
    if !root.has_tag_name((TSL, "TrustServiceStatusList")) {
        return Err(ListError::Malformed("another root element"));
    }
    let scheme = xml::child(root, TSL, "SchemeInformation");
    let scheme = scheme.ok_or(ListError::Malformed("no SchemeInformation"))?;
    let mut list = header(scheme)?;
    list.signer_spki_sha256 = signed.signer_spki_sha256();
    let pointers = match list.kind {
        ListKind::ListOfLists => pointers(scheme, &mut list.skipped),
        ListKind::National => {
            list.services = services(root, &mut list.skipped);
            Vec::new()
        }
    };
    Ok((list, pointers))
}

fn header(scheme: Node<'_, '_>) -> Result<TrustedList, ListError> {
    let version = field(scheme, "TSLVersionIdentifier")?;
    let known = version.parse().ok().filter(|v| VERSIONS.contains(v));
    let version = known.ok_or_else(|| ListError::Version(short(version)))?;
    let kind = match field(scheme, "TSLType")? {
        LIST_OF_LISTS => ListKind::ListOfLists,
        LIST => ListKind::National,
        other => return Err(ListError::Type(short(other))),
    };
    let sequence = field(scheme, "TSLSequenceNumber")?.parse();
    let next_update = xml::descend(scheme, TSL, &["NextUpdate", "dateTime"]);
    // A list that is closed for good has an empty one (clause 5.3.15); nothing is to be confirmed by it.
    let closed = ListError::Malformed("no NextUpdate: the list is closed");
    let next_update = xml::text(next_update.ok_or(closed)?);
    let operator = xml::child(scheme, TSL, "SchemeOperatorName");
    let operator = operator.map(|node| xml::english(node, "Name"));
    Ok(TrustedList {
        territory: field(scheme, "SchemeTerritory")?.try_into()?,
        kind,
        version,
        sequence_number: sequence.map_err(|_| ListError::Malformed("TSLSequenceNumber"))?,
        operator: short(&operator.unwrap_or_default()),
        issued: time(field(scheme, "ListIssueDateTime")?)?,
        next_update: time(next_update)?,
        signer_spki_sha256: [0; 32],
        services: Vec::new(),
        skipped: Skipped::default(),
    })
}

fn field<'a>(scheme: Node<'a, '_>, name: &'static str) -> Result<&'a str, ListError> {
    let node = xml::child(scheme, TSL, name);
    node.map(xml::text).ok_or(ListError::Malformed(name))
}

fn time(text: &str) -> Result<Timestamp, ListError> {
    let malformed = ListError::Malformed("a date that is none");
    text.parse().map_err(|_| malformed)
}

/// Every pointer to a national list in XML; a list in PDF stands beside most of them (clause 5.3.13).
fn pointers(scheme: Node<'_, '_>, skipped: &mut Skipped) -> Vec<Pointer> {
    let all = xml::child(scheme, TSL, "PointersToOtherTSL");
    let all = all
        .into_iter()
        .flat_map(|all| xml::children(all, TSL, "OtherTSLPointer"));
    all.filter_map(|node| pointer(node, skipped)).collect()
}

fn pointer(node: Node<'_, '_>, skipped: &mut Skipped) -> Option<Pointer> {
    let additional = xml::child(node, TSL, "AdditionalInformation")?;
    let about = |namespace, name| {
        let mut all = xml::children(additional, TSL, "OtherInformation");
        let found = all.find_map(|other| xml::child(other, namespace, name));
        found.map(xml::text).unwrap_or_default()
    };
    if about(ADDITIONAL, "MimeType") != XML_LIST || about(TSL, "TSLType") != LIST {
        return None;
    }
    let territory = Territory::try_from(about(TSL, "SchemeTerritory"));
    let territory = territory
        .map_err(|error| skipped.push("a pointer", error))
        .ok()?;
    let location = xml::child(node, TSL, "TSLLocation").map(xml::text);
    let mut signers = Vec::new();
    let identities = xml::child(node, TSL, "ServiceDigitalIdentities")?;
    for identity in xml::children(identities, TSL, "ServiceDigitalIdentity") {
        let what = format!("a signer of {territory}");
        for der in certificates::ders(identity, &what, skipped) {
            match Signer::from_certificate(&der) {
                Ok(signer) => signers.push(signer),
                Err(error) => skipped.push(&what, error),
            }
        }
    }
    Some(Pointer {
        territory,
        location: short(location.unwrap_or_default()),
        signers,
    })
}

fn services(root: Node<'_, '_>, skipped: &mut Skipped) -> Vec<Service> {
    let providers = xml::child(root, TSL, "TrustServiceProviderList");
    let providers = providers
        .into_iter()
        .flat_map(|list| xml::children(list, TSL, "TrustServiceProvider"));
    let mut services = Vec::new();
    for provider in providers {
        let name = xml::descend(provider, TSL, &["TSPInformation", "TSPName"]);
        let name = short(&name.map(|n| xml::english(n, "Name")).unwrap_or_default());
        let all = xml::child(provider, TSL, "TSPServices");
        let all = all
            .into_iter()
            .flat_map(|all| xml::children(all, TSL, "TSPService"));
        services.extend(all.filter_map(|node| service::read(node, &name, skipped)));
    }
    services
}

/// A text of bounded length, on one line.
pub(super) fn short(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").chars().take(NAME_CHARS_MAX).collect()
}
