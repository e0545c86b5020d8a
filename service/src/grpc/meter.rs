//! Calls, counted by method and code.
//!
//! In: requests and the heads of their answers. Out: counters. A stream counts when it is opened; what it ends with is
//! not seen here. Methods that do not exist are one label value, whatever they are called.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::clock::{self, DURATION_BUCKETS_S};

type Labels<const N: usize> = [(&'static str, Arc<str>); N];

/// The instruments of the wire: cheap to clone.
#[derive(Debug, Clone)]
pub struct Meter {
    calls: Family<Labels<2>, Counter>,
    duration: Family<Labels<1>, Histogram, fn() -> Histogram>,
    /// The label of each path that exists.
    methods: Arc<HashMap<String, Arc<str>>>,
    other: Arc<str>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS_S)),
            methods: Arc::new(methods()),
            other: "other".into(),
        }
    }
}

impl Meter {
    /// Registers what is counted of calls.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Calls answered, by method and code";
        registry.register("grpc_calls", help, self.calls.clone());
        let help = "How long calls took until the head of the answer";
        registry.register_with_unit(
            "grpc_call_duration",
            help,
            Unit::Seconds,
            self.duration.clone(),
        );
    }

    fn method(&self, path: &str) -> Arc<str> {
        self.methods.get(path).unwrap_or(&self.other).clone()
    }
}

/// The paths of our services and their labels, `SigningService/SignHttpRequest`.
fn methods() -> HashMap<String, Arc<str>> {
    let set = FileDescriptorSet::decode(sealkeep_proto::FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut methods = HashMap::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let label = format!("{}/{}", service.name(), method.name());
                let path = format!("/{}.{label}", file.package());
                methods.insert(path, label.into());
            }
        }
    }
    methods
}

/// Counts what passes.
#[derive(Debug, Clone)]
pub(super) struct MeterLayer(pub(super) Meter);

/// See [`MeterLayer`].
#[derive(Debug, Clone)]
pub(super) struct Metered<S> {
    inner: S,
    meter: Meter,
}

impl<S> Layer<S> for MeterLayer {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Metered<S> {
        Metered {
            inner,
            meter: self.0.clone(),
        }
    }
}

impl<S, B> Service<Request<B>> for Metered<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send + 'static>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (meter, begun) = (self.meter.clone(), clock::monotonic());
        let method = meter.method(request.uri().path());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            let duration = meter
                .duration
                .get_or_create_owned(&[("method", method.clone())]);
            duration.observe(begun.elapsed().as_secs_f64());
            let labels = [("method", method), ("code", code(&response).into())];
            meter.calls.get_or_create_owned(&labels).inc();
            Ok(response)
        })
    }
}

/// The code in the head of an answer; an answer with a body has none there and is `OK`, or a stream that began well.
fn code(response: &Response<Body>) -> &'static str {
    let status = Status::from_header_map(response.headers());
    match status.map_or(Code::Ok, |status| status.code()) {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_do_not_exist_share_a_label() {
        let meter = Meter::default();
        let label = meter.method("/sealkeep.v1.SigningService/SignHttpRequest");
        assert_eq!(&*label, "SigningService/SignHttpRequest");
        for path in ["", "/", "/sealkeep.v1.SigningService/Steal", "/x.y/z"] {
            assert_eq!(&*meter.method(path), "other");
        }
    }
}
