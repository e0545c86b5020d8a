//! Whoever waits for an answer of the token.
//!
//! The threads of a backend answer a future of this process or, inside a token worker, a request that came over the
//! socket. They know neither: they ask whether anybody is left, and hand over what they have.

use std::future::Future;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::backend::BackendError;

/// Somebody who waits for a `T`.
pub(in crate::backend) trait Waiter<T>: Send {
    /// Nobody waits any more.
    fn is_gone(&self) -> bool;

    /// Gives the answer. What nobody took comes back.
    fn answer(self: Box<Self>, outcome: Result<T, BackendError>) -> Option<T>;
}

impl<T: Send> Waiter<T> for oneshot::Sender<Result<T, BackendError>> {
    fn is_gone(&self) -> bool {
        self.is_closed()
    }

    fn answer(self: Box<Self>, outcome: Result<T, BackendError>) -> Option<T> {
        self.send(outcome).err().and_then(Result::ok)
    }
}

/// The waiter as the threads take it.
pub(in crate::backend) type BoxWaiter<T> = Box<dyn Waiter<T>>;

/// A waiter, and the future of its answer, which comes at the deadline at the latest.
pub(super) fn waiter<T: Send + 'static>(
    deadline: Instant,
) -> (
    BoxWaiter<T>,
    impl Future<Output = Result<T, BackendError>> + Send + 'static,
) {
    let (sender, answer) = oneshot::channel();
    let waiting = async move {
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(stopped()),
            Err(_) => Err(BackendError::Deadline),
        }
    };
    (Box::new(sender), waiting)
}

/// The threads are gone: the process is shutting down, or one of them met a bug.
pub(super) fn stopped() -> BackendError {
    BackendError::Unavailable {
        function: "thread".to_owned(),
        rv: "stopped".to_owned(),
    }
}
