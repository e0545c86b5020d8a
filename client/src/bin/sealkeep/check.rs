//! `sealkeep check ...`: answers for monitoring systems that run programs.
//!
//! In: `ListExpiring`, two thresholds. Out: one line with performance data as Nagios plugins have it, or JSON; exit code
//! 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (Monitoring Plugins guidelines). Never: OK for what could not be asked.

use crate::expiry;
use crate::failure::Failure;
use crate::report::{Report, printable};
use crate::words::{left, rfc3339};
use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use sealkeep_client::v1::Expiry;
use sealkeep_client::{Sealkeep, clock};
use serde_json::json;

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;
/// The longest threshold, days: a century.
const DAYS_MAX: i64 = 36_500;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Whether something ends soon. Exit codes as Nagios has them: 0 ok, 1 warning, 2 critical, 3 unknown.
    Expiry {
        /// Warn of what ends within this time.
        #[arg(long, value_name = "DAYSd|HOURSh", default_value = "60d", value_parser = span)]
        warning: i64,
        /// Critical is what ends within this time.
        #[arg(long, value_name = "DAYSd|HOURSh", default_value = "14d", value_parser = span)]
        critical: i64,
        /// How it is said.
        #[arg(long, default_value = "nagios")]
        format: Format,
    },
}

/// How the result is said.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// A line with performance data, then the details.
    Nagios,
    /// JSON.
    Json,
}

/// What it comes to; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl Verb {
    /// Always a report: a check that cannot be made is a result too.
    pub(crate) async fn run(self, connect: impl FnOnce() -> Result<Sealkeep, Failure>) -> Report {
        let Self::Expiry {
            warning,
            critical,
            format,
        } = self;
        if critical > warning {
            return unknown(format, "--critical is longer than --warning");
        }
        let asked = match connect() {
            Ok(sealkeep) => expiry::all(&sealkeep).await,
            Err(failure) => Err(failure),
        };
        match asked {
            Ok(expiries) => render(&expiries, warning, critical, format, clock::now()),
            Err(failure) => unknown(format, &failure.to_string()),
        }
    }
}

fn unknown(format: Format, why: &str) -> Report {
    let verdict = Verdict::Unknown;
    let text = match format {
        Format::Nagios => format!("EXPIRY {} - {}\n", verdict.word(), one_line(why)),
        Format::Json => json_text(&json!({ "verdict": verdict.word(), "message": why })),
    };
    Report::plain(text).exit(verdict as u8)
}

fn render(
    expiries: &[Expiry],
    warning_s: i64,
    critical_s: i64,
    format: Format,
    now: Timestamp,
) -> Report {
    let judge = |expiry: &Expiry| match left_s(expiry, now) {
        None => Verdict::Unknown,
        Some(left_s) if left_s <= critical_s => Verdict::Critical,
        Some(left_s) if left_s <= warning_s => Verdict::Warning,
        Some(_) => Verdict::Ok,
    };
    let worst = expiries.iter().map(judge).max().unwrap_or(Verdict::Ok);
    let text = match format {
        Format::Json => {
            let each = expiries.iter().map(|expiry| {
                json!({
                    "kind": expiry.kind,
                    "name": expiry.name,
                    "end_time": rfc3339(expiry::end(expiry)),
                    "left_s": left_s(expiry, now),
                    "verdict": judge(expiry).word(),
                    "banks": expiry.banks,
                })
            });
            json_text(&json!({ "verdict": worst.word(), "expiries": each.collect::<Vec<_>>() }))
        }
        Format::Nagios => {
            let bad: Vec<_> = expiries.iter().filter(|e| judge(e) > Verdict::Ok).collect();
            let mut text = summary(worst, expiries, &bad, now);
            let measured = expiries
                .iter()
                .filter_map(|expiry| performance(expiry, warning_s, critical_s, now));
            let measured: Vec<_> = measured.collect();
            if !measured.is_empty() {
                text.push_str(&format!(" | {}", measured.join(" ")));
            }
            text.push('\n');
            for expiry in bad {
                let end = rfc3339(expiry::end(expiry));
                let line = format!("{}: {}, {end}", judge(expiry).word(), sentence(expiry, now));
                text.push_str(&one_line(&line));
                text.push('\n');
            }
            text
        }
    };
    Report::plain(text).exit(worst as u8)
}

fn left_s(expiry: &Expiry, now: Timestamp) -> Option<i64> {
    expiry::end(expiry).map(|end| end.as_second() - now.as_second())
}

/// The list is soonest first, so the first is the one to speak of.
fn summary(worst: Verdict, all: &[Expiry], bad: &[&Expiry], now: Timestamp) -> String {
    let text = match (bad.first(), all.first()) {
        (Some(first), _) => format!(
            "{} of {} end soon: {}",
            bad.len(),
            all.len(),
            sentence(first, now)
        ),
        (None, Some(first)) => format!("{} watched, first {}", all.len(), sentence(first, now)),
        (None, None) => "nothing ends".to_owned(),
    };
    one_line(&format!("EXPIRY {} - {text}", worst.word()))
}

