//! The bounded queue between the service and the signing threads.
//!
//! In: jobs, never more than its limit. Out: each job to one thread, in order. A thread that finds nothing sleeps at
//! once: channels that spin before they sleep cost more CPU here than the signature itself, on every thread that waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A queue of jobs for several threads.
#[derive(Debug)]
pub(super) struct JobQueue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    length_max: usize,
}

#[derive(Debug)]
struct State<T> {
    jobs: VecDeque<T>,
    closed: bool,
}

impl<T> JobQueue<T> {
    pub(super) fn new(length_max: usize) -> Self {
        let jobs = VecDeque::with_capacity(length_max.min(1_024));
        let state = Mutex::new(State {
            jobs,
            closed: false,
        });
        Self {
            state,
            filled: Condvar::new(),
            length_max,
        }
    }

    /// Adds a job; gives it back when the queue is full or closed.
    pub(super) fn push(&self, job: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed || state.jobs.len() >= self.length_max {
            return Err(job);
        }
        state.jobs.push_back(job);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for a job; none once the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            let woken = self.filled.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes no more jobs; those inside are still done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// No code panics while it holds the lock, so a poisoned one holds a whole state all the same.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn gives_back_what_does_not_fit() {
        let queue = JobQueue::new(2);
        assert_eq!(
            (queue.push(1), queue.push(2), queue.push(3)),
            (Ok(()), Ok(()), Err(3))
        );
        assert_eq!(queue.pop(), Some(1));
        assert_eq!(queue.push(3), Ok(()));
    }

    #[test]
    fn a_closed_queue_is_emptied_and_then_ends() {
        let queue = JobQueue::new(4);
        queue.push(1).unwrap();
        queue.close();
        assert_eq!(queue.push(2), Err(2));
        assert_eq!((queue.pop(), queue.pop()), (Some(1), None));
    }

    #[test]
    fn several_threads_do_each_job_once() {
        let queue = Arc::new(JobQueue::new(10_000));
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || std::iter::from_fn(|| queue.pop()).collect::<Vec<u32>>())
            })
            .collect();
        (0..10_000).for_each(|n| queue.push(n).unwrap());
        queue.close();
        let mut done: Vec<u32> = workers
            .into_iter()
            .flat_map(|w| w.join().unwrap())
            .collect();
        done.sort_unstable();
        assert!(done.iter().copied().eq(0..10_000));
    }
}
