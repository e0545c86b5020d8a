//! HTTP messages saved in files, to be explained or verified later and elsewhere.
//!
//! In: JSON. Out: a [`SavedRequest`] or [`SavedResponse`], byte for byte what was or will be sent. Never: a key that is not
//! known, a body told twice.
//!
//! A request:
//!
//! ```
//! # let json = r#"
//! {
//!   "method": "POST",
//!   "authority": "api.bank.example",
//!   "target": "/v1/payments/sepa-credit-transfers?x=1",
//!   "headers": [
//!     { "name": "X-Request-ID", "value": "99391c7e-ad88-49ec-a2ad-99ddcb1f7721" },
//!     { "name": "Content-Type", "value": "application/json" }
//!   ],
//!   "body": "{\"instructedAmount\":{\"currency\":\"EUR\",\"amount\":\"1.00\"}}"
//! }
//! # "#;
//! # let request = sealkeep_client::SavedRequest::from_json(json).unwrap();
//! # assert_eq!(request.head.headers.len(), 2);
//! ```
//!
//! `headers` stand in the order sent. `authority` may be left out where there is a `Host` header. The body is one of `body`
//! (text), `body_base64` (bytes) and `body_digests`, a list like `[{ "algorithm": "sha256", "value": "<base64>" }]` with
//! `sha256`, `sha384` or `sha512`; with none of them it is empty. A response has `status`, a number, in place of
//! `method`, `authority` and `target`.

use crate::target::RequestHead;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealkeep_profiles::algorithm::HashAlgorithm;
use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::request::{BodyParts, HttpRequest, HttpResponse, RequestParts};
use serde::Deserialize;

/// A request out of a file; the module's head has the schema. Nothing is checked but the form of the file.
#[derive(Clone, Debug)]
pub struct SavedRequest {
    /// Method, authority, target and headers.
    pub head: RequestHead,
    /// The body.
    pub body: SavedBody,
}

/// A response out of a file; the module's head has the schema. Nothing is checked but the form of the file.
#[derive(Clone)]
pub struct SavedResponse {
    /// The status code.
    pub status: u16,
    /// Names and values in the order received.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: SavedBody,
}

/// A body out of a file: its bytes, or digests of it, or nothing for an empty body.
#[derive(Clone, Default)]
pub struct SavedBody {
    /// The bytes as sent.
    pub bytes: Option<Vec<u8>>,
    /// Digests of the bytes.
    pub digests: Vec<(HashAlgorithm, Vec<u8>)>,
}

/// Why a file is no saved message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedError {
    /// No JSON, an unknown key, a key that is missing or of the wrong kind; with line and column.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Every key is known, but one of them cannot be used.
    #[error("{field}: {what}")]
    Field {
        /// The key.
        field: &'static str,
        /// What to write instead.
        what: &'static str,
    },
}

impl SavedRequest {
    /// Reads a saved request.
    ///
    /// # Errors
    /// [`SavedError`]: where, and what to write instead.
    pub fn from_json(text: &str) -> Result<Self, SavedError> {
        let file: RequestFile = serde_json::from_str(text)?;
        let headers = lines(file.headers);
        let host = || {
            let host = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case("host"));
            host.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        let authority = file.authority.or_else(host).ok_or(SavedError::Field {
            field: "authority",
            what: "write it, or a Host header",
        })?;
        Ok(Self {
            body: body(file.body, file.body_base64, file.body_digests)?,
            head: RequestHead {
                method: file.method,
                authority,
                target: file.target,
                headers,
            },
        })
    }

    /// The request as profiles look at it.
    ///
    /// # Errors
    /// [`Refusal`]: what no bank should get.
    pub fn parse(&self) -> Result<HttpRequest, Refusal> {
        HttpRequest::parse(RequestParts {
            method: &self.head.method,
            authority: &self.head.authority,
            target: &self.head.target,
            headers: &self.head.headers,
            body: self.body.parts(),
        })
    }
}

impl SavedResponse {
    /// Reads a saved response.
    ///
    /// # Errors
    /// [`SavedError`]: where, and what to write instead.
    pub fn from_json(text: &str) -> Result<Self, SavedError> {
        let file: ResponseFile = serde_json::from_str(text)?;
        Ok(Self {
            status: file.status,
            headers: lines(file.headers),
            body: body(file.body, file.body_base64, file.body_digests)?,
        })
    }

    /// The response as profiles look at it.
    ///
    /// # Errors
    /// [`Refusal`]: what no bank should send.
    pub fn parse(&self) -> Result<HttpResponse, Refusal> {
        HttpResponse::parse(self.status, &self.headers, self.body.parts())
    }
}

impl SavedBody {
    fn parts(&self) -> BodyParts<'_> {
        BodyParts {
            bytes: self.bytes.as_deref(),
            digests: &self.digests,
        }
    }
}

impl std::fmt::Debug for SavedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.bytes {
            Some(bytes) => write!(f, "SavedBody({} bytes)", bytes.len()),
            None => write!(f, "SavedBody({} digests)", self.digests.len()),
        }
    }
}

