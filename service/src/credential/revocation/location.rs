//! Where a certificate says that its issuer tells of revocations.
//!
//! In: a certificate. Out: URLs that can be asked, and those that cannot, each with a reason. Pure. Never: any scheme but
//! `http`. QTSPs also write `ldap`, some of them first; and `https` would ask for the revocation of the very chain that
//! it needs (RFC 5280 section 4.2.1.13, RFC 6960 appendix A).

use http::Uri;
use sealkeep_profiles::certificate::Certificate;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::domain::RevocationSource::{self, Crl, Ocsp};

/// Most URLs of one kind that are asked.
const URLS_MAX: usize = 4;
/// Longest URL, bytes.
const URL_BYTES_MAX: usize = 1_024;
/// id-ad-ocsp.
const AD_OCSP: &str = "1.3.6.1.5.5.7.48.1";

/// A URL that is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Responder or list.
    pub source: RevocationSource,
    /// As the certificate has it.
    pub url: String,
    /// Why not.
    pub why: &'static str,
}

/// Where to ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Locations {
    pub(super) ocsp: Vec<Uri>,
    pub(super) crl: Vec<Uri>,
    /// Every distribution point, as written: the names that a list may give for itself.
    pub(super) points: Vec<String>,
    pub(super) skipped: Vec<Skipped>,
}

impl Locations {
    /// Reads the two extensions; one that cannot be read counts as absent.
    pub(super) fn of(certificate: &Certificate) -> Self {
        let mut found = Self::default();
        let Ok((_, parsed)) = X509Certificate::from_der(certificate.der()) else {
            return found;
        };
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::AuthorityInfoAccess(access) => {
                    for one in &access.accessdescs {
                        if let GeneralName::URI(url) = one.access_location
                            && one.access_method.to_id_string() == AD_OCSP
                        {
                            let uri = take(Ocsp, url, found.ocsp.len(), &mut found.skipped);
                            found.ocsp.extend(uri);
                        }
                    }
                }
                ParsedExtension::CRLDistributionPoints(points) => {
                    for point in &points.points {
                        // A list by another issuer is an indirect one.
                        let names = match &point.distribution_point {
                            Some(DistributionPointName::FullName(names)) => names.as_slice(),
                            _ => &[],
                        };
                        for name in names {
                            if let GeneralName::URI(url) = *name {
                                found.points.push(url.to_owned());
                                let indirect = point.crl_issuer.is_some();
                                let uri = match indirect {
                                    true => skip(Crl, url, "an indirect CRL", &mut found.skipped),
                                    false => take(Crl, url, found.crl.len(), &mut found.skipped),
                                };
                                found.crl.extend(uri);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }
}

fn take(
    source: RevocationSource,
    url: &str,
    count: usize,
    skipped: &mut Vec<Skipped>,
) -> Option<Uri> {
    let why = match fit(url) {
        Ok(uri) if count < URLS_MAX => return Some(uri),
        Ok(_) => "enough others come before it",
        Err(why) => why,
    };
    skip(source, url, why, skipped)
}

fn fit(url: &str) -> Result<Uri, &'static str> {
    if url.len() > URL_BYTES_MAX {
        return Err("too long");
    }
    let uri: Uri = url.parse().map_err(|_| "not a URL that can be asked")?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(at)) if at.as_str().contains('@') => Err("with a user name"),
        (Some("http"), Some(_)) => Ok(uri),
        (Some("ldap" | "ldaps"), _) => Err("LDAP"),
        _ => Err("not plain HTTP"),
    }
}

fn skip(
    source: RevocationSource,
    url: &str,
    why: &'static str,
    skipped: &mut Vec<Skipped>,
) -> Option<Uri> {
    let url = url.chars().take(URL_BYTES_MAX).collect();
    skipped.push(Skipped { source, url, why });
    None
}
