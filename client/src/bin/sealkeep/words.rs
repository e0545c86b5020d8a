//! The words for values of the wire.
//!
//! In: protobuf enums, times, names. Out: the words that files and tables use, both ways where both are needed. Never:
//! an invented word for a value that a newer service may send; that shows as `?`.

use jiff::Timestamp;
use sealkeep_client::v1::{
    Environment, Grant, KeyAlgorithm, KeyOrigin, Operation, Procedure, Purpose, Role, VersionState,
};

/// Days of 24 hours.
const DAY_S: i64 = 86_400;

pub(crate) fn state(state: i32) -> &'static str {
    match VersionState::try_from(state) {
        Ok(VersionState::Requested) => "requested",
        Ok(VersionState::Staged) => "staged",
        Ok(VersionState::Active) => "active",
        Ok(VersionState::Retiring) => "retiring",
        Ok(VersionState::Retired) => "retired",
        Ok(VersionState::Destroyed) => "destroyed",
        Ok(VersionState::Frozen) => "frozen",
        Ok(VersionState::Revoked) => "revoked",
        Ok(VersionState::Unspecified) => "",
        Err(_) => "?",
    }
}

pub(crate) fn purpose(purpose: i32) -> &'static str {
    match Purpose::try_from(purpose) {
        Ok(Purpose::Transport) => "transport",
        Ok(Purpose::Seal) => "seal",
        Ok(Purpose::Decryption) => "decryption",
        Ok(Purpose::Unspecified) => "",
        Err(_) => "?",
    }
}

pub(crate) fn environment(environment: i32) -> &'static str {
    match Environment::try_from(environment) {
        Ok(Environment::Sandbox) => "sandbox",
        Ok(Environment::Production) => "production",
        Ok(Environment::Unspecified) => "",
        Err(_) => "?",
    }
}

pub(crate) fn key_origin(origin: i32) -> &'static str {
    match KeyOrigin::try_from(origin) {
        Ok(KeyOrigin::Generated) => "generated",
        Ok(KeyOrigin::Imported) => "imported",
        Ok(KeyOrigin::Unspecified) => "",
        Err(_) => "?",
    }
}

pub(crate) fn procedure(procedure: i32) -> &'static str {
    match Procedure::try_from(procedure) {
        Ok(Procedure::None) => "none",
        Ok(Procedure::Overlap) => "overlap",
        Ok(Procedure::Announce) => "announce",
        Ok(Procedure::SwapAt) => "swap_at",
        Ok(Procedure::Directory) => "directory",
        Ok(Procedure::Register) => "register",
        Ok(Procedure::PublishUrl) => "publish_url",
        Ok(Procedure::Unspecified) => "",
        Err(_) => "?",
    }
}

pub(crate) fn role(role: i32) -> &'static str {
    match Role::try_from(role) {
        Ok(Role::Signer) => "signer",
        Ok(Role::Officer) => "officer",
        Ok(Role::Auditor) => "auditor",
        Ok(Role::Monitor) => "monitor",
        Ok(Role::Unspecified) => "",
        Err(_) => "?",
    }
}

pub(crate) fn operations(grant: &Grant) -> String {
    let word = |operation: &i32| match Operation::try_from(*operation) {
        Ok(Operation::SignHttp) => "sign-http",
        Ok(Operation::SignJws) => "sign-jws",
        Ok(Operation::Tls) => "tls",
        Ok(Operation::SignClientAssertion) => "sign-client-assertion",
        Ok(Operation::SignRequestObject) => "sign-request-object",
        Ok(Operation::SignDpopProof) => "sign-dpop-proof",
        Ok(Operation::SignRegistration) => "sign-registration",
        Ok(Operation::SignJwtBody) => "sign-jwt-body",
        Ok(Operation::DecryptJwe) => "decrypt-jwe",
        Ok(Operation::Unspecified) | Err(_) => "?",
    };
    grant
        .operations
        .iter()
        .map(word)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The kinds of keys that can be made, as arguments.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub(crate) enum Key {
    #[value(name = "rsa-2048")]
    Rsa2048,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
    #[value(name = "ec-p256")]
    EcP256,
    #[value(name = "ec-p384")]
    EcP384,
    #[value(name = "ec-p521")]
    EcP521,
    #[value(name = "ed25519")]
    Ed25519,
}

impl From<Key> for KeyAlgorithm {
    fn from(key: Key) -> Self {
        match key {
            Key::Rsa2048 => Self::Rsa2048,
            Key::Rsa3072 => Self::Rsa3072,
            Key::Rsa4096 => Self::Rsa4096,
            Key::EcP256 => Self::EcP256,
            Key::EcP384 => Self::EcP384,
            Key::EcP521 => Self::EcP521,
            Key::Ed25519 => Self::Ed25519,
        }
    }
}

/// What a credential is for, as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum For {
    /// TLS client authentication with a QWAC.
    Transport,
    /// Signatures with a QSealC.
    Seal,
    /// Decryption of what banks encrypt to us; no certificate, no subject.
    Decryption,
}

