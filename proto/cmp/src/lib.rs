//! CMP (RFC 9810, RFC 4210): what a third-party provider (TPP) and a qualified trust service provider (QTSP) say to each
//! other to get a certificate, to renew one and to have one revoked.
//!
//! In: requests, secrets, answers. Out: messages to send, a [`Ticket`] to keep, in the end certificates. Pure: no network,
//! no clock, no randomness of its own. Never: a private key; what a key must sign is handed out as [`Unsigned`].
//!
//! ```text
//! enrol ──  p10cr ──▶ server ── cp  ──▶ answer ─┬─ waiting: keep the ticket, later `poll`
//! renew ──  kur   ──▶ server ── kup ──▶    "    ├─ rejected: told with the server's words
//!                                               └─ certificate: `certConf`, and `pkiConf` ends it
//! revoke ─  rr    ──▶ server ── rp  ──▶ answer: revoked, or rejected
//! ```
//! | room | what it knows |
//! |---|---|
//! | [`Ticket`] | where an exchange stands; all that a restart needs, and no secret |
//! | [`protection`] | who speaks, and how one is sure of it: a shared secret or a certificate |
//! | [`request`] | the bodies that ask |
//! | [`server`] | the other side, as much of it as a pretend QTSP needs |
//! | `status`, `wire`, `quoted`, `mac`, [`signature`] | words of refusal, bytes, algorithms |
//!
//! Bodies are told apart by their tags (RFC 9810 section 5.1.2). The frames are read and written here: the protection is
//! over the bytes as they were sent, which a decoder that encodes again does not give back.

mod mac;
pub mod protection;
mod quoted;
pub mod request;
pub mod server;
pub mod signature;
mod status;
mod ticket;
mod wire;

pub use protection::{Account, Outgoing, Peer, Speaker, Unsigned};
pub use ticket::{ANSWER_BYTES_MAX, CHECK_AFTER_S_MAX, Step, Ticket};

/// Tags of PKIBody, RFC 9810 section 5.1.2.
pub(crate) mod body {
    pub(crate) const CP: u16 = 3;
    pub(crate) const P10CR: u16 = 4;
    pub(crate) const KUR: u16 = 7;
    pub(crate) const KUP: u16 = 8;
    pub(crate) const RR: u16 = 11;
    pub(crate) const RP: u16 = 12;
    pub(crate) const PKI_CONF: u16 = 19;
    pub(crate) const ERROR: u16 = 23;
    pub(crate) const CERT_CONF: u16 = 24;
    pub(crate) const POLL_REQ: u16 = 25;
    pub(crate) const POLL_REP: u16 = 26;
}

/// Where 16 fresh random bytes come from.
pub type Random<'a> = &'a mut dyn FnMut() -> [u8; 16];

/// Why an exchange ended without what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CmpError {
    /// The message is not what RFC 9810 lays out.
    #[error("the CMP message cannot be read: {0}")]
    Malformed(&'static str),
    /// The message is protected neither by the shared secret nor by a certificate that was named, so anybody may have
    /// sent it.
    #[error(
        "the CMP server's answer is not protected by the shared secret or a known certificate; check secret, reference \
         and server_certificate_file"
    )]
    Unprotected,
    /// The answer belongs to another exchange.
    #[error("the CMP server's answer belongs to another exchange")]
    Foreign,
    /// The server said no.
    #[error("the CMP server refused: {words}")]
    Rejected {
        /// Its status and words.
        words: String,
    },
    /// The server cannot do it now.
    #[error("the CMP server cannot do it now: {words}")]
    Unavailable {
        /// Its status and words.
        words: String,
    },
    /// The server does not go on with this exchange, for example because an answer of it was lost.
    #[error("the CMP server ended the exchange: {words}")]
    Broken {
        /// Its status and words.
        words: String,
    },
    /// The certificate is for another key; the server was told.
    #[error("the CMP server certified another key than that of the request; it was told so")]
    WrongKey,
}

impl CmpError {
    /// The stable reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "CMP_MALFORMED",
            Self::Unprotected => "CMP_UNPROTECTED",
            Self::Foreign => "CMP_FOREIGN",
            Self::Rejected { .. } => "CMP_REJECTED",
            Self::Unavailable { .. } => "CMP_UNAVAILABLE",
            Self::Broken { .. } => "CMP_BROKEN",
            Self::WrongKey => "CMP_WRONG_KEY",
        }
    }
}
