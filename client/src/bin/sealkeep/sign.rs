//! `sealkeep sign ...`: has one request or payload signed and shows what to set. Sends nothing to a bank.
//!
//! In: a request as it will be sent. Out: the headers to set, or the JWS. Never: a header value made harmless on the way;
//! `-H $'X-Request-ID: a\r\nX: b'` arrives at the service as it is, to be refused there.

use crate::explained::{self, CurlBody};
use crate::failure::Failure;
use crate::files::argument_bytes;
use crate::report::Report;
use crate::words::{name, rfc3339, short};
use clap::{Args, Subcommand};
use sealkeep_client::{BodySource, RequestHead, Sealkeep};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Sign an HTTP request; prints the headers to set on it.
    Http(Box<Http>),
    /// Sign a payload as the bank's profile says; prints the JWS.
    Jws {
        /// The bank.
        #[arg(long, value_parser = name)]
        bank: String,
        /// The credential; without it the one the bank lists first.
        #[arg(long, value_parser = name)]
        credential: Option<String>,
        /// The payload: `@file`, `@-` for stdin, or text.
        #[arg(long, value_name = "@FILE|TEXT")]
        payload: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Http {
    /// The bank.
    #[arg(long, value_parser = name)]
    bank: String,
    /// The credential; without it the one the bank lists first.
    #[arg(long, value_parser = name)]
    credential: Option<String>,
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
            Self::Jws {
                bank,
                credential,
                payload,
            } => {
                let payload = argument_bytes(&payload)?;
                let bank = connect()?.bank(&bank);
                let bank =
                    credential.map_or(bank.clone(), |credential| bank.credential(&credential));
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
        let bank = connect()?.bank(&self.bank);
        let bank = self
            .credential
            .map_or(bank.clone(), |credential| bank.credential(&credential));
        if self.explain {
            let explanation = bank.explain_head(&head, body).await?;
            let curl = explained::curl(&head, &explanation.headers, &curl_body);
            return Ok(explained::report(&explanation, &curl));
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

/// Authority and target of an URL, byte for byte as written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    authority: String,
    target: String,
}

fn url(text: &str) -> Result<Url, String> {
    let rest = text
        .strip_prefix("https://")
        .ok_or("write https://HOST[:PORT]/PATH")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if authority.is_empty() {
        return Err("there is no host".to_owned());
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok(Url {
        authority: authority.to_owned(),
        target: format!("{slash}{target}"),
    })
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
    fn urls_are_taken_byte_for_byte() {
        let parts = |text| url(text).map(|url| (url.authority, url.target)).unwrap();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            parts("https://h:1/v1/%2f/../x?y=%20"),
            pair("h:1", "/v1/%2f/../x?y=%20")
        );
        assert_eq!(parts("https://h"), pair("h", "/"));
        assert_eq!(parts("https://h?x"), pair("h", "/?x"));
        assert!(url("http://h/").is_err() && url("https:///x").is_err());
    }

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
