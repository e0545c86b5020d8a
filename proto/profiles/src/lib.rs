//! What exactly is signed for a PSD2 bank: formats as code, profiles as data.
//!
//! Comes in: a structured request, response or payload ([`request`]), the certificate the bank will see
//! ([`certificate`]), the bank's profile and settings ([`profile`]) and the time. Goes out: the bytes to sign
//! ([`prepared::Prepared`]), and from a raw signature over them the headers or JWS to send
//! ([`prepared::Signed`]). [`verify`] does what the other side does.
//!
//! Pure: no I/O, no clock, no async, no private key. What a bank wants signed is data (`catalog/*.toml`); how bytes
//! are laid out is code ([`format`]); a thing that is not fit to be signed is a [`refusal::Refusal`] by name.

pub mod algorithm;
pub mod certificate;
pub mod format;
pub mod prepared;
pub mod profile;
pub mod qualified;
pub mod refusal;
pub mod request;
pub mod roles;
pub mod verify;
