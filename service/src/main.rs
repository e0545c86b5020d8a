//! `sealkeepd`: the Sealkeep key service.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use sealkeep_service::config::{Config, LogFormat};
use sealkeep_service::doctor::{self, Output};
use sealkeep_service::domain::{CallerName, Name, Purpose};
use sealkeep_service::import::{self, Wish};
use sealkeep_service::run::{self, RunError};
use sealkeep_service::{backend, process};
use sealkeep_service::{bench_token, bench_worker};

/// Keeps the keys of QWACs and QSealCs behind PKCS#11 and signs what policy allows.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the store and its first officer.
    Init {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// The officer: the SPIFFE URI or DNS name in the person's client certificate.
        #[arg(long, value_parser = caller_name)]
        officer: CallerName,
    },
    /// Serve until SIGTERM.
    Run {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Take the PIN from this environment variable. Insecure: other processes of the user can read it.
        #[arg(long, value_name = "VARIABLE")]
        pin_env_insecure: Option<String>,
    },
    /// Check a configuration file and the files it names.
    CheckConfig {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Measure the token by itself with a throw-away key, for `sealkeep bench`. Prints JSON.
    BenchToken {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Which of several tokens, by its name in the configuration.
        #[arg(long)]
        token: Option<String>,
        /// The signature scheme, for example `ecdsa-p256-sha256`.
        #[arg(long)]
        algorithm: String,
        /// Sessions that sign at once.
        #[arg(long, default_value_t = 1)]
        threads: u16,
        /// How long, seconds.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// Measure what the worker process costs, with a throw-away key. Prints JSON.
    BenchWorker {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Which of several tokens, by its name in the configuration.
        #[arg(long)]
        token: Option<String>,
        /// Signatures asked for at once.
        #[arg(long, default_value_t = 8)]
        in_flight: usize,
        /// How long, seconds.
        #[arg(long, default_value_t = 8)]
        seconds: u64,
    },
    /// About the token.
    #[command(subcommand)]
    Token(TokenCommand),
    /// About private keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Hold the token for a service; the service starts it.
    #[command(hide = true)]
    TokenWorker {
        /// How log lines look.
        #[arg(long, default_value = "text")]
        log_format: LogFormat,
    },
    /// Forget that the token refused the PIN, after it was corrected. The next start tries it once.
    ClearPin {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Which of several tokens, by its name in the configuration.
        #[arg(long)]
        token: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Bring the key of an existing certificate from a PKCS#12 file into the token and install the certificate. Stop the
    /// service first. Only where the configuration says `import = true`; the key is marked as imported for ever.
    Import {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Which of several tokens, by its name in the configuration.
        #[arg(long)]
        token: Option<String>,
        /// The PKCS#12 file; nobody else may be able to read it.
        #[arg(long, value_name = "FILE")]
        pkcs12: PathBuf,
        /// A file of mode 0400 that holds the password of the PKCS#12 file.
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
        /// The credential; made when absent.
        #[arg(long, value_name = "NAME", value_parser = name)]
        credential: Name,
        /// What the credential is for.
        #[arg(long, value_parser = purpose, default_value = "seal")]
        purpose: Purpose,
        /// The officer in whose name it stands in the log.
        #[arg(long, value_name = "CALLER", value_parser = caller_name)]
        officer: CallerName,
        /// Take the PIN from this environment variable. Insecure: other processes of the user can read it.
        #[arg(long, value_name = "VARIABLE")]
        pin_env_insecure: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Try what the service may ask of the token: what works, what is degraded, what to do. Makes test keys and destroys
    /// them; works beside a running service. Exit code 1 when the token cannot sign.
    Doctor {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Which of several tokens, by its name in the configuration.
        #[arg(long)]
        token: Option<String>,
        /// How the report looks.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
        /// Take the PIN from this environment variable. Insecure: other processes of the user can read it.
        #[arg(long, value_name = "VARIABLE")]
        pin_env_insecure: Option<String>,
    },
}

fn caller_name(text: &str) -> Result<CallerName, String> {
    CallerName::try_from(text.to_owned()).map_err(|error| error.to_string())
}

fn name(text: &str) -> Result<Name, String> {
    Name::try_from(text.to_owned()).map_err(|error| error.to_string())
}

fn purpose(text: &str) -> Result<Purpose, String> {
    let imported = [Purpose::Transport, Purpose::Seal];
    let found = imported.into_iter().find(|it| it.as_str() == text);
    found.ok_or_else(|| "transport or seal".to_owned())
}

fn main() -> ExitCode {
    match act(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

#[allow(
    clippy::print_stderr,
    reason = "the last word of a process that could not start"
)]
fn complain(error: &RunError) {
    eprintln!("sealkeepd: {}: {error}", error.reason());
    if let Some(way_out) = error.way_out() {
        eprintln!("sealkeepd: way out: {way_out}");
    }
}

#[allow(clippy::print_stdout, reason = "the answer of a command")]
fn act(command: Command) -> Result<ExitCode, RunError> {
    match command {
        Command::Init { config, officer } => {
            let config = Config::read(&config)?;
            runtime(1)?.block_on(run::init(&config, officer.clone()))?;
            println!("initialised {}", config.place()?);
            println!("first officer {officer}");
        }
        Command::CheckConfig { config } => {
            run::check(&config)?;
            println!("{}: ok", config.display());
        }
        Command::ClearPin { config, token } => {
            let config = Config::read(&config)?;
            let marker = config.pin_marker(config.token(token.as_deref())?);
            backend::pkcs11::clear_pin_marker(&marker)?;
            println!("cleared; the next start tries the PIN once");
        }
        Command::BenchToken {
            config,
            token,
            algorithm,
            threads,
            seconds,
        } => {
            let (config, duration) = (Config::read(&config)?, Duration::from_secs(seconds));
            let measuring =
                bench_token::run(&config, token.as_deref(), &algorithm, threads, duration);
            println!("{}", runtime(1)?.block_on(measuring)?);
        }
        Command::BenchWorker {
            config,
            token,
            in_flight,
            seconds,
        } => {
            let (config, duration) = (Config::read(&config)?, Duration::from_secs(seconds));
            let measuring = bench_worker::run(&config, token.as_deref(), in_flight, duration);
            println!("{}", runtime(1)?.block_on(measuring)?);
        }
        Command::Token(TokenCommand::Doctor {
            config,
            token,
            output,
            pin_env_insecure,
        }) => {
            let (config, pin_env) = (Config::read(&config)?, pin_env_insecure.as_deref());
            let report = doctor::run(&config, token.as_deref(), pin_env, output)?;
            print!("{}", report.text);
            return Ok(match report.signs {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            });
        }
        Command::Key(KeyCommand::Import {
            config,
            token,
            pkcs12,
            password_file,
            credential,
            purpose,
            officer,
            pin_env_insecure,
        }) => {
            process::harden()?;
            let wish = Wish {
                file: pkcs12,
                password_file,
                credential,
                purpose,
                officer,
            };
            let (config, pin_env) = (Config::read(&config)?, pin_env_insecure.as_deref());
            let importing = import::run(&config, token.as_deref(), pin_env, wish);
            let installed = runtime(1)?.block_on(importing)?;
            println!("{}", import::told(&installed));
        }
        Command::TokenWorker { log_format } => {
            log(log_format);
            backend::worker::run_worker()?;
        }
        Command::Run {
            config,
            pin_env_insecure,
        } => {
            let config = Config::read(&config)?;
            process::harden()?;
            log(config.log.format);
            let cores = std::thread::available_parallelism().map_or(2, |n| n.get());
            let threads = config.runtime.worker_threads.unwrap_or((cores / 2).max(1));
            runtime(threads)?.block_on(run::run(config, pin_env_insecure))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn runtime(worker_threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads)
        .enable_all()
        .build()
}

/// Logs go to standard error; `RUST_LOG` chooses (tracing-subscriber's EnvFilter), `info` by default.
fn log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().init(),
    }
}
