//! The host name inside the server_name extension.
//!
//! In: the extension's data. Out: the one host name, in lower case. Never accepts a second name, another name type,
//! an IP address, or text that is no host name. Serves RFC 6066 section 3 and RFC 1123 section 2.1.

use crate::format::certificate_verify::wire::Reader;
use crate::refusal::Refusal;

const HOST_NAME: u8 = 0;
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// `ServerNameList { ServerName<1..2^16-1> }` with exactly one host_name.
pub(super) fn parse(extension: &[u8]) -> Result<String, Refusal> {
    const WHAT: &str = "server_name is malformed";
    let mut outer = Reader::new(extension, WHAT);
    let mut list = Reader::new(outer.vec16()?, WHAT);
    outer.finish()?;
    if list.is_empty() || list.u8()? != HOST_NAME {
        return Err(Refusal::TlsSniMissing);
    }
    let name = list.vec16()?;
    if !list.is_empty() {
        return Err(Refusal::TlsSniMissing);
    }
    host(name).ok_or(Refusal::TlsTranscript {
        what: "server_name is not a host name",
    })
}

fn host(name: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(name).ok()?;
    // A last label of digits alone is the end of an IPv4 address (RFC 1123 section 2.1).
    let last_is_name = text
        .rsplit('.')
        .next()
        .is_some_and(|label| !label.bytes().all(|b| b.is_ascii_digit()));
    let is_host = text.len() <= HOST_BYTES_MAX && last_is_name && text.split('.').all(is_label);
    is_host.then(|| text.to_ascii_lowercase())
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= LABEL_BYTES_MAX
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn extension(entries: &[(u8, &str)]) -> Vec<u8> {
        let mut list = Vec::new();
        for (kind, name) in entries {
            list.push(*kind);
            list.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
            list.extend(name.as_bytes());
        }
        [&u16::try_from(list.len()).unwrap().to_be_bytes()[..], &list].concat()
    }

    #[test]
    fn reads_the_one_host_name_in_lower_case() {
        assert_eq!(
            parse(&extension(&[(0, "XS2A.Bank.example")])).unwrap(),
            "xs2a.bank.example"
        );
        let longest = format!("{}a", "a.".repeat(126));
        assert_eq!(longest.len(), HOST_BYTES_MAX);
        for name in ["localhost", "xs2a-1.my_bank.example", &longest] {
            assert_eq!(parse(&extension(&[(0, name)])).unwrap(), name);
        }
    }

    #[test]
    fn refuses_no_name_two_names_and_names_of_another_type() {
        for entries in [
            &[][..],
            &[(0, "a.example"), (0, "b.example")],
            &[(1, "a.example")],
        ] {
            assert_eq!(parse(&extension(entries)), Err(Refusal::TlsSniMissing));
        }
    }

    #[test]
    fn refuses_text_that_is_no_host_name() {
        let (long_label, long) = ("a".repeat(64), format!("{}aa", "a.".repeat(126)));
        for name in [
            "",
            ".",
            "a.",
            "a..b",
            "10.0.0.1",
            "-a.example",
            "a-.example",
            "a b",
            "b\u{e4}nk",
            "::1",
            &long_label,
            &long,
        ] {
            assert!(matches!(
                parse(&extension(&[(0, name)])),
                Err(Refusal::TlsTranscript { .. })
            ));
        }
    }
}
