//! What can go wrong with a step, told before it is taken.

use jiff::Timestamp;

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Risk {
    /// The date has passed.
    #[error("should have happened {days} days ago")]
    Late {
        /// How long ago, whole days.
        days: i64,
    },
    /// The bank accepts one certificate at a time.
    #[error(
        "the bank forgets the old version at that moment: no way back, and requests are held meanwhile"
    )]
    NoWayBack,
    /// A certificate can be registered once.
    #[error("a certificate is registered once; a second registration needs another certificate")]
    RegisteredOnce,
    /// A new registration can mean a new client.
    #[error("the bank may give a new client id; consents given to the old one may be lost")]
    ConsentsLost,
    /// It lives too long for its date.
    #[error(
        "the certificate lives {days} days; for its date the CA/Browser Forum allows {max}, and the bank enforces it"
    )]
    LivesTooLong {
        /// How long, whole days.
        days: i64,
        /// How long it may.
        max: i64,
    },
    /// Key usage digitalSignature is absent.
    #[error("the bank wants key usage digitalSignature, which the certificate does not have")]
    NoDigitalSignature,
    /// Another issuer.
    #[error("the issuer changes: the bank may have pinned the old one")]
    IssuerChanges,
    /// The new version is not valid by then.
    #[error("the new version begins at {begins} only")]
    BeginsLate {
        /// Then.
        begins: Timestamp,
    },
    /// The old version ends before the agreed moment.
    #[error("the old version ends at {ends}, before that moment: nothing can be signed in between")]
    EndsFirst {
        /// Then.
        ends: Timestamp,
    },
    /// Nobody to tell.
    #[error("no contact is known; put it in banks.toml")]
    ContactUnknown,
}

impl Risk {
    /// The stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Late { .. } => "LATE",
            Self::NoWayBack => "NO_WAY_BACK",
            Self::RegisteredOnce => "REGISTERED_ONCE",
            Self::ConsentsLost => "CONSENTS_LOST",
            Self::LivesTooLong { .. } => "LIVES_TOO_LONG",
            Self::NoDigitalSignature => "NO_DIGITAL_SIGNATURE",
            Self::IssuerChanges => "ISSUER_CHANGES",
            Self::BeginsLate { .. } => "BEGINS_LATE",
            Self::EndsFirst { .. } => "ENDS_FIRST",
            Self::ContactUnknown => "CONTACT_UNKNOWN",
        }
    }
}
