//! `sealkeep encrypt`: encrypts a signed JWT to a bank's public key. Needs neither server nor key of ours.
//!
//! In: a JWK of the bank, a JWT. Out: the JWE. Never: a key of ours; whose key the JWK is has to be known by who gave it.

use crate::failure::Failure;
use crate::files::argument_text;
use crate::report::Report;
use clap::Args;
use sealkeep_client::{ContentEncryption, JweRecipient, KeyManagement};
use serde_json::json;

#[derive(Debug, Args)]
pub(crate) struct Encrypt {
    /// The bank's public key, a JWK: `@file`, `@-` for stdin, or text.
    #[arg(long, value_name = "@FILE|TEXT")]
    jwk: String,
    /// `alg`: RSA-OAEP, RSA-OAEP-256 or ECDH-ES, as the bank's metadata say.
    #[arg(long, value_name = "ALG", value_parser = algorithm)]
    algorithm: KeyManagement,
    /// `enc`: A256GCM or A128GCM.
    #[arg(long, value_name = "ENC", value_parser = encryption, default_value = "A256GCM")]
    encryption: ContentEncryption,
    /// The signed JWT: `@file`, `@-` for stdin, or text.
    #[arg(long, value_name = "@FILE|TEXT")]
    jwt: String,
}

impl Encrypt {
    pub(crate) fn run(&self) -> Result<Report, Failure> {
        let jwk = argument_text("--jwk", &self.jwk)?;
        let jwt = argument_text("--jwt", &self.jwt)?;
        let bank = JweRecipient::from_jwk(&jwk, self.algorithm, self.encryption);
        let jwe = bank.and_then(|bank| bank.encrypt_jwt(&jwt));
        let jwe = jwe.map_err(|error| Failure::usage(format!("--jwk: {error}")))?;
        Ok(Report::new(format!("{jwe}\n"), json!({ "jwe": jwe })))
    }
}

fn algorithm(text: &str) -> Result<KeyManagement, String> {
    KeyManagement::from_name(text).ok_or_else(|| "RSA-OAEP, RSA-OAEP-256 or ECDH-ES".to_owned())
}

fn encryption(text: &str) -> Result<ContentEncryption, String> {
    ContentEncryption::from_name(text).ok_or_else(|| "A256GCM or A128GCM".to_owned())
}
