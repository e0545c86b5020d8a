//! The bounded queue between the service and the signing threads.
//!
//! In: jobs, never more than its limit. Out: each job to one thread, in order; to fewer threads while the token has no room
//! for all (see `pool`). A thread that finds nothing sleeps at
//! once: channels that spin before they sleep cost more CPU here than the signature itself, on every thread that waits.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;

use super::pool::Pool;
use crate::clock::monotonic;

/// A queue of jobs for several threads.
#[derive(Debug)]
pub(super) struct JobQueue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    /// The pool has changed, or the queue was closed: for those that rest.
    changed: Condvar,
    length_max: usize,
}

/// What a thread does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// This.
    Job(T),
    /// Nothing, until the token has room: see [`JobQueue::rest`].
    Rest,
    /// Nothing any more.
    End,
}

#[derive(Debug)]
struct State<T> {
    jobs: VecDeque<T>,
    pool: Pool,
    closed: bool,
}

impl<T> JobQueue<T> {
    /// A queue for so many threads, numbered from 0.
    pub(super) fn new(length_max: usize, threads: usize) -> Self {
        let jobs = VecDeque::with_capacity(length_max.min(1_024));
        let state = Mutex::new(State {
            jobs,
            pool: Pool::new(threads),
            closed: false,
        });
        Self {
            state,
            filled: Condvar::new(),
            changed: Condvar::new(),
            length_max,
        }
    }

    /// Adds a job; gives it back when the queue is full or closed.
    pub(super) fn push(&self, job: T) -> Result<(), T> {
        let mut state = self.state.lock();
        if state.closed || state.jobs.len() >= self.length_max {
            return Err(job);
        }
        state.jobs.push_back(job);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for a job for the thread of this number; none once the queue is closed and empty.
    pub(super) fn pop(&self, number: usize) -> Next<T> {
        let mut state = self.state.lock();
        loop {
            // What is left at the end is done by all.
            if !state.closed && !state.pool.works(number) {
                return Next::Rest;
            }
            if let Some(job) = state.jobs.pop_front() {
                if state.pool.grow(monotonic()) {
                    self.changed.notify_all();
                }
                return Next::Job(job);
            }
            if state.closed {
                return Next::End;
            }
            self.filled.wait(&mut state);
        }
    }

    /// Waits until the thread of this number may work again. `false`: the queue was closed.
    pub(super) fn rest(&self, number: usize) -> bool {
        let mut state = self.state.lock();
        while !state.closed && !state.pool.works(number) {
            self.changed.wait(&mut state);
        }
        !state.closed
    }

    /// The token has no room: half of the threads rest. `true`: they do from now on.
    pub(super) fn halve(&self) -> bool {
        let halved = self.state.lock().pool.halve(monotonic());
        // A thread that was woken for a job and rests instead must not leave it to nobody.
        self.filled.notify_all();
        halved
    }

    /// The thread of this number has found no room after all.
    pub(super) fn no_room_for(&self, number: usize) {
        self.state.lock().pool.shrink_to(number, monotonic());
        self.filled.notify_all();
    }

    /// Takes no more jobs; those inside are still done.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_all();
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn gives_back_what_does_not_fit() {
        let queue = JobQueue::new(2, 1);
        assert_eq!(
            (queue.push(1), queue.push(2), queue.push(3)),
            (Ok(()), Ok(()), Err(3))
        );
        assert_eq!(queue.pop(0), Next::Job(1));
        assert_eq!(queue.push(3), Ok(()));
    }

    #[test]
    fn a_closed_queue_is_emptied_and_then_ends() {
        let queue = JobQueue::new(4, 1);
        queue.push(1).unwrap();
        queue.close();
        assert_eq!(queue.push(2), Err(2));
        assert_eq!((queue.pop(0), queue.pop(0)), (Next::Job(1), Next::End));
    }

    fn done_by(queue: &JobQueue<u32>, number: usize) -> Vec<u32> {
        let mut done = Vec::new();
        loop {
            match queue.pop(number) {
                Next::Job(job) => done.push(job),
                Next::Rest => drop(queue.rest(number)),
                Next::End => return done,
            }
        }
    }

    #[test]
    fn threads_without_room_rest_and_the_others_do_all_the_work() {
        let queue = Arc::new(JobQueue::new(10_000, 4));
        assert!(queue.halve());
        let resting: Vec<_> = [2, 3]
            .map(|number| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || done_by(&queue, number))
            })
            .into();
        (0..1_000).for_each(|n| queue.push(n).unwrap());
        for n in 0..1_000 {
            assert_eq!(queue.pop(0), Next::Job(n), "in order, by this thread alone");
        }
        queue.close();
        for thread in resting {
            assert!(thread.join().unwrap().is_empty());
        }
    }

    #[test]
    fn several_threads_do_each_job_once() {
        let queue = Arc::new(JobQueue::new(10_000, 4));
        let workers: Vec<_> = (0..4)
            .map(|number| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || done_by(&queue, number))
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
