//! Alerts as HTTPS requests: Standard Webhooks 1.0.0.
//!
//! In: a URL, a file of secrets, the CAs to trust. Out: `POST {"type","timestamp","data"}` with `webhook-id`,
//! `webhook-timestamp` and `webhook-signature`. Never: plain HTTP, a redirect followed, a body read beyond its limit.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::signature::{Secrets, SecretsError};
use super::{AlertSink, Delivery, Undelivered};
use crate::outgoing::trusting;
use crate::watch::alert::Alert;

/// How long a receiver may take, connection and answer, seconds.
const DELIVERY_TIMEOUT_S: u64 = 15;
/// How much of an answer is read, so that the connection can be used again, bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// `[[watch.webhook]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// The name of the receiver. What was delivered is remembered by it.
    pub name: String,
    /// Where to, `https` only.
    pub url: String,
    /// A file with the shared secrets, one a line; read at each delivery.
    pub secret_file: PathBuf,
    /// The CAs that may have issued the receiver's certificate, PEM; those of the system when absent.
    pub ca_file: Option<PathBuf>,
}

/// Why a webhook cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The URL is not one to send alerts to.
    #[error("watch.webhook {name}: url: {rule}")]
    Url {
        /// The webhook.
        name: String,
        /// What it must be.
        rule: &'static str,
    },
    /// The secrets cannot be read.
    #[error("watch.webhook {name}: {source}")]
    Secrets {
        /// The webhook.
        name: String,
        /// Why not.
        source: SecretsError,
    },
    /// The CAs cannot be read.
    #[error("watch.webhook {name}: {path}: {problem}")]
    Cas {
        /// The webhook.
        name: String,
        /// Which file; `the system's` when none is configured.
        path: String,
        /// Why not.
        problem: String,
    },
}

/// A receiver.
pub struct WebhookSink {
    name: String,
    uri: Uri,
    secret_file: PathBuf,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl std::fmt::Debug for WebhookSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The path of a URL is often a secret itself.
        f.debug_struct("WebhookSink")
            .field("name", &self.name)
            .field("host", &self.uri.host())
            .finish_non_exhaustive()
    }
}

impl WebhookSink {
    /// Checks a configuration and the files it names; connects to nothing.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub fn new(config: &WebhookConfig) -> Result<Self, WebhookError> {
        let name = || config.name.clone();
        let uri = uri(&config.url).map_err(|rule| WebhookError::Url { name: name(), rule })?;
        Secrets::read(&config.secret_file).map_err(|source| WebhookError::Secrets {
            name: name(),
            source,
        })?;
        let tls = trusting(config.ca_file.as_deref()).map_err(|problem| WebhookError::Cas {
            name: name(),
            path: match &config.ca_file {
                Some(path) => path.display().to_string(),
                None => "the system's".to_owned(),
            },
            problem,
        })?;
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .build();
        Ok(Self {
            name: name(),
            uri,
            secret_file: config.secret_file.clone(),
            client: Client::builder(TokioExecutor::new()).build(connector),
        })
    }

    async fn post(&self, alert: &Alert, now: Timestamp) -> Result<(), Undelivered> {
        let failed = |reason, detail: String| Undelivered {
            reason,
            detail,
            retry_after: None,
        };
        let secrets = Secrets::read(&self.secret_file)
            .map_err(|error| failed("SECRET_UNAVAILABLE", error.to_string()))?;
        let request = request(&self.uri, &secrets, alert, now)
            .map_err(|error| failed("ALERT_MALFORMED", error))?;
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| failed("UNREACHABLE", chain(&error)))?;
        judge(answer).await
    }
}

impl AlertSink for WebhookSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver<'a>(&'a self, alert: &'a Alert, now: Timestamp) -> Delivery<'a> {
        Box::pin(async move {
            let patience = Duration::from_secs(DELIVERY_TIMEOUT_S);
            let answer = tokio::time::timeout(patience, self.post(alert, now)).await;
            answer.unwrap_or_else(|_| {
                Err(Undelivered {
                    reason: "TIMED_OUT",
                    detail: format!("no answer within {DELIVERY_TIMEOUT_S} s"),
                    retry_after: None,
                })
            })
        })
    }
}

/// The errors below an error say what went wrong; the top says only that something did.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        text = format!("{text}: {source}");
        below = source.source();
    }
    text
}

fn request(
    uri: &Uri,
    secrets: &Secrets,
    alert: &Alert,
    now: Timestamp,
) -> Result<Request<Full<Bytes>>, String> {
    let body = json!({ "type": alert.event(), "timestamp": alert.raise_time, "data": alert });
    let body = body.to_string().into_bytes();
    let timestamp_s = now.as_second();
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri.clone())
        .header(header::CONTENT_TYPE, "application/json")
        .header(
            header::USER_AGENT,
            concat!("sealkeepd/", env!("CARGO_PKG_VERSION")),
        )
        .header("webhook-id", &alert.id)
        .header("webhook-timestamp", timestamp_s)
        .header(
            "webhook-signature",
            secrets.sign(&alert.id, timestamp_s, &body),
        )
        .body(Full::new(Bytes::from(body)));
    request.map_err(|error| error.to_string())
}

/// 2xx is success; a redirect is not followed, for it would carry the alert to where nobody configured it.
async fn judge(answer: Response<Incoming>) -> Result<(), Undelivered> {
    let status = answer.status();
    let retry_after = answer.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(SignedDuration::from_secs);
    // Read to the end so that the connection can be used again; what it says is of no interest.
    let _ = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    if status.is_success() {
        return Ok(());
    }
    Err(Undelivered {
        reason: "REFUSED",
        detail: format!("HTTP {}", status.as_u16()),
        retry_after,
    })
}

fn uri(text: &str) -> Result<Uri, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "not a URL")?;
    let authority = uri.authority().ok_or("must be absolute")?;
    if uri.scheme_str() != Some("https") {
        return Err("must be https");
    }
    if authority.as_str().contains('@') {
        return Err("must hold no user and password; the signature authenticates");
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_no_password_in_the_url() {
        for (bad, rule) in [
            ("http://a.example/hook", "must be https"),
            ("/hook", "must be absolute"),
            ("https://u:p@a.example/", "user and password"),
            ("https://a b/", "not a URL"),
        ] {
            assert!(uri(bad).unwrap_err().contains(rule), "{bad}");
        }
        assert!(uri("https://a.example:8443/hook?team=x").is_ok());
    }
}
