//! The pretend supervisor: publishes a trusted list that names the QTSP, and the list of the lists that points at it.
//!
//! In: the QTSP, what the list shall say of it, the time. Out: two signed XML documents, and the certificate of who signs
//! the list of the lists: what an operator pins. One supervisor plays both the member state and the European Commission,
//! with a key for each. Never: anything fetched; the locations in the lists lead nowhere.
//!
//! Serves ETSI TS 119 612 (versions 5 and 6 of the format).

mod signature;
mod xml;

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, ToSpan};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;

use self::xml::{ADDITIONAL, TSL, XADES, element, lang, text, with};
use super::{Qtsp, QtspError, build};
use crate::files;
use crate::key::{KeyKind, SoftwareKey};
use crate::parts::{printable, serial, validity};

/// Days the certificates of the signers are valid.
const SIGNER_DAYS: i64 = 3650;
/// Days from an issue to the next: the longest that TS 119 612 clause 5.3.15 allows is six months.
const NEXT_UPDATE_DAYS: i64 = 180;
/// id-tsl-kp-tslSigning (TS 119 612 clause 5.7.1).
const TSL_SIGNING: &[u64] = &[0, 4, 0, 2231, 3, 0];
/// Where the lists pretend to be.
const HOST: &str = "http://qtsp.sealkeep.example.com";
/// The pretend country: the one in the names of the QTSP.
const TERRITORY: &str = "FR";

const SVC: &str = "http://uri.etsi.org/TrstSvc/TrustedList";
const SIE: &str = "http://uri.etsi.org/TrstSvc/SvcInfoExt/eSigDir-1999-93-EC-TrustedList/#";

/// Who signs the lists.
#[derive(Debug)]
pub struct Supervisor {
    /// Signs the list of the lists.
    commission: Signer,
    /// Signs the national list.
    state: Signer,
}

#[derive(Debug)]
struct Signer {
    key: SoftwareKey,
    certificate: CertificateDer<'static>,
}

/// What the national list says, beside what is always the same.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Version of the format: 5 or 6.
    pub version: u8,
    /// The status of the QTSP's service from when on, newest first: `granted`, `withdrawn`.
    pub statuses: Vec<(String, Timestamp)>,
    /// What it issues certificates for: `ForWebSiteAuthentication`, `ForeSeals`, `ForeSignatures`.
    pub issues_for: Vec<String>,
    /// Qualifiers for all that it issues under these certificate policies: `NotQualified`, `QCForESeal`, ...
    pub overrule: Option<(String, Vec<String>)>,
    /// Days until the next issue; negative ones make a stale list.
    pub next_update_days: i64,
}

impl Entry {
    /// Granted from that time on, for seals and web sites; version 6.
    pub fn granted(since: Timestamp) -> Self {
        Self {
            version: 6,
            statuses: vec![("granted".to_owned(), since)],
            issues_for: vec![
                "ForWebSiteAuthentication".to_owned(),
                "ForeSeals".to_owned(),
            ],
            overrule: None,
            next_update_days: NEXT_UPDATE_DAYS,
        }
    }

    /// Granted at first, withdrawn later.
    pub fn withdrawn(granted: Timestamp, withdrawn: Timestamp) -> Self {
        let mut entry = Self::granted(granted);
        entry
            .statuses
            .insert(0, ("withdrawn".to_owned(), withdrawn));
        entry
    }
}

impl Supervisor {
    /// A new one with new keys.
    pub fn create(kind: KeyKind, now: Timestamp) -> Result<Self, QtspError> {
        let commission = "Sealkeep Sandbox List of the Lists Signer";
        Ok(Self {
            commission: Signer::create(commission, kind, now)?,
            state: Signer::create("Sealkeep Sandbox Trusted List Signer", kind, now)?,
        })
    }

    /// Reads the one that [`Supervisor::save`] wrote.
    pub fn load(folder: &Path) -> Result<Self, QtspError> {
        Ok(Self {
            commission: Signer::load(folder, "lotl-signer")?,
            state: Signer::load(folder, "list-signer")?,
        })
    }

    /// Writes `lotl-signer.pem`, `list-signer.pem` and their keys into a folder.
    pub fn save(&self, folder: &Path) -> Result<(), QtspError> {
        files::create_folder(folder)?;
        self.commission.save(folder, "lotl-signer")?;
        self.state.save(folder, "list-signer")
    }

