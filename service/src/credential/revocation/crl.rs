//! Lists of revoked certificates (RFC 5280 section 5).
//!
//! In: a CRL's bytes and the CA that should have signed it; then a certificate of that CA and the time. Out: a
//! [`Statement`]. Pure. Never: a word from a list that covers only part of what was asked: a delta CRL, an indirect one,
//! one for some reasons or for another distribution point. Entries are looked at one by one, for lists of QTSPs have
//! megabytes.

use der::Decode as _;
use der::asn1::AnyRef;
use jiff::Timestamp;
use sealkeep_profiles::certificate::Certificate;
use x509_cert::crl::RevokedCert;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Tag};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::CrlReason;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::time::Time;

use super::frame::{Elements, MALFORMED, Signed, children};
use super::unproven::{Unproven, check_period};
use crate::domain::{RevocationSource, RevocationStatus, Statement};

const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const REASON_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
const DELTA_CRL_INDICATOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");

/// A list whose signature was verified.
#[derive(Debug)]
pub(super) struct Crl {
    der: Vec<u8>,
    this_update: Timestamp,
    next_update: Timestamp,
    scope: Scope,
}

/// Which certificates of its issuer a list is about.
#[derive(Debug, Default)]
struct Scope {
    users_only: bool,
    cas_only: bool,
    /// The distribution points it is for; none for all.
    points: Option<Vec<String>>,
}

impl Crl {
    /// Reads a list and checks that this CA has signed it and that it is a whole one.
    pub(super) fn read(der: Vec<u8>, issuer: &Certificate) -> Result<Self, Unproven> {
        let signed = Signed::read(&der)?;
        if issuer.key_usage().is_some_and(|usage| !usage.crl_sign()) {
            return Err(Unproven::Signer("its key usage has no cRLSign"));
        }
        issuer
            .verify_signature(signed.algorithm, signed.message, signed.signature)
            .map_err(Unproven::Signature)?;
        let fields = Fields::read(&signed)?;
        if fields.issuer != issuer.subject().der() {
            return Err(Unproven::Indirect);
        }
        let (this_update, next_update) = (fields.this_update, fields.next_update);
        let scope = scope(&fields.extensions)?;
        Ok(Self {
            der,
            this_update,
            next_update,
            scope,
        })
    }

    /// What it says about a certificate of its issuer that names these distribution points.
    pub(super) fn statement(
        &self,
        certificate: &Certificate,
        points: &[String],
        now: Timestamp,
    ) -> Result<Statement, Unproven> {
        check_period(self.this_update, Some(self.next_update), now)?;
        self.scope.check(certificate, points)?;
        let status = match self.entry(certificate)? {
            None => RevocationStatus::Good,
            Some(entry) => revoked(&entry)?,
        };
        Ok(Statement {
            source: RevocationSource::Crl,
            status,
            this_update: self.this_update,
            next_update: Some(self.next_update),
        })
    }

    fn entry(&self, certificate: &Certificate) -> Result<Option<RevokedCert>, Unproven> {
        let Some(entries) = Fields::read(&Signed::read(&self.der)?)?.entries else {
            return Ok(None);
        };
        for entry in Elements::of(entries)? {
            let entry = entry?;
            let serial = Elements::of(entry)?.next().ok_or(MALFORMED)??;
            let serial = AnyRef::from_der(serial).map_err(|_| MALFORMED)?;
            if super::same_serial(serial.value(), certificate) {
                let entry = RevokedCert::from_der(entry);
                return entry.map(Some).map_err(|_| MALFORMED);
            }
        }
        Ok(None)
    }
}

/// TBSCertList, as far as it is needed.
struct Fields<'a> {
    issuer: &'a [u8],
    this_update: Timestamp,
    next_update: Timestamp,
    /// The SEQUENCE of entries; none in an empty list.
    entries: Option<&'a [u8]>,
    extensions: Vec<Extension>,
}