impl From<For> for Purpose {
    fn from(purpose: For) -> Self {
        match purpose {
            For::Transport => Self::Transport,
            For::Seal => Self::Seal,
            For::Decryption => Self::Decryption,
        }
    }
}

/// Seconds and nanoseconds of a `google.protobuf.Timestamp`.
pub(crate) fn time(seconds: i64, nanos: i32) -> Option<Timestamp> {
    Timestamp::new(seconds, nanos).ok()
}

/// RFC 3339, UTC, whole seconds.
pub(crate) fn rfc3339(time: Option<Timestamp>) -> String {
    let whole = |time: Timestamp| Timestamp::from_second(time.as_second()).unwrap_or(time);
    time.map(|time| whole(time).to_string()).unwrap_or_default()
}

/// How long it is until then, short.
pub(crate) fn left(end: Option<Timestamp>, now: Timestamp) -> String {
    let Some(end) = end else { return String::new() };
    let seconds = end.as_second() - now.as_second();
    match seconds {
        ..0 => "ended".to_owned(),
        0..DAY_S => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / DAY_S),
    }
}

/// A span of the past, short.
pub(crate) fn span(since: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_second() - since.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..DAY_S => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / DAY_S, seconds % DAY_S / 3_600),
    }
}

/// `acme-seal@3` for `credentials/acme-seal/versions/3`; other names stay as they are.
pub(crate) fn short(resource: &str) -> String {
    let parts: Vec<&str> = resource.split('/').collect();
    match parts[..] {
        ["credentials", credential, "versions", number] => format!("{credential}@{number}"),
        _ => resource.to_owned(),
    }
}

/// A name given as an argument: `[a-z0-9-]{1,63}`.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    match (1..=63).contains(&text.len()) && text.bytes().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("write 1 to 63 of a-z, 0-9 and hyphens".to_owned()),
    }
}

/// A credential, or a version of it: `NAME` or `NAME@NUMBER`. Yields the resource name.
pub(crate) fn version_name(text: &str) -> Result<String, String> {
    let Some((credential, number)) = text.split_once('@') else {
        return Ok(format!("credentials/{}", name(text)?));
    };
    match number.parse::<u32>() {
        Ok(number) if number > 0 => Ok(format!(
            "credentials/{}/versions/{number}",
            name(credential)?
        )),
        _ => Err("the version after @ is a number from 1".to_owned()),
    }
}

/// Authority and target of an URL, byte for byte as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) authority: String,
    pub(crate) target: String,
}

pub(crate) fn url(text: &str) -> Result<Url, String> {
    let rest = text
        .strip_prefix("https://")
        .ok_or("write https://HOST[:PORT]/PATH")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if authority.is_empty() {
        return Err("there is no host".to_owned());
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok(Url {
        authority: authority.to_owned(),
        target: format!("{slash}{target}"),
    })
}

/// One version: `NAME@NUMBER`. For what is not to happen to whichever is the newest.
pub(crate) fn numbered_version(text: &str) -> Result<String, String> {
    match text.contains('@') {
        true => version_name(text),
        false => Err(format!("say which version, for example {text}@1")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn names_go_both_ways() {
        assert_eq!(
            version_name("acme-seal@3").unwrap(),
            "credentials/acme-seal/versions/3"
        );
        assert_eq!(version_name("acme-seal").unwrap(), "credentials/acme-seal");
        assert_eq!(short("credentials/acme-seal/versions/3"), "acme-seal@3");
        assert_eq!(short("something"), "something");
        for bad in ["", "Acme", "a/b", "a@", "a@0", "a@x", "a@-1", "@1"] {
            assert!(version_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_short() {
        let now = at("2026-11-24T00:00:00Z");
        assert_eq!(left(Some(at("2026-12-24T01:00:00Z")), now), "30 d");
        assert_eq!(left(Some(at("2026-11-24T05:59:00Z")), now), "5 h");
        assert_eq!(left(Some(at("2026-11-23T23:59:59Z")), now), "ended");
        assert_eq!(left(None, now), "");
        assert_eq!(span(at("2026-11-22T22:00:00Z"), now), "1 d 2 h");
        assert_eq!(span(at("2026-11-23T22:30:00Z"), now), "1 h 30 min");
    }

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(rfc3339(time(1_795_478_400, 5)), "2026-11-24T00:00:00Z");
        assert_eq!(rfc3339(None), "");
    }

    #[test]
    fn urls_are_taken_byte_for_byte() {
        let parts = |text| url(text).map(|url| (url.authority, url.target)).unwrap();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            parts("https://h:1/v1/%2f/../x?y=%20"),
            pair("h:1", "/v1/%2f/../x?y=%20")
        );
        assert_eq!(parts("https://h"), pair("h", "/"));
        assert_eq!(parts("https://h?x"), pair("h", "/?x"));
        assert!(url("http://h/").is_err() && url("https:///x").is_err());
    }
}
