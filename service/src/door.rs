//! A plain HTTP/1.1 door: connections in, within limits; one answer for each request.
//!
//! In: a bound socket, a function from request to answer. Out: answers. Never: a body read, a connection beyond the
//! limit, a head that takes for ever.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How long the head of a request may take, which is also how long an idle connection is kept, seconds.
const HEAD_TIMEOUT_S: u64 = 90;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// The pause after an accept that failed for want of file descriptors or the like, milliseconds.
const ACCEPT_PAUSE_MS: u64 = 100;

/// Accepts until it is dropped; its connections end with it.
pub(crate) async fn accept<F>(
    socket: TcpListener,
    connections_max: usize,
    converse: impl Fn(TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    while let Ok(slot) = slots.clone().acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = socket.accept().await else {
            tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            continue;
        };
        let conversation = converse(stream);
        connections.spawn(async move {
            conversation.await;
            drop(slot);
        });
    }
}

/// Answers the requests of one connection.
pub(crate) async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(&Request<Incoming>) -> Response<Full<Bytes>>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        std::future::ready(Ok::<_, Infallible>(answer(&request)))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEAD_TIMEOUT_S))
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke off");
    }
}
