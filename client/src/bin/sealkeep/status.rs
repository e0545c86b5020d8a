//! `sealkeep status`: one screen of what ends when, the token, the service.
//!
//! In: `GetStatus`. Out: that screen. Never: an exit code other than 0 because something is wrong with what is shown.

use crate::failure::Failure;
use crate::report::{Report, pairs, table};
use crate::words::{left, rfc3339, short, span, state, time};
use jiff::Timestamp;
use sealkeep_client::v1::status_service_client::StatusServiceClient;
use sealkeep_client::v1::{Expiry, GetStatusRequest, GetStatusResponse, TokenStatus};
use sealkeep_client::{Sealkeep, clock};
use serde_json::{Value, json};

/// What ends within so many days is marked.
const SOON_DAYS: i64 = 30;
const DAY_S: i64 = 86_400;
const MIB: u64 = 1024 * 1024;

pub(crate) async fn status(sealkeep: &Sealkeep) -> Result<Report, Failure> {
    let status = sealkeep
        .call(GetStatusRequest {}, async |channel, request| {
            StatusServiceClient::new(channel).get_status(request).await
        })
        .await?;
    Ok(render(&status, clock::now()))
}

fn render(status: &GetStatusResponse, now: Timestamp) -> Report {
    let mut facts = vec![("service", service(status, now))];
    facts.extend(tokens(status).iter().flat_map(token));
    facts.push((
        "log",
        format!(
            "{}, {} records",
            status.audit_log, status.audit_record_count
        ),
    ));
    let mut text = pairs(&facts);
    let rows: Vec<_> = status
        .expiries
        .iter()
        .map(|expiry| row(expiry, now))
        .collect();
    text.push('\n');
    text.push_str(&match rows.is_empty() {
        true => "Nothing ends: no certificate is installed.\n".to_owned(),
        false => table(["WHAT", "NAME", "STATE", "ENDS", "IN", "BANKS"], rows),
    });
    Report::new(text, to_json(status))
}