impl std::fmt::Debug for SavedResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("SavedResponse")
            .field("status", &self.status)
            .field("headers", &names)
            .field("body", &self.body)
            .finish()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFile {
    method: String,
    authority: Option<String>,
    target: String,
    #[serde(default)]
    headers: Vec<HeaderEntry>,
    body: Option<String>,
    body_base64: Option<String>,
    body_digests: Option<Vec<DigestEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseFile {
    status: u16,
    #[serde(default)]
    headers: Vec<HeaderEntry>,
    body: Option<String>,
    body_base64: Option<String>,
    body_digests: Option<Vec<DigestEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderEntry {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestEntry {
    algorithm: HashAlgorithm,
    value: String,
}

fn lines(headers: Vec<HeaderEntry>) -> Vec<(String, Vec<u8>)> {
    let line = |header: HeaderEntry| (header.name, header.value.into_bytes());
    headers.into_iter().map(line).collect()
}

fn body(
    text: Option<String>,
    base64: Option<String>,
    digests: Option<Vec<DigestEntry>>,
) -> Result<SavedBody, SavedError> {
    let decode = |field, text: &str| {
        let what = "write padded base64 (RFC 4648 section 4)";
        let bytes = STANDARD.decode(text);
        bytes.map_err(|_| SavedError::Field { field, what })
    };
    match (text, base64, digests) {
        (None, None, None) => Ok(SavedBody::default()),
        (Some(text), None, None) => Ok(SavedBody {
            bytes: Some(text.into_bytes()),
            digests: Vec::new(),
        }),
        (None, Some(base64), None) => Ok(SavedBody {
            bytes: Some(decode("body_base64", &base64)?),
            digests: Vec::new(),
        }),
        (None, None, Some(entries)) => {
            let mut digests = Vec::with_capacity(entries.len());
            for entry in entries {
                digests.push((entry.algorithm, decode("body_digests", &entry.value)?));
            }
            Ok(SavedBody {
                bytes: None,
                digests,
            })
        }
        _ => Err(SavedError::Field {
            field: "body",
            what: "write one of body, body_base64 and body_digests",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = r#"{
        "method": "POST", "authority": "h", "target": "/v1",
        "headers": [{ "name": "B", "value": "2" }, { "name": "A", "value": "1" }],
        "body": "x"
    }"#;

    #[test]
    fn headers_stay_in_order_and_bodies_are_bytes() {
        let request = SavedRequest::from_json(REQUEST).unwrap();
        let names: Vec<_> = request
            .head
            .headers
            .iter()
            .map(|(n, _)| n.as_str())
            .collect();
        assert_eq!(names, ["B", "A"]);
        assert_eq!(request.parse().unwrap().body().bytes(), Some(&b"x"[..]));
        let base64 = REQUEST.replace("\"body\": \"x\"", "\"body_base64\": \"AP8=\"");
        let request = SavedRequest::from_json(&base64).unwrap();
        assert_eq!(request.body.bytes.as_deref(), Some(&[0, 0xff][..]));
    }

    #[test]
    fn digests_stand_for_a_body() {
        let value = STANDARD.encode(HashAlgorithm::Sha256.digest(b"x"));
        let digests = format!(
            "{{\"status\": 200, \"body_digests\": [{{\"algorithm\": \"sha256\", \"value\": \"{value}\"}}]}}"
        );
        let response = SavedResponse::from_json(&digests).unwrap().parse().unwrap();
        let digest = response.body().digest(HashAlgorithm::Sha256);
        assert_eq!(digest, Some(HashAlgorithm::Sha256.digest(b"x")));
    }

    #[test]
    fn the_host_header_stands_for_the_authority() {
        let text = REQUEST.replace("\"authority\": \"h\",", "");
        let says = SavedRequest::from_json(&text).unwrap_err().to_string();
        assert_eq!(says, "authority: write it, or a Host header");
        let text = text.replace(
            "\"name\": \"A\", \"value\": \"1\"",
            "\"name\": \"host\", \"value\": \"h:1\"",
        );
        assert_eq!(
            SavedRequest::from_json(&text).unwrap().head.authority,
            "h:1"
        );
    }

    #[test]
    fn refusals_name_the_line_or_the_key() {
        for (from, to, expected) in [
            ("\"target\"", "\"targget\"", "unknown field `targget`"),
            ("\"value\": \"2\"", "\"value\": 2", "line 3"),
            (
                "\"body\": \"x\"",
                "\"body_base64\": \"*\"",
                "body_base64: write padded",
            ),
            (
                "\"body\": \"x\"",
                "\"body\": \"x\", \"body_base64\": \"\"",
                "body: write one of",
            ),
            (
                "\"body\": \"x\"",
                "\"body_digests\": [{ \"algorithm\": \"md5\", \"value\": \"\" }]",
                "md5",
            ),
        ] {
            let text = REQUEST.replace(from, to);
            let says = SavedRequest::from_json(&text).unwrap_err().to_string();
            assert!(says.contains(expected), "{expected}: {says}");
        }
        assert!(SavedResponse::from_json(REQUEST).is_err());
    }

    #[test]
    fn debug_shows_no_payload() {
        let text = format!("{:?}", SavedRequest::from_json(REQUEST).unwrap());
        assert!(text.contains("SavedBody(1 bytes)"), "{text}");
    }
}