    /// Whoever signs the list of the lists: what an operator pins.
    pub fn commission(&self) -> &CertificateDer<'static> {
        &self.commission.certificate
    }

    /// The list of the lists, signed.
    pub fn list_of_lists(&self, entry: &Entry, now: Timestamp) -> Result<String, QtspError> {
        let signer = [text(
            "X509Certificate",
            &STANDARD.encode(&self.state.certificate),
        )];
        let identity = element("ServiceDigitalIdentity", &[element("DigitalId", &signer)]);
        let other = |content: String| element("OtherInformation", &[content]);
        let mime = format!(
            "<a:MimeType xmlns:a=\"{ADDITIONAL}\">application/vnd.etsi.tsl+xml</a:MimeType>"
        );
        let about = [
            other(text("TSLType", &format!("{SVC}/TSLType/EUgeneric"))),
            other(operator()),
            other(scheme_rules()),
            other(text("SchemeTerritory", TERRITORY)),
            other(mime),
        ];
        let pointer = [
            element("ServiceDigitalIdentities", &[identity]),
            text("TSLLocation", &format!("{HOST}/list.xml")),
            element("AdditionalInformation", &about),
        ];
        let pointers = element(
            "PointersToOtherTSL",
            &[element("OtherTSLPointer", &pointer)],
        );
        let kind = format!("{SVC}/TSLType/EUlistofthelists");
        let scheme = scheme(entry, &kind, "EU", &pointers, now)?;
        self.commission.publish(&scheme, now)
    }

    /// The national list that names the QTSP, signed.
    pub fn list(&self, qtsp: &Qtsp, entry: &Entry, now: Timestamp) -> Result<String, QtspError> {
        let kind = format!("{SVC}/TSLType/EUgeneric");
        let scheme = scheme(entry, &kind, TERRITORY, "", now)?;
        let provider = [provider(), services(qtsp, entry)?];
        let provider = element("TrustServiceProvider", &provider);
        let list = element("TrustServiceProviderList", &[provider]);
        self.state.publish(&format!("{scheme}{list}"), now)
    }
}

impl Signer {
    fn create(name: &str, kind: KeyKind, now: Timestamp) -> Result<Self, QtspError> {
        let key = SoftwareKey::generate(kind)?;
        let mut params = CertificateParams::default();
        let mut subject = rcgen::DistinguishedName::new();
        subject.push(DnType::CountryName, printable(TERRITORY)?);
        subject.push(DnType::OrganizationName, "Sealkeep Sandbox Supervisor");
        subject.push(DnType::CommonName, name);
        params.distinguished_name = subject;
        params.serial_number = Some(serial()?);
        (params.not_before, params.not_after) = validity(now, SIGNER_DAYS)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let signing = ExtendedKeyUsagePurpose::Other(TSL_SIGNING.to_vec());
        params.extended_key_usages = vec![signing];
        let certificate = params.self_signed(key.pair()).map_err(build)?;
        Ok(Self {
            key,
            certificate: certificate.der().clone(),
        })
    }

    fn load(folder: &Path, name: &str) -> Result<Self, QtspError> {
        let certificate = folder.join(format!("{name}.pem"));
        Ok(Self {
            key: SoftwareKey::load(&folder.join(format!("{name}.key")))?,
            certificate: files::read_certificates(&certificate)?.remove(0),
        })
    }

    fn save(&self, folder: &Path, name: &str) -> Result<(), QtspError> {
        self.key.save(&folder.join(format!("{name}.key")))?;
        let text = files::certificates_pem([&self.certificate]);
        Ok(files::write_public(
            &folder.join(format!("{name}.pem")),
            &text,
        )?)
    }

    /// The whole document around its content, signed.
    fn publish(&self, content: &str, now: Timestamp) -> Result<String, QtspError> {
        let begin = format!(
            "<TrustServiceStatusList xmlns=\"{TSL}\" Id=\"list\" TSLTag=\"http://uri.etsi.org/19612/TSLTag\">{content}"
        );
        let end = "</TrustServiceStatusList>";
        let (key, certificate) = (&self.key, &self.certificate);
        let signature = signature::of(&format!("{begin}{end}"), key, certificate, now)?;
        Ok(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{begin}{signature}{end}\n"
        ))
    }
}

/// SchemeInformation, clause 5.3.
fn scheme(
    entry: &Entry,
    kind: &str,
    territory: &str,
    pointers: &str,
    now: Timestamp,
) -> Result<String, QtspError> {
    let next = now
        .checked_add((entry.next_update_days * 24).hours())
        .map_err(build)?;
    let uri = |name: &str, path: &str| element(name, &[lang("URI", &format!("{HOST}/{path}"))]);
    let legal = "A pretence for tests and demonstrations. No legal meaning.";
    let policy = [lang("TSLLegalNotice", legal)];
    let address = [postal_address(), electronic_address()];
    Ok(element(
        "SchemeInformation",
        &[
            text("TSLVersionIdentifier", &entry.version.to_string()),
            text("TSLSequenceNumber", &now.as_second().to_string()),
            text("TSLType", kind),
            operator(),
            element("SchemeOperatorAddress", &address),
            element("SchemeName", &[lang("Name", "FR:Sealkeep Sandbox list")]),
            uri("SchemeInformationURI", "scheme"),
            text(
                "StatusDeterminationApproach",
                &format!("{SVC}/StatusDetn/EUappropriate"),
            ),
            scheme_rules(),
            text("SchemeTerritory", territory),
            element("PolicyOrLegalNotice", &policy),
            text("HistoricalInformationPeriod", "65535"),
            pointers.to_owned(),
            text("ListIssueDateTime", &time(now)),
            element("NextUpdate", &[text("dateTime", &time(next))]),
        ],
    ))
}

