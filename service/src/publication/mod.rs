//! Our seal certificates, where banks fetch them.
//!
//! In: the snapshot, the URLs that banks are told ([`crate::domain::Bank::settings`], `certificate_url`). Out: each
//! certificate as PEM under a name that holds its fingerprint, so that a name never means another certificate. Serves
//! STET part 1 §3.5: an anonymous GET of the key id. Never: a list, a key, anything that a bank does not see anyway.
//!
//! A certificate is here from when it is installed, before its first signature, until its last one has aged out: its
//! end and [`SIGNATURE_AGE_HOURS`] more, whatever became of its version. A revoked one is gone at once: a bank that
//! cannot fetch it refuses whoever stole its key.

mod answer;
mod listener;
mod shelf;
mod tls;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::task::JoinSet;

use crate::clock::SharedClock;
use crate::world::World;

pub use crate::bank::rotation::settle::SIGNATURE_AGE_HOURS;
pub use listener::{PublicationListener, PublicationMeter};
pub use shelf::{Shelf, UrlError, UrlTemplate};
pub use tls::ServerFiles;

/// What is published now: cheap to clone.
#[derive(Debug, Clone)]
pub struct Publication {
    clock: SharedClock,
    urls: Arc<[UrlTemplate]>,
    world: Arc<World>,
    shelf: Arc<ArcSwap<Shelf>>,
}

impl Publication {
    /// Publishes what the snapshot holds under these URLs.
    pub fn new(clock: SharedClock, world: Arc<World>, urls: Vec<UrlTemplate>) -> Self {
        let shelf = Shelf::fill(&world.load(), &urls);
        shelf.warn_of_elsewhere(&Shelf::default());
        Self {
            clock,
            urls: urls.into(),
            world,
            shelf: Arc::new(ArcSwap::from_pointee(shelf)),
        }
    }

    /// Serves and follows the snapshot until it is dropped.
    pub async fn serve(self, listener: PublicationListener, meter: PublicationMeter) {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().follow());
        listener.serve(self, meter).await;
    }

    async fn follow(self) {
        let mut changed = self.world.subscribe();
        // What changed between filling and subscribing is on the shelf too.
        changed.mark_changed();
        while changed.changed().await.is_ok() {
            let shelf = Shelf::fill(&self.world.load(), &self.urls);
            shelf.warn_of_elsewhere(&self.shelf.load());
            self.shelf.store(Arc::new(shelf));
        }
    }
}
