//! `sealkeep export ...`: what other people's tools read.
//!
//! In: what the service knows of certificates. Out: a calendar, a register; to stdout or a file. Never: a key.

mod ical;
mod register;

use crate::expiry;
use crate::failure::Failure;
use crate::report::Report;
use clap::{Subcommand, ValueEnum};
use sealkeep_client::{Sealkeep, clock};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// When renewals should begin and certificates end, as a calendar (iCalendar, RFC 5545).
    Ical {
        /// Where to; stdout when absent.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// The register of all certificates and the devices that store them (DORA RTS, Delegated Regulation (EU) 2024/1774,
    /// article 7(4)).
    Register {
        /// How it is written.
        #[arg(long, default_value = "csv")]
        format: Format,
        /// Where to; stdout when absent.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// How a register is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated values, one certificate a line (RFC 4180).
    Csv,
    /// JSON.
    Json,
}

impl Verb {
    pub(crate) async fn run(self, sealkeep: &Sealkeep) -> Result<Report, Failure> {
        let (text, out) = match self {
            Self::Ical { out } => {
                let expiries = expiry::all(sealkeep).await?;
                (ical::calendar(&expiries, clock::now()), out)
            }
            Self::Register { format, out } => {
                let register = register::Register::read(sealkeep).await?;
                let text = match format {
                    Format::Csv => register.csv()?,
                    Format::Json => register.json(clock::now())?,
                };
                (text, out)
            }
        };
        let Some(path) = out else {
            return Ok(Report::plain(text));
        };
        std::fs::write(&path, &text).map_err(|error| Failure::file(&path, &error))?;
        Ok(Report::plain(String::new()).note(format!("written to {}", path.display())))
    }
}
