//! What `sandbox-qtsp issue` is asked for.

use std::path::PathBuf;

use clap::Args;
use sealkeep_profiles::roles::Role;
use sealkeep_sandbox::qtsp::{Kind, Oddities, Order, SealUsage};

#[derive(Args)]
pub(super) struct Issue {
    /// The folder of the QTSP.
    #[arg(long)]
    pub(super) dir: PathBuf,
    /// The signing request, PEM.
    #[arg(long)]
    pub(super) csr: PathBuf,
    /// What to issue.
    #[arg(long, value_enum)]
    kind: Kind,
    /// Roles, separated by commas.
    #[arg(long, value_delimiter = ',')]
    roles: Vec<Role>,
    /// Where to write the certificate and the issuing CA's.
    #[arg(long)]
    pub(super) out: PathBuf,
    /// organizationIdentifier, for example PSDDE-BAFIN-123456; else the request's.
    #[arg(long)]
    org_id: Option<String>,
    /// Legal name; else the request's.
    #[arg(long)]
    organization: Option<String>,
    /// Country; else the request's.
    #[arg(long)]
    country: Option<String>,
    /// Common name; else the first DNS name (QWAC) or the request's (QSealC).
    #[arg(long)]
    common_name: Option<String>,
    /// DNS name of a QWAC; else the request's.
    #[arg(long)]
    dns: Vec<String>,
    /// Name of the authority.
    #[arg(long)]
    nca_name: Option<String>,
    /// Identifier of the authority; else the one within the organizationIdentifier.
    #[arg(long)]
    nca_id: Option<String>,
    /// Days of validity: 199 for a QWAC and 730 for a QSealC when not given.
    #[arg(long)]
    days: Option<u32>,
    /// keyUsage of a QSealC.
    #[arg(long, value_enum, default_value = "commitment")]
    seal_usage: SealUsage,
    #[command(flatten)]
    oddities: OddityFlags,
}

/// Mistakes to be made on purpose.
#[derive(Args)]
struct OddityFlags {
    /// Ended yesterday.
    #[arg(long)]
    expired: bool,
    /// Begins tomorrow.
    #[arg(long)]
    not_yet_valid: bool,
    /// Certifies another key than the request's.
    #[arg(long)]
    wrong_key: bool,
    /// A 2-QWAC, useless for mutual TLS.
    #[arg(long)]
    tls_binding: bool,
    /// A QWAC without clientAuth.
    #[arg(long)]
    no_client_auth: bool,
    /// Without the PSD2 statement.
    #[arg(long)]
    no_psd2: bool,
    /// Leaves out this role although it was ordered.
    #[arg(long)]
    missing_role: Vec<Role>,
    /// Names no OCSP responder, only lists of revoked certificates.
    #[arg(long)]
    no_responder: bool,
    /// Names an LDAP directory and a delta CRL before the list that can be used.
    #[arg(long)]
    odd_lists: bool,
}

impl Issue {
    pub(super) fn order(&self) -> Order {
        let flags = &self.oddities;
        Order {
            country: self.country.clone(),
            organization: self.organization.clone(),
            organization_identifier: self.org_id.clone(),
            common_name: self.common_name.clone(),
            dns_names: self.dns.clone(),
            nca_name: self.nca_name.clone(),
            nca_id: self.nca_id.clone(),
            days: self.days.unwrap_or(self.kind.days_default()),
            seal_usage: self.seal_usage,
            oddities: Oddities {
                expired: flags.expired,
                not_yet_valid: flags.not_yet_valid,
                wrong_key: flags.wrong_key,
                tls_binding: flags.tls_binding,
                no_client_auth: flags.no_client_auth,
                no_psd2: flags.no_psd2,
                missing_roles: flags.missing_role.clone(),
                no_responder: flags.no_responder,
                odd_lists: flags.odd_lists,
            },
            ..Order::new(self.kind, &self.roles)
        }
    }
}
