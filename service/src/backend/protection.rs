//! What keeps a vendor's module from doing more than it must, as words.

use serde::{Deserialize, Serialize};

/// Something that the process which holds a token cannot do any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// Memory is never written to a core file, and no other process of the user may look in (prctl(2),
    /// PR_SET_DUMPABLE).
    NoCoreDumps,
    /// No program gives it more rights (prctl(2), PR_SET_NO_NEW_PRIVS).
    NoNewPrivileges,
    /// It reads system libraries and what is configured, writes only what is configured, and signals nobody (Landlock).
    Files,
    /// It starts no program or process and looks into none (seccomp(2)).
    SystemCalls,
    /// It opens no socket but to this machine (seccomp(2)); not for a token that is reached over a network.
    Network,
}

impl Protection {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::NoCoreDumps,
        Self::NoNewPrivileges,
        Self::Files,
        Self::SystemCalls,
        Self::Network,
    ];

    /// The word for people, metrics and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoCoreDumps => "no-core-dumps",
            Self::NoNewPrivileges => "no-new-privileges",
            Self::Files => "files",
            Self::SystemCalls => "system-calls",
            Self::Network => "network",
        }
    }
}
