//! What a PSD2 certificate looks like, field by field.
//!
//! In: the order, the wishes of the request, the time. Out: certificate parameters without a key. Where the order asks
//! for an oddity, exactly that field is wrong.
//!
//! Serves ETSI EN 319 412-3 §4.2.1 (subject), EN 319 412-4 §4 (web), RFC 5280.

use jiff::{Timestamp, ToSpan};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType,
};

use sealkeep_profiles::roles::RoleSet;

use super::csr::Wishes;
use super::order::{Authority, Kind, Oddities, Order, SealUsage};
use super::{ISSUING, QtspError, build, extensions};
use crate::parts::{printable, serial, validity};

/// Days of validity an order may ask for.
const DAYS_MAX: u32 = 3650;
/// id-kp-tls-binding (TS 119 411-5).
const TLS_BINDING: &[u64] = &[0, 4, 0, 194115, 1, 0];

/// The identity the certificate will say.
struct Identity {
    country: String,
    organization: String,
    organization_identifier: String,
    common_name: String,
    dns_names: Vec<String>,
}

pub(super) fn leaf(
    order: &Order,
    wishes: &Wishes,
    now: Timestamp,
) -> Result<CertificateParams, QtspError> {
    let identity = identity(order, wishes)?;
    let mut params = CertificateParams::default();
    params.serial_number = Some(serial()?);
    (params.not_before, params.not_after) = period(order, now)?;
    params.distinguished_name = subject(&identity)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.crl_distribution_points = match order.oddities.odd_lists {
        true => extensions::odd_revocation_lists(ISSUING),
        false => vec![extensions::revocation_list(ISSUING)],
    };
    match order.kind {
        Kind::Qwac => {
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = purposes(&order.oddities);
            params.subject_alt_names = names(&identity, order)?;
        }
        Kind::Qsealc => params.key_usages = seal_usage(order.seal_usage),
    }
    params.custom_extensions = vec![
        extensions::policy(order.kind.policy()).map_err(build)?,
        statements(order, &identity)?,
    ];
    if !order.oddities.no_responder {
        let access = extensions::authority_info_access(ISSUING).map_err(build)?;
        params.custom_extensions.push(access);
    }
    Ok(params)
}

fn identity(order: &Order, wishes: &Wishes) -> Result<Identity, QtspError> {
    let said = |what, ordered: &Option<String>, wished: &Option<String>| {
        let value = ordered.clone().or_else(|| wished.clone());
        value
            .filter(|value| !value.is_empty())
            .ok_or(QtspError::Unsaid(what))
    };
    let dns_names = match (order.kind, order.dns_names.is_empty()) {
        (Kind::Qwac, true) => wishes.dns_names.clone(),
        (Kind::Qwac, false) => order.dns_names.clone(),
        (Kind::Qsealc, _) => Vec::new(),
    };
    let organization = said("organization", &order.organization, &wishes.organization)?;
    let common_name = match order.kind {
        // The common name of a QWAC is one of its DNS names (EN 319 412-4 §4.1.3).
        Kind::Qwac => match &order.common_name {
            Some(name) => name.clone(),
            None => first_name(&dns_names, wishes).ok_or(QtspError::Unsaid("DNS name"))?,
        },
        Kind::Qsealc => said("common name", &order.common_name, &wishes.common_name)
            .unwrap_or_else(|_| organization.clone()),
    };
    let dns_names = match order.kind {
        Kind::Qwac if dns_names.is_empty() => vec![common_name.clone()],
        _ => dns_names,
    };
    Ok(Identity {
        country: said("country", &order.country, &wishes.country)?,
        organization,
        organization_identifier: said(
            "organization identifier",
            &order.organization_identifier,
            &wishes.organization_identifier,
        )?,
        common_name,
        dns_names,
    })
}

/// A request without DNS names may still have one as its common name.
fn first_name(dns_names: &[String], wishes: &Wishes) -> Option<String> {
    let looks_like_host = |name: &&String| name.contains('.') && !name.contains([' ', '/', ':']);
    let wished = wishes.common_name.as_ref().filter(looks_like_host);
    dns_names.first().or(wished).cloned()
}