fn sentence(expiry: &Expiry, now: Timestamp) -> String {
    match left(expiry::end(expiry), now).as_str() {
        "ended" => format!("{} has ended", expiry.name),
        left => format!("{} ends in {left}", expiry.name),
    }
}

/// `'acme-seal@1'=1036800s;5184000:;1209600:`: seconds left, and the ranges in which that is well.
fn performance(expiry: &Expiry, warning: i64, critical: i64, now: Timestamp) -> Option<String> {
    let left_s = left_s(expiry, now)?;
    // Quotes, equals signs and bars have a meaning in this format.
    let forbidden = |c: char| c.is_control() || matches!(c, '\'' | '=' | '|');
    let name = expiry.name.replace(forbidden, "_");
    Some(format!("'{name}'={left_s}s;{warning}:;{critical}:"))
}

/// A bar begins performance data, a line end the next line.
fn one_line(text: &str) -> String {
    printable(text).replace('|', "/")
}

fn json_text(json: &serde_json::Value) -> String {
    format!("{json:#}\n")
}

/// `60d` or `36h`, in seconds.
fn span(text: &str) -> Result<i64, String> {
    let rule = || "write days as 60d or hours as 36h".to_owned();
    let (number, unit_s) = match text.char_indices().last() {
        Some((at, 'd')) => (&text[..at], DAY_S),
        Some((at, 'h')) => (&text[..at], HOUR_S),
        _ => return Err(rule()),
    };
    let number: i64 = number.parse().map_err(|_| rule())?;
    match number.checked_mul(unit_s) {
        Some(seconds) if (0..=DAYS_MAX * DAY_S).contains(&seconds) => Ok(seconds),
        _ => Err(format!("at most {DAYS_MAX}d")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn now() -> Timestamp {
        "2026-11-24T00:00:00Z".parse().unwrap()
    }

    fn ending(name: &str, days: i64) -> Expiry {
        let mut expiry = Expiry {
            kind: "version".into(),
            name: name.into(),
            ..Expiry::default()
        };
        expiry.end_time.get_or_insert_default().seconds = now().as_second() + days * DAY_S;
        expiry
    }

    fn said(expiries: &[Expiry], format: Format) -> (String, u8) {
        let report = render(expiries, 60 * DAY_S, 14 * DAY_S, format, now());
        (report.text().to_owned(), report.exit_code())
    }

    #[test]
    fn each_verdict_has_its_word_and_exit_code() {
        for (days, word, code) in [
            (61, "OK", 0),
            (60, "WARNING", 1),
            (15, "WARNING", 1),
            (14, "CRITICAL", 2),
            (-3, "CRITICAL", 2),
        ] {
            let (text, exit) = said(&[ending("a@1", days), ending("b@1", 400)], Format::Nagios);
            assert!(text.starts_with(&format!("EXPIRY {word} - ")), "{text}");
            assert_eq!(exit, code, "{days}");
            let (json, exit) = said(&[ending("a@1", days)], Format::Json);
            assert!(json.contains(&format!("\"verdict\": \"{word}\"")), "{json}");
            assert_eq!(exit, code);
        }
        assert_eq!(
            said(&[], Format::Nagios),
            ("EXPIRY OK - nothing ends\n".into(), 0)
        );
    }

    #[test]
    fn the_first_line_has_performance_data_and_the_rest_details() {
        let (text, _) = said(&[ending("a@1", 12), ending("CN=x|'y", 90)], Format::Nagios);
        assert_eq!(
            text,
            "EXPIRY CRITICAL - 1 of 2 end soon: a@1 ends in 12 d | \
             'a@1'=1036800s;5184000:;1209600: 'CN_x__y'=7776000s;5184000:;1209600:\n\
             CRITICAL: a@1 ends in 12 d, 2026-12-06T00:00:00Z\n"
        );
    }

    #[test]
    fn a_name_cannot_forge_a_line_or_performance_data() {
        let (text, _) = said(&[ending("a\nEXPIRY OK | 'x'=1s", 1)], Format::Nagios);
        assert_eq!(text.lines().count(), 2);
        assert_eq!(text.matches('|').count(), 1, "{text}");
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_unknown() {
        let verb = |critical| Verb::Expiry {
            warning: 60 * DAY_S,
            critical,
            format: Format::Nagios,
        };
        let away = || Err(Failure::failed("nobody there"));
        let report = verb(DAY_S).run(away).await;
        assert_eq!(report.text(), "EXPIRY UNKNOWN - nobody there\n");
        assert_eq!(report.exit_code(), 3);
        assert_eq!(verb(61 * DAY_S).run(away).await.exit_code(), 3);
    }

    #[test]
    fn spans_are_days_or_hours() {
        assert_eq!(span("60d"), Ok(60 * DAY_S));
        assert_eq!(span("36h"), Ok(36 * HOUR_S));
        for bad in [
            "",
            "d",
            "60",
            "-1d",
            "1w",
            "1.5d",
            "9999999d",
            "1é",
            "99999999999999999999d",
        ] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
