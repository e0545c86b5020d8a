//! An HTTP client for one bank: mutual TLS with the remote key, nothing else added.
//!
//! In: signed requests. Out: the bank's answers. Never: a redirect followed (its signature would be for another target),
//! a request to a host that is not the bank's, a request sent twice.

use crate::error::{Error, chain};
use crate::tls::TlsConfig;
use crate::tls::offload::{OffloadLayer, OffloadService};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tower::Layer;

/// An answer that is collected is no larger, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// From sending a request to having the whole answer, in seconds.
const ANSWER_TIMEOUT_S: u64 = 30;
/// The port of `https`.
const HTTPS_PORT: u16 = 443;

type Inner = Client<OffloadService<HttpsConnector<HttpConnector>>, Full<Bytes>>;

/// An HTTP/1.1 and HTTP/2 client for one bank. Cloning is cheap; clones share connections.
///
/// When the bank is bound to another version, new requests go over new connections that present it; requests under way
/// finish on the old ones.
#[derive(Clone)]
pub struct HttpClient {
    tls: TlsConfig,
    offload: OffloadLayer,
    current: Arc<Mutex<Current>>,
}

struct Current {
    generation: u64,
    client: Inner,
}

impl HttpClient {
    /// A client that uses `tls`.
    ///
    /// # Errors
    /// [`Error::Broken`] when rustls refuses the configuration.
    pub fn new(tls: TlsConfig) -> Result<Self, Error> {
        let offload = OffloadLayer::default();
        let generation = tls.generation();
        let current = Current {
            generation,
            client: build(&tls, &offload)?,
        };
        Ok(Self {
            tls,
            offload,
            current: Arc::new(Mutex::new(current)),
        })
    }

    /// The TLS side of the client.
    #[must_use]
    pub fn tls(&self) -> &TlsConfig {
        &self.tls
    }

    /// Sends a request as it is and answers as soon as the head of the answer is there.
    ///
    /// # Errors
    /// [`HttpError`]; for [`HttpError::Signature`] nothing reached the bank.
    pub async fn request<B: Into<Bytes>>(
        &self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, HttpError> {
        self.check_host(request.uri())?;
        let request = request.map(|body| Full::new(body.into()));
        match self.once(request.clone()).await {
            // The bank was bound to another version while this handshake presented the old one. Nothing reached the
            // bank, so the same request goes over a connection that presents the new one.
            Err(HttpError::Signature(error)) if error.is_rebound() => {
                let refreshed = self.tls.refresh().await;
                refreshed.map_err(|error| HttpError::Signature(Box::new(error)))?;
                self.once(request).await
            }
            other => other,
        }
    }

    /// Sends a request and collects the answer: at most 4 MiB within 30 seconds.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn send<B: Into<Bytes>>(
        &self,
        request: Request<B>,
    ) -> Result<Response<Bytes>, HttpError> {
        let work = async {
            let (parts, body) = self.request(request).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| HttpError::Broken {
                detail: error.to_string(),
            })?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        let answered = tokio::time::timeout(Duration::from_secs(ANSWER_TIMEOUT_S), work).await;
        answered.unwrap_or(Err(HttpError::Timeout))
    }

    async fn once(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, HttpError> {
        let client = self
            .client()
            .map_err(|error| HttpError::Signature(Box::new(error)))?;
        client
            .request(request)
            .await
            .map_err(|error| match Error::behind(&error) {
                Some(ours) => HttpError::Signature(Box::new(ours.clone())),
                None if error.is_connect() => HttpError::Connect {
                    detail: chain(&error),
                },
                None => HttpError::Broken {
                    detail: chain(&error),
                },
            })
    }

    /// The client of the presented version.
    fn client(&self) -> Result<Inner, Error> {
        let generation = self.tls.generation();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.generation != generation {
            *current = Current {
                generation,
                client: build(&self.tls, &self.offload)?,
            };
        }
        Ok(current.client.clone())
    }

    fn check_host(&self, uri: &Uri) -> Result<(), HttpError> {
        let authority = uri
            .authority()
            .map(|authority| authority.as_str())
            .unwrap_or_default();
        let wanted = host_and_port(authority);
        match self
            .tls
            .hosts()
            .iter()
            .any(|host| host_and_port(host) == wanted)
        {
            true => Ok(()),
            false => Err(HttpError::ForeignHost {
                host: authority.to_owned(),
            }),
        }
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient")
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

fn build(tls: &TlsConfig, offload: &OffloadLayer) -> Result<Inner, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls.client_config()?)
        .https_only()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(offload.layer(https)))
}

fn host_and_port(authority: &str) -> Option<(String, u16)> {
    let authority: http::uri::Authority = authority.parse().ok()?;
    let port = authority.port_u16().unwrap_or(HTTPS_PORT);
    Some((authority.host().to_ascii_lowercase(), port))
}

/// Why there is no answer of the bank.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The TLS handshake got no signature. Nothing reached the bank.
    #[error("no TLS signature: {0}")]
    Signature(#[source] Box<Error>),
    /// The host is none of the bank's, so nothing was sent.
    #[error("`{host}` is not a host of this bank")]
    ForeignHost {
        /// Host and port of the request.
        host: String,
    },
    /// No connection to the bank: DNS, TCP, its certificate, or it refused ours.
    #[error("no connection to the bank: {detail}")]
    Connect {
        /// What the network or TLS said.
        detail: String,
    },
    /// The connection broke or the answer is unusable. The bank may have acted on the request.
    #[error("the exchange with the bank broke: {detail}")]
    Broken {
        /// What the network or HTTP said.
        detail: String,
    },
    /// No whole answer in time. The bank may have acted on the request.
    #[error("the bank did not answer in time")]
    Timeout,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_port_is_that_of_https() {
        assert_eq!(
            host_and_port("Bank.example"),
            host_and_port("bank.example:443")
        );
        assert_ne!(
            host_and_port("bank.example"),
            host_and_port("bank.example:8443")
        );
        assert_ne!(
            host_and_port("bank.example"),
            host_and_port("sub.bank.example")
        );
        assert_eq!(host_and_port(""), None);
    }
}
