//! Whether a log is whole.
//!
//! In: lines in order. Out: every fault with its position, and how the intents ended. Never: a repair.
//!
//! Links prove that nothing inside was changed, taken out, put in or moved. They cannot prove that the newest records
//! were not cut off: that needs a checkpoint kept elsewhere.

use std::collections::BTreeSet;

use super::record::{LeafHash, ParsedRecord, leaf_hash};
use crate::store::{AuditLine, Store, StoreError};

/// Most faults that are listed; more are only counted.
pub const FAULTS_MAX: usize = 100;

/// Lines read at a time.
const PAGE_LINES: u32 = 2_000;

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it was found.
    pub seq: u64,
    /// Stable code.
    pub code: &'static str,
    /// In words.
    pub detail: String,
}

/// What verification found.
#[derive(Debug, Default)]
pub struct Report {
    /// How many records were read.
    pub record_count: u64,
    /// Hash of the last record.
    pub head: LeafHash,
    /// What is wrong, at most [`FAULTS_MAX`].
    pub faults: Vec<Fault>,
    /// How the intents ended.
    pub ends: Ends,
}

/// How the intents of a log ended.
#[derive(Debug, Default)]
pub struct Ends {
    open: BTreeSet<u64>,
    /// Signatures released.
    pub released: u64,
    /// Intents that failed.
    pub failed: u64,
    /// Intents that a crash left open and a later start closed.
    pub unknown: Vec<u64>,
}

/// Reads the whole log of a store.
pub async fn verify(store: &Store, log: &str) -> Result<Report, StoreError> {
    let mut check = Check {
        log: log.to_owned(),
        report: Report::default(),
    };
    let mut from = 0;
    loop {
        let lines = store.audit_from(log, from, PAGE_LINES).await?;
        let Some(last) = lines.last() else { break };
        from = last.seq + 1;
        lines.iter().for_each(|line| check.line(line));
    }
    Ok(check.report)
}

/// Checks lines that are in memory, for example an export.
pub fn verify_lines(log: &str, lines: &[AuditLine]) -> Report {
    let mut check = Check {
        log: log.to_owned(),
        report: Report::default(),
    };
    lines.iter().for_each(|line| check.line(line));
    check.report
}

struct Check {
    log: String,
    report: Report,
}

impl Check {
    fn line(&mut self, line: &AuditLine) {
        let expected = self.report.record_count;
        if line.seq != expected {
            self.fault(line.seq, "gap", format!("position {expected} was expected"));
            self.report.record_count = line.seq;
        }
        match ParsedRecord::parse(&line.line) {
            Err(error) => self.fault(line.seq, "malformed", error.to_string()),
            Ok(record) => self.record(line.seq, &record),
        }
        self.report.record_count += 1;
        self.report.head = leaf_hash(&line.line);
    }

    fn record(&mut self, seq: u64, record: &ParsedRecord) {
        if record.v != 1 || record.seq != seq || record.log != self.log {
            let detail = format!("says version {}, {}/{}", record.v, record.log, record.seq);
            self.fault(seq, "malformed", detail);
        }
        if record.prev != hex::encode(self.report.head) {
            self.fault(
                seq,
                "link_broken",
                "does not follow the record before".to_owned(),
            );
        }
        for (code, detail) in self.report.ends.take(record) {
            self.fault(seq, code, detail);
        }
    }

    fn fault(&mut self, seq: u64, code: &'static str, detail: String) {
        if self.report.faults.len() < FAULTS_MAX {
            self.report.faults.push(Fault { seq, code, detail });
        }
    }
}

impl Ends {
    /// Intents without an end.
    pub fn open(&self) -> impl Iterator<Item = u64> + '_ {
        self.open.iter().copied()
    }

    /// Follows one record; answers what is inconsistent.
    fn take(&mut self, record: &ParsedRecord) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        match record.ev.as_str() {
            "sign.intent" => {
                self.open.insert(record.seq);
            }
            "sign.closed" => {
                self.released += self.close(record, "released", &mut faults).len() as u64;
            }
            "sign.failed" => {
                self.failed += self.close(record, "intent", &mut faults).len() as u64;
            }
            "sign.unknown" => {
                let closed = self.close(record, "intents", &mut faults);
                self.unknown.extend(closed);
            }
            _ => {}
        }
        faults
    }

    /// Follows one record of a log whose beginning was not read: an end without its intent is no fault.
    pub(super) fn take_tail(&mut self, record: &ParsedRecord) {
        self.take(record);
    }

    /// Closes the intents that a record names in `field`, a number or a list of numbers.
    fn close(
        &mut self,
        record: &ParsedRecord,
        field: &str,
        faults: &mut Vec<(&'static str, String)>,
    ) -> Vec<u64> {
        let named = match &record.data[field] {
            serde_json::Value::Array(list) => list.iter().map(|v| v.as_u64()).collect(),
            one => vec![one.as_u64()],
        };
        let mut closed = Vec::with_capacity(named.len());
        for seq in named {
            match seq {
                None => faults.push(("malformed", format!("data.{field} is not a position"))),
                Some(seq) if self.open.remove(&seq) => closed.push(seq),
                Some(seq) if seq < record.seq => {
                    faults.push(("closed_twice", format!("{seq} is not an open intent")));
                }
                Some(seq) => faults.push(("closed_unknown", format!("{seq} lies ahead"))),
            }
        }
        closed
    }
}
