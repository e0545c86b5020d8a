//! Callers, their roles and what they are granted.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::Name;

/// Longest caller name, bytes.
pub(super) const CALLER_NAME_BYTES_MAX: usize = 255;

/// The identity in a caller's certificate: one SPIFFE URI or one DNS name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallerName(String);

/// A text that cannot be the name of a caller.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a caller name: a spiffe:// URI with a path, or a DNS name without wildcard")]
pub struct CallerNameError(pub String);

impl CallerName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CallerName {
    type Error = CallerNameError;

    /// SPIFFE-ID (its standard, section 2): trust domain and path of `[a-z0-9._-]` and `[A-Za-z0-9._-]` segments.
    fn try_from(text: String) -> Result<Self, CallerNameError> {
        let well_formed = text.len() <= CALLER_NAME_BYTES_MAX
            && match text.strip_prefix("spiffe://") {
                Some(rest) => is_spiffe(rest),
                None => is_dns(&text),
            };
        if well_formed {
            Ok(Self(text))
        } else {
            Err(CallerNameError(text))
        }
    }
}

fn is_spiffe(rest: &str) -> bool {
    let mut parts = rest.split('/');
    let domain = parts.next().unwrap_or_default();
    let mut segments = parts.peekable();
    let segment = |s: &str| {
        !s.is_empty()
            && s != "."
            && s != ".."
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    !domain.is_empty()
        && domain
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        && segments.peek().is_some()
        && segments.all(segment)
}

fn is_dns(text: &str) -> bool {
    text.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
}

impl From<CallerName> for String {
    fn from(name: CallerName) -> Self {
        name.0
    }
}

impl fmt::Display for CallerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a caller is. A caller has exactly one role: nobody both manages keys and signs with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A TPP service.
    Signer,
    /// A person of the security team.
    Officer,
    /// Reads everything, the audit log too.
    Auditor,
    /// Reads the status only.
    Monitor,
}

impl Role {
    /// The word of the API and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signer => "signer",
            Self::Officer => "officer",
            Self::Auditor => "auditor",
            Self::Monitor => "monitor",
        }
    }
}

/// What a grant allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Sign an HTTP request.
    SignHttp,
    /// Sign a JWS.
    SignJws,
    /// Open mutual TLS.
    Tls,
    /// Sign a client assertion.
    SignClientAssertion,
    /// Sign an authorisation request.
    SignRequestObject,
    /// Sign a DPoP proof.
    SignDpopProof,
    /// Sign a client registration.
    SignRegistration,
    /// Make the body of a request a JWT.
    SignJwtBody,
    /// Decrypt a JWE.
    DecryptJwe,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 9] = [
        Self::SignHttp,
        Self::SignJws,
        Self::Tls,
        Self::SignClientAssertion,
        Self::SignRequestObject,
        Self::SignDpopProof,
        Self::SignRegistration,
        Self::SignJwtBody,
        Self::DecryptJwe,
    ];

    /// The word of the API, the store and the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignHttp => "sign-http",
            Self::SignJws => "sign-jws",
            Self::Tls => "tls",
            Self::SignClientAssertion => "sign-client-assertion",
            Self::SignRequestObject => "sign-request-object",
            Self::SignDpopProof => "sign-dpop-proof",
            Self::SignRegistration => "sign-registration",
            Self::SignJwtBody => "sign-jwt-body",
            Self::DecryptJwe => "decrypt-jwe",
        }
    }
}

/// A row that lets a caller do operations with one credential for some banks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRule {
    /// What is allowed.
    pub operations: BTreeSet<Operation>,
    /// The credential.
    pub credential: Name,
    /// The banks.
    pub banks: BTreeSet<Name>,
}

/// A caller with its role and grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The identity in its certificate.
    pub name: CallerName,
    /// What it is.
    pub role: Role,
    /// What it may sign; empty unless it is a signer.
    pub grants: Vec<GrantRule>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_spiffe_and_dns_names_only() {
        for good in [
            "spiffe://acme.example/tpp/payments",
            "tpp.acme.example",
            "localhost",
        ] {
            assert!(CallerName::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "spiffe://acme.example",
            "spiffe:///x",
            "spiffe://acme.example/",
            "spiffe://acme.example/a//b",
            "spiffe://acme.example/../x",
            "spiffe://ACME/x",
            "https://acme.example/x",
            "*.acme.example",
            "Acme",
            "a b",
        ] {
            assert!(CallerName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
