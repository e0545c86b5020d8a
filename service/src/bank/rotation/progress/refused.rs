//! Why a step is not taken, each with its way out.

use jiff::Timestamp;

use super::{REASON_BYTES_MAX, WINDOW_MINUTES_MAX};

/// Why a step is not taken.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum Refused {
    /// No version is attached to the rotation.
    #[error("no new version is attached; install its certificate and attach it")]
    NoNewVersion,
    /// The certificate of the new version is not valid at that time.
    #[error("the new version is not valid at {at}")]
    NewNotValid {
        /// Then.
        at: Timestamp,
    },
    /// The bank has not been told.
    #[error("the bank has not been told; announce it first")]
    NotAnnounced,
    /// The bank has not said yes.
    #[error("the bank has not said yes; record its answer with accept")]
    NotAccepted,
    /// The bank's lead time is not over.
    #[error("the bank loads it until {at}; switch then, or record its answer with accept")]
    LeadTime {
        /// Then.
        at: Timestamp,
    },
    /// A bank that changes over at a moment needs the moment.
    #[error("the bank changes over at an agreed moment; say which")]
    MomentMissing,
    /// The moment has passed.
    #[error("{at} has passed")]
    MomentPassed {
        /// The moment.
        at: Timestamp,
    },
    /// The window is too long, or there is none to have.
    #[error(
        "a window has 0 to {WINDOW_MINUTES_MAX} minutes, and only a bank that replaces the old version has one"
    )]
    Window,
    /// Not a share.
    #[error("a canary gets 1 to 99 percent")]
    Percent,
    /// Not a reason.
    #[error("a reason has 1 to {REASON_BYTES_MAX} bytes")]
    Reason,
    /// The bank does not accept the old version any more, or it has ended.
    #[error("there is no way back: the old version has ended or the bank has replaced it")]
    NoWayBack,
    /// The new version signs already.
    #[error("the new version signs already; roll back first")]
    AlreadySwitched,
    /// The new version does not sign yet.
    #[error("the new version does not sign yet; switch first")]
    NotSwitched,
    /// The change is agreed with the bank.
    #[error("the change is agreed for {at}; when the bank calls it off, record that with fail")]
    Agreed {
        /// When.
        at: Timestamp,
    },
    /// The bank has refused.
    #[error("the bank has refused; announce it again when it is ready")]
    HasFailed,
}

impl Refused {
    /// The stable reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoNewVersion => "ROTATION_WITHOUT_VERSION",
            Self::NewNotValid { .. } => "CERTIFICATE_NOT_VALID_THEN",
            Self::NotAnnounced => "NOT_ANNOUNCED",
            Self::NotAccepted => "NOT_ACCEPTED",
            Self::LeadTime { .. } => "LEAD_TIME_RUNNING",
            Self::MomentMissing => "MOMENT_MISSING",
            Self::MomentPassed { .. } => "MOMENT_PASSED",
            Self::Window => "WINDOW_INVALID",
            Self::Percent => "PERCENT_INVALID",
            Self::Reason => "REASON_INVALID",
            Self::NoWayBack => "NO_WAY_BACK",
            Self::AlreadySwitched => "ALREADY_SWITCHED",
            Self::NotSwitched => "NOT_SWITCHED",
            Self::Agreed { .. } => "CHANGE_AGREED",
            Self::HasFailed => "BANK_REFUSED",
        }
    }

    /// Whether the words of the officer are wrong, rather than the moment.
    pub fn is_invalid(&self) -> bool {
        matches!(
            self,
            Self::MomentMissing
                | Self::MomentPassed { .. }
                | Self::Window
                | Self::Percent
                | Self::Reason
        )
    }
}
