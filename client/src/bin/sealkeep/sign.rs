//! `sealkeep sign ...`: has one request, payload or JWT signed and shows what to set. Sends nothing to a bank.
//!
//! In: a request as it will be sent. Out: the headers to set, the JWS or the JWT. Never: a header value made harmless on the way;
//! `-H $'X-Request-ID: a\r\nX: b'` arrives at the service as it is, to be refused there.

mod jwt;

use crate::explained::{self, CurlBody};
use crate::failure::Failure;
use crate::files::argument_bytes;
use crate::report::Report;
use crate::words::{Url, name, rfc3339, short, url};
use clap::{Args, Subcommand};
use sealkeep_client::{BankHandle, BodySource, RequestHead, Sealkeep};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Sign an HTTP request; prints the headers to set on it.
    Http(Box<Http>),
    /// Sign a payload as the bank's profile says; prints the JWS.
    Jws(Jws),
    /// Sign a JWT for the bank's authorisation server; prints it.
    #[command(subcommand)]
    Jwt(jwt::Kind),
}

/// For whom, and with what.
#[derive(Debug, Args)]
pub(crate) struct Signer {
    /// The bank.
    #[arg(long, value_parser = name)]
    bank: String,
    /// The credential; without it the one the bank lists first.
    #[arg(long, value_parser = name)]
    credential: Option<String>,
}

impl Signer {
    fn bank(&self, service: Sealkeep) -> BankHandle {
        let bank = service.bank(&self.bank);
        match &self.credential {
            Some(credential) => bank.credential(credential),
            None => bank,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Jws {
    #[command(flatten)]
    signer: Signer,
    /// The payload: `@file`, `@-` for stdin, or text.
    #[arg(long, value_name = "@FILE|TEXT")]
    payload: String,
    /// Print what would be signed, and use no key.
    #[arg(long)]
    explain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Http {
    #[command(flatten)]
    signer: Signer,
    /// The method; without it GET, or POST when there is a body.
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<String>,
    /// A header as it will be sent; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The body: `@file`, `@-` for stdin, or text. It is digested here.
    #[arg(short, long, value_name = "@FILE|TEXT")]
    data: Option<String>,
    /// Print what would be signed, and use no key.
    #[arg(long, conflicts_with = "curl")]
    explain: bool,
    /// Print a `curl` that sends the signed request.
    #[arg(long)]
    curl: bool,
    /// Where the request goes.
    #[arg(value_parser = url)]
    url: Url,
}

impl Verb {
    pub(crate) async fn run(
        self,
        connect: impl FnOnce() -> Result<Sealkeep, Failure>,
    ) -> Result<Report, Failure> {
        match self {
            Self::Http(http) => http.run(connect).await,
            Self::Jwt(kind) => kind.run(connect).await,
            Self::Jws(jws) => jws.run(connect).await,
        }
    }
}

impl Jws {
    async fn run(
        self,
        connect: impl FnOnce() -> Result<Sealkeep, Failure>,
    ) -> Result<Report, Failure> {
        let payload = argument_bytes(&self.payload)?;
        let bank = self.signer.bank(connect()?);
        if self.explain {
            return Ok(explained::report(&bank.explain_jws(&payload).await?, None));
        }
        let signed = bank.jws(&payload).await?;
        let json = json!({
            "jws": signed.jws,
            "version": signed.version,
            "algorithm": signed.algorithm,
            "audit_record": signed.audit_record,
        });
        Ok(Report::new(format!("{}\n", signed.jws), json).note(said(
            &signed.version,
            &signed.algorithm,
            &signed.audit_record,
        )))
    }
}

impl Http {
    async fn run(
        self,
        connect: impl FnOnce() -> Result<Sealkeep, Failure>,
    ) -> Result<Report, Failure> {
        let body = self.data.as_deref().map(argument_bytes).transpose()?;
        let method = self
            .method
            .unwrap_or_else(|| default_method(body.is_some()).to_owned());
        let head = RequestHead {
            method,
            authority: self.url.authority,
            target: self.url.target,
            headers: self
                .headers
                .into_iter()
                .map(|(n, v)| (n, v.into_bytes()))
                .collect(),
        };
        let curl_body = curl_body(self.data.as_deref());
        let body = body.as_deref().map_or(BodySource::Empty, BodySource::Bytes);
        let bank = self.signer.bank(connect()?);
        if self.explain {
            let explanation = bank.explain_head(&head, body).await?;
            let curl = explained::curl(&head, &explanation.headers, &curl_body);
            return Ok(explained::report(&explanation, Some(&curl)));
        }
        let signed = bank.sign_head(&head, body).await?;
        let headers: Vec<(String, String)> = signed
            .iter()
            .map(|(n, v)| {
                (
                    n.to_string(),
                    String::from_utf8_lossy(v.as_bytes()).into_owned(),
                )
            })
            .collect();
        let curl = explained::curl(&head, &headers, &curl_body);
        let text: String = headers.iter().map(|(n, v)| format!("{n}: {v}\n")).collect();
        let header = |(name, value): &(String, String)| json!({ "name": name, "value": value });
        let json = json!({
            "headers": headers.iter().map(header).collect::<Vec<_>>(),
            "version": signed.version,
            "profile": signed.profile,
            "algorithm": signed.algorithm,
            "audit_record": signed.audit_record,
            "certificate_not_after_time": rfc3339(signed.certificate_not_after),
            "curl": curl,
        });
        let note = said(&signed.version, &signed.algorithm, &signed.audit_record);
        let text = if self.curl { format!("{curl}\n") } else { text };
        Ok(Report::new(text, json).note(format!("{note}, profile {}", signed.profile)))
    }
}

fn said(version: &str, algorithm: &str, record: &str) -> String {
    format!(
        "signed by {} with {algorithm}, audit record {record}",
        short(version)
    )
}

/// Where `curl` finds the body that was given.
fn curl_body(data: Option<&str>) -> CurlBody {
    match data.map(|data| (data, data.strip_prefix('@'))) {
        None => CurlBody::None,
        Some((_, Some(path))) => CurlBody::File(path.to_owned()),
        Some((text, None)) => CurlBody::of_text(text.to_owned()),
    }
}

fn default_method(has_body: bool) -> &'static str {
    if has_body { "POST" } else { "GET" }
}

/// Name and value of a header. One blank after the colon is not part of the value; anything else is.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write 'Name: value'")?;
    Ok((
        name.to_owned(),
        value.strip_prefix(' ').unwrap_or(value).to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn header_values_keep_every_byte() {
        assert_eq!(header("A: b:c ").unwrap(), ("A".into(), "b:c ".into()));
        assert_eq!(
            header("A:b\r\nX: y").unwrap(),
            ("A".into(), "b\r\nX: y".into())
        );
        assert!(header("A").is_err());
    }

    #[test]
    fn a_body_makes_it_a_post() {
        assert_eq!(
            (default_method(true), default_method(false)),
            ("POST", "GET")
        );
    }
}