fn subject(identity: &Identity) -> Result<DistinguishedName, QtspError> {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CountryName, printable(&identity.country)?);
    subject.push(DnType::OrganizationName, identity.organization.as_str());
    subject.push(
        DnType::CustomDnType(vec![2, 5, 4, 97]),
        identity.organization_identifier.as_str(),
    );
    subject.push(DnType::CommonName, identity.common_name.as_str());
    Ok(subject)
}

fn period(
    order: &Order,
    now: Timestamp,
) -> Result<(time::OffsetDateTime, time::OffsetDateTime), QtspError> {
    if order.days == 0 || order.days > DAYS_MAX {
        return Err(QtspError::Order(format!(
            "days must be 1 to {DAYS_MAX}, not {}",
            order.days
        )));
    }
    let days = i64::from(order.days);
    let shift_days = match (&order.oddities.expired, &order.oddities.not_yet_valid) {
        (true, true) => {
            let what = "a certificate cannot be expired and not yet valid";
            return Err(QtspError::Order(what.to_owned()));
        }
        (true, false) => -(days + 1),
        (false, true) => 1,
        (false, false) => 0,
    };
    Ok(validity(
        now.checked_add((shift_days * 24).hours()).map_err(build)?,
        days,
    )?)
}

fn purposes(oddities: &Oddities) -> Vec<ExtendedKeyUsagePurpose> {
    if oddities.tls_binding {
        return vec![ExtendedKeyUsagePurpose::Other(TLS_BINDING.to_vec())];
    }
    let mut purposes = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if !oddities.no_client_auth {
        purposes.push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    purposes
}

fn seal_usage(usage: SealUsage) -> Vec<KeyUsagePurpose> {
    match usage {
        SealUsage::Commitment => vec![KeyUsagePurpose::ContentCommitment],
        SealUsage::Signature => vec![KeyUsagePurpose::DigitalSignature],
        SealUsage::Both => {
            vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::ContentCommitment,
            ]
        }
    }
}

fn names(identity: &Identity, order: &Order) -> Result<Vec<SanType>, QtspError> {
    let mut names = Vec::new();
    for name in &identity.dns_names {
        names.push(SanType::DnsName(name.as_str().try_into().map_err(build)?));
    }
    names.extend(
        order
            .addresses
            .iter()
            .map(|address| SanType::IpAddress(*address)),
    );
    Ok(names)
}

fn statements(order: &Order, identity: &Identity) -> Result<rcgen::CustomExtension, QtspError> {
    if order.oddities.no_psd2 {
        return Ok(extensions::qc_statements(order.kind, None)?);
    }
    let missing = &order.oddities.missing_roles;
    let roles: RoleSet = order
        .roles
        .iter()
        .copied()
        .filter(|role| !missing.contains(role))
        .collect();
    if roles.is_empty() {
        let what = "a PSD2 certificate has at least one role (TS 119 495 GEN-5.2.2-1)";
        return Err(QtspError::Order(what.to_owned()));
    }
    let authority = competent_authority(order, &identity.organization_identifier)?;
    Ok(extensions::qc_statements(
        order.kind,
        Some((roles, authority)),
    )?)
}

/// `PSDDE-BAFIN-123456` names its authority: `DE-BAFIN` (TS 119 495 §5.2.1).
fn competent_authority(order: &Order, identifier: &str) -> Result<Authority, QtspError> {
    let within = || {
        let mut parts = identifier.strip_prefix("PSD")?.splitn(3, '-');
        let (country, authority) = (parts.next()?, parts.next()?);
        parts.next().map(|_| format!("{country}-{authority}"))
    };
    let id = order
        .nca_id
        .clone()
        .or_else(within)
        .ok_or(QtspError::Unsaid("authority (NCA)"))?;
    let name = order
        .nca_name
        .clone()
        .unwrap_or_else(|| format!("Pretend Authority {id}"));
    Ok(Authority { name, id })
}
