//! What would be signed, for people and for programs.
//!
//! In: an [`Explanation`], of the service or made here from a profile. Out: the exact string with visible line ends, its
//! digest, the headers, a `curl`. Never: a signature; its place says `<signature>`.

use crate::report::{Report, pairs, printable};
use crate::words::short;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealkeep_client::{Explanation, RequestHead, SavedBody};
use sealkeep_profiles::prepared::Prepared;
use sealkeep_profiles::profile::Profile;
use serde_json::{Value, json};
use std::fmt::Write;

/// Explains without the service.
pub(crate) fn offline(profile: &Profile, prepared: &Prepared) -> Explanation {
    Explanation {
        to_be_signed: prepared.to_be_signed().to_vec(),
        digest: prepared.digest().to_vec(),
        signed_fields: prepared.signed_fields().to_vec(),
        algorithm: prepared.scheme().name().to_owned(),
        key_id: prepared.key_id().unwrap_or_default().to_owned(),
        headers: prepared.outline(),
        jws: prepared.outline_jws().unwrap_or_default(),
        version: String::new(),
        profile: profile.name().to_owned(),
        confidence: profile.confidence().name().to_owned(),
    }
}

/// The explanation, with a ready `curl` where it is of a request.
pub(crate) fn report(explanation: &Explanation, curl: Option<&str>) -> Report {
    let mut text = pairs(&[
        (
            "profile",
            format!("{} ({})", explanation.profile, explanation.confidence),
        ),
        ("signs", short(&explanation.version)),
        ("algorithm", explanation.algorithm.clone()),
        ("key id", explanation.key_id.clone()),
        ("covers", explanation.signed_fields.join(" ")),
        ("digest", hex::encode(&explanation.digest)),
    ]);
    let _ = write!(text, "\n{}", string_to_sign(&explanation.to_be_signed));
    let protected = protected_header(&explanation.jws);
    if let Some(header) = &protected {
        let _ = writeln!(text, "\nprotected header\n  {}", printable(header));
    }
    if !explanation.headers.is_empty() {
        text.push_str("\nheaders to set\n");
        for (name, value) in &explanation.headers {
            let _ = writeln!(text, "  {}: {}", printable(name), printable(value));
        }
    } else if !explanation.jws.is_empty() {
        let _ = writeln!(text, "\nJWS\n  {}", printable(&explanation.jws));
    }
    if let Some(curl) = curl {
        // Not indented: a body may have lines, and blanks in them would be sent.
        let _ = write!(text, "\n{curl}\n");
    }
    Report::new(text, to_json(explanation, protected.as_deref(), curl))
}

/// What the first part of a JWS says, for people: in the string to sign it is base64url.
fn protected_header(jws: &str) -> Option<String> {
    let [protected, ..] = parts_of_jws(jws)?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(protected).ok()?).ok()
}

/// Protected header, payload and signature of a JWS, compact or flattened JSON, as they stand there.
pub(crate) fn parts_of_jws(jws: &str) -> Option<[String; 3]> {
    if jws.starts_with('{') {
        let object: Value = serde_json::from_str(jws).ok()?;
        let part = |name: &str| object[name].as_str().map(str::to_owned);
        return Some([part("protected")?, part("payload")?, part("signature")?]);
    }
    let mut parts = jws.splitn(3, '.').map(str::to_owned);
    Some([parts.next()?, parts.next()?, parts.next()?])
}

/// The string to sign under a heading, one line a line, line ends visible.
pub(crate) fn string_to_sign(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let end = match text.ends_with('\n') {
        true => "a line feed at the end",
        false => "no line feed at the end",
    };
    let count = text.lines().count();
    let lines = if count == 1 { "line" } else { "lines" };
    let mut out = format!(
        "string to sign: {} bytes, {count} {lines}, {end}\n",
        bytes.len()
    );
    for line in text.split_inclusive('\n') {
        let bare = line.strip_suffix('\n');
        let visible = bare.unwrap_or(line).replace('\r', "\u{240d}");
        let mark = if bare.is_some() { "\u{23ce}" } else { "" };
        let _ = writeln!(out, "  {}{mark}", printable(&visible));
    }
    out
}

fn to_json(explanation: &Explanation, protected: Option<&str>, curl: Option<&str>) -> Value {
    let header = |(name, value): &(String, String)| json!({ "name": name, "value": value });
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "profile": explanation.profile,
        "confidence": explanation.confidence,
        "version": optional(&explanation.version),
        "algorithm": explanation.algorithm,
        "key_id": optional(&explanation.key_id),
        "signed_fields": explanation.signed_fields,
        "to_be_signed": std::str::from_utf8(&explanation.to_be_signed).ok(),
        "to_be_signed_base64": STANDARD.encode(&explanation.to_be_signed),
        "digest_base64": STANDARD.encode(&explanation.digest),
        "protected_header": protected,
        "headers": explanation.headers.iter().map(header).collect::<Vec<_>>(),
        "jws": optional(&explanation.jws),
        "curl": curl,
    })
}

/// Where `curl` takes the body from.
#[derive(Clone, Debug)]
pub(crate) enum CurlBody {
    /// There is none.
    None,
    /// This text.
    Text(String),
    /// This file; `-` is stdin.
    File(String),
}

/// The file that stands for a body that no terminal or shell should get.
const BODY_FILE: &str = "BODY";

