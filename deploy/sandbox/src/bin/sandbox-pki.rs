//! `sandbox-pki`: the internal CA of a demonstration, on the command line.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use sealkeep_sandbox::clock::Clock;
use sealkeep_sandbox::files;
use sealkeep_sandbox::pki::{DAYS_DEFAULT, Pki, Subject};

/// The internal CA of a Sealkeep demonstration: certificates for sealkeepd and its callers.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Makes a new CA: ca.pem and ca.key in a folder.
    Init {
        /// The folder; created when it is not there.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Makes a new key and certifies it: PREFIX.key and PREFIX.pem.
    Issue {
        /// The folder of the CA.
        #[arg(long)]
        dir: PathBuf,
        /// Common name, for people.
        #[arg(long)]
        name: String,
        /// URI SAN, for example spiffe://demo.example.com/payments.
        #[arg(long)]
        uri: Vec<String>,
        /// DNS SAN.
        #[arg(long)]
        dns: Vec<String>,
        /// IP address SAN.
        #[arg(long)]
        ip: Vec<IpAddr>,
        /// A server certificate instead of a client one.
        #[arg(long)]
        server: bool,
        /// Days of validity.
        #[arg(long, default_value_t = DAYS_DEFAULT)]
        days: u32,
        /// Where to write, without the suffix.
        #[arg(long, value_name = "PREFIX")]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    sealkeep_sandbox::exit(run(Arguments::parse().verb))
}

fn run(verb: Verb) -> anyhow::Result<()> {
    let now = Clock::system().now();
    match verb {
        Verb::Init { dir } => Pki::create(now)?.save(&dir).context("writing the CA"),
        Verb::Issue {
            dir,
            name,
            uri,
            dns,
            ip,
            server,
            days,
            out,
        } => {
            let (uris, dns_names, addresses) = (uri, dns, ip);
            let subject = Subject {
                name,
                uris,
                dns_names,
                addresses,
                server,
                days,
            };
            let issued = Pki::load(&dir)
                .context("reading the CA")?
                .issue(&subject, now)?;
            issued.key.save(&suffixed(&out, "key"))?;
            let text = files::certificates_pem([&issued.certificate]);
            Ok(files::write_public(&suffixed(&out, "pem"), &text)?)
        }
    }
}

/// `a.b` becomes `a.b.key`, not `a.key`.
fn suffixed(prefix: &Path, suffix: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}
