//! What signing yields: instructions, apart from carrying them out.
//!
//! In: answers of the service. Out: [`SignedHeaders`], [`SignedJws`], [`Explanation`]. Never: a header that the `http` crate would not send.

use crate::error::Error;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use sealkeep_proto::v1::{ExplainSignatureResponse, SignHttpRequestResponse, SignJwsResponse};

/// The headers to set on a request so that it is signed.
#[derive(Clone, Debug)]
pub struct SignedHeaders {
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The version that signed, `credentials/{credential}/versions/{number}`.
    pub version: String,
    /// The profile that was applied.
    pub profile: String,
    /// The algorithm, for example `rsa-pkcs1-sha256`.
    pub algorithm: String,
    /// The audit record of the signature, `{log}/{sequence}`.
    pub audit_record: String,
    /// When the certificate of the version ends; log it before it hurts.
    pub certificate_not_after: Option<Timestamp>,
}

impl SignedHeaders {
    pub(crate) fn from_wire(answer: SignHttpRequestResponse) -> Result<Self, Error> {
        let malformed = |what: &str| Error::broken("ANSWER_MALFORMED", what.to_owned());
        let headers = answer
            .headers
            .into_iter()
            .map(|header| {
                let name = HeaderName::from_bytes(header.name.as_bytes())
                    .map_err(|_| malformed("the service answered with a bad header name"))?;
                let value = HeaderValue::from_bytes(&header.value)
                    .map_err(|_| malformed("the service answered with a bad header value"))?;
                Ok((name, value))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        if headers.is_empty() {
            return Err(malformed("the service answered without headers"));
        }
        let certificate_not_after = answer
            .certificate_not_after_time
            .and_then(|time| Timestamp::new(time.seconds, time.nanos).ok());
        Ok(Self {
            headers,
            version: answer.version,
            profile: answer.profile,
            algorithm: answer.algorithm,
            audit_record: answer.audit_record,
            certificate_not_after,
        })
    }

    /// The headers in the order of the service.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().map(|(name, value)| (name, value))
    }

    /// Sets them on the head of a request, in place of headers of the same name.
    pub fn apply(&self, parts: &mut Parts) {
        self.apply_to(&mut parts.headers);
    }

    /// Sets them in a header map, in place of headers of the same name.
    pub fn apply_to(&self, map: &mut HeaderMap) {
        for (name, _) in &self.headers {
            map.remove(name);
        }
        for (name, value) in &self.headers {
            map.append(name, value.clone());
        }
    }
}

/// A signed payload.
#[derive(Clone, Debug)]
pub struct SignedJws {
    /// The JWS: `header.payload.signature`, or `header..signature` when the profile detaches the payload.
    pub jws: String,
    /// The version that signed, `credentials/{credential}/versions/{number}`.
    pub version: String,
    /// The JWS algorithm, for example `PS256`.
    pub algorithm: String,
    /// The audit record of the signature, `{log}/{sequence}`.
    pub audit_record: String,
}

impl From<SignJwsResponse> for SignedJws {
    fn from(answer: SignJwsResponse) -> Self {
        Self {
            jws: answer.jws,
            version: answer.version,
            algorithm: answer.algorithm,
            audit_record: answer.audit_record,
        }
    }
}

/// What would be signed. No key was used for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The bytes that would be signed, exactly.
    pub to_be_signed: Vec<u8>,
    /// The hash of these bytes that the token would get.
    pub digest: Vec<u8>,
    /// What is covered, by name, in order.
    pub signed_fields: Vec<String>,
    /// The algorithm, for example `rsa-pkcs1-sha256`.
    pub algorithm: String,
    /// How the signature would name the key to the bank; empty when it names none.
    pub key_id: String,
    /// The headers that would be set, with `<signature>` in place of the signature.
    pub headers: Vec<(String, String)>,
    /// The JWS, with `<signature>` in place of the signature; empty for what is none.
    pub jws: String,
    /// The version that would sign, `credentials/{credential}/versions/{number}`; empty without the service.
    pub version: String,
    /// The profile that was applied.
    pub profile: String,
    /// How sure its authors are of the profile: `specified`, `seen` or `unconfirmed`.
    pub confidence: String,
}

impl From<ExplainSignatureResponse> for Explanation {
    fn from(answer: ExplainSignatureResponse) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = answer.headers.into_iter();
        Self {
            to_be_signed: answer.to_be_signed,
            digest: answer.digest,
            signed_fields: answer.signed_fields,
            algorithm: answer.algorithm,
            key_id: answer.key_id,
            headers: headers.map(|h| (h.name, text(&h.value))).collect(),
            jws: answer.jws,
            version: answer.version,
            profile: answer.profile,
            confidence: answer.profile_confidence,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sealkeep_proto::v1::Header;

    fn answer(headers: &[(&str, &str)]) -> SignHttpRequestResponse {
        let header = |(name, value): &(&str, &str)| Header {
            name: (*name).to_owned(),
            value: value.as_bytes().to_vec(),
        };
        SignHttpRequestResponse {
            headers: headers.iter().map(header).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn replaces_headers_of_the_same_name() {
        let mut parts = http::Request::get("/")
            .header("digest", "old")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        let signed = SignedHeaders::from_wire(answer(&[("Digest", "new"), ("Signature", "s")]));
        signed.unwrap().apply(&mut parts);
        assert_eq!(parts.headers.get_all("digest").iter().count(), 1);
        assert_eq!(parts.headers["digest"], "new");
        assert_eq!(parts.headers["signature"], "s");
    }

    #[test]
    fn refuses_headers_that_cannot_be_sent() {
        for headers in [&[("a b", "x")][..], &[("a", "x\r\ny: z")], &[]] {
            let error = SignedHeaders::from_wire(answer(headers)).unwrap_err();
            assert_eq!(error.reason(), "ANSWER_MALFORMED");
        }
    }
}