fn service(status: &GetStatusResponse, now: Timestamp) -> String {
    let start = status
        .start_time
        .and_then(|start| time(start.seconds, start.nanos));
    let mut parts = vec![
        format!("sealkeepd {}", status.software_version),
        start
            .map(|start| format!("up {}", span(start, now)))
            .unwrap_or_default(),
    ];
    if let Some(process) = &status.process {
        parts.push(format!("{} MiB", process.resident_bytes.div_ceil(MIB)));
        parts.push(format!("{:.1} s CPU", process.cpu_seconds));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

/// All of them; from an older service the one that it knows.
fn tokens(status: &GetStatusResponse) -> Vec<TokenStatus> {
    match status.tokens.is_empty() {
        true => status.token.iter().cloned().collect(),
        false => status.tokens.clone(),
    }
}

fn token(token: &TokenStatus) -> Vec<(&'static str, String)> {
    let mut first = match token.ready {
        true => format!(
            "{} ready, {} sessions, {} keys",
            token.name, token.session_count, token.key_count
        ),
        false => format!("{} NOT READY: {}", token.name, token.problem),
    };
    if !token.set.is_empty() && token.set != token.name {
        first.push_str(&format!(", of set {}", token.set));
    }
    let which = format!("label {}, serial {}", token.label, token.serial_number);
    let mut facts = vec![("token", first), ("", which), ("", token.module.clone())];
    // One that never opened has not said it yet.
    match token.protections.is_empty() {
        false => facts.push(("", format!("confined: {}", token.protections.join(" ")))),
        true if token.ready => facts.push((
            "",
            "not confined: the module runs in the service".to_owned(),
        )),
        true => {}
    }
    for (count, what) in [
        (
            token.missing_key_count,
            "keys of the set are MISSING here: `sealkeep credential prove NAME` tells which",
        ),
        (
            token.suspect_key_count,
            "keys are SUSPECT here: signatures by them did not verify",
        ),
    ] {
        if count > 0 {
            facts.push(("", format!("{count} {what}")));
        }
    }
    facts
}

fn row(expiry: &Expiry, now: Timestamp) -> [String; 6] {
    let end = end(expiry);
    let mut left = left(end, now);
    if end.is_some_and(|end| end.as_second() - now.as_second() <= SOON_DAYS * DAY_S) {
        left.push_str(" !");
    }
    [
        expiry.kind.replace('_', " "),
        short(&expiry.name),
        state(expiry.state).to_owned(),
        rfc3339(end),
        left,
        expiry.banks.join(" "),
    ]
}

fn end(expiry: &Expiry) -> Option<Timestamp> {
    expiry
        .end_time
        .as_ref()
        .and_then(|end| time(end.seconds, end.nanos))
}

fn to_json(status: &GetStatusResponse) -> Value {
    let expiry = |expiry: &Expiry| {
        json!({
            "kind": expiry.kind,
            "name": expiry.name,
            "state": state(expiry.state),
            "end_time": rfc3339(end(expiry)),
            "banks": expiry.banks,
        })
    };
    let token = |token: &TokenStatus| {
        json!({
            "name": token.name,
            "set": token.set,
            "ready": token.ready,
            "label": token.label,
            "serial_number": token.serial_number,
            "module": token.module,
            "session_count": token.session_count,
            "key_count": token.key_count,
            "missing_key_count": token.missing_key_count,
            "suspect_key_count": token.suspect_key_count,
            "problem": token.problem,
            "protections": token.protections,
        })
    };
    let tokens = tokens(status);
    let process = status.process.as_ref().map(|process| {
        json!({ "cpu_seconds": process.cpu_seconds, "resident_bytes": process.resident_bytes })
    });
    json!({
        "software_version": status.software_version,
        "start_time": rfc3339(status.start_time.and_then(|t| time(t.seconds, t.nanos))),
        "token": tokens.first().map(token),
        "tokens": tokens.iter().map(token).collect::<Vec<_>>(),
        "expiries": status.expiries.iter().map(expiry).collect::<Vec<_>>(),
        "process": process,
        "audit_log": status.audit_log,
        "audit_record_count": status.audit_record_count,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn marks_what_ends_soon() {
        let now: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let mut expiry = Expiry {
            name: "credentials/a/versions/1".into(),
            ..Default::default()
        };
        let mut ending = |days: i64| {
            let end = expiry.end_time.get_or_insert_default();
            end.seconds = now.as_second() + days * DAY_S;
            row(&expiry, now)[4].clone()
        };
        assert_eq!(ending(31), "31 d");
        assert_eq!(ending(30), "30 d !");
        assert_eq!(ending(-1), "ended !");
    }

    #[test]
    fn a_token_that_lacks_keys_says_so() {
        let replica = TokenStatus {
            name: "hsm-b".into(),
            set: "hsm".into(),
            ready: true,
            missing_key_count: 2,
            ..Default::default()
        };
        let facts = token(&replica);
        assert_eq!(facts[0].1, "hsm-b ready, 0 sessions, 0 keys, of set hsm");
        let missing = "2 keys of the set are MISSING here";
        assert!(facts.iter().any(|(_, said)| said.starts_with(missing)));
    }

    #[test]
    fn a_token_that_is_away_says_why() {
        let away = TokenStatus {
            name: "main".into(),
            problem: "PIN_REFUSED".into(),
            ..Default::default()
        };
        assert_eq!(token(&away)[0].1, "main NOT READY: PIN_REFUSED");
    }

    #[test]
    fn says_what_confines_the_module() {
        let mut status = TokenStatus {
            ready: true,
            ..TokenStatus::default()
        };
        let line = |status: &TokenStatus| token(status).pop().unwrap().1;
        assert!(line(&status).starts_with("not confined"));
        status.protections = vec!["files".into(), "network".into()];
        assert_eq!(line(&status), "confined: files network");
    }
}
