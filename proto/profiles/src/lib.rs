//! What exactly is signed for a PSD2 bank: formats as code, profiles as data.
//!
//! Comes in: a structured request, response or payload ([`request`]), what is asked of a JWT ([`format::jwt::JwtRequest`]),
//! or a TLS handshake ([`format::certificate_verify`]); the certificate the bank will see ([`certificate`]), the bank's
//! profile and settings ([`profile`]), the time. Goes out: the bytes to sign ([`prepared::Prepared`]), and from a raw
//! signature over them the headers, JWS or TLS signature to send ([`prepared::Signed`]). [`verify`] does what the other
//! side does. What banks encrypt to us is opened by [`format::jwe`], around the one step the token does. What a PSD2
//! certificate says about its holder is read by [`qualified`] and [`roles`].
//!
//! Pure: no I/O, no clock, no async, no private key. What a bank wants signed is data (`catalog/*.toml`); how bytes
//! are laid out is code ([`mod@format`]); a thing that is not fit to be signed is a [`refusal::Refusal`] by name. Each
//! shipped profile has vectors ([`profile::Vectors`]); [`profile::Catalog`] lists them all.
//!
//! ```
//! use sealkeep_profiles::profile::Catalog;
//! use sealkeep_profiles::request::{BodyParts, HttpRequest, RequestParts};
//!
//! let headers = [("X-Request-ID".to_owned(), b"99391c7e-ad88-49ec-a2ad-99ddcb1f7721".to_vec())];
//! let request = HttpRequest::parse(RequestParts {
//!     method: "POST",
//!     authority: "bank.example",
//!     target: "/v1/payments/sepa-credit-transfers",
//!     headers: &headers,
//!     body: BodyParts { bytes: Some(b"{}"), digests: &[] },
//! })?;
//! let profile = Catalog::embedded().get("berlin-group-1.3.4").ok_or("no such profile")?;
//! let operation = profile.operation(request.method(), request.path()).ok_or("unknown operation")?;
//! assert_eq!(operation.role.map(|role| role.to_string()).as_deref(), Some("PSP_PI"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! From here `profile.prepare(&request, &certificate, &settings, now)` gives the bytes to sign.

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
