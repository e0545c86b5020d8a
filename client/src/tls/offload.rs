//! Polls handshakes on tokio's blocking pool.
//!
//! In: a future that may block in `poll` (a TLS handshake with a remote key). Out: the same future, polled where blocking
//! hurts nobody. Never: a lost wake-up; a wake that arrives while the future is being polled is kept.

use crate::tls::cancel::Cancel;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower::{BoxError, Layer, Service};

/// Handshakes of one layer that are under way at the same time; tokio's pool has 512 threads for everybody.
const HANDSHAKES_MAX: usize = 64;
/// From the wish to connect to the finished handshake. Above the sign timeout, so that its better error wins.
const CONNECT_TIMEOUT_S: u64 = 10;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that is polled on the blocking pool. Needs a tokio runtime, of either flavour.
///
/// Dropping it gives up a signature that is being waited for.
pub struct Offload<T> {
    state: State<T>,
    flag: Arc<Flag>,
    cancel: Arc<Cancel>,
}

enum State<T> {
    Idle(Boxed<Result<T, BoxError>>),
    Running(JoinHandle<Polled<T>>),
    Done,
}

type Polled<T> = (Boxed<Result<T, BoxError>>, Poll<Result<T, BoxError>>);

impl<T: Send + 'static> Offload<T> {
    /// Wraps a future, for example `TlsConnector::connect(..)`.
    pub fn new<F, E>(future: F) -> Self
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self {
            state: State::Idle(Box::pin(async move { future.await.map_err(Into::into) })),
            flag: Arc::new(Flag {
                woken: AtomicBool::new(true),
                outer: Mutex::new(None),
            }),
            cancel: Arc::default(),
        }
    }

    fn run(&self, mut future: Boxed<Result<T, BoxError>>) -> JoinHandle<Polled<T>> {
        let waker = Waker::from(self.flag.clone());
        let cancel = self.cancel.clone();
        tokio::task::spawn_blocking(move || {
            let polled = cancel.scope(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
            (future, polled)
        })
    }
}

impl<T: Send + 'static> Future for Offload<T> {
    type Output = Result<T, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Idle(future) => {
                    self.flag.wake_next(cx.waker());
                    if !self.flag.woken.swap(false, Ordering::AcqRel) {
                        self.state = State::Idle(future);
                        return Poll::Pending;
                    }
                    self.state = State::Running(self.run(future));
                }
                State::Running(mut handle) => match Pin::new(&mut handle).poll(cx) {
                    Poll::Pending => {
                        self.state = State::Running(handle);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok((_, Poll::Ready(output)))) => return Poll::Ready(output),
                    Poll::Ready(Ok((future, Poll::Pending))) => self.state = State::Idle(future),
                    Poll::Ready(Err(error)) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => return Poll::Ready(Err("the runtime is shutting down".into())),
                    },
                },
                State::Done => return Poll::Ready(Err("polled after it was done".into())),
            }
        }
    }
}

impl<T> Drop for Offload<T> {
    fn drop(&mut self) {
        if matches!(self.state, State::Running(_)) {
            self.cancel.cancel();
        }
    }
}

impl<T> std::fmt::Debug for Offload<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.state {
            State::Idle(_) => "idle",
            State::Running(_) => "running",
            State::Done => "done",
        };
        f.debug_struct("Offload")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

/// Remembers wakes of the inner future, also of the time when it is still being polled.
struct Flag {
    woken: AtomicBool,
    outer: Mutex<Option<Waker>>,
}

impl Flag {
    fn wake_next(&self, waker: &Waker) {
        *self.outer.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        let outer = self
            .outer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(outer) = outer {
            outer.wake();
        }
    }
}

/// Offloads the connections of a connector: `OffloadLayer::default().layer(https_connector)`.
///
/// At most 64 connections of a layer are being made at once, each within 10 seconds.
#[derive(Clone, Debug)]
pub struct OffloadLayer {
    permits: Arc<Semaphore>,
    connect_timeout: Duration,
}

impl Default for OffloadLayer {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            connect_timeout: Duration::from_secs(CONNECT_TIMEOUT_S),
        }
    }
}

impl<S> Layer<S> for OffloadLayer {
    type Service = OffloadService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OffloadService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A connector whose connections are offloaded. See [`OffloadLayer`].
#[derive(Clone, Debug)]
pub struct OffloadService<S> {
    inner: S,
    layer: OffloadLayer,
}

impl<S, R> Service<R> for OffloadService<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Boxed<Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let connecting = self.inner.call(target);
        let OffloadLayer {
            permits,
            connect_timeout,
        } = self.layer.clone();
        Box::pin(async move {
            let work = async move {
                let _permit = permits.acquire_owned().await?;
                Offload::new(connecting).await
            };
            let timed_out = |_| BoxError::from("no connection within the connect timeout");
            tokio::time::timeout(connect_timeout, work)
                .await
                .map_err(timed_out)?
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Blocks its thread in every poll and is woken while it still runs.
    async fn rude(turns: u32) -> Result<u32, BoxError> {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        Ok(turns)
    }

    fn on_both_flavours(test: impl AsyncFn()) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(test());
        let mut multi = tokio::runtime::Builder::new_multi_thread();
        multi
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
            .block_on(test());
    }

    #[test]
    fn loses_no_wake_that_arrives_during_a_poll() {
        on_both_flavours(async || {
            assert_eq!(Offload::new(rude(2_000)).await.unwrap(), 2_000);
        });
    }

    #[test]
    fn sixteen_blocking_polls_do_not_wait_for_each_other() {
        on_both_flavours(async || {
            let barrier = Arc::new(std::sync::Barrier::new(16));
            let blocked = (0..16).map(|_| {
                let barrier = barrier.clone();
                // Each poll blocks its thread until all sixteen are inside one: on worker threads it would never end.
                tokio::spawn(Offload::new(async move {
                    barrier.wait();
                    Ok::<_, BoxError>(())
                }))
            });
            for task in blocked.collect::<Vec<_>>() {
                task.await.unwrap().unwrap();
            }
        });
    }

    #[test]
    fn dropping_it_frees_a_blocked_signer() {
        on_both_flavours(async || {
            let (blocked, is_blocked) = tokio::sync::oneshot::channel();
            let (freed, is_freed) = tokio::sync::oneshot::channel();
            let work = Offload::new(async move {
                let (reply, answer) = std::sync::mpsc::sync_channel::<()>(1);
                crate::tls::cancel::on_cancel(move || {
                    let _ = reply.try_send(());
                });
                let _ = blocked.send(());
                let _ = freed.send(answer.recv_timeout(Duration::from_secs(30)).is_ok());
                Ok::<_, BoxError>(())
            });
            let task = tokio::spawn(work);
            is_blocked.await.unwrap();
            task.abort();
            assert!(is_freed.await.unwrap());
        });
    }

    #[test]
    fn hands_a_panic_on() {
        on_both_flavours(async || {
            let panics = Offload::new(async {
                if std::hint::black_box(true) {
                    std::panic::panic_any("on the pool");
                }
                Ok::<_, BoxError>(())
            });
            assert!(tokio::spawn(panics).await.unwrap_err().is_panic());
        });
    }
}
