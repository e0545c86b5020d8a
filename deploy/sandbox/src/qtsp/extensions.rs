//! The extensions of a PSD2 certificate that rcgen does not know, written by the ASN.1 of their standards.
//!
//! In: what a certificate shall say. Out: extension contents in DER. On purpose not made with the code that reads them
//! in sealkeep-profiles: a reader that is only ever shown what its own crate wrote proves nothing.
//!
//! Serves ETSI EN 319 412-5 §4 (QCStatements), ETSI TS 119 495 §5.1 (PSD2 statement), RFC 5280 §4.2.1.4 and §4.2.2.1.

use der::asn1::{Any, Ia5StringRef, ObjectIdentifier, PrintableStringRef};
use der::{Decode, Encode, Sequence, Tag, TagNumber};
use rcgen::CustomExtension;

use super::order::{Authority, Kind, PspRole};

/// Where the pretend QTSP says that its services are; the top-level domain must not be a reserved one, or linters
/// take the certificate for an internal one.
const SERVICES_HOST: &str = "qtsp.sealkeep.example.com";

const ID_PE_QC_STATEMENTS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 3];
const ID_PE_AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
const ID_CE_CERTIFICATE_POLICIES: &[u64] = &[2, 5, 29, 32];

const QC_SYNTAX_V2: &str = "1.3.6.1.5.5.7.11.2";
const SEMANTICS_LEGAL: &str = "0.4.0.194121.1.2";
const QC_COMPLIANCE: &str = "0.4.0.1862.1.1";
const QC_TYPE: &str = "0.4.0.1862.1.6";
const QC_PDS: &str = "0.4.0.1862.1.5";
const PSD2_STATEMENT: &str = "0.4.0.19495.2";
const AD_OCSP: &str = "1.3.6.1.5.5.7.48.1";
const AD_CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// qcStatements: qualified, of this kind and, when there is an authority, of a payment service provider.
pub(super) fn qc_statements(
    kind: Kind,
    psd2: Option<(&[PspRole], &Authority)>,
) -> der::Result<CustomExtension> {
    let mut statements = vec![
        Statement::of(
            QC_SYNTAX_V2,
            &Semantics {
                legal: oid(SEMANTICS_LEGAL)?,
            },
        )?,
        Statement {
            id: oid(QC_COMPLIANCE)?,
            info: None,
        },
        Statement::of(QC_TYPE, &vec![oid(kind.qc_type())?])?,
        Statement::of(
            QC_PDS,
            &vec![disclosure(&format!("https://{SERVICES_HOST}/pds-en.pdf"))?],
        )?,
    ];
    if let Some((roles, authority)) = psd2 {
        let roles = roles
            .iter()
            .map(|role| {
                Ok(Role {
                    id: oid(role.oid())?,
                    name: role.name().to_owned(),
                })
            })
            .collect::<der::Result<Vec<_>>>()?;
        let (nca_name, nca_id) = (authority.name.clone(), authority.id.clone());
        statements.push(Statement::of(
            PSD2_STATEMENT,
            &Psd2 {
                roles,
                nca_name,
                nca_id,
            },
        )?);
    }
    Ok(extension(ID_PE_QC_STATEMENTS, statements.to_der()?))
}

/// certificatePolicies with one policy and no qualifiers.
pub(super) fn policy(id: &str) -> der::Result<CustomExtension> {
    let policies = vec![vec![oid(id)?]];
    Ok(extension(ID_CE_CERTIFICATE_POLICIES, policies.to_der()?))
}

/// authorityInfoAccess: the OCSP responder and the issuing certificate.
pub(super) fn authority_info_access() -> der::Result<CustomExtension> {
    let access = vec![
        Access::at(AD_OCSP, &format!("http://{SERVICES_HOST}/ocsp"))?,
        Access::at(
            AD_CA_ISSUERS,
            &format!("http://{SERVICES_HOST}/issuing.cer"),
        )?,
    ];
    Ok(extension(ID_PE_AUTHORITY_INFO_ACCESS, access.to_der()?))
}

/// Where the revocation list is.
pub(super) fn revocation_list() -> rcgen::CrlDistributionPoint {
    rcgen::CrlDistributionPoint {
        uris: vec![format!("http://{SERVICES_HOST}/issuing.crl")],
    }
}

#[derive(Sequence)]
struct Statement {
    id: ObjectIdentifier,
    #[asn1(optional = "true")]
    info: Option<Any>,
}

impl Statement {
    fn of(id: &str, info: &impl Encode) -> der::Result<Self> {
        let info = Any::from_der(&info.to_der()?)?;
        Ok(Self {
            id: oid(id)?,
            info: Some(info),
        })
    }
}

#[derive(Sequence)]
struct Semantics {
    legal: ObjectIdentifier,
}

#[derive(Sequence)]
struct Disclosure {
    url: Any,
    language: Any,
}

fn disclosure(url: &str) -> der::Result<Disclosure> {
    let url = Any::encode_from(&Ia5StringRef::new(url)?)?;
    let language = Any::encode_from(&PrintableStringRef::new("en")?)?;
    Ok(Disclosure { url, language })
}

/// `String` is a UTF8String here, as the standard wants it.
#[derive(Sequence)]
struct Role {
    id: ObjectIdentifier,
    name: String,
}

#[derive(Sequence)]
struct Psd2 {
    roles: Vec<Role>,
    nca_name: String,
    nca_id: String,
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
