//! `sealkeep`: the command line of the security team and of whoever tries things out.
//!
//! In: arguments, `SEALKEEP_*` variables, files. Out: data on stdout (a table or JSON), talk and refusals on stderr, an
//! exit code that tells scripts what to do (see [`failure`]). Never: a decision of its own; the service decides.
#![forbid(unsafe_code)]

mod access;
mod approval;
mod audit;
mod bank;
mod bench;
mod check;
mod connection;
mod credential;
mod decrypt;
mod encrypt;
mod enrolment;
mod expiry;
mod explained;
mod export;
mod failure;
mod files;
mod key;
mod monitoring;
mod offline;
mod pages;
mod profile;
mod report;
mod rotation;
mod sign;
mod status;
mod trust;
mod verify;
mod words;

use clap::{Parser, Subcommand};
use connection::Connection;
use failure::Failure;
use report::{Output, Report};
use serde_json::json;
use std::process::ExitCode;

/// Keys of PSD2 certificates stay in the token; this asks the service that uses them.
#[derive(Debug, Parser)]
#[command(name = "sealkeep", version, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    /// How data is printed.
    #[arg(
        short,
        long,
        global = true,
        env = "SEALKEEP_OUTPUT",
        default_value = "table"
    )]
    output: Output,
    /// Say nothing on stderr but what went wrong.
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    noun: Noun,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failed, 2 usage, 3 unreachable or unavailable, 4 not authenticated or \
denied, 5 not found, 6 not now, 7 check negative, 124 timed out";

#[derive(Debug, Subcommand)]
enum Noun {
    /// What ends when, the token, the service.
    Status,
    /// Who the service takes you for, and what you may do.
    Whoami,
    /// Keys in the token and the certificates around them.
    #[command(subcommand)]
    Credential(credential::Verb),
    /// Private keys, as the token describes them.
    #[command(subcommand)]
    Key(key::Verb),
    /// Banks as destinations.
    #[command(subcommand)]
    Bank(bank::Verb),
    /// Banks move from one version of a credential to the next.
    #[command(subcommand)]
    Rotation(rotation::Verb),
    /// Callers and what they may do.
    #[command(subcommand)]
    Access(access::Verb),
    /// Requests for certificates on their way to a QTSP.
    #[command(subcommand)]
    Enrolment(enrolment::Verb),
    /// The trusted lists of the EU: who may issue qualified certificates.
    #[command(subcommand)]
    Trust(trust::Verb),
    /// Changes that wait for a second person.
    #[command(subcommand)]
    Approval(approval::Verb),
    /// The log of everything that was done with a key.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Answers for monitoring systems that run programs.
    #[command(subcommand)]
    Check(check::Verb),
    /// A calendar, a register: what other tools read.
    #[command(subcommand)]
    Export(export::Verb),
    /// What a monitoring system needs; needs no server.
    #[command(subcommand)]
    Monitoring(monitoring::Verb),
    /// Sign something the way a bank wants it.
    #[command(subcommand)]
    Sign(sign::Verb),
    /// Decrypt what a bank encrypted to us.
    Decrypt(decrypt::Decrypt),
    /// Encrypt a signed JWT to a bank; needs neither server nor key of ours.
    Encrypt(encrypt::Encrypt),
    /// What banks want signed; needs neither server nor key.
    #[command(subcommand)]
    Profile(profile::Verb),
    /// Verify what was signed; needs no server.
    #[command(subcommand)]
    Verify(verify::Verb),
    /// Measure what the service adds to its token.
    Bench(bench::Bench),
    /// The version of this program.
    Version,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (output, quiet) = (cli.output, cli.quiet);
    let outcome = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(Failure::failed(format!("no runtime: {error}"))),
    };
    match outcome {
        Ok(report) => report.print(output, quiet),
        Err(failure) => failure.print(output),
    }
}

async fn run(cli: Cli) -> Result<Report, Failure> {
    let connect = || cli.connection.connect();
    match cli.noun {
        Noun::Status => status::status(&connect()?).await,
        Noun::Whoami => access::whoami(&connect()?).await,
        Noun::Credential(verb) => verb.run(&connect()?).await,
        Noun::Key(verb) => verb.run(&connect()?).await,
        Noun::Rotation(verb) => verb.run(&connect()?).await,
        // Files are read before anybody is asked, so that a typing error needs no service.
        Noun::Bank(verb) => verb.run(connect).await,
        Noun::Access(verb) => verb.run(connect).await,
        Noun::Enrolment(verb) => verb.run(&connect()?).await,
        Noun::Trust(verb) => verb.run(connect).await,
        Noun::Approval(verb) => verb.run(&connect()?).await,
        Noun::Audit(verb) => verb.run(&connect()?).await,
        Noun::Check(verb) => Ok(verb.run(connect).await),
        Noun::Export(verb) => verb.run(&connect()?).await,
        Noun::Monitoring(verb) => Ok(verb.run()),
        Noun::Sign(verb) => verb.run(connect).await,
        Noun::Decrypt(decrypt) => decrypt.run(connect).await,
        Noun::Encrypt(encrypt) => encrypt.run(),
        Noun::Profile(verb) => verb.run(),
        Noun::Verify(verb) => verb.run(),
        Noun::Bench(bench) => bench.run(&cli.connection).await,
        Noun::Version => Ok(version()),
    }
}

