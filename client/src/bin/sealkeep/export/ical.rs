//! A calendar of what ends: RFC 5545.
//!
//! In: everything that ends. Out: one event for the begin of each renewal and one for each end. The UID of an event is
//! that of its certificate, so that a calendar imported again moves nothing and doubles nothing.

use crate::expiry;
use jiff::Timestamp;
use sealkeep_client::v1::Expiry;

/// Octets of a line, its end not counted (RFC 5545 section 3.1).
const LINE_OCTETS_MAX: usize = 75;

pub(super) fn calendar(expiries: &[Expiry], now: Timestamp) -> String {
    let mut text = String::new();
    for content in [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        concat!(
            "PRODID:-//Sealkeep//sealkeep ",
            env!("CARGO_PKG_VERSION"),
            "//EN"
        ),
        "NAME:Sealkeep certificates",
        "X-WR-CALNAME:Sealkeep certificates",
    ] {
        line(&mut text, content);
    }
    for expiry in expiries {
        if let Some(at) = expiry::renew(expiry) {
            event(&mut text, expiry, "renew", at, now);
        }
        if let Some(at) = expiry::end(expiry) {
            event(&mut text, expiry, "end", at, now);
        }
    }
    line(&mut text, "END:VCALENDAR");
    text
}

fn event(text: &mut String, expiry: &Expiry, what: &str, at: Timestamp, now: Timestamp) {
    let summary = match what {
        "renew" => format!("Renew {}", expiry.name),
        _ => format!("{} ends", expiry.name),
    };
    let mut about = vec![expiry.kind.replace('_', " ")];
    about.push(format!("issuer {}", expiry.issuer));
    about.push(format!("serial number {}", expiry.serial_number));
    if !expiry.banks.is_empty() {
        about.push(format!("banks {}", expiry.banks.join(" ")));
    }
    line(text, "BEGIN:VEVENT");
    line(
        text,
        &format!("UID:{}-{}-{what}@sealkeep", expiry.kind, expiry.sha256),
    );
    line(text, &format!("DTSTAMP:{}", stamp(now)));
    line(text, &format!("DTSTART:{}", stamp(at)));
    line(text, &format!("SUMMARY:{}", escaped(&summary)));
    line(text, &format!("DESCRIPTION:{}", escaped(&about.join("\n"))));
    line(text, "TRANSP:TRANSPARENT");
    line(text, "END:VEVENT");
}

/// UTC, as section 3.3.5 form 2 has it.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// TEXT of section 3.3.11. Control characters have no place in it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A content line, folded between characters.
fn line(text: &mut String, content: &str) {
    let mut octets = 0;
    for c in content.chars() {
        if octets + c.len_utf8() > LINE_OCTETS_MAX {
            text.push_str("\r\n ");
            octets = 1;
        }
        text.push(c);
        octets += c.len_utf8();
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ending(name: &str) -> Expiry {
        let mut expiry = Expiry {
            kind: "version".into(),
            name: name.into(),
            sha256: "ab".repeat(32),
            banks: vec!["ing-de".into()],
            ..Expiry::default()
        };
        expiry.end_time.get_or_insert_default().seconds = 1_795_478_400;
        expiry.renew_time.get_or_insert_default().seconds = 1_787_702_400;
        expiry
    }

    #[test]
    fn each_thing_has_a_day_to_renew_it_and_a_day_it_ends() {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let text = calendar(&[ending("acme-seal@1")], now);
        assert!(text.starts_with("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n"));
        assert!(text.ends_with("END:VEVENT\r\nEND:VCALENDAR\r\n"));
        for wanted in [
            "DTSTAMP:20260102T030405Z\r\n",
            "DTSTART:20260826T000000Z\r\nSUMMARY:Renew acme-seal@1\r\n",
            "DTSTART:20261124T000000Z\r\nSUMMARY:acme-seal@1 ends\r\n",
        ] {
            assert!(text.contains(wanted), "{text}");
        }
        assert_eq!(text.matches("UID:version-abab").count(), 2);
    }

    #[test]
    fn names_cannot_add_lines_and_lines_are_short() {
        let name = format!("x\r\nEND:VCALENDAR;,\\{}", "é".repeat(200));
        let text = calendar(&[ending(&name)], Timestamp::UNIX_EPOCH);
        assert_eq!(text.matches("\r\nEND:VCALENDAR").count(), 1);
        let lines: Vec<_> = text.split("\r\n").collect();
        assert!(lines.iter().all(|line| line.len() <= LINE_OCTETS_MAX));
        let unfolded = text.replace("\r\n ", "");
        assert!(
            unfolded.contains("SUMMARY:Renew x \\nEND:VCALENDAR\\;\\,\\\\ééé"),
            "{unfolded}"
        );
    }
}
