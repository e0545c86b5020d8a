//! The extensions of a PSD2 certificate that rcgen does not know.
//!
//! In: what a certificate shall say. Out: extension contents in DER.
//!
//! Serves ETSI EN 319 412-5 §4 (QCStatements), RFC 5280 §4.2.1.4 (policies) and §4.2.2.1 (information access).

use der::asn1::{Any, ObjectIdentifier};
use der::{Encode, Sequence, Tag, TagNumber};
use rcgen::CustomExtension;
use sealkeep_profiles::qualified::{QcStatements, encode_qc_statements};
use sealkeep_profiles::roles::RoleSet;

use super::order::{Authority, Kind};
use crate::parts::BuildError;

/// Where the pretend QTSP says that its services are; the top-level domain must not be a reserved one, or linters
/// take the certificate for an internal one.
const SERVICES_HOST: &str = "qtsp.sealkeep.example.com";

const ID_PE_QC_STATEMENTS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 3];
const ID_PE_AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
const ID_CE_CERTIFICATE_POLICIES: &[u64] = &[2, 5, 29, 32];

const AD_OCSP: &str = "1.3.6.1.5.5.7.48.1";
const AD_CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// qcStatements: qualified, of this kind and, when there is an authority, of a payment service provider.
pub(super) fn qc_statements(
    kind: Kind,
    psd2: Option<(RoleSet, Authority)>,
) -> Result<CustomExtension, BuildError> {
    let statements = QcStatements {
        legal_person_syntax: true,
        compliance: true,
        sscd: false,
        qc_type: Some(kind.qc_type()),
        pds: vec![(
            format!("https://{SERVICES_HOST}/pds-en.pdf"),
            "en".to_owned(),
        )],
        psd2: psd2.map(|(roles, authority)| (roles, authority.name, authority.id)),
    };
    let der = encode_qc_statements(&statements).map_err(BuildError::new)?;
    Ok(extension(ID_PE_QC_STATEMENTS, der))
}

/// certificatePolicies with one policy and no qualifiers.
pub(super) fn policy(id: &str) -> der::Result<CustomExtension> {
    let policies = vec![vec![oid(id)?]];
    Ok(extension(ID_CE_CERTIFICATE_POLICIES, policies.to_der()?))
}

/// authorityInfoAccess: the OCSP responder and the certificate of the CA that issues, by its file name.
pub(super) fn authority_info_access(ca: &str) -> der::Result<CustomExtension> {
    let access = vec![
        Access::at(AD_OCSP, &format!("http://{SERVICES_HOST}/ocsp"))?,
        Access::at(AD_CA_ISSUERS, &format!("http://{SERVICES_HOST}/{ca}.cer"))?,
    ];
    Ok(extension(ID_PE_AUTHORITY_INFO_ACCESS, access.to_der()?))
}

/// Where the list of what a CA has revoked is.
pub(super) fn revocation_list(ca: &str) -> rcgen::CrlDistributionPoint {
    rcgen::CrlDistributionPoint {
        uris: vec![format!("http://{SERVICES_HOST}/{ca}.crl")],
    }
}

/// The same as some QTSPs write it: the directory first, then a list that is only a delta, the useful one last.
pub(super) fn odd_revocation_lists(ca: &str) -> Vec<rcgen::CrlDistributionPoint> {
    let directory = format!("ldap://{SERVICES_HOST}/CN={ca}?certificateRevocationList");
    let delta = format!("http://{SERVICES_HOST}/{ca}-delta.crl");
    let point = |uri| rcgen::CrlDistributionPoint { uris: vec![uri] };
    vec![point(directory), point(delta), revocation_list(ca)]
}

#[derive(Sequence)]
struct Access {
    method: ObjectIdentifier,
    location: Any,
}

impl Access {
    fn at(method: &str, url: &str) -> der::Result<Self> {
        // GeneralName: uniformResourceIdentifier [6] IMPLICIT IA5String (RFC 5280 §4.2.1.6).
        let tag = Tag::ContextSpecific {
            constructed: false,
            number: TagNumber(6),
        };
        Ok(Self {
            method: oid(method)?,
            location: Any::new(tag, url.as_bytes())?,
        })
    }
}

fn oid(dotted: &str) -> der::Result<ObjectIdentifier> {
    Ok(ObjectIdentifier::new(dotted)?)
}

fn extension(id: &[u64], content: Vec<u8>) -> CustomExtension {
    CustomExtension::from_oid_content(id, content)
}