fn version() -> Report {
    let version = env!("CARGO_PKG_VERSION");
    Report::new(
        format!("sealkeep {version}\n"),
        json!({ "client": version }),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn takes_every_documented_command() {
        for line in [
            "sealkeep status",
            "sealkeep whoami -o json",
            "sealkeep credential enrol acme-seal --purpose seal --key rsa-3072 --country DE --organization Acme \
             --organization-identifier PSDDE-BAFIN-123456 --common-name acme.example --out csr.pem",
            "sealkeep credential enrol q --purpose transport --key ec-p256 --country DE --organization A \
             --organization-identifier PSDDE-BAFIN-1 --common-name a.example --dns a.example --dns b.example",
            "sealkeep credential enrol inbox --purpose decryption --key rsa-3072",
            "sealkeep credential csr acme-seal@2 --out csr.pem",
            "sealkeep credential install acme-seal chain.pem --check",
            "sealkeep credential activate acme-seal --rebind",
            "sealkeep credential retire acme-seal@1",
            "sealkeep credential freeze acme-seal@1",
            "sealkeep credential freeze acme-seal@1 --reason laptop-stolen",
            "sealkeep credential compromise acme-seal@1 --reason laptop-stolen",
            "sealkeep credential unfreeze acme-seal@1 --reason found",
            "sealkeep credential revoke acme-seal@1 --reason compromised",
            "sealkeep credential destroy acme-seal@1 --reason ended",
            "sealkeep enrolment submit acme-seal@2 --by my-qtsp",
            "sealkeep enrolment revoke acme-seal@1 --by my-qtsp --reason key-compromise",
            "sealkeep enrolment withdraw acme-seal@2",
            "sealkeep enrolment list",
            "sealkeep trust import --lotl eu-lotl.xml --list be.xml --list ee.xml --check",
            "sealkeep trust list",
            "sealkeep trust show production/BE",
            "sealkeep trust remove production/BE",
            "sealkeep approval list --all",
            "sealkeep approval approve 0123456789ab",
            "sealkeep approval reject 0123456789ab --reason no",
            "sealkeep credential list",
            "sealkeep credential show acme-seal",
            "sealkeep key attest acme-seal@1",
            "sealkeep bank apply -f banks.toml --check",
            "sealkeep bank list",
            "sealkeep bank show ing-de",
            "sealkeep rotation plan acme-seal --qtsp-lead-days 10",
            "sealkeep rotation start acme-seal --reason CHG-4711",
            "sealkeep rotation status acme-seal --watch",
            "sealkeep rotation attach acme-seal@4",
            "sealkeep rotation announce acme-seal ing-de bnp --bundle out",
            "sealkeep rotation accept acme-seal abn-amro --replaces-old --at 2026-12-15T10:00+01:00 --window 30",
            "sealkeep rotation switch acme-seal --all --canary 10%",
            "sealkeep rotation switch acme-seal ing-de --at 2026-12-15T10:00Z",
            "sealkeep rotation verify acme-seal ing-de bnp --bank-ca bank-ca.pem",
            "sealkeep rotation confirm acme-seal --all",
            "sealkeep rotation rollback acme-seal ing-de",
            "sealkeep rotation fail acme-seal ing-de --reason no",
            "sealkeep rotation complete acme-seal",
            "sealkeep rotation abort acme-seal --reason no",
            "sealkeep access apply -f access.toml",
            "sealkeep access list",
            "sealkeep audit list --limit 5 --event sign.",
            "sealkeep audit verify",
            "sealkeep sign http --bank b --credential c -X POST https://h/v1/x -H a:b -H c:d -d @f",
            "sealkeep sign jws --bank b --payload @f",
            "sealkeep sign jws --bank b --payload {} --explain",
            "sealkeep sign http --bank b https://h/v1 --explain",
            "sealkeep sign http --bank b https://h/v1 --curl",
            "sealkeep profile list --profiles dir",
            "sealkeep profile show berlin-group-1.3.4 -o json",
            "sealkeep profile lint a.toml b.toml",
            "sealkeep profile lint --profiles dir",
            "sealkeep profile test",
            "sealkeep profile test p --vectors v.toml",
            "sealkeep profile explain p --request r --certificate c --set kid=1 --now 2026-11-26T00:00:00Z",
            "sealkeep verify http -p p --request r --certificate c",
            "sealkeep verify http -p p --response r --set kid=1",
            "sealkeep verify jws -p p --jws @f --payload @g --certificate c",
            "sealkeep decrypt --bank b --credential c --jwe @f",
            "sealkeep encrypt --jwk @f --algorithm RSA-OAEP --encryption A128GCM --jwt @g",
            "sealkeep sign jwt client-assertion --bank b --credential c --audience https://h",
            "sealkeep sign jwt request-object --bank b --fields @f",
            "sealkeep sign jwt registration --bank b --fields @-",
            "sealkeep sign jwt dpop --bank b -X GET --access-token @f --nonce n https://h/v1",
            "sealkeep sign jwt body --bank b -d @f https://h/v1",
            "sealkeep verify jwt client-assertion -p p --jwt @f --certificate c --set issuer=https://h",
            "sealkeep verify jwt request-object -p p --jwt @f --certificate c",
            "sealkeep verify jwt registration -p p --jwt @f --certificate c",
            "sealkeep verify jwt request-body -p p --jwt @f --certificate c --url https://h/v1",
            "sealkeep verify jwt answer-body -p p --jwt @f --certificate c",
            "sealkeep verify jwt dpop --jwt @f -X GET --access-token @f --nonce n --age-max 5 https://h/v1",
            "sealkeep check expiry",
            "sealkeep check expiry --warning 60d --critical 36h --format json",
            "sealkeep export ical --out a.ics",
            "sealkeep export register --format json",
            "sealkeep monitoring rules",
            "sealkeep version",
            "sealkeep --addr h:1 --ca a --cert b --client-key c --timeout 3 status",
            "sealkeep status --addr h:1 --timeout 0.5 -q",
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for (line, kind) in [
            (
                "sealkeep",
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
            ),
            ("sealkeep steal", ErrorKind::InvalidSubcommand),
            (
                "sealkeep credential enrol x",
                ErrorKind::MissingRequiredArgument,
            ),
            ("sealkeep credential show Acme", ErrorKind::ValueValidation),
            (
                "sealkeep credential show acme@0",
                ErrorKind::ValueValidation,
            ),
            (
                "sealkeep credential freeze acme",
                ErrorKind::ValueValidation,
            ),
            ("sealkeep audit list --limit 0", ErrorKind::ValueValidation),
            (
                "sealkeep sign http --bank b http://h/v1",
                ErrorKind::ValueValidation,
            ),
            (
                "sealkeep sign http --bank b https://h/v1 -H nocolon",
                ErrorKind::ValueValidation,
            ),
            (
                "sealkeep rotation switch acme-seal",
                ErrorKind::MissingRequiredArgument,
            ),
            (
                "sealkeep rotation switch acme-seal b --canary 100%",
                ErrorKind::ValueValidation,
            ),
            (
                "sealkeep rotation accept acme-seal b --window 30",
                ErrorKind::MissingRequiredArgument,
            ),
            (
                "sealkeep status --timeout never",
                ErrorKind::ValueValidation,
            ),
            ("sealkeep status -o yaml", ErrorKind::InvalidValue),
            (
                "sealkeep check expiry --warning soon",
                ErrorKind::ValueValidation,
            ),
            (
                "sealkeep sign http --bank b https://h/ --explain --curl",
                ErrorKind::ArgumentConflict,
            ),
            (
                "sealkeep verify http -p p --certificate c",
                ErrorKind::MissingRequiredArgument,
            ),
            (
                "sealkeep profile explain p --request r --certificate c --set kid",
                ErrorKind::ValueValidation,
            ),
        ] {
            assert_eq!(parse(line).unwrap_err().kind(), kind, "{line}");
        }
    }

    #[tokio::test]
    async fn says_which_flag_and_variable_are_missing() {
        let cli = parse("sealkeep status --addr h:1 --ca /nowhere/ca.pem --cert c").unwrap();
        if cli.connection.key.is_none() {
            let failure = run(cli).await.unwrap_err();
            assert!(
                failure
                    .to_string()
                    .contains("--client-key or SEALKEEP_CLIENT_KEY"),
                "{failure}"
            );
            assert_eq!(failure.exit_code(), 2);
        }
    }
}
