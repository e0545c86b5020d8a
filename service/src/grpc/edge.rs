//! The last door out: refusals that the gRPC library makes itself get a reason word too.
//!
//! A message that is too large, or does not decode, never reaches a handler. The library answers with a bare status;
//! callers deserve the same shape of error everywhere.

use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::error::Fault;

/// Dresses bare statuses.
#[derive(Debug, Clone, Copy)]
pub(super) struct EdgeLayer;

/// See [`EdgeLayer`].
#[derive(Debug, Clone)]
pub(super) struct Edge<S>(S);

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge(inner)
    }
}

impl<S, B> Service<Request<B>> for Edge<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send + 'static>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(match dressed(&response) {
                Some(status) => status.into_http(),
                None => response,
            })
        })
    }
}

/// The better status for a response that is nothing but a bare one.
fn dressed(response: &Response<Body>) -> Option<Status> {
    let headers = response.headers();
    if !headers.contains_key("grpc-status") || headers.contains_key("grpc-status-details-bin") {
        return None;
    }
    let bare = Status::from_header_map(headers)?;
    let text = bare.message().to_owned();
    let fault = match bare.code() {
        Code::OutOfRange => Fault::new(Code::InvalidArgument, "MESSAGE_TOO_LARGE"),
        Code::Internal if text.contains("decode") => {
            Fault::new(Code::InvalidArgument, "MESSAGE_MALFORMED")
        }
        Code::Unimplemented => Fault::new(Code::Unimplemented, "METHOD_UNKNOWN"),
        Code::ResourceExhausted => Fault::new(Code::ResourceExhausted, "OVERLOADED"),
        Code::Cancelled | Code::DeadlineExceeded => {
            Fault::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
        }
        _ => return None,
    };
    Some(fault.status(text))
}
