//! HTTPS for ACME: bounded in time and size, no redirects.

use std::pin::Pin;
use std::time::Duration;

use http_body_util::Limited;
use hyper::body::Bytes;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

/// How long the head of an answer may take, seconds.
const EXCHANGE_TIMEOUT_S: u64 = 30;
/// Largest answer, bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

pub(super) struct Https(Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl Https {
    pub(super) fn new(tls: rustls::ClientConfig) -> Self {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .build();
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl HttpClient for Https {
    fn request(&self, request: http::Request<BodyWrapper<Bytes>>) -> Answer {
        let exchange = self.0.request(request);
        Box::pin(async move {
            let patience = Duration::from_secs(EXCHANGE_TIMEOUT_S);
            let answer = tokio::time::timeout(patience, exchange).await;
            let answer = answer
                .map_err(|late| Error::Other(Box::new(late)))?
                .map_err(|error| Error::Other(Box::new(error)))?;
            let bounded = answer.map(|body| Limited::new(body, ANSWER_BYTES_MAX));
            Ok(BytesResponse::from(bounded))
        })
    }
}
