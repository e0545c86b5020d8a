//! HTTP messages as a signature sees them: parsed once, clean ever after.
//!
//! Comes in: method, authority, target, ordered headers, body or digests of it, straight from a caller. Goes out:
//! [`HttpRequest`] and [`HttpResponse`], whose text is printable ASCII and whose digests belong to their body. Never
//! normalises: what is signed is byte for byte what the caller sends. Serves RFC 9110 §5, RFC 3986 §3 and §6.2,
//! RFC 9112 §3.2 and §5.2.

mod body;
mod headers;
mod target;

use std::fmt;

use crate::algorithm::HashAlgorithm;
use crate::refusal::Refusal;

pub use body::{BODY_BYTES_MAX, Body};
pub use headers::{HEADER_COUNT_MAX, HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX, Header};
pub use target::{AUTHORITY_BYTES_MAX, TARGET_BYTES_MAX};

use headers::Headers;
pub(crate) use headers::is_token;

/// A request as it comes from a caller, nothing checked.
#[derive(Clone, Copy)]
pub struct RequestParts<'a> {
    /// The method, upper case.
    pub method: &'a str,
    /// Host and optional port, as in the `Host` header.
    pub authority: &'a str,
    /// Path and query exactly as sent.
    pub target: &'a str,
    /// The header lines in the order sent.
    pub headers: &'a [(String, Vec<u8>)],
    /// The body, or digests of it.
    pub body: BodyParts<'a>,
}

/// A body as it comes from a caller. Neither bytes nor digests: an empty body.
#[derive(Clone, Copy, Default)]
pub struct BodyParts<'a> {
    /// The bytes that leave the socket, before transfer coding.
    pub bytes: Option<&'a [u8]>,
    /// Digests of these bytes, at most one an algorithm.
    pub digests: &'a [(HashAlgorithm, Vec<u8>)],
}

/// A request method (RFC 9110 §9.3, RFC 5789).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 6] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
    ];

    /// Reads a method; case matters (RFC 9110 §9.1).
    ///
    /// # Errors
    /// [`Refusal::MethodCase`] or [`Refusal::MethodUnknown`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let named = |text: &str| Self::ALL.into_iter().find(|method| method.as_str() == text);
        named(text).ok_or_else(|| match named(&text.to_ascii_uppercase()) {
            Some(_) => Refusal::MethodCase,
            None => Refusal::MethodUnknown,
        })
    }

    /// The method as sent: `POST`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that is fit to be looked at.
#[derive(Clone)]
pub struct HttpRequest {
    method: Method,
    authority: String,
    target: String,
    path_len: usize,
    headers: Headers,
    body: Body,
}

impl HttpRequest {
    /// Parses what a caller sent.
    ///
    /// # Errors
    /// The first [`Refusal`] found, in the order method, authority, target, headers, body.
    pub fn parse(parts: RequestParts<'_>) -> Result<Self, Refusal> {
        let method = Method::parse(parts.method)?;
        target::check_authority(parts.authority)?;
        let path_len = target::check_target(parts.target)?;
        let headers = Headers::parse(parts.headers)?;
        let body = Body::parse(parts.body)?;
        headers.check_content_length(&body)?;
        for host in headers.all("host") {
            if !host.value().eq_ignore_ascii_case(parts.authority) {
                return Err(Refusal::HostMismatch);
            }
        }
        Ok(Self {
            method,
            authority: parts.authority.to_owned(),
            target: parts.target.to_owned(),
            path_len,
            headers,
            body,
        })
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// Host and optional port.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query as sent.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The path: clean, percent-encoded as sent.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.get(..self.path_len).unwrap_or(&self.target)
    }

    /// The query without its question mark, if there is one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.get(self.path_len + 1..)
    }

    /// The header lines in the order sent.
    #[must_use]
    pub fn headers(&self) -> &[Header] {
        self.headers.lines()
    }

    /// The values of every line of this name, in order; the case of the name does not matter.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.all(name).map(Header::value).collect()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    pub(crate) fn message(&self) -> Message<'_> {
        Message {
            request: Some(self),
            status: None,
            answered: None,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("authority", &self.authority)
            .field("target_len", &self.target.len())
            .field("headers", &self.headers)
            .field("body", &self.body)
            .finish()
    }
}

/// A response that is fit to be looked at.
#[derive(Clone)]
pub struct HttpResponse {
    status: u16,
    headers: Headers,
    body: Body,
    answered: Option<Box<HttpRequest>>,
}

impl HttpResponse {
    /// Parses a response as it was received, or as it will be sent.
    ///
    /// # Errors
    /// The first [`Refusal`] found, in the order status, headers, body.
    pub fn parse(
        status: u16,
        headers: &[(String, Vec<u8>)],
        body: BodyParts<'_>,
    ) -> Result<Self, Refusal> {
        if !(100..=599).contains(&status) {
            return Err(Refusal::StatusInvalid);
        }
        let headers = Headers::parse(headers)?;
        let body = Body::parse(body)?;
        headers.check_content_length(&body)?;
        Ok(Self {
            status,
            headers,
            body,
            answered: None,
        })
    }

    /// The same with the request it answers, for profiles that sign parts of that too (RFC 9421 §2.4). The request is as
    /// it was sent, with its signature if it had one.
    #[must_use]
    pub fn answering(mut self, request: HttpRequest) -> Self {
        self.answered = Some(Box::new(request));
        self
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The header lines in the order sent.
    #[must_use]
    pub fn headers(&self) -> &[Header] {
        self.headers.lines()
    }

    /// The values of every line of this name, in order; the case of the name does not matter.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.all(name).map(Header::value).collect()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    pub(crate) fn message(&self) -> Message<'_> {
        Message {
            request: None,
            status: Some(self.status),
            answered: self.answered.as_deref(),
            headers: &self.headers,
            body: &self.body,
        }
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &self.body)
            .field("answered", &self.answered)
            .finish()
    }
}

/// What formats look at: a request or a response.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    /// The request line's owner; `None` for a response.
    pub(crate) request: Option<&'a HttpRequest>,
    /// The status; `None` for a request.
    pub(crate) status: Option<u16>,
    /// The request that a response answers, when it came with it.
    pub(crate) answered: Option<&'a HttpRequest>,
    headers: &'a Headers,
    pub(crate) body: &'a Body,
}

impl<'a> Message<'a> {
    pub(crate) fn lines(&self) -> &'a [Header] {
        self.headers.lines()
    }

    /// The value of a header that may occur once at most.
    pub(crate) fn once(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let mut all = self.headers.all(name);
        let first = all.next();
        match all.next() {
            Some(_) => Err(Refusal::HeaderRepeated {
                name: name.to_ascii_lowercase(),
            }),
            None => Ok(first.map(Header::value)),
        }
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &'a Header> + use<'a> {
        self.headers.all(name)
    }
}

#[cfg(test)]
mod tests;
