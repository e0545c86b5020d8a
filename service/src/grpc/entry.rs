//! The door: no handler runs without a caller and a deadline.

use std::time::{Duration, Instant};

use tonic::{Request, Status};

use super::Api;
use super::error::status_of;
use super::listener::Peer;
use crate::audit::Event;
use crate::authn::AuthnError;
use crate::authz;
use crate::clock;
use crate::domain::{CallerName, Role};

/// Deadline of a request that names none, milliseconds.
const DEADLINE_DEFAULT_MS: u64 = 5_000;
/// Latest deadline, milliseconds; key generation and verification of a long log get [`DEADLINE_LONG_MAX_MS`].
const DEADLINE_MAX_MS: u64 = 10_000;
/// Latest deadline of work that takes long by nature, milliseconds.
pub(super) const DEADLINE_LONG_MAX_MS: u64 = 60_000;

/// A request with its caller.
pub(super) struct Entry<T> {
    pub(super) caller: CallerName,
    pub(super) deadline: Instant,
    pub(super) message: T,
}

impl<T> Entry<T> {
    /// The same with another message.
    pub(super) fn map<U>(
        self,
        message: impl FnOnce(T) -> Result<U, Status>,
    ) -> Result<Entry<U>, Status> {
        Ok(Entry {
            caller: self.caller,
            deadline: self.deadline,
            message: message(self.message)?,
        })
    }
}

/// Lets a request in.
pub(super) fn enter<T>(request: Request<T>) -> Result<Entry<T>, Status> {
    enter_within(request, DEADLINE_DEFAULT_MS, DEADLINE_MAX_MS)
}

/// Lets in a request for work that takes long by nature.
pub(super) fn enter_long<T>(request: Request<T>) -> Result<Entry<T>, Status> {
    enter_within(request, DEADLINE_LONG_MAX_MS, DEADLINE_LONG_MAX_MS)
}

fn enter_within<T>(request: Request<T>, default: u64, max: u64) -> Result<Entry<T>, Status> {
    let asked = request
        .metadata()
        .get("grpc-timeout")
        .and_then(|v| v.to_str().ok());
    let asked = asked
        .and_then(timeout)
        .unwrap_or(Duration::from_millis(default));
    let deadline = clock::monotonic() + asked.min(Duration::from_millis(max));
    let peer = request.extensions().get::<Peer>();
    let caller = match peer {
        Some(peer) => peer.caller.clone(),
        None => Err(AuthnError::NoCertificate),
    };
    let caller = caller.map_err(|error| status_of(&error))?;
    Ok(Entry {
        caller,
        deadline,
        message: request.into_inner(),
    })
}

/// `grpc-timeout`: at most 8 digits and a unit (gRPC over HTTP/2, section Requests).
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3_600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

impl Api {
    /// Lets through callers with one of these roles; records who else tried.
    pub(super) async fn require(
        &self,
        caller: &CallerName,
        roles: &[Role],
        what: &str,
    ) -> Result<(), Status> {
        let Err(denied) = authz::role(&self.0.world.load(), caller, roles) else {
            return Ok(());
        };
        let data = serde_json::json!({ "what": what, "reason": denied.reason() });
        let recorded = self
            .0
            .audit
            .append(Event::AccessRefused, Some(caller.as_str()), data)
            .await;
        recorded.map_err(|error| status_of(&error))?;
        Err(status_of(&denied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_grpc_timeouts_of_every_unit() {
        for (text, wanted) in [
            ("2H", Duration::from_secs(7_200)),
            ("3M", Duration::from_secs(180)),
            ("4S", Duration::from_secs(4)),
            ("750m", Duration::from_millis(750)),
            ("99999999u", Duration::from_micros(99_999_999)),
            ("1n", Duration::from_nanos(1)),
        ] {
            assert_eq!(timeout(text), Some(wanted), "{text}");
        }
        for bad in ["", "S", "1", "123456789S", "-1S", "1s", "1 S", "1é"] {
            assert_eq!(timeout(bad), None, "{bad:?}");
        }
    }
}
