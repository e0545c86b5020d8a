//! `sandbox-bank`: the pretend bank on the command line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sealkeep_sandbox::bank::{Bank, BankConfig, Log};
use sealkeep_sandbox::clock::Clock;

/// A pretend bank: for demonstrations and tests only.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serves until it is stopped; prints `listening on ADDR`, then a line for each request.
    Run {
        /// The configuration, TOML.
        #[arg(long)]
        config: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let Verb::Run { config } = Arguments::parse().verb;
    sealkeep_sandbox::exit(run(config).await)
}

async fn run(config: PathBuf) -> anyhow::Result<()> {
    let log = Log::to(|line| say(&line.to_string()));
    let bank = Bank::start(BankConfig::load(&config, Clock::system(), log)?).await?;
    say(&format!("listening on {}", bank.addr()));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        () = bank.join() => anyhow::bail!("the bank broke down"),
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

fn say(line: &str) {
    // Nobody is left to tell when stdout is closed.
    let _ = writeln!(std::io::stdout(), "{line}");
}
