//! How bytes are laid out: one file a format.
//!
//! Comes in: a parsed message, a profile's parameters, the certificate, the time. Goes out: a
//! [`Prepared`](crate::prepared::Prepared). Never reads data from anywhere, never signs. The first bytes tell the formats
//! apart: a header name for `cavage`, `"` for `http_message`, `eyJ` for `jws`, `jades` and `jwt`, 64 spaces or a
//! ClientHello for `certificate_verify`.

mod body_digest;
pub mod cavage;
mod certificate_header;
pub mod certificate_verify;
pub mod http_message;
pub mod jades;
mod json;
pub mod jwe;
pub mod jws;
pub mod jwt;
mod key_id;
pub mod language;
