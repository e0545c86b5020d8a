//! The one writer of the log: group commit, positions and links.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::AuditError;
use super::meter::Meter;
use super::record::{Event, LeafHash, ParsedRecord, Record, leaf_hash};
use super::verify::Ends;
use crate::clock::{self, SharedClock};
use crate::store::{AuditLine, Store, StoreError};

/// Most commands taken into one commit.
const BATCH_COMMANDS_MAX: usize = 256;
/// Most signatures listed in one closing record; keeps a line under 8 KiB.
const CLOSED_PER_RECORD_MAX: usize = 512;
/// How long a released signature waits for a commit to go with before it gets one of its own, milliseconds.
const CLOSE_IDLE_MS: u64 = 50;
/// How many of the last records are read at start to find intents that a crash left open.
const TAIL_RECORDS: u64 = 10_000;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Append and say when it is durable.
    Append {
        /// What.
        record: Record,
        /// Gets the position.
        reply: oneshot::Sender<Result<u64, AuditError>>,
    },
    /// List this intent in the next closing record.
    Released {
        /// Position of the intent.
        seq: u64,
    },
}

#[derive(Debug)]
pub(super) struct Writer {
    store: Store,
    clock: SharedClock,
    log: Arc<str>,
    /// The position of the next record, shared with readers as the size of the log.
    size: Arc<AtomicU64>,
    next: u64,
    prev: LeafHash,
    released: Vec<u64>,
    meter: Meter,
    /// After a failed commit the outcome is unknown until the head has been read again.
    head_unsure: bool,
}

impl Writer {
    pub(super) async fn new(
        store: Store,
        clock: SharedClock,
        log: Arc<str>,
        size: Arc<AtomicU64>,
        meter: Meter,
    ) -> Result<Self, StoreError> {
        let mut writer = Self {
            store,
            clock,
            log,
            size,
            next: 0,
            prev: [0; 32],
            released: Vec::new(),
            meter,
            head_unsure: false,
        };
        writer.read_head().await?;
        Ok(writer)
    }

    /// Reads where the log ends.
    async fn read_head(&mut self) -> Result<(), StoreError> {
        if let Some(head) = self.store.audit_head(&self.log).await? {
            self.next = head.seq + 1;
            self.prev = leaf_hash(&head.line);
        }
        self.size.store(self.next, Ordering::Relaxed);
        self.head_unsure = false;
        Ok(())
    }

    /// Closes, as unknown, the intents that an earlier process left open. Only the tail can hold any.
    pub(super) async fn close_unknown(&mut self) -> Result<(), StoreError> {
        let mut ends = Ends::default();
        let mut from = self.next.saturating_sub(TAIL_RECORDS);
        loop {
            let lines = self.store.audit_from(&self.log, from, 1_000).await?;
            let Some(last) = lines.last() else { break };
            from = last.seq + 1;
            for line in &lines {
                // A line that does not parse is for `verify` to report; start must still be possible to look at it.
                if let Ok(record) = ParsedRecord::parse(&line.line) {
                    ends.take_tail(&record);
                }
            }
        }
        let open: Vec<u64> = ends.open().collect();
        for some in open.chunks(CLOSED_PER_RECORD_MAX) {
            let data = serde_json::json!({ "intents": some }).to_string();
            self.commit(&[Record {
                event: Event::SignUnknown,
                who: None,
                data,
            }])
            .await?;
        }
        Ok(())
    }

    /// Writes until every sender is gone.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut batch = Vec::with_capacity(BATCH_COMMANDS_MAX);
        loop {
            let received = queue.recv_many(&mut batch, BATCH_COMMANDS_MAX);
            let count = if self.released.is_empty() {
                received.await
            } else {
                match tokio::time::timeout(Duration::from_millis(CLOSE_IDLE_MS), received).await {
                    Ok(count) => count,
                    Err(_) => {
                        self.write(Vec::new()).await;
                        continue;
                    }
                }
            };
            let last = count == 0;
            let mut appends = Vec::with_capacity(batch.len());
            for command in batch.drain(..) {
                match command {
                    Command::Append { record, reply } => appends.push((record, reply)),
                    Command::Released { seq } => self.released.push(seq),
                }
            }
            if !appends.is_empty() || last {
                self.write(appends).await;
            }
            if last {
                return;
            }
        }
    }

    /// One commit: what was released since the last one, then the new records. Answers everybody.
    async fn write(&mut self, appends: Vec<(Record, oneshot::Sender<Result<u64, AuditError>>)>) {
        let released = std::mem::take(&mut self.released);
        let mut records: Vec<Record> = released
            .chunks(CLOSED_PER_RECORD_MAX)
            .map(closing_record)
            .collect();
        let closings = records.len() as u64;
        let (new, replies): (Vec<_>, Vec<_>) = appends.into_iter().unzip();
        records.extend(new);
        if records.is_empty() {
            return;
        }
        match self.commit(&records).await {
            Ok(first) => {
                for (offset, reply) in (closings..).zip(replies) {
                    // Who no longer waits has given up; its intent stays open and that is recorded as such.
                    let _ = reply.send(Ok(first + offset));
                }
            }
            Err(error) => {
                tracing::error!(%error, records = records.len(), "audit log cannot be written");
                self.meter.failed();
                self.released = released;
                self.head_unsure = true;
                let error = AuditError::NotWritten(error.to_string());
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// Commits records at the next positions; answers the first position.
    async fn commit(&mut self, records: &[Record]) -> Result<u64, StoreError> {
        if self.head_unsure {
            self.read_head().await?;
        }
        let now = self.clock.now();
        let (mut seq, mut prev) = (self.next, self.prev);
        let mut lines = Vec::with_capacity(records.len());
        for record in records {
            let line = record.line(&self.log, seq, &prev, now);
            prev = leaf_hash(&line);
            lines.push(AuditLine { seq, line });
            seq += 1;
        }
        let begun = clock::monotonic();
        self.store.append_audit(&self.log, &lines).await?;
        self.meter.committed(lines.len(), begun.elapsed());
        let first = self.next;
        (self.next, self.prev) = (seq, prev);
        self.size.store(seq, Ordering::Relaxed);
        Ok(first)
    }
}

fn closing_record(released: &[u64]) -> Record {
    let data = serde_json::json!({ "released": released }).to_string();
    Record {
        event: Event::SignClosed,
        who: None,
        data,
    }
}