impl<'a> Fields<'a> {
    /// `version OPTIONAL, signature, issuer, thisUpdate, nextUpdate, entries OPTIONAL, [0] extensions OPTIONAL`.
    fn read(signed: &Signed<'a>) -> Result<Self, Unproven> {
        let mut fields = children(signed.message)?.into_iter().peekable();
        let is = |tag: Tag| move |field: &&[u8]| field.first() == Some(&u8::from(tag));
        fields.next_if(is(Tag::Integer));
        if fields.next() != Some(signed.algorithm) {
            return Err(Unproven::Malformed("two different signature algorithms"));
        }
        let issuer = fields.next().ok_or(MALFORMED)?;
        let this_update = time(fields.next().ok_or(MALFORMED)?)?;
        // OPTIONAL only for lists of the last century (RFC 5280 section 5.1.2.5).
        let next_update = fields.next_if(|field| !is(Tag::Sequence)(field));
        let next_update = time(next_update.ok_or(Unproven::Malformed("without nextUpdate"))?)?;
        let entries = fields.next_if(is(Tag::Sequence));
        let extensions = match fields.next() {
            None => Vec::new(),
            Some(explicit) => {
                let inner = AnyRef::from_der(explicit).map_err(|_| MALFORMED)?;
                Vec::<Extension>::from_der(inner.value()).map_err(|_| MALFORMED)?
            }
        };
        match fields.next() {
            Some(_) => Err(MALFORMED),
            None => Ok(Self {
                issuer,
                this_update,
                next_update,
                entries,
                extensions,
            }),
        }
    }
}

/// What the extensions leave of a list (RFC 5280 section 5.2).
fn scope(extensions: &[Extension]) -> Result<Scope, Unproven> {
    let mut scope = Scope::default();
    for extension in extensions {
        match extension.extn_id {
            DELTA_CRL_INDICATOR => return Err(Unproven::Delta),
            ISSUING_DISTRIBUTION_POINT => {
                let point = IssuingDistributionPoint::from_der(extension.extn_value.as_bytes());
                scope = distribution(point.map_err(|_| MALFORMED)?)?;
            }
            AUTHORITY_KEY_IDENTIFIER | CRL_NUMBER => {}
            unknown if extension.critical => {
                return Err(Unproven::CriticalUnknown(unknown.to_string()));
            }
            _ => {}
        }
    }
    Ok(scope)
}

fn distribution(point: IssuingDistributionPoint) -> Result<Scope, Unproven> {
    if point.indirect_crl {
        return Err(Unproven::Indirect);
    }
    if point.only_some_reasons.is_some() {
        return Err(Unproven::Partial("some reasons"));
    }
    if point.only_contains_attribute_certs {
        return Err(Unproven::Partial("attribute certificates"));
    }
    let points = match point.distribution_point {
        None => None,
        Some(DistributionPointName::FullName(names)) => {
            let uris = names.into_iter().filter_map(|name| match name {
                GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().to_owned()),
                _ => None,
            });
            Some(uris.collect())
        }
        // Nobody issues such, and comparing it would need the issuer's name taken apart.
        Some(DistributionPointName::NameRelativeToCRLIssuer(_)) => Some(Vec::new()),
    };
    Ok(Scope {
        users_only: point.only_contains_user_certs,
        cas_only: point.only_contains_ca_certs,
        points,
    })
}

impl Scope {
    /// Refuses a certificate that the list is not about. Where a CA splits its list, the names must agree, or another part
    /// could be passed off as this one (RFC 5280 section 6.3.3 (b)).
    fn check(&self, certificate: &Certificate, points: &[String]) -> Result<(), Unproven> {
        match certificate.is_ca() {
            true if self.users_only => return Err(Unproven::Partial("end entities")),
            false if self.cas_only => return Err(Unproven::Partial("CAs")),
            _ => {}
        }
        let ours = |theirs: &String| points.contains(theirs);
        match &self.points {
            Some(theirs) if !theirs.iter().any(ours) => {
                Err(Unproven::Partial("another distribution point"))
            }
            _ => Ok(()),
        }
    }
}

fn revoked(entry: &RevokedCert) -> Result<RevocationStatus, Unproven> {
    let mut code = None;
    for extension in entry.crl_entry_extensions.iter().flatten() {
        match extension.extn_id {
            REASON_CODE => {
                let read = CrlReason::from_der(extension.extn_value.as_bytes());
                code = Some(read.map_err(|_| MALFORMED)?);
            }
            unknown if extension.critical => {
                return Err(Unproven::CriticalUnknown(unknown.to_string()));
            }
            _ => {}
        }
    }
    Ok(RevocationStatus::Revoked {
        at: super::timestamp(entry.revocation_date.to_unix_duration())?,
        reason: super::ocsp::reason(code)?,
    })
}

fn time(der: &[u8]) -> Result<Timestamp, Unproven> {
    let time = Time::from_der(der).map_err(|_| MALFORMED)?;
    super::timestamp(time.to_unix_duration())
}

#[cfg(test)]
mod tests;
