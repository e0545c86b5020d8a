//! Tells a blocked signer that nobody wants its handshake any more.
//!
//! In: the drop of an offloaded future. Out: the hook of whoever waits on the pool thread. Never: more than one hook.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

thread_local! {
    /// The cancellation of the future that this pool thread polls just now.
    static CURRENT: RefCell<Option<Arc<Cancel>>> = const { RefCell::new(None) };
}

/// The cancellation of one offloaded future.
#[derive(Default)]
pub(crate) struct Cancel {
    state: Mutex<State>,
}

type Hook = Box<dyn FnOnce() + Send>;

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Waiting(Hook),
    Cancelled,
}

impl Cancel {
    /// Runs `work` so that [`on_cancel`] within it registers here; forgets the hook afterwards.
    pub(crate) fn scope<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        let _entered = Entered(CURRENT.replace(Some(self.clone())));
        let result = work();
        self.set(|state| match state {
            State::Cancelled => State::Cancelled,
            State::Idle | State::Waiting(_) => State::Idle,
        });
        result
    }

    /// Calls the hook, now or as soon as there is one.
    pub(crate) fn cancel(&self) {
        if let State::Waiting(hook) = self.set(|_| State::Cancelled) {
            hook();
        }
    }

    fn register(&self, hook: Hook) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Cancelled) {
            drop(state);
            hook();
        } else {
            *state = State::Waiting(hook);
        }
    }

    /// Sets the next state and hands out the one before. `next` sees what kind it was.
    fn set(&self, next: impl FnOnce(&State) -> State) -> State {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next(&state);
        std::mem::replace(&mut *state, next)
    }
}

/// Puts back what was current before, also when the work panics.
struct Entered(Option<Arc<Cancel>>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Registers a hook with the future polled on this thread. Without an offloaded future it does nothing.
pub(crate) fn on_cancel(hook: impl FnOnce() + Send + 'static) {
    let current = CURRENT.with_borrow(Clone::clone);
    if let Some(cancel) = current {
        cancel.register(Box::new(hook));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn calls_the_hook_once_whether_cancelled_before_or_after() {
        for before in [true, false] {
            let cancel = Arc::new(Cancel::default());
            let calls = Arc::new(AtomicU32::new(0));
            if before {
                cancel.cancel();
            }
            cancel.scope(|| {
                let counter = calls.clone();
                on_cancel(move || {
                    counter.fetch_add(1, Ordering::SeqCst);
                });
                cancel.cancel();
            });
            cancel.cancel();
            assert_eq!(calls.load(Ordering::SeqCst), 1, "before: {before}");
        }
    }

    #[test]
    fn forgets_the_hook_of_a_finished_wait() {
        let cancel = Arc::new(Cancel::default());
        let calls = Arc::new(AtomicU32::new(0));
        let counter = calls.clone();
        cancel.scope(|| {
            on_cancel(move || {
                counter.fetch_add(1, Ordering::SeqCst);
            });
        });
        cancel.cancel();
        assert_eq!(calls.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn does_nothing_outside_a_scope() {
        on_cancel(|| panic!("nobody can cancel this"));
    }
}
