//! Two values beside each other: the parts in which they differ.
//!
//! In: a value as signing would have set it, with the signature's place open, and the one that came. Out: the parts that
//! differ, so that a person sees the one that matters. Never: a part that only the signature fills.

use crate::explained::parts_of_jws;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealkeep_profiles::prepared::SIGNATURE_PLACE;
use serde_json::Value;

/// One place where a message is not as it has to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// The header; `JWS` for one that travels alone.
    pub(super) header: String,
    /// The parameter or member; `None` for the whole value.
    pub(super) part: Option<String>,
    pub(super) expected: Option<String>,
    pub(super) found: Option<String>,
}

impl Difference {
    /// `Signature keyId`, `Digest`.
    pub(super) fn place(&self) -> String {
        match &self.part {
            Some(part) => format!("{} {part}", self.header),
            None => self.header.clone(),
        }
    }
}

/// The parts of one value that differ; the signature itself is never one of them.
pub(super) fn in_value(header: &str, expected: &str, found: &str) -> Vec<Difference> {
    let (expected_parts, found_parts) = (parts(expected), parts(found));
    let difference = |part: Option<&str>, expected: Option<&str>, found: Option<&str>| Difference {
        header: header.to_owned(),
        part: part.map(str::to_owned),
        expected: expected.map(str::to_owned),
        found: found.map(str::to_owned),
    };
    let (Some(expected_parts), Some(found_parts)) = (expected_parts, found_parts) else {
        let open = expected.contains(SIGNATURE_PLACE);
        let same = expected == found || (open && fits_around_place(expected, found));
        return if same {
            Vec::new()
        } else {
            vec![difference(None, Some(expected), Some(found))]
        };
    };
    let mut all = Vec::new();
    for (name, expected) in &expected_parts {
        let found = value_of(&found_parts, name);
        let open = expected.contains(SIGNATURE_PLACE);
        if found != Some(expected) && !(open && found.is_some()) {
            all.push(difference(Some(name), Some(expected), found));
        }
    }
    for (name, found) in &found_parts {
        if value_of(&expected_parts, name).is_none() {
            all.push(difference(Some(name), None, Some(found)));
        }
    }
    all
}

/// Whether `found` is `expected` with something in the signature's place.
fn fits_around_place(expected: &str, found: &str) -> bool {
    let around = expected.split_once(SIGNATURE_PLACE);
    around.is_some_and(|(before, after)| {
        found
            .strip_prefix(before)
            .is_some_and(|rest| rest.ends_with(after))
    })
}

type Parts = Vec<(String, String)>;

fn value_of<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts
        .iter()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.as_str())
}

/// The parts that formats build headers of: members of a JWS header, or `name=value` lists.
fn parts(value: &str) -> Option<Parts> {
    jws_parts(value).or_else(|| parameters(value))
}

fn jws_parts(value: &str) -> Option<Parts> {
    let [protected, payload, signature] = parts_of_jws(value)?;
    let members: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(protected).ok()?).ok()?;
    let members = members
        .as_object()?
        .iter()
        .map(|(name, value)| (name.clone(), value.to_string()));
    let rest = [("payload", payload), ("signature", signature)];
    let rest = rest.map(|(name, value)| (name.to_owned(), value));
    Some(members.chain(rest).collect())
}

/// `a="1", b="2"` of draft-cavage, `s=("a" "b");created=1` of RFC 9421, where the part `s;created` belongs to `s`. One
/// part alone is no list.
fn parameters(value: &str) -> Option<Parts> {
    let mut parts = Parts::new();
    for member in split_outside_quotes(value, ',') {
        let mut label = None;
        for piece in split_outside_quotes(member, ';') {
            let (name, value) = piece.split_once('=')?;
            let name = name.trim_matches(' ');
            let label = label.get_or_insert(name);
            let name = match *label == name {
                true => name.to_owned(),
                false => format!("{label};{name}"),
            };
            parts.push((name, value.to_owned()));
        }
    }
    Some(parts).filter(|parts| parts.len() > 1)
}

pub(super) fn split_outside_quotes(value: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    let at_separator = |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    };
    value.split(at_separator).collect()
}

/// How far the clock of the signer is ahead of ours, in seconds, by the time of signing that the value says; `None` when it
/// says none.
pub(super) fn ahead(expected: &str, found: &str) -> Option<i64> {
    let (expected, found) = (parts(expected)?, parts(found)?);
    let (name, ours) = expected.iter().find(|(name, _)| is_time_of_signing(name))?;
    let seconds = |text: &str| text.parse::<i64>().ok();
    seconds(value_of(&found, name)?)?.checked_sub(seconds(ours)?)
}

/// `created` of draft-cavage and RFC 9421, `iat` of JOSE, also under a name of OBIE's.
fn is_time_of_signing(name: &str) -> bool {
    name == "created" || name.ends_with(";created") || name == "iat" || name.ends_with("/iat")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_compared_one_by_one() {
        let found = in_value(
            "Signature",
            "keyId=\"SN=1,CA=CN=X\",algorithm=\"rsa-sha256\",headers=\"a b\",signature=\"<signature>\"",
            "keyId=\"SN=2,CA=CN=X\", headers=\"a b\",signature=\"x==\",extra=1",
        );
        let places: Vec<_> = found.iter().map(Difference::place).collect();
        assert_eq!(
            places,
            ["Signature keyId", "Signature algorithm", "Signature extra"]
        );
        assert_eq!(found[0].expected.as_deref(), Some("\"SN=1,CA=CN=X\""));
        assert_eq!(found[1].found, None);
        assert_eq!(found[2].expected, None);
    }

    #[test]
    fn members_of_a_jws_header_are_compared_one_by_one() {
        let jws = |header: &str, rest: &str| format!("{}{rest}", URL_SAFE_NO_PAD.encode(header));
        let expected = jws("{\"alg\":\"PS256\",\"crit\":[\"iat\"]}", "..<signature>");
        let found = jws("{\"alg\":\"RS256\",\"crit\":[\"iat\"]}", "..c2ln");
        let found = in_value("x-jws-signature", &expected, &found);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place(), "x-jws-signature alg");
        assert_eq!(found[0].found.as_deref(), Some("\"RS256\""));
    }

    #[test]
    fn components_of_rfc_9421_are_a_part_of_their_own() {
        let found = in_value(
            "Signature-Input",
            "proxy=(\"@authority\");created=9, sig=(\"@method\" \"digest\");created=1;keyid=\"a;b\"",
            "proxy=(\"@authority\");created=9, sig=(\"digest\");created=2;keyid=\"a;b\"",
        );
        let places: Vec<_> = found.iter().map(Difference::place).collect();
        assert_eq!(
            places,
            ["Signature-Input sig", "Signature-Input sig;created"]
        );
    }

    #[test]
    fn a_signature_alone_does_not_differ() {
        assert!(in_value("Signature", "sig=:<signature>:", "sig=:AAAA:").is_empty());
        assert_eq!(
            in_value("Signature", "sig=:<signature>:", "other=:AAAA:").len(),
            1
        );
        assert_eq!(in_value("Digest", "SHA-256=x", "SHA-256=y").len(), 1);
    }
}
