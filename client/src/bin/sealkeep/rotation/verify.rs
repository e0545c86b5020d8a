//! `sealkeep rotation verify`: the new version at the bank's own door.

use super::shown::verdicts;
use crate::failure::Failure;
use crate::report::Report;
use crate::words::name;
use clap::Args;
use sealkeep_client::rustls::RootCertStore;
use sealkeep_client::{Sealkeep, roots_from_pem};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The credential.
    #[arg(value_parser = name)]
    name: String,
    /// The banks.
    #[arg(value_parser = name, required = true)]
    bank: Vec<String>,
    /// Who may have issued the banks' server certificates, PEM; the system's CAs when not said.
    #[arg(long, value_name = "FILE")]
    bank_ca: Option<PathBuf>,
}

impl Verify {
    pub(crate) async fn run(self, sealkeep: &Sealkeep) -> Result<Report, Failure> {
        let roots = roots(self.bank_ca.as_deref())?;
        let mut found = Vec::with_capacity(self.bank.len());
        for bank in self.bank {
            let handle = sealkeep.bank(&bank).credential(&self.name);
            let verification = handle.verify_rotation(roots.clone()).await?;
            found.push((bank, verification));
        }
        Ok(verdicts(&found))
    }
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, Failure> {
    if let Some(path) = file {
        let pem = crate::files::read_bytes(path)?;
        return Ok(roots_from_pem(&pem)?);
    }
    let mut roots = RootCertStore::empty();
    let (known, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match known {
        0 => Err(Failure::usage(
            "this system has no CA certificates; say --bank-ca FILE",
        )),
        _ => Ok(roots),
    }
}
