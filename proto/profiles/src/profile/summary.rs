//! What a profile wants, in a line: for lists and tables people read.
//!
//! Comes in: the parameters of a format. Goes out: words, each spelled as in profile files. Never all there is to know: the
//! file is.

use super::{Format, Profile};
use crate::format::jwt::JwtSpec;

/// The parameters that tell profiles apart at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The header with the signature, as far as it is always the same: `Authorization: Signature`.
    pub carrier: String,
    /// What is signed, in order: `digest`, `psu-id?` when only if sent, `psu-*`, `body`.
    pub signed: Vec<String>,
    /// How the key is named: `serial-dec`, `setting client_id`.
    pub key_id: String,
    /// Each scheme, and what the profile calls it: `rsa-pkcs1-sha256 as rsa-sha256`.
    pub algorithms: Vec<String>,
}

impl Profile {
    /// What the profile makes of requests, or of JWTs where it signs no requests, in short.
    #[must_use]
    pub fn summary(&self) -> Summary {
        match &self.file.request {
            Some(Format::Cavage(spec)) => spec.summary(),
            Some(Format::HttpMessage(spec)) => spec.summary(),
            Some(Format::Jws(spec)) => spec.summary(),
            Some(Format::Jades(spec)) => spec.summary(),
            None => self
                .file
                .jwt
                .iter()
                .map(JwtSpec::summary)
                .next()
                .unwrap_or_default(),
        }
    }
}
