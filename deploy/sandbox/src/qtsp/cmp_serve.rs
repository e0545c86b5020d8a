//! The socket of the desk where CMP is spoken: HTTP (RFC 9811).
//!
//! In: an address, a desk, a clock. Out: a server that answers `POST` of `application/pkixcmp` under any path.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use sealkeep_cmp::server::REQUEST_BYTES_MAX;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::CmpDesk;
use crate::clock::Clock;

const MEDIA: &str = "application/pkixcmp";

/// A running desk; dropping it stops it.
#[derive(Debug)]
pub struct CmpServer {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl CmpServer {
    /// Binds the address and serves.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(listen: SocketAddr, desk: CmpDesk, clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let router = Router::new()
            .fallback(asked)
            .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
            .with_state(Arc::new((desk, clock)));
        let task = tokio::spawn(accept(listener, router));
        Ok(Self { addr, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until the process ends.
    pub async fn join(mut self) {
        // The task ends only by being aborted, which dropping this handle does.
        let _ = (&mut self.task).await;
    }
}

impl Drop for CmpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn asked(
    State(desk): State<Arc<(CmpDesk, Clock)>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|media| media != MEDIA)
    {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, MEDIA).into_response();
    }
    let (desk, clock) = &*desk;
    match desk.answer(&body, clock.now()) {
        Ok(answer) => ([(header::CONTENT_TYPE, MEDIA)], answer).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn accept(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let http = Builder::new(TokioExecutor::new());
            // A connection that breaks off has nobody left to be told.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
