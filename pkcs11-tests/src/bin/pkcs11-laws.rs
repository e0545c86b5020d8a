//! Examines a PKCS#11 module and prints a report: which laws it keeps, which not, what was seen.
//!
//! In: a module, a token's label, a file with the PIN. Each law runs in a process of its own, so that a module that
//! crashes, ends the process or hangs breaks one law and not the examination. Exit status: 0 as known, 1 not as
//! known, 2 the examination could not be done.

#![allow(clippy::print_stdout, clippy::print_stderr)] // It prints a report.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use sealkeep_pkcs11_tests::laws::{
    Described, Exceptions, Finding, LAWS, Law, Line, Report, Subject,
};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// Longest time that a law may take (seconds): RSA keys on a slow token.
const LAW_SECONDS_MAX: u64 = 120;

/// Examines a PKCS#11 module for what Sealkeep needs of it. It makes test keys in the token and destroys them.
#[derive(Debug, Parser)]
struct Arguments {
    /// File of the PKCS#11 module.
    #[arg(long)]
    module: PathBuf,
    /// Label of the token.
    #[arg(long)]
    token_label: String,
    /// File whose first line is the user PIN.
    #[arg(long)]
    pin_file: PathBuf,
    /// What the module wants at C_Initialize, as NSS does (configdir='sql:...').
    #[arg(long)]
    init_string: Option<String>,
    /// A table of known exceptions instead of the one that comes with the program.
    #[arg(long)]
    quirks: Option<PathBuf>,
    /// Try a wrong PIN once (law 16). Not on a token that counts them.
    #[arg(long)]
    try_wrong_pin: bool,
    /// Try this law only; may be given several times.
    #[arg(long = "law")]
    laws: Vec<u16>,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Try one law in this process and print its finding.
    #[arg(long, hide = true)]
    in_process: Option<u16>,
    /// Print what the module says of itself, from this process.
    #[arg(long, hide = true)]
    describe: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    if let Some(number) = arguments.in_process {
        let finding = law(number)?.check(&subject(arguments)?);
        println!("{}", serde_json::to_string(&finding)?);
        return Ok(true);
    }
    if arguments.describe {
        let described = Described::of(&subject(arguments)?).ok();
        println!("{}", serde_json::to_string(&described)?);
        return Ok(true);
    }
    let wanted: Vec<_> = match arguments.laws.as_slice() {
        [] => LAWS.iter().collect(),
        numbers => numbers
            .iter()
            .map(|number| law(*number))
            .collect::<Result<_>>()?,
    };
    // Said before any process starts: a file that cannot be read is not the module's fault.
    subject(arguments)?;
    let (output, _) = in_own_process(&["--describe"])?;
    let described = last_line(&output).flatten();
    let exceptions = exceptions(arguments, described.as_ref())?;
    let mut report = Report {
        module: arguments.module.clone(),
        token: arguments.token_label.clone(),
        described,
        examiner: env!("CARGO_PKG_VERSION"),
        lines: Vec::new(),
    };
    for law in wanted {
        let (output, took) = in_own_process(&["--in-process", &law.number.to_string()])?;
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        report
            .lines
            .push(Line::new(law, finding(&output), &exceptions, ms));
    }
    match arguments.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => println!("{report}"),
    }
    Ok(report.is_as_expected())
}

fn law(number: u16) -> Result<&'static Law> {
    Law::numbered(number).with_context(|| format!("there is no law {number}"))
}

/// What is known of the module. One that does not live to describe itself is known by the name of its file alone.
fn exceptions(arguments: &Arguments, described: Option<&Described>) -> Result<Exceptions> {
    let nothing = Described::default();
    let described = described.unwrap_or(&nothing);
    let Some(file) = &arguments.quirks else {
        return Ok(Exceptions::of(None, &arguments.module, described)?);
    };
    let name = || file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(name)?;
    Exceptions::of(Some(&text), &arguments.module, described).with_context(name)
}

fn subject(arguments: &Arguments) -> Result<Subject> {
    let file = &arguments.pin_file;
    let text =
        Zeroizing::new(std::fs::read_to_string(file).with_context(|| file.display().to_string())?);
    let Some(pin) = text.lines().next().filter(|pin| !pin.is_empty()) else {
        bail!("{}: the first line must be the PIN", file.display());
    };
    if !arguments.module.is_file() {
        bail!("no PKCS#11 module at {}", arguments.module.display());
    }
    Ok(Subject {
        module: arguments.module.clone(),
        token_label: arguments.token_label.clone(),
        pin: SecretString::from(pin),
        init_string: arguments.init_string.clone(),
        may_try_wrong_pin: arguments.try_wrong_pin,
    })
}

/// Runs this program again, with the same arguments and some more.
#[allow(clippy::disallowed_methods)] // A report says how long things took.
fn in_own_process(more: &[&str]) -> Result<(Output, Duration)> {
    let started = Instant::now();
    let mut command = Command::new("timeout");
    command
        .arg(LAW_SECONDS_MAX.to_string())
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .args(more);
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("cannot start a process for a law")?;
    Ok((output, started.elapsed()))
}

/// The last line that is an answer: modules print things too.
fn last_line<T: DeserializeOwned>(output: &Output) -> Option<T> {
    let told = String::from_utf8_lossy(&output.stdout);
    let mut lines = told.lines().rev();
    lines.find_map(|line| serde_json::from_str(line).ok())
}

/// What a process told, or how it ended.
fn finding(output: &Output) -> Finding {
    match last_line(output) {
        Some(finding) if output.status.success() => finding,
        Some(finding @ Finding::Broken(_)) => finding,
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().last().unwrap_or_default();
            Finding::Broken(format!(
                "the module ended the process ({}) {said}",
                output.status
            ))
        }
    }
}
