//! Pending changes that a second person must confirm.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::access::CallerName;
use super::names::VersionId;

/// Length of an approval's id, hex digits: short enough to be read aloud, drawn at random.
pub(super) const APPROVAL_ID_DIGITS: usize = 12;

/// The name of an approval: 12 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApprovalId(String);

impl ApprovalId {
    /// A new one.
    pub fn random() -> Self {
        let mut text = uuid::Uuid::new_v4().simple().to_string();
        text.truncate(APPROVAL_ID_DIGITS);
        Self(text)
    }

    /// Reads one; none when the text is no id.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == APPROVAL_ID_DIGITS && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The resource name of the API.
    pub fn resource(&self) -> String {
        format!("approvals/{}", self.0)
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is to be done to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Let a frozen version go on.
    Unfreeze,
    /// Declare its certificate revoked.
    Revoke,
    /// Destroy its key in the token.
    Destroy,
}

impl Verb {
    /// The word of the store and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unfreeze => "unfreeze",
            Self::Revoke => "revoke",
            Self::Destroy => "destroy",
        }
    }
}

/// Where an approval stands. Changes only by [`crate::approval::decide`] and by the change being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Waits for a second person.
    Pending,
    /// Confirmed; waits for its delay.
    Approved,
    /// Being carried out; finished at the next start when the service dies meanwhile.
    Executing,
    /// Carried out.
    Done,
    /// A person said no, before or during the delay.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// It could not be carried out; the outcome says why.
    Void,
}

impl Standing {
    /// The word of the store and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Executing => "executing",
            Self::Done => "done",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Void => "void",
        }
    }

    /// Whether something may still come of it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Approved | Self::Executing)
    }
}

/// A change that one person wants and another must confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Its name.
    pub id: ApprovalId,
    /// What is to be done.
    pub verb: Verb,
    /// To which version. Key and certificate of a version never change, so the id pins them.
    pub version: VersionId,
    /// Who wants it.
    pub author: CallerName,
    /// Why, in the author's words.
    pub reason: String,
    /// When it was asked for.
    pub created: Timestamp,
    /// Until when a second person may confirm it.
    pub expires: Timestamp,
    /// Where it stands as written; see [`Approval::standing`].
    pub stored: Standing,
    /// Who confirmed or rejected it.
    pub decided_by: Option<CallerName>,
    /// From when on it may be carried out.
    pub due: Option<Timestamp>,
    /// Why it was rejected, or is void.
    pub outcome: String,
}

impl Approval {
    /// Where it stands now: nobody has to be awake for one to expire.
    pub fn standing(&self, now: Timestamp) -> Standing {
        match self.stored {
            Standing::Pending if now >= self.expires => Standing::Expired,
            stored => stored,
        }
    }
}
