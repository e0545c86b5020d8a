//! How bytes are laid out: one room a format.
//!
//! Comes in: a parsed message, what is asked of a JWT, or a TLS handshake; a profile's parameters, the certificate, the time.
//! Goes out: a [`Prepared`](crate::prepared::Prepared), and on the other side a verdict. Never reads data from anywhere,
//! never signs. The first bytes tell the languages apart ([`language`]): a header name for `cavage`, `"` for `http_message`,
//! `eyJ` for `jws`, `jades` and `jwt`, 64 spaces or a ClientHello for `certificate_verify`. [`jwe`] signs nothing: it reads
//! what was encrypted to us, and the token does the one step with the key.

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
