//! Whether a certificate is a qualified one, by the trusted lists.
//!
//! In: a chain, what the certificate is to be used for, the lists, a moment. Out: the [`Listing`] that confirms it, or
//! [`NotQualified`]. Pure. Asked twice, for the moment of issuance and for now: a QTSP that lost its status takes
//! certificates with it that it issued rightly. Never: a chain trusted, which is the business of the path builder. Serves
//! ETSI TS 119 615 clause 4.4.
//!
//! ```text
//! services with the issuer's key and name -> what they were then -> those that issue qualified certificates
//!   -> for this use -> no contradiction -> granted -> they agree -> qualified? -> of the right type?
//! ```

use std::collections::BTreeSet;

use jiff::Timestamp;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::qualified::QcType;

use super::list::{Territory, TrustedList};
use super::service::{CA_QC, Period, Service};

/// What a certificate is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// TLS: QWAC.
    Website,
    /// Seals: QSealC.
    Seal,
}

impl Use {
    /// What a service is listed for that issues them (TS 119 612 clause 5.5.9.4).
    fn listed_as(self) -> &'static str {
        match self {
            Self::Website => "ForWebSiteAuthentication",
            Self::Seal => "ForeSeals",
        }
    }
}

/// The entry of a list that makes a certificate qualified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Whose list.
    pub territory: Territory,
    /// Which issue of it.
    pub sequence_number: u64,
    /// Who runs the service.
    pub provider: String,
    /// The service.
    pub service: String,
    /// Since when it has this status.
    pub since: Timestamp,
    /// Whether the key lives in a qualified creation device.
    pub qscd: bool,
}

/// Why a certificate is not qualified at a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotQualified {
    /// No list names its issuer.
    #[error("no imported list names its issuer")]
    Unlisted,
    /// The issuer was listed later.
    #[error("its issuer was not listed yet")]
    NotYetListed,
    /// The issuer does not issue qualified certificates, or did not then.
    #[error("its issuer is not listed as one of qualified certificates")]
    OtherService,
    /// The issuer is listed for other uses.
    #[error("its issuer is listed for {issues_for}, not {wanted}")]
    OtherUse {
        /// What it is listed for.
        issues_for: String,
        /// What it must be listed for.
        wanted: &'static str,
    },
    /// The list contradicts itself.
    #[error("the list contradicts itself: {0}")]
    Contradiction(String),
    /// The issuer has lost its status, or had none yet.
    #[error("its issuer's status is {status} since {since}")]
    Status {
        /// The status.
        status: String,
        /// Since when.
        since: Timestamp,
    },
    /// It does not say that it is qualified, and the list does not say so either.
    #[error("neither the certificate nor the list says that it is qualified")]
    NotStated,
    /// It is qualified for something else.
    #[error("it is qualified for {is}, not {wanted}")]
    OtherType {
        /// For what.
        is: &'static str,
        /// What it should be qualified for.
        wanted: &'static str,
    },
}

/// Whether a certificate was qualified at a moment.
///
/// # Errors
/// [`NotQualified`]: why not. When several services are left that differ, the first reason of the order above.
pub fn qualify<'a>(
    chain: &[Certificate],
    wanted: Use,
    lists: impl Iterator<Item = &'a TrustedList>,
    at: Timestamp,
) -> Result<Listing, NotQualified> {
    let leaf = chain.first().ok_or(NotQualified::Unlisted)?;
    let entries: Vec<_> = lists
        .flat_map(|list| list.services.iter().map(move |service| (list, service)))
        .filter(|(_, service)| is_issuer(service, chain))
        .collect();
    if entries.is_empty() {
        return Err(NotQualified::Unlisted);
    }
    let then = entries
        .iter()
        .filter_map(|(list, service)| Some((*list, *service, service.at(at)?)));
    let then = some(then, NotQualified::NotYetListed)?;
    let issuing = then.into_iter().filter(|(.., p)| p.service_type == CA_QC);
    let issuing = some(issuing, NotQualified::OtherService)?;
    let uses: BTreeSet<_> = issuing
        .iter()
        .flat_map(|(.., p)| p.issues_for.iter().map(String::as_str))
        .collect();
    let other_use = NotQualified::OtherUse {
        issues_for: uses.into_iter().collect::<Vec<_>>().join(", "),
        wanted: wanted.listed_as(),
    };
    let fit = |p: &Period| p.issues_for.iter().any(|u| u == wanted.listed_as());
    let fitting = some(issuing.into_iter().filter(|(.., p)| fit(p)), other_use)?;
    let judged: Result<BTreeSet<_>, _> = fitting
        .iter()
        .map(|(.., period)| judge(leaf, wanted, period))
        .collect();
    // One judgement, however many services made it: a CA may be listed once for each use.
    let qscd = match judged?.into_iter().collect::<Vec<_>>().as_slice() {
        [one] => *one,
        _ => {
            let what = "its services disagree about the creation device";
            return Err(NotQualified::Contradiction(what.to_owned()));
        }
    };
    let (list, service, period) = fitting[0];
    Ok(Listing {
        territory: list.territory.clone(),
        sequence_number: list.sequence_number,
        provider: service.provider.clone(),
        service: service.name.clone(),
        since: period.begin,
        qscd,
    })
}

