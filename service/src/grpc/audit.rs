//! `AuditService`.

use sealkeep_proto::v1::{self, audit_service_server::AuditService};
use tonic::{Request, Response, Status};

use super::entry::{Entry, enter, enter_long};
use super::error::{invalid, status_of};
use super::{Api, wire};
use crate::audit::{Event, ParsedRecord, verify};
use crate::domain::Role;
use crate::store::AuditLine;

/// Who may read the log.
const READERS: [Role; 2] = [Role::Officer, Role::Auditor];
/// Records read from the store at a time.
const READ_RECORDS: u32 = 500;

#[tonic::async_trait]
impl AuditService for Api {
    async fn list_audit_records(
        &self,
        request: Request<v1::ListAuditRecordsRequest>,
    ) -> Result<Response<v1::ListAuditRecordsResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "ListAuditRecords").await?;
        let size = wire::page_size(message.page_size)?;
        let begin = match (message.page_token.as_str(), message.newest_first) {
            ("", false) => message.from_sequence,
            ("", true) => u64::MAX,
            (token, _) => token
                .parse()
                .map_err(|_| invalid("page_token", "not one of ours"))?,
        };
        let log = self.log_named(&message.log).await?;
        let page = self.page(&log, begin, size, &message).await?;
        Ok(Response::new(page))
    }

    async fn verify_audit_log(
        &self,
        request: Request<v1::VerifyAuditLogRequest>,
    ) -> Result<Response<v1::VerifyAuditLogResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter_long(request)?;
        self.require(&caller, &READERS, "VerifyAuditLog").await?;
        let log = self.log_named(&message.log).await?;
        // Its own record goes with a commit that closes every signature released before it.
        let audit = &self.0.audit;
        let appended = audit.append(
            Event::AuditVerify,
            Some(caller.as_str()),
            serde_json::json!({}),
        );
        appended.await.map_err(|error| status_of(&error))?;
        let report = verify::verify(self.0.world.store(), &log).await;
        let report = report.map_err(|error| status_of(&error))?;
        let fault = |fault: &verify::Fault| v1::AuditFault {
            sequence: fault.seq,
            code: fault.code.to_owned(),
            detail: fault.detail.clone(),
        };
        let unknown = report
            .ends
            .unknown
            .iter()
            .copied()
            .chain(report.ends.open());
        Ok(Response::new(v1::VerifyAuditLogResponse {
            log,
            record_count: report.record_count,
            head: hex::encode(report.head),
            faults: report.faults.iter().map(fault).collect(),
            released_count: report.ends.released,
            failed_count: report.ends.failed,
            unknown_sequences: unknown.collect(),
            logs: self.logs().await?,
        }))
    }
}

impl Api {
    async fn logs(&self) -> Result<Vec<String>, Status> {
        let logs = self.0.world.store().audit_logs().await;
        logs.map_err(|error| status_of(&error))
    }

    /// The log of this name; of this replica when there is no name.
    async fn log_named(&self, name: &str) -> Result<String, Status> {
        let logs = self.logs().await?;
        match name {
            "" => Ok(self.0.audit.name().to_owned()),
            _ if logs.iter().any(|log| log == name) => Ok(name.to_owned()),
            _ => Err(invalid("log", format!("one of {}", logs.join(", ")))),
        }
    }

    /// Reads on until the page is full or the log ends.
    async fn page(
        &self,
        log: &str,
        mut at: u64,
        size: usize,
        wanted: &v1::ListAuditRecordsRequest,
    ) -> Result<v1::ListAuditRecordsResponse, Status> {
        let store = self.0.world.store();
        let mut records = Vec::new();
        loop {
            let lines = match wanted.newest_first {
                true => store.audit_before(log, at, READ_RECORDS).await,
                false => store.audit_from(log, at, READ_RECORDS).await,
            };
            let lines = lines.map_err(|error| status_of(&error))?;
            if lines.is_empty() {
                let next_page_token = String::new();
                return Ok(v1::ListAuditRecordsResponse {
                    records,
                    next_page_token,
                });
            }
            for line in lines {
                at = if wanted.newest_first {
                    line.seq
                } else {
                    line.seq + 1
                };
                let record = record(line);
                if record.event.starts_with(&wanted.event_prefix) {
                    records.push(record);
                }
                if records.len() == size {
                    let next_page_token = at.to_string();
                    return Ok(v1::ListAuditRecordsResponse {
                        records,
                        next_page_token,
                    });
                }
            }
        }
    }
}

/// A line that does not parse is shown as it is; verification reports it.
fn record(line: AuditLine) -> v1::AuditRecord {
    let parsed = ParsedRecord::parse(&line.line).ok();
    v1::AuditRecord {
        sequence: line.seq,
        create_time: parsed.as_ref().map(|record| wire::time(record.t)),
        event: parsed
            .as_ref()
            .map(|record| record.ev.clone())
            .unwrap_or_default(),
        caller: parsed.map(|record| record.who).unwrap_or_default(),
        line: line.line,
    }
}
