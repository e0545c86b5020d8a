//! One request to a set: to the first token, and to the next when that one fails or says nothing.
//!
//! In: the tokens that have proven the key, in order. Out: the first answer, within the caller's deadline. A token that
//! answers nobody is silent after a few times its usual time; one that answers others but not this caller, after a
//! share of the caller's time. Whoever is asked twice does the work twice: of a signature nothing leaves but one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep_until;

use super::health::first_share;
use super::set::TokenSet;
use crate::backend::{BackendError, BoxFuture, KeyBackend, KeyRef};
use crate::clock::monotonic;

/// A request on its way.
pub(super) struct Asking<T, W> {
    set: Arc<TokenSet>,
    key: KeyRef,
    work: W,
    deadline: Instant,
    /// Not asked yet.
    rest: VecDeque<usize>,
    running: FuturesUnordered<BoxFuture<(usize, Result<T, BackendError>)>>,
    /// The one that was asked last, and when.
    last: (usize, Instant),
    failed: Option<BackendError>,
}

impl<T, W> Asking<T, W>
where
    T: Send + 'static,
    W: Fn(&dyn KeyBackend) -> BoxFuture<Result<T, BackendError>> + Send + 'static,
{
    /// Asks the first token; the work starts now. `order` is not empty.
    pub(super) fn begin(
        set: Arc<TokenSet>,
        key: KeyRef,
        order: Vec<usize>,
        deadline: Instant,
        work: W,
    ) -> Self {
        let mut asking = Self {
            set,
            key,
            work,
            deadline,
            rest: order.into(),
            running: FuturesUnordered::new(),
            last: (0, monotonic()),
            failed: None,
        };
        asking.ask_next();
        asking
    }

    /// `false`: all were asked.
    fn ask_next(&mut self) -> bool {
        let Some(place) = self.rest.pop_front() else {
            return false;
        };
        let answer = self.set.member(place).ask(&self.work);
        self.running
            .push(Box::pin(async move { (place, answer.await) }));
        self.last = (place, monotonic());
        true
    }

    fn ask_another(&mut self) -> bool {
        let from = self.last.0;
        let asked = self.ask_next();
        if asked {
            let failovers = &self.set.member(from).failovers;
            failovers.fetch_add(1, Ordering::Relaxed);
        }
        asked
    }

    /// The first answer, and the place of the token that gave it.
    pub(super) async fn answer(mut self) -> Result<(T, usize), BackendError> {
        let mut look_at = self.silence_ends();
        loop {
            tokio::select! {
                biased;
                Some((place, outcome)) = self.running.next() => match outcome {
                    Ok(value) => return Ok((value, place)),
                    Err(error) if !error.is_of_the_token() => return Err(error),
                    Err(error) => {
                        self.set.learn_from(place, &self.key, &error);
                        self.keep(error);
                        if self.ask_another() {
                            look_at = self.silence_ends();
                        } else if self.running.is_empty() {
                            return Err(self.failed.take().unwrap_or(BackendError::Deadline));
                        }
                    }
                },
                () = sleep_until(look_at.into()), if !self.rest.is_empty() => {
                    look_at = self.look();
                }
            }
        }
    }

    fn silence_ends(&self) -> Instant {
        let (place, asked) = self.last;
        let patience = self.deadline.saturating_duration_since(asked);
        asked + self.set.member(place).silence(patience)
    }

    /// The token said nothing to us until now. When to look again.
    fn look(&mut self) -> Instant {
        let (place, asked) = self.last;
        let member = self.set.member(place);
        if member.has_answered_since(asked) {
            let patience = self.deadline.saturating_duration_since(asked);
            let until = asked + first_share(patience);
            if monotonic() < until {
                return until;
            }
        } else {
            tracing::warn!(token = member.name(), key = %self.key.id, "a token says nothing; another one is asked");
            member.is_silent();
        }
        self.ask_another();
        self.silence_ends()
    }

    /// What the caller hears if nobody answers: that a token is out of order, rather than what another one lacks.
    fn keep(&mut self, error: BackendError) {
        if !self.failed.as_ref().is_some_and(BackendError::is_outage) {
            self.failed = Some(error);
        }
    }
}
