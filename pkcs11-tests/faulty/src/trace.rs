//! One JSON line for each call, each broken rule and each death.
//!
//! In: calls. Out: lines appended to a file, whole ones even from several processes. It is given no bytes of a call,
//! so it can write none: no PIN, no digest, no signature, no attribute.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cryptoki_sys::CK_RV;
use serde::Serialize;

use crate::call::Call;
use crate::script::Action;
use crate::{names, shim};

/// Where the lines go; without a file only broken rules are told, on stderr.
pub(crate) struct Trace(Option<File>);

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    /// Microseconds since 1970, at the end of the call.
    t: u128,
    pid: u32,
    tid: i32,
    #[serde(rename = "fn")]
    function: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mechanism: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rv: Option<String>,
    /// How long the call took (microseconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    us: Option<u128>,
    /// How many rules of the script fired.
    #[serde(skip_serializing_if = "is_zero")]
    broken: usize,
    /// `hang` or `die`: the call may never end.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    /// What came of an attempt to escape: `done`, or what stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    escape: Option<String>,
    /// A rule that the application breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    violation: Option<&'a str>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde wants it so.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Trace {
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn new(path: Option<PathBuf>) -> Result<Self, String> {
        let open = |path: PathBuf| {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            file.map_err(|error| format!("{}: {error}", path.display()))
        };
        path.map(open).transpose().map(Self)
    }

    #[allow(clippy::disallowed_methods)] // A trace is about time.
    pub(crate) fn clock(&self) -> Instant {
        Instant::now()
    }

    pub(crate) fn call(&self, call: &Call, rv: CK_RV, started: Instant, actions: &[Action]) {
        if self.0.is_some() {
            let rv = Some(names::return_code_name(rv));
            let us = Some(started.elapsed().as_micros());
            self.write(&Line {
                rv,
                us,
                broken: actions.len(),
                ..Line::of(call)
            });
        }
    }

    pub(crate) fn event(&self, call: &Call, event: &str) {
        self.write(&Line {
            event: Some(event),
            ..Line::of(call)
        });
    }

    pub(crate) fn escape(&self, call: &Call, outcome: &io::Result<()>) {
        let outcome = match outcome {
            Ok(()) => "done".to_owned(),
            Err(error) => error.to_string(),
        };
        self.write(&Line {
            escape: Some(outcome),
            ..Line::of(call)
        });
    }

    pub(crate) fn violation(&self, call: &Call, violation: &str) {
        if self.0.is_none() {
            shim::complain(&format!("{violation} by {}", call.function));
        }
        self.write(&Line {
            violation: Some(violation),
            ..Line::of(call)
        });
    }

    fn write(&self, line: &Line<'_>) {
        let Some(mut file) = self.0.as_ref() else {
            return;
        };
        let Ok(mut text) = serde_json::to_vec(line) else {
            return;
        };
        text.push(b'\n');
        // One write: lines of several threads and processes do not mix.
        if let Err(error) = file.write_all(&text) {
            shim::complain(&format!("the trace: {error}"));
        }
    }
}

impl<'a> Line<'a> {
    #[allow(clippy::disallowed_methods)] // A trace is about time.
    fn of(call: &'a Call) -> Self {
        Self {
            t: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_micros()),
            pid: std::process::id(),
            tid: rustix::thread::gettid().as_raw_nonzero().get(),
            function: call.function,
            session: call.session,
            slot: call.slot,
            mechanism: call.mechanism.map(names::mechanism_name),
            rv: None,
            us: None,
            broken: 0,
            event: None,
            escape: None,
            violation: None,
        }
    }
}
