//! The stream of `WatchCredential`: what a caller may see of a credential, now and after each change.

use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use sealkeep_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::error::status_of;
use super::tls::identity;
use super::{Rooms, wire};
use crate::authz::{self, Denied};
use crate::bank::rotation::moving::Pick;
use crate::domain::{CallerName, Operation, Purpose, Role};
use crate::world::Snapshot;

/// What the stream yields.
pub(super) type Updates =
    Pin<Box<dyn Stream<Item = Result<v1::WatchCredentialResponse, Status>> + Send>>;

/// What is watched, by whom.
pub(super) struct Watch {
    pub(super) caller: CallerName,
    pub(super) credential: String,
    pub(super) bank: String,
}

/// Starts the stream; refuses at once what may not be watched.
pub(super) fn start(rooms: Arc<Rooms>, watch: Watch) -> Result<Updates, Status> {
    let mut changed = rooms.world.subscribe();
    let first = watch
        .view(&rooms.world.load(), rooms.clock.now())
        .map_err(|denied| status_of(&denied))?;
    let (updates, stream) = mpsc::channel(4);
    tokio::spawn(async move {
        let mut last = first;
        if updates.send(Ok(last.clone())).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                change = changed.changed() => if change.is_err() { return },
                () = updates.closed() => return,
            }
            let update = match watch.view(&rooms.world.load(), rooms.clock.now()) {
                Ok(view) if view == last => continue,
                Ok(view) => {
                    last = view.clone();
                    Ok(view)
                }
                // The grant was taken away: say so and end.
                Err(denied) => Err(status_of(&denied)),
            };
            let ends = update.is_err();
            if updates.send(update).await.is_err() || ends {
                return;
            }
        }
    });
    Ok(Box::pin(ReceiverStream::new(stream)))
}

impl Watch {
    fn view(
        &self,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<v1::WatchCredentialResponse, Denied> {
        self.authorize(snapshot)?;
        let destination = snapshot.banks.get(self.bank.as_str());
        let pick = destination.and_then(|d| d.pick(&self.credential, now, || u8::MAX));
        // While the bank changes over, watchers see no version; the change of the binding ends it.
        let Some(Pick::Version(version)) = pick else {
            return Ok(v1::WatchCredentialResponse::default());
        };
        let (certificate_chain, signature_schemes) = identity(version);
        Ok(v1::WatchCredentialResponse {
            bound_version: version.id.resource(),
            certificate_chain,
            signature_schemes,
            state: wire::state(version.state).into(),
        })
    }

    /// Officers and auditors see everything; a signer sees what it may use.
    fn authorize(&self, snapshot: &Snapshot) -> Result<(), Denied> {
        if authz::role(snapshot, &self.caller, &[Role::Officer, Role::Auditor]).is_ok() {
            return Ok(());
        }
        let credential = snapshot.credentials.get(self.credential.as_str());
        let purpose = credential.map_or(Purpose::Transport, |c| c.purpose);
        let of_purpose = |operation: &Operation| authz::purpose(*operation) == purpose;
        let operations = Operation::ALL.into_iter().filter(of_purpose);
        let granted = |operation: Operation| {
            authz::grant(
                snapshot,
                &self.caller,
                operation,
                &self.credential,
                &self.bank,
            )
        };
        let mut results = operations.map(granted);
        let first = results.next().map(|result| result.map(drop));
        match first {
            Some(Err(denied)) if !results.any(|result| result.is_ok()) => Err(denied),
            _ => Ok(()),
        }
    }
}
