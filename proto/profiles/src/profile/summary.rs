//! What a profile wants, in a line: for lists and tables people read.
//!
//! Comes in: the parameters of a format. Goes out: words, each spelled as in profile files. Never all there is to know: the
//! file is.

use super::{Format, Profile};

/// The parameters that tell profiles apart at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// What the profile makes of requests, in short.
    #[must_use]
    pub fn summary(&self) -> Summary {
        match &self.file.request {
            Format::Cavage(spec) => spec.summary(),
            Format::HttpMessage(spec) => spec.summary(),
            Format::Jws(spec) => spec.summary(),
            Format::Jades(spec) => spec.summary(),
        }
    }
}
