//! `sealkeep audit ...`: reads and verifies the log.
//!
//! In: `ListAuditRecords`, `VerifyAuditLog`. Out: records as lines for people (JSON has them as they were hashed), the
//! verdict. Never: exit code 0 for a log that is not whole.

use crate::failure::Failure;
use crate::report::{Report, pairs, table};
use crate::words::{rfc3339, time};
use clap::Subcommand;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::audit_service_client::AuditServiceClient;
use sealkeep_client::v1::{
    AuditFault, AuditRecord, ListAuditRecordsRequest, VerifyAuditLogRequest, VerifyAuditLogResponse,
};
use serde_json::{Value, json};

/// How many records one call asks for at most.
const PAGE_SIZE_MAX: u32 = 1_000;
/// Hexadecimal words longer than this are cut in tables.
const HEX_SHOWN: usize = 12;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// The newest records.
    List {
        /// At most this many.
        #[arg(long, default_value = "50", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// Only events that begin with this, for example `sign.`.
        #[arg(long, value_name = "PREFIX", default_value = "")]
        event: String,
        /// The log of another replica; that of the one that answers when left out
        #[arg(long, value_name = "LOG", default_value = "")]
        log: String,
    },
    /// Check every link of the log. Exit code 7 when it is not whole.
    Verify {
        /// The log of another replica; that of the one that answers when left out
        #[arg(long, value_name = "LOG", default_value = "")]
        log: String,
    },
}

impl Verb {
    pub(crate) async fn run(self, sealkeep: &Sealkeep) -> Result<Report, Failure> {
        match self {
            Self::List { limit, event, log } => list(sealkeep, limit, event, log).await,
            Self::Verify { log } => verify(sealkeep, log).await,
        }
    }
}

async fn list(
    sealkeep: &Sealkeep,
    limit: u32,
    event_prefix: String,
    log: String,
) -> Result<Report, Failure> {
    let limit = limit as usize;
    let mut records = Vec::new();
    let mut page_token = String::new();
    while records.len() < limit {
        let left = u32::try_from(limit - records.len()).unwrap_or(PAGE_SIZE_MAX);
        let request = ListAuditRecordsRequest {
            page_size: left.min(PAGE_SIZE_MAX),
            page_token,
            from_sequence: 0,
            event_prefix: event_prefix.clone(),
            newest_first: true,
            log: log.clone(),
        };
        let page = sealkeep
            .call(request, async |channel, request| {
                AuditServiceClient::new(channel)
                    .list_audit_records(request)
                    .await
            })
            .await?;
        records.extend(page.records);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    records.truncate(limit);
    // The newest were asked for; people read downwards.
    records.reverse();
    let json = json!({ "records": records.iter().map(to_json).collect::<Vec<_>>() });
    let rows = records.iter().map(row).collect();
    Ok(Report::new(
        table(["SEQUENCE", "TIME", "EVENT", "CALLER", "DATA"], rows),
        json,
    ))
}

async fn verify(sealkeep: &Sealkeep, log: String) -> Result<Report, Failure> {
    let verdict = sealkeep
        .call(VerifyAuditLogRequest { log }, async |channel, request| {
            AuditServiceClient::new(channel)
                .verify_audit_log(request)
                .await
        })
        .await?;
    Ok(render(&verdict))
}

fn render(verdict: &VerifyAuditLogResponse) -> Report {
    let whole = verdict.faults.is_empty();
    let unknown = match verdict.unknown_sequences.len() {
        0 => String::new(),
        count => format!("{count} (never closed: the signature may have been released)"),
    };
    let mut text = pairs(&[
        (
            "log",
            format!(
                "{} {}",
                verdict.log,
                if whole { "is whole" } else { "IS NOT WHOLE" }
            ),
        ),
        ("records", verdict.record_count.to_string()),
        ("released", verdict.released_count.to_string()),
        ("failed", verdict.failed_count.to_string()),
        ("unknown", unknown),
        ("head", verdict.head.clone()),
    ]);
    if verdict.logs.len() > 1 {
        text.push_str(&pairs(&[("all logs", verdict.logs.join(", "))]));
    }
    if !whole {
        let row = |fault: &AuditFault| {
            [
                fault.sequence.to_string(),
                fault.code.clone(),
                fault.detail.clone(),
            ]
        };
        text.push('\n');
        let rows = verdict.faults.iter().map(row).collect();
        text.push_str(&table(["SEQUENCE", "FAULT", "DETAIL"], rows));
    }
    let fault = |fault: &AuditFault| json!({ "sequence": fault.sequence, "code": fault.code, "detail": fault.detail });
    let json = json!({
        "log": verdict.log,
        "whole": whole,
        "record_count": verdict.record_count,
        "head": verdict.head,
        "faults": verdict.faults.iter().map(fault).collect::<Vec<_>>(),
        "released_count": verdict.released_count,
        "failed_count": verdict.failed_count,
        "unknown_sequences": verdict.unknown_sequences,
        "logs": verdict.logs,
    });
    Report::new(text, json).negative(!whole)
}

fn row(record: &AuditRecord) -> [String; 5] {
    let made = record
        .create_time
        .as_ref()
        .and_then(|made| time(made.seconds, made.nanos));
    let line: Value = serde_json::from_str(&record.line).unwrap_or_default();
    [
        record.sequence.to_string(),
        rfc3339(made),
        record.event.clone(),
        record.caller.clone(),
        facts(&line["data"]),
    ]
}

/// The facts of a record, one line.
fn facts(data: &Value) -> String {
    let Some(data) = data.as_object() else {
        return String::new();
    };
    let said = data.iter().filter(|(_, value)| !value.is_null());
    said.map(|(name, value)| format!("{name}={}", word(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => cut(text),
        Value::Array(values) => values.iter().map(word).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Hashes are told by their beginning.
fn cut(text: &str) -> String {
    let hex = text.len() > 2 * HEX_SHOWN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex {
        format!("{}..", &text[..HEX_SHOWN])
    } else {
        text.to_owned()
    }
}

fn to_json(record: &AuditRecord) -> Value {
    let made = record
        .create_time
        .as_ref()
        .and_then(|made| time(made.seconds, made.nanos));
    json!({
        "sequence": record.sequence,
        "create_time": rfc3339(made),
        "event": record.event,
        "caller": record.caller,
        "line": record.line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_fit_in_a_line() {
        let data = json!({ "bank": "b", "fields": ["digest", "date"], "n": 3, "none": null,
            "sha256": "ab".repeat(32) });
        assert_eq!(
            facts(&data),
            "bank=b fields=digest,date n=3 sha256=abababababab.."
        );
    }

    #[test]
    fn a_broken_log_says_so() {
        let fault = AuditFault {
            sequence: 7,
            code: "gap".into(),
            detail: "6 is missing".into(),
        };
        let verdict = VerifyAuditLogResponse {
            log: "main".into(),
            faults: vec![fault],
            unknown_sequences: vec![3],
            ..Default::default()
        };
        let report = format!("{:?}", render(&verdict));
        assert!(
            report.contains("IS NOT WHOLE") && report.contains("exit: 7"),
            "{report}"
        );
        assert!(report.contains("may have been released"), "{report}");
        let whole = VerifyAuditLogResponse::default();
        assert!(format!("{:?}", render(&whole)).contains("exit: 0"));
    }
}
