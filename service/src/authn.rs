//! Who calls?
//!
//! In: the leaf certificate of a caller whose chain TLS has verified. Out: exactly one name. Never the common name:
//! RFC 6125 section 6.4.4 retired it, and people put anything there.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::domain::CallerName;

/// Why a certificate does not name a caller.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum AuthnError {
    /// The connection has no client certificate.
    #[error("no client certificate")]
    NoCertificate,
    /// The certificate cannot be read.
    #[error("the client certificate cannot be read")]
    Unreadable,
    /// It has not exactly one SPIFFE URI or DNS name.
    #[error("the client certificate has {0} URI and DNS names; a caller has exactly one")]
    NameCount(usize),
    /// The one name is not a caller's.
    #[error("the client certificate's name is neither a SPIFFE URI nor a plain DNS name")]
    NotAName,
}

impl AuthnError {
    /// The stable reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoCertificate => "CLIENT_CERTIFICATE_MISSING",
            Self::Unreadable => "CLIENT_CERTIFICATE_UNREADABLE",
            Self::NameCount(_) => "CALLER_NAME_AMBIGUOUS",
            Self::NotAName => "CALLER_NAME_INVALID",
        }
    }
}

/// Reads the name of a caller from its certificate.
pub fn caller(leaf_der: &[u8]) -> Result<CallerName, AuthnError> {
    let (_, leaf) = X509Certificate::from_der(leaf_der).map_err(|_| AuthnError::Unreadable)?;
    let names = leaf
        .subject_alternative_name()
        .map_err(|_| AuthnError::Unreadable)?;
    let names: Vec<&str> = names
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::URI(text) | GeneralName::DNSName(text) => Some(*text),
            _ => None,
        })
        .collect();
    match names.as_slice() {
        [one] => CallerName::try_from((*one).to_owned()).map_err(|_| AuthnError::NotAName),
        many => Err(AuthnError::NameCount(many.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn leaf(uris: &[&str], dns: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        for uri in uris {
            params
                .subject_alt_names
                .push(SanType::URI((*uri).try_into().unwrap()));
        }
        for name in dns {
            params
                .subject_alt_names
                .push(SanType::DnsName((*name).try_into().unwrap()));
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn one_spiffe_uri_or_one_dns_name_is_a_caller() {
        let name = caller(&leaf(&["spiffe://t.example/tpp"], &[])).unwrap();
        assert_eq!(name.as_str(), "spiffe://t.example/tpp");
        assert_eq!(
            caller(&leaf(&[], &["tpp.example"])).unwrap().as_str(),
            "tpp.example"
        );
    }

    #[test]
    fn the_common_name_is_never_a_caller() {
        assert_eq!(caller(&leaf(&[], &[])), Err(AuthnError::NameCount(0)));
    }

    #[test]
    fn two_names_are_nobody() {
        let two = leaf(&["spiffe://t.example/tpp"], &["tpp.example"]);
        assert_eq!(caller(&two), Err(AuthnError::NameCount(2)));
    }

    #[test]
    fn refuses_wildcards_other_uris_and_rubbish() {
        assert_eq!(
            caller(&leaf(&[], &["*.example"])),
            Err(AuthnError::NotAName)
        );
        assert_eq!(
            caller(&leaf(&["https://t.example/x"], &[])),
            Err(AuthnError::NotAName)
        );
        assert_eq!(caller(b"rubbish"), Err(AuthnError::Unreadable));
    }
}
