//! From a TCP connection to HTTP requests that know whose they are.
//!
//! In: a listener and the TLS settings. Out: requests at the router, each with the [`Visitor`] of its connection. A
//! connection that does not finish its handshake in time is dropped; more connections than the limit wait in the
//! kernel's queue. Nothing here looks into a request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::peer::Peer;
use super::refused::{Code, Refused};

/// A TLS handshake takes at most this long.
pub(super) const HANDSHAKE_SECONDS_MAX: u64 = 5;
/// The headers of a request take at most this long, which is also how long an idle connection is kept.
pub(super) const HEADERS_SECONDS_MAX: u64 = 30;
/// A request with its body takes at most this long.
pub(super) const REQUEST_SECONDS_MAX: u64 = 30;
/// Connections at one time.
pub(super) const CONNECTIONS_MAX: usize = 512;
/// Headers of one request.
pub(super) const HEADERS_MAX: usize = 64;
/// Bytes of all headers of one HTTP/2 request.
pub(super) const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
/// Wait after an accept that failed for want of file descriptors or the like.
const ACCEPT_RETRY_MILLISECONDS: u64 = 50;

/// Who is at the other end of a connection, or why nobody who may ask anything.
#[derive(Clone, Debug)]
pub(super) struct Visitor(Arc<Result<Peer, Refused>>);

impl Visitor {
    pub(super) fn peer(&self) -> Result<&Peer, &Refused> {
        self.0.as_ref().as_ref()
    }
}

/// Accepts until it is aborted; its connections end with it.
pub(super) async fn accept(listener: TcpListener, tls: TlsAcceptor, router: Router) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    // A semaphore that is never closed always has a permit in the end.
    while let Ok(permit) = room.clone().acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MILLISECONDS)).await;
            continue;
        };
        let (tls, router) = (tls.clone(), router.clone());
        connections.spawn(async move {
            converse(stream, tls, router).await;
            drop(permit);
        });
    }
}

async fn converse(stream: TcpStream, tls: TlsAcceptor, router: Router) {
    // Small answers leave at once; a socket that cannot do so still works.
    let _ = stream.set_nodelay(true);
    let limit = Duration::from_secs(HANDSHAKE_SECONDS_MAX);
    let Ok(Ok(stream)) = tokio::time::timeout(limit, tls.accept(stream)).await else {
        return;
    };
    let leaf = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first);
    let peer = leaf
        .ok_or_else(|| Code::CertificateMissing.because("no client certificate"))
        .and_then(|leaf| Peer::read(leaf));
    let visitor = Visitor(Arc::new(peer));
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(visitor.clone());
        let router = router.clone();
        async move { Ok::<_, Infallible>(answer(router, request).await) }
    });
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEADERS_SECONDS_MAX))
        .max_headers(HEADERS_MAX);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(HEADERS_SECONDS_MAX))
        .max_header_list_size(HEADER_LIST_BYTES_MAX);
    // A connection that breaks off has nobody left to be told.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(router: Router, request: Request<Body>) -> Response {
    let limit = Duration::from_secs(REQUEST_SECONDS_MAX);
    match tokio::time::timeout(limit, router.oneshot(request)).await {
        Ok(answered) => answered.unwrap_or_else(never),
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

fn never<T>(impossible: Infallible) -> T {
    match impossible {}
}
