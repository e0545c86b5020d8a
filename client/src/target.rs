//! Where a request goes, as its bytes on the wire will say.
//!
//! In: the head of a request. Out: authority and target exactly as an HTTP client sends them. Never: a normalised path;
//! a bank verifies the bytes it received.

use crate::error::Error;
use http::header::HOST;
use http::request::Parts;

/// The head of a request as its bytes on the wire will say. For requests that are not the `http` crate's.
#[derive(Clone)]
pub struct RequestHead {
    /// The method, upper case.
    pub method: String,
    /// Host and optional port, as in the Host header.
    pub authority: String,
    /// Path and query as sent, beginning with a slash.
    pub target: String,
    /// Names and values in the order sent. What the service finds wrong with them it refuses by name.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl RequestHead {
    /// The head of a request of the `http` crate.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no host or two that differ, or the target does not begin with a slash.
    pub fn from_parts(parts: &Parts) -> Result<Self, Error> {
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.as_str().to_owned(), value.as_bytes().to_vec())
        };
        Ok(Self {
            method: parts.method.as_str().to_owned(),
            authority: authority(parts)?,
            target: path_and_query(parts)?,
            headers: parts.headers.iter().map(header).collect(),
        })
    }
}

impl std::fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("authority", &self.authority)
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// Host and port: the `Host` header when there is one, else the authority of the URI (RFC 9112 section 3.2).
fn authority(parts: &Parts) -> Result<String, Error> {
    let uri = parts.uri.authority().map(|authority| authority.as_str());
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = match hosts.next() {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| {
            Error::invalid(
                "HOST_MALFORMED",
                "headers[\"host\"]",
                "the Host header is not ASCII",
            )
        })?),
    };
    if hosts.next().is_some() {
        return Err(Error::invalid(
            "HEADER_DUPLICATED",
            "headers[\"host\"]",
            "two Host headers",
        ));
    }
    match (host, uri) {
        (Some(host), Some(uri)) if !host.eq_ignore_ascii_case(uri) => Err(Error::invalid(
            "AUTHORITY_AMBIGUOUS",
            "authority",
            format!("the Host header says `{host}`, the URI `{uri}`"),
        )),
        (Some(host), _) => Ok(host.to_owned()),
        (None, Some(uri)) => Ok(uri.to_owned()),
        (None, None) => Err(Error::invalid(
            "AUTHORITY_MISSING",
            "authority",
            "give the request an absolute URI or a Host header",
        )),
    }
}

/// Path and query; `/` when the URI has no path.
fn path_and_query(parts: &Parts) -> Result<String, Error> {
    match parts.uri.path_and_query().map(|path| path.as_str()) {
        Some(path) if path.starts_with('/') => Ok(path.to_owned()),
        Some(path) if path.starts_with('?') => Ok(format!("/{path}")),
        _ => Err(Error::invalid(
            "TARGET_MALFORMED",
            "target",
            "the path must begin with a slash",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http::Request;

    fn parts(uri: &str, hosts: &[&str]) -> Parts {
        let mut request = Request::get(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn takes_the_uri_or_the_host_header() {
        assert_eq!(
            authority(&parts("https://bank.example:8443/v1", &[])).unwrap(),
            "bank.example:8443"
        );
        assert_eq!(
            authority(&parts("/v1", &["bank.example"])).unwrap(),
            "bank.example"
        );
        assert_eq!(
            authority(&parts("https://bank.example/", &["BANK.example"])).unwrap(),
            "BANK.example"
        );
    }

    #[test]
    fn refuses_two_opinions_on_the_host() {
        for (request, reason) in [
            (
                parts("https://bank.example/", &["evil.example"]),
                "AUTHORITY_AMBIGUOUS",
            ),
            (parts("/v1", &["a", "b"]), "HEADER_DUPLICATED"),
            (parts("/v1", &[]), "AUTHORITY_MISSING"),
        ] {
            assert_eq!(authority(&request).unwrap_err().reason(), reason);
        }
    }

    #[test]
    fn keeps_the_target_as_it_is_sent() {
        let target = |uri| path_and_query(&parts(uri, &[])).unwrap();
        assert_eq!(target("https://bank.example"), "/");
        assert_eq!(target("https://bank.example?x=1"), "/?x=1");
        assert_eq!(
            target("https://bank.example/v1/a%2Fb?x=%20&y"),
            "/v1/a%2Fb?x=%20&y"
        );
    }

    #[test]
    fn refuses_a_target_without_path() {
        assert_eq!(
            path_and_query(&parts("*", &[])).unwrap_err().reason(),
            "TARGET_MALFORMED"
        );
    }
}
