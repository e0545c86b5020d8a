//! The connection to the service: our own TLS under tonic's HTTP/2.
//!
//! In: a [`Config`]. Out: lazy [`Channel`]s, and calls on them with a deadline and retries. Never: a connection
//! attempt before the first call.

use crate::clock::monotonic;
use crate::config::{Config, ConfigError};
use crate::error::Error;
use crate::retry::Retry;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Response, Status};

/// Without pings a connection through a black hole is never given up: every later call would time out.
const KEEP_ALIVE_INTERVAL_S: u64 = 10;
/// How long a ping may stay unanswered before the connection is given up.
const KEEP_ALIVE_TIMEOUT_S: u64 = 5;
/// TCP connect and TLS handshake together.
const CONNECT_TIMEOUT_S: u64 = 5;

/// Everything needed to open connections to the service.
#[derive(Clone)]
pub(crate) struct Link {
    endpoint: Endpoint,
    tls: TlsConnector,
    name: ServerName<'static>,
    host: Arc<str>,
    port: u16,
    retry: Retry,
}

impl Link {
    /// Checks the configuration; connects to nothing.
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let (host, port) = config.host_and_port()?;
        let wrong = || ConfigError::Addr {
            addr: config.addr.clone(),
        };
        let authority = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        // tonic refuses `https` with a foreign connector; the origin keeps `:scheme` and `:authority` right.
        let origin: Uri = format!("https://{authority}:{port}")
            .parse()
            .map_err(|_| wrong())?;
        let endpoint = Endpoint::from_shared(format!("http://{authority}:{port}"))
            .map_err(|_| wrong())?
            .origin(origin)
            .http2_keep_alive_interval(Duration::from_secs(KEEP_ALIVE_INTERVAL_S))
            .keep_alive_timeout(Duration::from_secs(KEEP_ALIVE_TIMEOUT_S))
            .keep_alive_while_idle(true);
        Ok(Self {
            endpoint,
            tls: TlsConnector::from(Arc::new(config.tls()?)),
            name: config.server_name()?,
            host: host.into(),
            port,
            retry: config.retry,
        })
    }

    /// A channel whose tasks live on the current tokio runtime.
    pub(crate) fn open(&self) -> Line {
        let link = self.clone();
        let connector = tower::service_fn(move |_: Uri| link.clone().connect());
        Line {
            channel: self.endpoint.connect_with_connector_lazy(connector),
            retry: self.retry,
        }
    }

    async fn connect(self) -> std::io::Result<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>> {
        let connected = tokio::time::timeout(Duration::from_secs(CONNECT_TIMEOUT_S), async {
            let tcp = TcpStream::connect((&*self.host, self.port)).await?;
            tcp.set_nodelay(true)?;
            self.tls.connect(self.name, tcp).await
        });
        match connected.await {
            Ok(stream) => Ok(TokioIo::new(stream?)),
            Err(_) => Err(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                format!("no TLS connection within {CONNECT_TIMEOUT_S} s"),
            )),
        }
    }
}

/// A channel with the habits of our calls.
#[derive(Clone)]
pub(crate) struct Line {
    channel: Channel,
    retry: Retry,
}

impl Line {
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Makes one call, tried again as the policy says, all within `timeout`.
    pub(crate) async fn call<Q, A, F, Fut>(
        &self,
        timeout: Duration,
        request: Q,
        rpc: F,
    ) -> Result<A, Error>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        self.call_with(self.retry, timeout, request, rpc).await
    }

    /// The same with another retry policy.
    pub(crate) async fn call_with<Q, A, F, Fut>(
        &self,
        retry: Retry,
        timeout: Duration,
        request: Q,
        rpc: F,
    ) -> Result<A, Error>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = monotonic() + timeout;
        let mut failed = 0;
        loop {
            let error = match self.once(deadline, request.clone(), &rpc).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            failed += 1;
            let random = uuid::Uuid::new_v4().as_u64_pair().1;
            match retry.pause(failed, error.retry_after(), random) {
                Some(pause) if monotonic() + pause < deadline => tokio::time::sleep(pause).await,
                _ => return Err(error),
            }
        }
    }

    async fn once<Q, A, F, Fut>(&self, deadline: Instant, message: Q, rpc: &F) -> Result<A, Error>
    where
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let mut request = Request::new(message);
        // Tells the service too, in `grpc-timeout`; `Endpoint::timeout` would not.
        request.set_timeout(deadline.saturating_duration_since(monotonic()));
        match timeout_at(deadline.into(), rpc(self.channel(), request)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(status.into()),
            Err(_) => Err(Error::Timeout),
        }
    }
}
