//! What the pretend QTSP tells everybody over HTTP: the OCSP responder, lists of revoked certificates, its own
//! certificates.
//!
//! In: the folder of a QTSP, an address. Out: a server. The folder is read again for every request, so a certificate
//! that was revoked by another process is revoked here. It answers for any host, which makes it fit as the proxy through
//! which a service under test reaches the names in the certificates.
//!
//! Serves RFC 6960 appendix A and RFC 5280 §4.2.2.1.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::ocsp::Delegate;
use super::{CrlKind, Qtsp, QtspError, build};
use crate::clock::Clock;

/// Largest request, bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Where and how to serve.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The folder of the QTSP.
    pub folder: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long what it says is fresh: from thisUpdate to nextUpdate.
    pub fresh: SignedDuration,
    /// The time.
    pub clock: Clock,
}

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct RunningQtsp {
    addr: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Counter {
    config: ServeConfig,
    delegate: Delegate,
}

/// Binds the address and serves.
pub async fn serve(config: ServeConfig) -> Result<RunningQtsp, QtspError> {
    let qtsp = Qtsp::load(&config.folder)?;
    let delegate = Delegate::new(&qtsp.issuing_ca()?, config.clock.now())?;
    let listener = TcpListener::bind(config.listen).await.map_err(build)?;
    let addr = listener.local_addr().map_err(build)?;
    let router = router(Arc::new(Counter { config, delegate }));
    let task = tokio::spawn(accept(listener, router));
    Ok(RunningQtsp { addr, task })
}

impl RunningQtsp {
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

impl Drop for RunningQtsp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn router(counter: Arc<Counter>) -> Router {
    let list = |of: Of, kind| {
        get(move |State(counter): State<Arc<Counter>>| async move { counter.list(of, kind) })
    };
    let certificate = |of: Of| {
        get(move |State(counter): State<Arc<Counter>>| async move { counter.certificate(of) })
    };
    Router::new()
        .route("/ocsp", post(asked_by_post))
        .route("/ocsp/{*request}", get(asked_by_get))
        .route("/issuing.crl", list(Of::Issuing, CrlKind::Full))
        .route("/issuing-delta.crl", list(Of::Issuing, CrlKind::Delta))
        .route("/root.crl", list(Of::Root, CrlKind::Full))
        .route("/issuing.cer", certificate(Of::Issuing))
        .route("/root.cer", certificate(Of::Root))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(counter)
}

#[derive(Clone, Copy, Debug)]
enum Of {
    Root,
    Issuing,
}

async fn asked_by_post(State(counter): State<Arc<Counter>>, body: Bytes) -> Response {
    counter.ocsp(&body)
}

/// The request in base64 and percent-encoding (RFC 6960 appendix A.1); axum has undone the latter.
async fn asked_by_get(
    State(counter): State<Arc<Counter>>,
    axum::extract::Path(request): axum::extract::Path<String>,
) -> Response {
    counter.ocsp(&STANDARD.decode(request).unwrap_or_default())
}

impl Counter {
    fn ocsp(&self, request: &[u8]) -> Response {
        let now = self.config.clock.now();
        let answer = Qtsp::load(&self.config.folder)
            .and_then(|qtsp| qtsp.ocsp(&self.delegate, request, now, self.config.fresh));
        answered("application/ocsp-response", answer)
    }

    fn list(&self, of: Of, kind: CrlKind) -> Response {
        let (now, fresh) = (self.config.clock.now(), self.config.fresh);
        let answer = Qtsp::load(&self.config.folder).and_then(|qtsp| match of {
            Of::Root => qtsp.root_crl(now, fresh),
            Of::Issuing => qtsp.crl(kind, now, fresh),
        });
        answered("application/pkix-crl", answer)
    }

    fn certificate(&self, of: Of) -> Response {
        let certificate = Qtsp::load(&self.config.folder).map(|qtsp| match of {
            Of::Root => qtsp.root().to_vec(),
            Of::Issuing => qtsp.issuing().to_vec(),
        });
        answered("application/pkix-cert", certificate)
    }
}

fn answered(media: &'static str, body: Result<Vec<u8>, QtspError>) -> Response {
    match body {
        Ok(body) => ([(header::CONTENT_TYPE, media)], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
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
