//! A request that changes nothing at a bank: what is sent to see whether it knows a new certificate.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::bank::Host;

/// Longest path with query, bytes.
pub(super) const PATH_BYTES_MAX: usize = 1024;
/// Most status codes that are an answer to expect.
pub(super) const STATUSES_MAX: usize = 16;
/// Longest text that the answer has to contain, bytes.
pub(super) const CONTAINS_BYTES_MAX: usize = 256;
/// Most headers of its own.
pub(super) const HEADERS_MAX: usize = 16;
/// Longest header value, bytes.
pub(super) const HEADER_BYTES_MAX: usize = 512;
/// Set by whoever sends it, so that each is sent once and is of now.
const HEADERS_OF_THE_SENDER: [&str; 7] = [
    "host",
    "date",
    "digest",
    "x-request-id",
    "content-length",
    "connection",
    "transfer-encoding",
];

/// A method that changes nothing (RFC 9110 section 9.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SafeMethod {
    /// With the answer's content.
    Get,
    /// Without.
    Head,
}

impl SafeMethod {
    /// As it stands in the request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
        }
    }

    /// Reads one; none for a method that may change something.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Get, Self::Head]
            .into_iter()
            .find(|method| method.as_str() == text)
    }
}

/// The request, and the answer of a bank that knows the certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HarmlessRequest {
    /// Where it goes; the first of the bank's hosts when not said.
    #[serde(default)]
    pub host: Option<Host>,
    /// How.
    pub method: SafeMethod,
    /// Path and query as sent, the bank's base path included.
    pub target: String,
    /// Headers besides those that the sender makes.
    pub headers: BTreeMap<String, String>,
    /// The status codes of a bank that is content. Without an access token that is often 401, for another reason.
    pub statuses: BTreeSet<u16>,
    /// What the answer of a bank that is content contains; empty for anything. Tells a 401 for a missing token from one
    /// for a certificate.
    pub contains: String,
}

/// Why a request is none.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum HarmlessError {
    /// Not a target of one of the bank's hosts.
    #[error(
        "target: must begin with a slash and be at most {PATH_BYTES_MAX} printable bytes without #"
    )]
    Target,
    /// Not a host of the bank.
    #[error("host: {0} is not one of the bank's hosts")]
    Host(Host),
    /// No status to expect, too many, or one that no server sends.
    #[error("statuses: 1 to {STATUSES_MAX} codes from 200 to 499")]
    Statuses,
    /// Too long, or not printable.
    #[error("contains: at most {CONTAINS_BYTES_MAX} printable bytes, and none with HEAD")]
    Contains,
    /// Too many headers, or one that the sender makes.
    #[error("headers: at most {HEADERS_MAX}, printable, lower-case names, none of {}", HEADERS_OF_THE_SENDER.join(" "))]
    Headers,
}

impl HarmlessRequest {
    /// Checks it against the hosts of its bank.
    pub(super) fn check(&self, hosts: &BTreeSet<Host>) -> Result<(), HarmlessError> {
        let printable = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        let graphic = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        let target = &self.target;
        if !target.starts_with('/')
            || target.len() > PATH_BYTES_MAX
            || target.contains('#')
            || !graphic(target)
        {
            return Err(HarmlessError::Target);
        }
        if let Some(host) = self.host.as_ref().filter(|host| !hosts.contains(*host)) {
            return Err(HarmlessError::Host(host.clone()));
        }
        let known = self.statuses.iter().all(|code| (200..500).contains(code));
        if !known || !(1..=STATUSES_MAX).contains(&self.statuses.len()) {
            return Err(HarmlessError::Statuses);
        }
        let without_content = self.method == SafeMethod::Head && !self.contains.is_empty();
        if without_content || self.contains.len() > CONTAINS_BYTES_MAX || !printable(&self.contains)
        {
            return Err(HarmlessError::Contains);
        }
        let fits = |(name, value): (&String, &String)| {
            let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            !name.is_empty()
                && name.bytes().all(token)
                && !HEADERS_OF_THE_SENDER.contains(&name.as_str())
                && value.len() <= HEADER_BYTES_MAX
                && printable(value)
        };
        match self.headers.len() <= HEADERS_MAX && self.headers.iter().all(fits) {
            true => Ok(()),
            false => Err(HarmlessError::Headers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn harmless() -> HarmlessRequest {
        HarmlessRequest {
            host: None,
            method: SafeMethod::Get,
            target: "/v1/accounts".to_owned(),
            headers: [("accept".to_owned(), "application/json".to_owned())].into(),
            statuses: [200, 401].into(),
            contains: String::new(),
        }
    }

    fn hosts() -> BTreeSet<Host> {
        [Host::try_from("api.bank.example".to_owned()).unwrap()].into()
    }

    #[test]
    fn only_methods_that_change_nothing() {
        assert_eq!(SafeMethod::parse("HEAD"), Some(SafeMethod::Head));
        for unsafe_method in ["POST", "DELETE", "get", ""] {
            assert_eq!(SafeMethod::parse(unsafe_method), None, "{unsafe_method}");
        }
    }

    #[test]
    fn says_which_part_is_wrong() {
        type Change = fn(&mut HarmlessRequest);
        let other = Host::try_from("evil.example".to_owned()).unwrap();
        let cases: [(Change, HarmlessError); 9] = [
            (|r| r.target = "v1".into(), HarmlessError::Target),
            (|r| r.target = "/a b".into(), HarmlessError::Target),
            (|r| r.target = "/a#b".into(), HarmlessError::Target),
            (
                |r| r.host = Host::try_from("evil.example".to_owned()).ok(),
                HarmlessError::Host(other),
            ),
            (|r| r.statuses.clear(), HarmlessError::Statuses),
            (|r| r.statuses = [500].into(), HarmlessError::Statuses),
            (|r| r.contains = "a\nb".into(), HarmlessError::Contains),
            (
                |r| r.headers = [("date".into(), "x".into())].into(),
                HarmlessError::Headers,
            ),
            (
                |r| r.headers = [("x-a".into(), "a\r\nb: c".into())].into(),
                HarmlessError::Headers,
            ),
        ];
        assert_eq!(harmless().check(&hosts()), Ok(()));
        for (change, wanted) in cases {
            let mut request = harmless();
            change(&mut request);
            assert_eq!(request.check(&hosts()), Err(wanted), "{request:?}");
        }
    }
}
