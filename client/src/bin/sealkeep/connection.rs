//! How the command line reaches the service.
//!
//! In: flags and `SEALKEEP_*` variables; flags win. Out: a connected [`Sealkeep`]. Never: a key on the command line, only
//! the name of its file.

use crate::failure::Failure;
use clap::Args;
use sealkeep_client::{Config, Sealkeep, seconds};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The service.
    #[arg(long, global = true, env = "SEALKEEP_ADDR", value_name = "HOST:PORT")]
    addr: Option<String>,
    /// CA certificates that may have issued the service's certificate, PEM.
    #[arg(long, global = true, env = "SEALKEEP_CACERT", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Your certificate chain, PEM. Its SPIFFE URI or DNS name is who you are.
    #[arg(
        long = "client-cert",
        alias = "cert",
        global = true,
        env = "SEALKEEP_CLIENT_CERT",
        value_name = "FILE"
    )]
    cert: Option<PathBuf>,
    /// Your private key, PEM.
    #[arg(
        long = "client-key",
        id = "client_key",
        global = true,
        env = "SEALKEEP_CLIENT_KEY",
        value_name = "FILE"
    )]
    pub(crate) key: Option<PathBuf>,
    /// How long a call may take.
    #[arg(
        long,
        global = true,
        env = "SEALKEEP_TIMEOUT",
        value_name = "SECONDS",
        value_parser = seconds,
        default_value = "10"
    )]
    timeout: Duration,
}

impl Connection {
    pub(crate) fn connect(&self) -> Result<Sealkeep, Failure> {
        let mut config = Config::from_files(
            needed(&self.addr, "--addr or SEALKEEP_ADDR")?,
            needed(&self.ca, "--ca or SEALKEEP_CACERT")?,
            needed(&self.cert, "--client-cert or SEALKEEP_CLIENT_CERT")?,
            needed(&self.key, "--client-key or SEALKEEP_CLIENT_KEY")?,
        )?;
        config.timeout = self.timeout;
        Ok(Sealkeep::connect(config)?)
    }
}

fn needed<'a, T>(value: &'a Option<T>, how: &str) -> Result<&'a T, Failure> {
    value
        .as_ref()
        .ok_or_else(|| Failure::usage(format!("say it with {how}")))
}
