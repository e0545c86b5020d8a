//! How a bank takes a new certificate.

use serde::{Deserialize, Serialize};

use super::harmless::HarmlessRequest;

/// Longest lead time, days.
pub const LEAD_TIME_DAYS_MAX: u32 = 180;
/// Longest contact, bytes.
pub(super) const CONTACT_BYTES_MAX: usize = 256;
/// Lead time of a bank about which nothing was said, days.
const LEAD_TIME_DAYS_DEFAULT: u32 = 14;

/// What a bank must be told and answer before it accepts a new version, and what becomes of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Procedure {
    /// Nothing: the bank trusts every qualified certificate of our organisation.
    None,
    /// It is told, loads the new one beside the old one and says so.
    Overlap,
    /// It is told, and has loaded the new one after its lead time; it does not answer.
    Announce,
    /// It accepts one certificate at a time and changes over at an agreed moment.
    SwapAt,
    /// The certificate is uploaded to a directory that the bank reads.
    Directory,
    /// The client is registered with the new certificate; a certificate can be registered once.
    Register,
    /// The bank fetches certificates from where we publish them.
    PublishUrl,
}

impl Procedure {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Overlap,
        Self::Announce,
        Self::SwapAt,
        Self::Directory,
        Self::Register,
        Self::PublishUrl,
    ];

    /// The word of files, API and store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Overlap => "overlap",
            Self::Announce => "announce",
            Self::SwapAt => "swap_at",
            Self::Directory => "directory",
            Self::Register => "register",
            Self::PublishUrl => "publish_url",
        }
    }

    /// Whether the bank, a directory or our own publication must have the certificate first.
    pub fn is_told(self) -> bool {
        self != Self::None
    }

    /// Whether the bank must have said yes before the new version may be used.
    pub fn answers(self) -> bool {
        match self {
            Self::Overlap | Self::SwapAt | Self::Directory | Self::Register => true,
            Self::None | Self::Announce | Self::PublishUrl => false,
        }
    }

    /// Whether the bank accepts one certificate at a time.
    pub fn replaces(self) -> bool {
        self == Self::SwapAt
    }
}

/// What is agreed with a bank about new certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationTerms {
    /// How it takes them.
    pub procedure: Procedure,
    /// How long it takes, days.
    pub lead_time_days: u32,
    /// Whom to tell: a mail address, a portal, a ticket queue; empty when unknown.
    pub contact: String,
    /// Whether it refuses certificates that live longer than the CA/Browser Forum allows for their date.
    pub enforces_cabf_validity: bool,
    /// Whether it refuses certificates without key usage digitalSignature.
    pub wants_digital_signature: bool,
    /// What is sent to see whether it knows a new certificate; none when nothing is known to be harmless.
    #[serde(default)]
    pub verify: Option<HarmlessRequest>,
}

impl Default for RotationTerms {
    /// The careful one: nothing changes for the bank before it said yes.
    fn default() -> Self {
        Self {
            procedure: Procedure::Overlap,
            lead_time_days: LEAD_TIME_DAYS_DEFAULT,
            contact: String::new(),
            enforces_cabf_validity: false,
            wants_digital_signature: false,
            verify: None,
        }
    }
}
