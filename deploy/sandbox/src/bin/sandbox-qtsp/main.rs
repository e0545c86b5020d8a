//! `sandbox-qtsp`: the pretend QTSP on the command line.

mod issue;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use issue::Issue;
use jiff::{SignedDuration, Timestamp};
use sealkeep_cmp::Account;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::roles::Role;
use sealkeep_sandbox::clock::Clock;
use sealkeep_sandbox::files;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::qtsp::trusted_list::{Entry, Supervisor};
use sealkeep_sandbox::qtsp::{
    CmpDesk, CmpServer, Kind, Order, Qtsp, Reason, ServeConfig, SigningRequest,
};

/// A pretend qualified trust service provider: PSD2 certificates for demonstrations and tests only.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Founds the QTSP: root.pem, root.key, issuing.pem and issuing.key in a folder.
    Init {
        /// The folder; created when it is not there.
        #[arg(long)]
        dir: PathBuf,
        /// Kind of the CA keys.
        #[arg(long, value_enum, default_value = "ec-p256")]
        key: KeyKind,
    },
    /// Issues for a signing request; writes the certificate and the issuing CA's as PEM.
    Issue(Box<Issue>),
    /// Revokes a certificate that it has issued; a server over the same folder says so from the next request on.
    Revoke {
        /// The folder of the QTSP.
        #[arg(long)]
        dir: PathBuf,
        /// The certificate, PEM; what follows it in the file is left alone.
        #[arg(long)]
        certificate: PathBuf,
        /// Why.
        #[arg(long, value_enum, default_value = "unspecified")]
        reason: Reason,
        /// Take a suspension back instead.
        #[arg(long, conflicts_with = "reason")]
        restore: bool,
    },
    /// Serves OCSP and lists of revoked certificates over HTTP until it is stopped; prints `listening on ADDR`. It answers
    /// for every host name, so it can be the proxy of a service that looks for the names in the certificates.
    Serve {
        /// The folder of the QTSP.
        #[arg(long)]
        dir: PathBuf,
        /// Where to listen; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// How long what it says is fresh, seconds.
        #[arg(long, default_value_t = FRESH_SECONDS)]
        fresh_seconds: u32,
    },
    /// Speaks CMP (RFC 9810) over HTTP until it is stopped: requests, renewals, revocations. Prints `listening on ADDR`;
    /// writes `cmp.pem`, by which it signs answers to signed messages, into its folder. What it issued is forgotten when
    /// it ends.
    Cmp {
        /// The folder of the QTSP.
        #[arg(long)]
        dir: PathBuf,
        /// Where to listen; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// The reference of the one account.
        #[arg(long)]
        reference: String,
        /// A file with its secret, one line.
        #[arg(long)]
        secret_file: PathBuf,
        /// Roles of its certificates, separated by commas.
        #[arg(long, value_delimiter = ',')]
        roles: Vec<Role>,
        /// How often a TPP has to ask before its certificate is ready.
        #[arg(long, default_value_t = 0)]
        questions: u32,
    },
    /// Publishes a trusted list that names the QTSP, and the list of the lists: list.xml, lotl.xml and, to be pinned,
    /// lotl-signer.pem.
    TrustedList {
        /// The folder of the QTSP; the supervisor's keys lie beside, made on first use.
        #[arg(long)]
        dir: PathBuf,
        /// The folder to write into; created when it is not there.
        #[arg(long)]
        out: PathBuf,
        /// Version of the format.
        #[arg(long, default_value = "6", value_parser = clap::value_parser!(u8).range(5..=6))]
        format: u8,
        /// The QTSP has lost its status just now.
        #[arg(long)]
        withdrawn: bool,
        /// The next issue was due yesterday.
        #[arg(long)]
        stale: bool,
    },
    /// Makes the keys and certificates of the pretend bank: tls.pem, tls.key, seal.pem and seal.key in a folder.
    IssueBank {
        /// The folder of the QTSP.
        #[arg(long)]
        dir: PathBuf,
        /// DNS name of the bank; several are fine.
        #[arg(long, default_value = "localhost")]
        dns: Vec<String>,
        /// IP address of the bank; several are fine.
        #[arg(long)]
        ip: Vec<IpAddr>,
        /// Kind of the seal key; the Berlin Group profile wants RSA.
        #[arg(long, value_enum, default_value = "rsa-2048")]
        seal_key: KeyKind,
        /// The folder to write into; created when it is not there.
        #[arg(long)]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    sealkeep_sandbox::exit(run(Arguments::parse().verb))
}

/// How long what the QTSP says is fresh when nobody says, seconds.
const FRESH_SECONDS: u32 = 12 * 3_600;

fn revoke(
    dir: &Path,
    certificate: &Path,
    reason: Option<Reason>,
    now: Timestamp,
) -> anyhow::Result<()> {
    let qtsp = Qtsp::load(dir)?;
    let certificate = files::read_certificates(certificate)?.remove(0);
    match reason {
        Some(reason) => qtsp.revoke(&certificate, reason, now)?,
        None => qtsp.restore(&Certificate::from_der(&certificate)?),
    }
    Ok(qtsp.save(dir)?)
}

