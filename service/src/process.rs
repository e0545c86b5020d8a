//! The process itself: what it uses, and what nobody may take from it.
//!
//! The PIN and request bodies pass through this memory. So no core is ever written and no other process of the same
//! user may look in (`PR_SET_DUMPABLE`, prctl(2)).

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};

/// What the process uses of its machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU seconds, user and system, since the start.
    pub cpu_seconds: f64,
    /// Resident memory, bytes.
    pub resident_bytes: u64,
    /// Context switches of all threads that live now.
    pub switches: u64,
}

/// Closes the process to others.
pub fn harden() -> std::io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    Ok(())
}

/// Ends this process with the one that started it, and lets it gain no privileges (prctl(2)). For a token worker:
/// SIGTERM lets it finish what it is doing.
pub fn end_with_parent() -> std::io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    Ok(())
}

/// What this process uses.
pub fn usage() -> Usage {
    usage_of("self")
}

/// Reads `/proc` (proc(5)); zero where it cannot be read. `pid`: a number, or `self`.
pub fn usage_of(pid: &str) -> Usage {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Fields are counted after the command name, which may hold spaces and parentheses.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|f| f.parse::<u64>().ok())
            .unwrap_or(0)
    };
    // utime and stime are fields 14 and 15, rss is 24; the third field is the first after the name.
    let cpu_ticks = ticks(11) + ticks(12);
    let pages = ticks(21);
    Usage {
        cpu_seconds: cpu_ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        resident_bytes: pages * rustix::param::page_size() as u64,
        switches: switches_of(pid),
    }
}

fn switches_of(pid: &str) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let statuses = threads.into_iter().flatten().filter_map(|thread| {
        let status = thread.ok()?.path().join("status");
        std::fs::read_to_string(status).ok()
    });
    let of_thread = |status: String| -> u64 {
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .sum()
    };
    statuses.map(of_thread).sum()
}
