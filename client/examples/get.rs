//! Asks one URL over mutual TLS whose private key stays in the token, on a connection of our own making.
//!
//! In: `SEALKEEP_*` (how to reach the service and who we are to it), a bank, roots, a URL of that bank. Out: what TLS
//! agreed on, the status, the body; an exit code other than 0 when there is no answer. Never: a private key of a
//! certificate that the bank knows.
//!
//! [`sealkeep_client::HttpClient`] does all of this itself; this is how to do it with connectors that it does not know.
//!
//! ```text
//! SEALKEEP_ADDR=.. SEALKEEP_CACERT=.. SEALKEEP_CLIENT_CERT=.. SEALKEEP_CLIENT_KEY=.. \
//!   get --bank demo-bank --bank-ca root.pem https://localhost:8443/status
//! ```

use anyhow::{Context, Result, ensure};
use clap::Parser;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use sealkeep_client::{Config, Offload, Sealkeep, http, roots_from_pem};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The largest body that is shown, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// From the wish to connect to the end of the body, in seconds.
const TIMEOUT_S: u64 = 30;
const HTTPS_PORT: u16 = 443;

/// Asks one URL over mutual TLS with a key that stays in the token.
#[derive(Parser)]
struct Arguments {
    /// What Sealkeep calls the bank.
    #[arg(long)]
    bank: String,
    /// The transport credential; without it the one the bank lists first.
    #[arg(long, default_value = "")]
    credential: String,
    /// Roots of the bank's TLS certificate, PEM.
    #[arg(long)]
    bank_ca: PathBuf,
    /// What to ask.
    url: http::Uri,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let work = get(Arguments::parse());
    let limit = Duration::from_secs(TIMEOUT_S);
    let answered = tokio::time::timeout(limit, work).await;
    answered.context("no answer in time")?
}

async fn get(arguments: Arguments) -> Result<()> {
    let stream = connect(&arguments).await?;
    let version = stream.get_ref().1.protocol_version();
    let suite = stream.get_ref().1.negotiated_cipher_suite();
    let version = version.context("TLS agreed on no version")?;
    let suite = suite.context("TLS agreed on no cipher suite")?.suite();
    let mut out = std::io::stdout();
    writeln!(out, "{version:?} {suite:?}")?;

    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The answer tells when the connection breaks; its own end says nothing more.
    tokio::spawn(async move { drop(connection.await) });
    let path = arguments.url.path_and_query();
    let host = arguments.url.authority().context("a URL with a host")?;
    let request = http::Request::get(path.map_or("/", |path| path.as_str()))
        .header(http::header::HOST, host.as_str())
        .body(Empty::<Bytes>::new())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    writeln!(out, "{}", head.status)?;
    out.write_all(&body)?;
    ensure!(
        head.status.is_success(),
        "the bank answered {}",
        head.status
    );
    Ok(())
}

/// TCP, then TLS with the certificate bound to the bank. The service is asked for one signature, over the handshake.
async fn connect(arguments: &Arguments) -> Result<TlsStream<TcpStream>> {
    let pem = std::fs::read(&arguments.bank_ca).context("--bank-ca")?;
    let sealkeep = Sealkeep::connect(Config::from_env()?)?;
    let bank = sealkeep
        .bank(&arguments.bank)
        .credential(&arguments.credential);
    let tls = bank.tls_config(roots_from_pem(&pem)?).await?;

    let host = arguments.url.host().context("a URL with a host")?;
    let port = arguments.url.port_u16().unwrap_or(HTTPS_PORT);
    let name = ServerName::try_from(host.to_owned())?;
    let tcp = TcpStream::connect((host, port)).await?;
    let handshake = TlsConnector::from(Arc::new(tls.client_config()?)).connect(name, tcp);
    // The signature is asked for synchronously: polled on the blocking pool, it makes no worker wait.
    let stream = Offload::new(handshake).await;
    stream.map_err(|error| anyhow::anyhow!(error))
}