fn operator() -> String {
    let name = [lang("Name", "Sealkeep Sandbox Supervisor")];
    element("SchemeOperatorName", &name)
}

fn scheme_rules() -> String {
    let rules = [lang("URI", &format!("{SVC}/schemerules/EUcommon"))];
    element("SchemeTypeCommunityRules", &rules)
}

fn postal_address() -> String {
    let parts = [
        text("StreetAddress", "1 rue du Bac a Sable"),
        text("Locality", "Paris"),
        text("PostalCode", "75001"),
        text("CountryName", TERRITORY),
    ]
    .concat();
    let address = with("PostalAddress", "xml:lang=\"en\"", &parts);
    element("PostalAddresses", &[address])
}

fn electronic_address() -> String {
    let uris = [lang("URI", "mailto:sandbox@example.org"), lang("URI", HOST)];
    element("ElectronicAddress", &uris)
}

/// TSPInformation, clause 5.4.
fn provider() -> String {
    let address = [postal_address(), electronic_address()];
    element(
        "TSPInformation",
        &[
            element("TSPName", &[lang("Name", "Sealkeep Sandbox QTSP")]),
            element("TSPTradeName", &[lang("Name", "NTRFR-123456789")]),
            element("TSPAddress", &address),
            element("TSPInformationURI", &[lang("URI", HOST)]),
        ],
    )
}

/// TSPServices with the issuing CA alone: most lists name it, not its root. Clauses 5.5 and 5.6.
fn services(qtsp: &Qtsp, entry: &Entry) -> Result<String, QtspError> {
    let mut periods = entry.statuses.iter();
    let none = || QtspError::Order("an entry has at least one status".to_owned());
    let (status, since) = periods.next().ok_or_else(none)?;
    let der = STANDARD.encode(qtsp.issuing());
    let certificate = element("DigitalId", &[text("X509Certificate", &der)]);
    let ski = element("DigitalId", &[text("X509SKI", &key_identifier(qtsp)?)]);
    let current = period(entry, status, *since, &format!("{certificate}{ski}"));
    let current = element("ServiceInformation", &current);
    let history: Vec<_> = periods
        .map(|(status, since)| {
            let past = period(entry, status, *since, &ski);
            element("ServiceHistoryInstance", &past)
        })
        .collect();
    let history = element("ServiceHistory", &history);
    let service = element("TSPService", &[current, history]);
    Ok(element("TSPServices", &[service]))
}

fn period(entry: &Entry, status: &str, since: Timestamp, identity: &str) -> Vec<String> {
    let name = [lang("Name", "Sealkeep Sandbox QTSP Issuing CA")];
    vec![
        text(
            "ServiceTypeIdentifier",
            "http://uri.etsi.org/TrstSvc/Svctype/CA/QC",
        ),
        element("ServiceName", &name),
        element("ServiceDigitalIdentity", &[identity.to_owned()]),
        text("ServiceStatus", &format!("{SVC}/Svcstatus/{status}")),
        text("StatusStartingTime", &time(since)),
        extensions(entry),
    ]
}

/// ServiceInformationExtensions, clause 5.5.9.
fn extensions(entry: &Entry) -> String {
    let critical = |content: String| with("Extension", "Critical=\"true\"", &content);
    let uses = entry.issues_for.iter().map(|issues_for| {
        let uri = lang("URI", &format!("{SVC}/SvcInfoExt/{issues_for}"));
        critical(element("AdditionalServiceInformation", &[uri]))
    });
    let overrule = entry.overrule.iter().map(|(qualifier, policies)| {
        let policies: String = policies
            .iter()
            .map(|oid| {
                format!(
                    "<s:PolicyIdentifier><x:Identifier xmlns:x=\"{XADES}\" Qualifier=\"OIDAsURN\">urn:oid:{oid}</x:Identifier></s:PolicyIdentifier>"
                )
            })
            .collect();
        critical(format!(
            "<s:Qualifications xmlns:s=\"{SIE}\"><s:QualificationElement><s:Qualifiers><s:Qualifier uri=\"{SVC}/SvcInfoExt/{qualifier}\"></s:Qualifier></s:Qualifiers><s:CriteriaList assert=\"atLeastOne\"><s:PolicySet>{policies}</s:PolicySet></s:CriteriaList></s:QualificationElement></s:Qualifications>"
        ))
    });
    let all: Vec<_> = uses.chain(overrule).collect();
    element("ServiceInformationExtensions", &all)
}

/// The key identifier in the issuing CA's certificate, base64.
fn key_identifier(qtsp: &Qtsp) -> Result<String, QtspError> {
    use x509_parser::extensions::ParsedExtension;
    use x509_parser::prelude::{FromDer, X509Certificate};
    let (_, certificate) = X509Certificate::from_der(qtsp.issuing()).map_err(build)?;
    let identifier =
        certificate
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(STANDARD.encode(id.0)),
                _ => None,
            });
    identifier.ok_or_else(|| build("the issuing CA has no key identifier"))
}

fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}