impl CurlBody {
    /// Text that can be printed; a control character could play tricks on the terminal.
    pub(crate) fn of_text(text: String) -> Self {
        let hidden = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        match text.contains(hidden) {
            true => Self::File(BODY_FILE.to_owned()),
            false => Self::Text(text),
        }
    }
}

impl From<SavedBody> for CurlBody {
    fn from(body: SavedBody) -> Self {
        match body.bytes.map(String::from_utf8) {
            None if body.digests.is_empty() => Self::None,
            Some(Ok(text)) if text.is_empty() => Self::None,
            Some(Ok(text)) => Self::of_text(text),
            _ => Self::File(BODY_FILE.to_owned()),
        }
    }
}

/// The request as a shell command: `set` in place of headers of the same name, nothing added by curl that would be signed.
pub(crate) fn curl(head: &RequestHead, set: &[(String, String)], body: &CurlBody) -> String {
    let replaced = |name: &str| {
        set.iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    };
    let sent = head.headers.iter().filter(|(name, _)| !replaced(name));
    let sent = sent.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value)));
    let set = set
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().into()));
    let url = quoted(&format!("https://{}{}", head.authority, head.target));
    let mut command = match head.method.as_str() {
        // With -X HEAD curl would wait for a body.
        "HEAD" => format!("curl --head {url}"),
        method => format!("curl -X {} {url}", quoted(method)),
    };
    let mut has_type = false;
    for (name, value) in sent.chain(set) {
        has_type |= name.eq_ignore_ascii_case("content-type");
        // `Name:` would take the header away; a semicolon sends it without a value.
        let line = match value.is_empty() {
            true => format!("{name};"),
            false => format!("{name}: {value}"),
        };
        let _ = write!(command, " \\\n  -H {}", quoted(&line));
    }
    let data = match body {
        CurlBody::None => return command,
        CurlBody::Text(text) => format!("--data-raw {}", quoted(text)),
        CurlBody::File(path) => format!("--data-binary {}", quoted(&format!("@{path}"))),
    };
    if !has_type {
        // Without a type curl would claim that it is a form.
        command.push_str(" \\\n  -H 'Content-Type:'");
    }
    let _ = write!(command, " \\\n  {data}");
    command
}

/// One word of a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@,+%".contains(&byte);
    match !text.is_empty() && text.bytes().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, headers: &[(&str, &str)]) -> RequestHead {
        let line = |(n, v): &(&str, &str)| ((*n).to_owned(), v.as_bytes().to_vec());
        RequestHead {
            method: method.to_owned(),
            authority: "api.bank.example".to_owned(),
            target: "/v1/x?a=1&b=2".to_owned(),
            headers: headers.iter().map(line).collect(),
        }
    }

    fn set(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let line = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
        headers.iter().map(line).collect()
    }

    #[test]
    fn line_ends_are_visible() {
        assert_eq!(
            string_to_sign(b"a: 1\nb: 2"),
            "string to sign: 9 bytes, 2 lines, no line feed at the end\n  a: 1\u{23ce}\n  b: 2\n"
        );
        assert_eq!(
            string_to_sign(b"a: \x1b\n"),
            "string to sign: 5 bytes, 1 line, a line feed at the end\n  a: \\u{1b}\u{23ce}\n"
        );
    }

    #[test]
    fn curl_sends_what_was_signed() {
        let head = head("POST", &[("Digest", "old"), ("X-Empty", "")]);
        let body = CurlBody::Text("it's".to_owned());
        assert_eq!(
            curl(
                &head,
                &set(&[("digest", "new"), ("Signature", "k=\"v\"")]),
                &body
            ),
            "curl -X POST 'https://api.bank.example/v1/x?a=1&b=2' \\\n  \
             -H 'X-Empty;' \\\n  -H 'digest: new' \\\n  -H 'Signature: k=\"v\"' \\\n  \
             -H 'Content-Type:' \\\n  --data-raw 'it'\\''s'"
        );
    }

    #[test]
    fn curl_asks_for_a_head_without_waiting_for_a_body() {
        let command = curl(&head("HEAD", &[]), &[], &CurlBody::None);
        assert_eq!(
            command,
            "curl --head 'https://api.bank.example/v1/x?a=1&b=2'"
        );
    }

    #[test]
    fn bytes_that_no_terminal_takes_come_from_a_file() {
        for bytes in [&[0xff][..], b"\x1b[2J", b"a\0b", b"a\rb"] {
            let body = SavedBody {
                bytes: Some(bytes.to_vec()),
                digests: Vec::new(),
            };
            let command = curl(&head("PUT", &[("Content-Type", "a/b")]), &[], &body.into());
            assert!(command.ends_with("--data-binary @BODY"), "{command}");
        }
    }

    #[test]
    fn lines_of_a_body_stay_as_they_are() {
        let explanation = Explanation {
            to_be_signed: b"a: 1".to_vec(),
            digest: Vec::new(),
            signed_fields: Vec::new(),
            algorithm: String::new(),
            key_id: String::new(),
            headers: Vec::new(),
            jws: String::new(),
            version: String::new(),
            profile: "p".to_owned(),
            confidence: "seen".to_owned(),
        };
        let body = CurlBody::of_text("{\n\"a\":1}".to_owned());
        let command = curl(&head("POST", &[]), &[], &body);
        let text = format!("{:?}", report(&explanation, Some(&command)));
        assert!(text.contains(r#"'{\n\"a\":1}'"#), "{text}");
    }
}
