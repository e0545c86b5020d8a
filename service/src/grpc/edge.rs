//! The last door out: refusals that the gRPC library makes itself get a reason word too.
//!
//! A message that is too large, or does not decode, never reaches a handler. The library answers with a bare status;
//! callers deserve the same shape of error everywhere.

use http::Response;
use tonic::body::Body;
use tonic::{Code, Status};

use super::error::Fault;

/// The response with a better status where it is nothing but a bare one.
pub(super) fn dress(response: Response<Body>) -> Response<Body> {
    match dressed(&response) {
        Some(status) => status.into_http(),
        None => response,
    }
}

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
