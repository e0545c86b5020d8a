//! [`Sealkeep`]: the handle everything begins with.
//!
//! In: a [`Config`]. Out: [`BankHandle`]s, and any call of `sealkeep.v1`. Never: a key of a bank.

use crate::bank::BankHandle;
use crate::config::{Config, ConfigError};
use crate::error::Error;
use crate::link::{Line, Link};
use crate::retry::Retry;
use crate::tls::thread::SignerThread;
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// Of so many banks it is remembered that they want bodies; of others it is found out anew each time.
const BANKS_REMEMBERED_MAX: usize = 4_096;

/// A connection to the service. Cloning is cheap; clones share the connection and what was learnt about banks.
#[derive(Clone)]
pub struct Sealkeep {
    inner: Arc<Inner>,
}

struct Inner {
    link: Link,
    line: Line,
    timeout: Duration,
    body_wanted: Mutex<HashMap<String, Arc<AtomicBool>>>,
    signer: OnceLock<SignerThread>,
}

impl Sealkeep {
    /// Makes a handle. The connection is opened by the first call, and again after it broke.
    ///
    /// # Errors
    /// [`ConfigError`] when an address, file or key is unusable, or outside a tokio runtime.
    pub fn connect(config: Config) -> Result<Self, ConfigError> {
        tokio::runtime::Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let link = Link::new(&config)?;
        let inner = Inner {
            line: link.open(),
            link,
            timeout: config.timeout,
            body_wanted: Mutex::default(),
            signer: OnceLock::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Works for one bank. Does not ask the service whether it exists.
    #[must_use]
    pub fn bank(&self, name: &str) -> BankHandle {
        BankHandle::new(self.clone(), name, self.body_wanted(name))
    }

    /// Makes any call of `sealkeep.v1`, once, with the configured deadline and our errors.
    ///
    /// ```no_run
    /// # async fn f(sealkeep: sealkeep_client::Sealkeep) -> Result<(), sealkeep_client::Error> {
    /// use sealkeep_client::v1::{GetStatusRequest, status_service_client::StatusServiceClient};
    /// let status = sealkeep
    ///     .call(GetStatusRequest {}, async |channel, request| {
    ///         StatusServiceClient::new(channel).get_status(request).await
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error`], by what to do.
    pub async fn call<Q, A, F, Fut>(&self, request: Q, rpc: F) -> Result<A, Error>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        self.inner
            .line
            .call_with(Retry::NEVER, self.inner.timeout, request, rpc)
            .await
    }

    /// The channel under the handle, for calls that stream. It sets no deadline.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.inner.line.channel()
    }

    pub(crate) fn line(&self) -> &Line {
        &self.inner.line
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.inner.timeout
    }

    /// The thread that asks for TLS signatures; started by the first bank that needs it.
    pub(crate) fn signer(&self) -> Result<SignerThread, Error> {
        if let Some(signer) = self.inner.signer.get() {
            return Ok(signer.clone());
        }
        let started = SignerThread::start(self.inner.link.clone(), self.inner.timeout)
            .map_err(|error| Error::broken("THREAD_NOT_STARTED", error.to_string()))?;
        Ok(self.inner.signer.get_or_init(|| started).clone())
    }

    fn body_wanted(&self, bank: &str) -> Arc<AtomicBool> {
        let mut banks = self
            .inner
            .body_wanted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = banks.get(bank) {
            return known.clone();
        }
        let new = Arc::new(AtomicBool::new(false));
        if banks.len() < BANKS_REMEMBERED_MAX {
            banks.insert(bank.to_owned(), new.clone());
        }
        new
    }
}

impl std::fmt::Debug for Sealkeep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealkeep")
            .field("timeout", &self.inner.timeout)
            .finish_non_exhaustive()
    }
}
