//! `sealkeep decrypt`: has a JWE of a bank decrypted and shows what was in it.
//!
//! In: a JWE. Out: the content; byte for byte in JSON. Never: a claim that the content is the bank's; a JWT in it is still to be verified.

use crate::failure::Failure;
use crate::files::argument_text;
use crate::report::{Report, printable};
use crate::words::{name, short};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use sealkeep_client::Sealkeep;
use serde_json::json;

#[derive(Debug, Args)]
pub(crate) struct Decrypt {
    /// The bank.
    #[arg(long, value_parser = name)]
    bank: String,
    /// The credential; without it the one the bank lists first.
    #[arg(long, value_parser = name)]
    credential: Option<String>,
    /// The JWE, compact: `@file`, `@-` for stdin, or text.
    #[arg(long, value_name = "@FILE|TEXT")]
    jwe: String,
}

impl Decrypt {
    pub(crate) async fn run(
        self,
        connect: impl FnOnce() -> Result<Sealkeep, Failure>,
    ) -> Result<Report, Failure> {
        let jwe = argument_text("--jwe", &self.jwe)?;
        let bank = connect()?.bank(&self.bank);
        let bank = self
            .credential
            .map_or(bank.clone(), |credential| bank.credential(&credential));
        let opened = bank.decrypt_jwe(&jwe).await?;
        let text = match std::str::from_utf8(&opened.plaintext) {
            Ok(text) => format!("{}\n", printable(text)),
            Err(_) => "(not UTF-8; `-o json` has it in base64)\n".to_owned(),
        };
        let json = json!({
            "plaintext_base64": STANDARD.encode(&opened.plaintext),
            "content_type": opened.content_type,
            "version": opened.version,
            "algorithm": opened.algorithm,
            "encryption": opened.encryption,
            "audit_record": opened.audit_record,
        });
        let note = format!(
            "decrypted by {} with {} and {}, audit record {}",
            short(&opened.version),
            opened.algorithm,
            opened.encryption,
            opened.audit_record
        );
        Ok(Report::new(text, json).note(note))
    }
}
