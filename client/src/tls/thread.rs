//! The thread that asks the service for TLS signatures.
//!
//! In: questions from rustls, on whatever thread polls a handshake. Out: signatures, within a deadline. Never: a
//! dependency on the caller's runtime; a handshake that blocks all its workers is still answered.

use crate::clock::monotonic;
use crate::error::Error;
use crate::link::{Line, Link};
use crate::tls::cancel;
use crate::tls::identity::Identity;
use crate::tls::watch;
use sealkeep_proto::v1::tls_service_client::TlsServiceClient;
use sealkeep_proto::v1::{SignTls12Request, SignTls13Request};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// A handshake waits no longer for its signature; stays under the connect timeout of the offload layer.
const SIGN_TIMEOUT_MS_MAX: u64 = 5_000;
/// How much longer than its deadline a question is waited for, so that the better error wins.
const GRACE_MS: u64 = 250;

/// A handle of the thread. The thread ends when the last handle is gone.
#[derive(Clone, Debug)]
pub(crate) struct SignerThread {
    jobs: mpsc::UnboundedSender<Job>,
    timeout: Duration,
}

/// What is to be signed.
pub(crate) enum SignTls {
    V13(SignTls13Request),
    V12(SignTls12Request),
}

/// What the thread can be told to do.
enum Job {
    Sign {
        question: SignTls,
        deadline: Instant,
        reply: Reply,
    },
    Follow {
        credential: String,
        bank: Arc<str>,
        identity: Weak<Identity>,
        gone: oneshot::Receiver<()>,
    },
}

type Reply = SyncSender<Result<Vec<u8>, Error>>;

impl SignerThread {
    /// Starts the thread with its own runtime and connection.
    pub(crate) fn start(link: Link, timeout: Duration) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (jobs, inbox) = mpsc::unbounded_channel();
        let timeout = timeout.min(Duration::from_millis(SIGN_TIMEOUT_MS_MAX));
        std::thread::Builder::new()
            .name("sealkeep-signer".to_owned())
            .spawn(move || {
                runtime.block_on(async move { serve(link.open(), inbox).await });
            })?;
        Ok(Self { jobs, timeout })
    }

    /// Asks for a signature and blocks until it is there, at most the sign timeout. An abandoned handshake
    /// ([`cancel`]) ends the wait at once.
    pub(crate) fn sign(&self, question: SignTls) -> Result<Vec<u8>, Error> {
        let deadline = monotonic() + self.timeout;
        let (reply, answer) = sync_channel(1);
        let abandoned = reply.clone();
        cancel::on_cancel(move || {
            // A full channel means that the answer is already there.
            let _ = abandoned.try_send(Err(Error::broken(
                "CANCELLED",
                "the handshake was given up",
            )));
        });
        self.send(Job::Sign {
            question,
            deadline,
            reply,
        })?;
        match answer.recv_timeout(self.timeout + Duration::from_millis(GRACE_MS)) {
            Ok(signed) => signed,
            Err(RecvTimeoutError::Timeout) => Err(Error::Timeout),
            Err(RecvTimeoutError::Disconnected) => Err(thread_gone()),
        }
    }

    /// Keeps an identity as the service says it is, until the other end of `gone` is dropped.
    pub(crate) fn follow(
        &self,
        credential: String,
        bank: Arc<str>,
        identity: Weak<Identity>,
        gone: oneshot::Receiver<()>,
    ) -> Result<(), Error> {
        self.send(Job::Follow {
            credential,
            bank,
            identity,
            gone,
        })
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        self.jobs.send(job).map_err(|_| thread_gone())
    }
}

fn thread_gone() -> Error {
    Error::broken("THREAD_GONE", "the signer thread ended")
}

async fn serve(line: Line, mut inbox: mpsc::UnboundedReceiver<Job>) {
    while let Some(job) = inbox.recv().await {
        let line = line.clone();
        match job {
            Job::Sign {
                question,
                deadline,
                reply,
            } => {
                tokio::spawn(async move {
                    // A full channel means that the handshake was given up meanwhile.
                    let _ = reply.try_send(ask(&line, question, deadline).await);
                });
            }
            Job::Follow {
                credential,
                bank,
                identity,
                gone,
            } => {
                tokio::spawn(async move {
                    tokio::select! {
                        _ = gone => {}
                        () = watch::follow(line, credential, bank, identity) => {}
                    }
                });
            }
        }
    }
}

async fn ask(line: &Line, question: SignTls, deadline: Instant) -> Result<Vec<u8>, Error> {
    let left = deadline.saturating_duration_since(monotonic());
    match question {
        SignTls::V13(request) => line
            .call(left, request, async |channel, request| {
                TlsServiceClient::new(channel).sign_tls13(request).await
            })
            .await
            .map(|answer| answer.signature),
        SignTls::V12(request) => line
            .call(left, request, async |channel, request| {
                TlsServiceClient::new(channel).sign_tls12(request).await
            })
            .await
            .map(|answer| answer.signature),
    }
}
