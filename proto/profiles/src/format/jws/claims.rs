//! A body that is signed here is never a JWT elsewhere.
//!
//! Comes in: a payload. Goes out: a refusal when it could be read as the claims of a client assertion, a request object, a
//! DPoP proof or a registration: a caller who may have bodies signed for one bank could else sign in as the TPP at another
//! (RFC 8725 §2.8). What is looked at is the payload a JWT verifier would see, also one that ignores `crit` and `b64`.
//! Never a rule about what banks may put into bodies otherwise.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::spec::Payload;
use crate::refusal::Refusal;

/// Claims that, together at the top of a JSON object, make it usable: an assertion or an authorization grant needs `aud`
/// (RFC 7523 §3), a request object `client_id` and `response_type` (RFC 9101 §4), a DPoP proof `htm` and `htu`
/// (RFC 9449 §4.2), a registration `software_statement` (RFC 7591 §2.3).
const CLAIM_SETS: [&[&str]; 4] = [
    &["aud"],
    &["client_id", "response_type"],
    &["htm", "htu"],
    &["software_statement"],
];
/// The first byte of a JSON object may follow these: white space, and what marks or is part of UTF-8 and UTF-16.
const BEFORE_OBJECT: &[u8] = b" \t\r\n\x00\xef\xbb\xbf\xfe\xff";

/// Refuses a payload that others could take for claims.
pub(super) fn refuse(form: Payload, payload: &[u8]) -> Result<(), Refusal> {
    let claims = match form {
        Payload::Base64url => are_claims(payload),
        // Raw bytes are the payload of a JWT only when they are base64url themselves.
        Payload::Raw => URL_SAFE_NO_PAD
            .decode(payload)
            .is_ok_and(|inside| are_claims(&inside)),
    };
    match claims {
        true => Err(Refusal::ClaimsInBody),
        false => Ok(()),
    }
}

/// An object that cannot be read here counts: a parser elsewhere may be more tolerant.
fn are_claims(payload: &[u8]) -> bool {
    let first = payload.iter().find(|byte| !BEFORE_OBJECT.contains(byte));
    if first != Some(&b'{') {
        return false;
    }
    let Ok(Names(found)) = serde_json::from_slice(payload) else {
        return true;
    };
    CLAIM_SETS
        .iter()
        .any(|set| set.iter().all(|claim| found.contains(claim)))
}

/// The names at the top of a JSON object that some claim set has.
struct Names(BTreeSet<&'static str>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
            let mut known = CLAIM_SETS.iter().copied().flatten();
            names.extend(known.find(|claim| **claim == name));
        }
        Ok(Names(names))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bodies_of_banks_are_no_claims() {
        for body in [
            "",
            "{}",
            "payload",
            r#"{"Data":{"aud":"x"},"Risk":{}}"#,
            r#"[{"aud":"x"}]"#,
            r#"{"client_id":"x","requestHeader":{}}"#,
            "<Document xmlns=\"urn:iso:std:iso:20022\"/>",
        ] {
            refuse(Payload::Base64url, body.as_bytes()).unwrap();
            refuse(Payload::Raw, body.as_bytes()).unwrap();
        }
    }

    #[test]
    fn claims_are_refused_however_they_are_written() {
        let deep = format!("{{\"x\":{}{},\"aud\":1}}", "[".repeat(500), "]".repeat(500));
        for claims in [
            r#"{"iss":"c","sub":"c","aud":"https://as.example","exp":1,"jti":"1"}"#,
            r#"{"client_id":"c","response_type":"code"}"#,
            r#"{"htm":"POST","htu":"https://rs.example/","jti":"1","iat":1}"#,
            r#"{"software_statement":"eyJ"}"#,
            " \r\n{\"\\u0061ud\":[]}",
            "\u{feff}{\"aud\":1}",
            "{\"aud\":1,}",
            "{\"aud\":1} // assertion",
            &deep,
        ] {
            let refused = refuse(Payload::Base64url, claims.as_bytes()).unwrap_err();
            assert_eq!(refused.reason(), "CLAIMS_IN_BODY", "{claims}");
            let encoded = URL_SAFE_NO_PAD.encode(claims);
            let refused = refuse(Payload::Raw, encoded.as_bytes()).unwrap_err();
            assert_eq!(refused.reason(), "CLAIMS_IN_BODY", "{claims}");
            refuse(Payload::Raw, claims.as_bytes()).unwrap();
        }
        let utf16: Vec<u8> = "{\"aud\":1}"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        assert!(refuse(Payload::Base64url, &utf16).is_err());
    }
}