/// All of them, unless there are none.
fn some<T>(all: impl Iterator<Item = T>, none: NotQualified) -> Result<Vec<T>, NotQualified> {
    let all: Vec<_> = all.collect();
    match all.is_empty() {
        true => Err(none),
        false => Ok(all),
    }
}

/// Whether the service is a CA above the leaf: one in the chain, or the one that issued its last certificate. A CA is its
/// name and its key (TS 119 612 clause 5.5.3), not one certificate: cross-certified CAs have several. Names alone link
/// nothing: above is only what signed the certificate below.
fn is_issuer(service: &Service, chain: &[Certificate]) -> bool {
    let links = chain
        .windows(2)
        .take_while(|pair| pair[0].verify_issued_by(&pair[1]).is_ok());
    let path = &chain[..=links.count()];
    let same = |a: &Certificate, b: &Certificate| {
        a.subject().der() == b.subject().der() && a.public_key() == b.public_key()
    };
    service.certificates.iter().any(|ca| {
        let issued_last = path
            .last()
            .is_some_and(|last| last.verify_issued_by(ca).is_ok());
        issued_last || path.iter().skip(1).any(|above| same(above, ca))
    })
}

/// Whether one service makes the leaf qualified; then, whether its key lives in a creation device.
fn judge(leaf: &Certificate, wanted: Use, period: &Period) -> Result<bool, NotQualified> {
    let overrules: BTreeSet<_> = period
        .overrules
        .iter()
        .filter(|overrule| overrule.criteria.met_by(leaf))
        .flat_map(|overrule| overrule.qualifiers.iter().map(String::as_str))
        .collect();
    consistent(&overrules)?;
    if period.status != "granted" {
        return Err(NotQualified::Status {
            status: period.status.clone(),
            since: period.begin,
        });
    }
    if !is_stated(leaf, &overrules) {
        return Err(NotQualified::NotStated);
    }
    let (is, wanted) = (type_of(leaf, &overrules), type_word(wanted));
    if is != wanted {
        return Err(NotQualified::OtherType { is, wanted });
    }
    Ok(has_device(leaf, &overrules))
}

/// Qualifiers that exclude each other (TS 119 612 clause 5.5.9.2.3).
const EXCLUSIVE: [&[&str]; 3] = [
    &["QCStatement", "NotQualified"],
    &["QCForWSA", "QCForESeal", "QCForESig"],
    &[
        "QCWithQSCD",
        "QCNoQSCD",
        "QCQSCDStatusAsInCert",
        "QCQSCDManagedOnBehalf",
    ],
];

fn consistent(overrules: &BTreeSet<&str>) -> Result<(), NotQualified> {
    // A device that is managed on behalf is still one: these two go together.
    let device = |all: &[&&str]| all == [&"QCWithQSCD", &"QCQSCDManagedOnBehalf"];
    for group in EXCLUSIVE {
        let stated: Vec<_> = group.iter().filter(|q| overrules.contains(*q)).collect();
        if stated.len() > 1 && !device(&stated) {
            let stated: Vec<_> = stated.into_iter().copied().collect();
            return Err(NotQualified::Contradiction(stated.join(" and ")));
        }
    }
    Ok(())
}

fn is_stated(leaf: &Certificate, overrules: &BTreeSet<&str>) -> bool {
    let qualified = leaf.qualified();
    // QcCClegislation names countries outside of the EU whose law it is qualified under (EN 319 412-5 clause 4.2.4).
    let states = qualified.compliance() && qualified.legislation().is_empty();
    (states || overrules.contains("QCStatement")) && !overrules.contains("NotQualified")
}

fn type_word(wanted: Use) -> &'static str {
    match wanted {
        Use::Website => "website authentication",
        Use::Seal => "seals",
    }
}

fn type_of(leaf: &Certificate, overrules: &BTreeSet<&str>) -> &'static str {
    let overruled = [
        ("QCForWSA", type_word(Use::Website)),
        ("QCForESeal", type_word(Use::Seal)),
        ("QCForESig", "signatures"),
    ];
    let overruled = overruled.iter().find(|(q, _)| overrules.contains(q));
    if let Some((_, word)) = overruled {
        return word;
    }
    match leaf.qualified().qc_type() {
        Some(QcType::Web) => type_word(Use::Website),
        Some(QcType::Eseal) => type_word(Use::Seal),
        // Without a type it is one for signatures (EN 319 412-5 clause 4.2.3).
        Some(QcType::Esign) | None => "signatures",
        Some(QcType::Other(_)) => "something unknown",
    }
}

fn has_device(leaf: &Certificate, overrules: &BTreeSet<&str>) -> bool {
    let device = ["QCWithQSCD", "QCQSCDManagedOnBehalf"];
    let overruled = device.iter().any(|q| overrules.contains(q));
    overruled || (leaf.qualified().sscd() && !overrules.contains("QCNoQSCD"))
}

#[cfg(test)]
mod tests;