#[tokio::main]
async fn serve(config: ServeConfig) -> anyhow::Result<()> {
    let qtsp = sealkeep_sandbox::qtsp::serve(config).await?;
    // Nobody is left to tell when stdout is closed.
    let _ = writeln!(std::io::stdout(), "listening on {}", qtsp.addr());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        () = qtsp.join() => anyhow::bail!("the QTSP broke down"),
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

#[tokio::main]
async fn speak(listen: SocketAddr, desk: CmpDesk) -> anyhow::Result<()> {
    let server = CmpServer::start(listen, desk, Clock::system()).await?;
    // Nobody is left to tell when stdout is closed.
    let _ = writeln!(std::io::stdout(), "listening on {}", server.addr());
    server.join().await;
    Ok(())
}

fn run(verb: Verb) -> anyhow::Result<()> {
    let now = Clock::system().now();
    match verb {
        Verb::Init { dir, key } => Ok(Qtsp::create(key, now)?.save(&dir)?),
        Verb::Issue(issue) => {
            let request = SigningRequest::from_pem(files::read(&issue.csr)?.as_bytes())
                .with_context(|| issue.csr.display().to_string())?;
            let chain = Qtsp::load(&issue.dir)?.issue(&issue.order(), &request, now)?;
            Ok(files::write_public(&issue.out, &chain.to_pem())?)
        }
        Verb::Revoke {
            dir,
            certificate,
            reason,
            restore,
        } => revoke(&dir, &certificate, (!restore).then_some(reason), now),
        Verb::Serve {
            dir,
            listen,
            fresh_seconds,
        } => serve(ServeConfig {
            folder: dir,
            listen,
            fresh: SignedDuration::from_secs(fresh_seconds.into()),
            clock: Clock::system(),
        }),
        Verb::Cmp {
            dir,
            listen,
            reference,
            secret_file,
            roles,
            questions,
        } => {
            let secret = files::read(&secret_file)?.trim_end().to_owned().into();
            let account = Account { reference, secret };
            let desk = CmpDesk::open(&dir, account, &roles, questions, now)?;
            files::write_public(&dir.join("cmp.pem"), &desk.server_certificate_pem())?;
            speak(listen, desk)
        }
        Verb::TrustedList {
            dir,
            out,
            format,
            withdrawn,
            stale,
        } => publish(&dir, &out, format, (withdrawn, stale), now),
        Verb::IssueBank {
            dir,
            dns,
            ip,
            seal_key,
            out,
        } => {
            let qtsp = Qtsp::load(&dir)?;
            files::create_folder(&out)?;
            let mut tls = bank_order(Kind::Qwac);
            (tls.dns_names, tls.addresses) = (dns, ip);
            let orders = [
                ("tls", KeyKind::EcP256, tls),
                ("seal", seal_key, bank_order(Kind::Qsealc)),
            ];
            for (name, kind, order) in orders {
                let key = SoftwareKey::generate(kind)?;
                let chain = qtsp.issue_for(&order, &key, now)?;
                key.save(&out.join(format!("{name}.key")))?;
                files::write_public(&out.join(format!("{name}.pem")), &chain.to_pem())?;
            }
            Ok(())
        }
    }
}

/// Writes new issues of both lists.
fn publish(
    dir: &Path,
    out: &Path,
    format: u8,
    (withdrawn, stale): (bool, bool),
    now: Timestamp,
) -> anyhow::Result<()> {
    let qtsp = Qtsp::load(dir)?;
    let supervisor = supervisor(&dir.join("supervisor"), now)?;
    let founded = qtsp.founded()?;
    let mut entry = match withdrawn {
        true => Entry::withdrawn(founded, now),
        false => Entry::granted(founded),
    };
    entry.version = format;
    if stale {
        entry.next_update_days = -1;
    }
    files::create_folder(out)?;
    let pinned = files::certificates_pem([supervisor.commission()]);
    let written = [
        ("lotl-signer.pem", pinned),
        ("lotl.xml", supervisor.list_of_lists(&entry, now)?),
        ("list.xml", supervisor.list(&qtsp, &entry, now)?),
    ];
    for (name, text) in written {
        files::write_public(&out.join(name), &text)?;
    }
    Ok(())
}

/// The supervisor of a folder; a new one when there is none.
fn supervisor(folder: &Path, now: Timestamp) -> anyhow::Result<Supervisor> {
    if !folder.exists() {
        Supervisor::create(KeyKind::EcP256, now)?.save(folder)?;
    }
    Ok(Supervisor::load(folder)?)
}

fn bank_order(kind: Kind) -> Order {
    let mut order = Order::new(kind, &[Role::PSP_AS]);
    order.country = Some("DE".to_owned());
    order.organization = Some("Sealkeep Sandbox Bank".to_owned());
    order.organization_identifier = Some("PSDDE-BAFIN-999999".to_owned());
    order
}
