//! `WatchService`: what ends when, and alerts as they are raised.

use std::collections::HashSet;
use std::pin::Pin;

use jiff::{SignedDuration, Timestamp};
use sealkeep_proto::v1::{self, watch_service_server::WatchService};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::entry::{Entry, enter};
use super::error::{Fault, invalid, status_of};
use super::{Api, wire};
use crate::authz;
use crate::domain::{CallerName, Role};
use crate::watch::{Alert, Expiry};

/// Who may see what ends.
const READERS: [Role; 3] = [Role::Officer, Role::Auditor, Role::Monitor];
/// Alerts on their way to a reader.
const BUFFER_ALERTS_MAX: usize = 16;

/// What the stream yields.
type Alerts = Pin<Box<dyn Stream<Item = Result<v1::WatchExpiryResponse, Status>> + Send>>;

#[tonic::async_trait]
impl WatchService for Api {
    async fn list_expiring(
        &self,
        request: Request<v1::ListExpiringRequest>,
    ) -> Result<Response<v1::ListExpiringResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "ListExpiring").await?;
        let until = message
            .within
            .map(|within| until(within, self.0.clock.now()))
            .transpose()?;
        let mut all = self.0.watch.expiries();
        all.retain(|expiry| until.is_none_or(|until| expiry.end <= until));
        let all = all.iter().map(|expiry| (key(expiry), wire::expiry(expiry)));
        let (expiries, next_page_token) = wire::page(all, message.page_size, &message.page_token)?;
        Ok(Response::new(v1::ListExpiringResponse {
            expiries,
            next_page_token,
        }))
    }

    type WatchExpiryStream = Alerts;

    async fn watch_expiry(
        &self,
        request: Request<v1::WatchExpiryRequest>,
    ) -> Result<Response<Alerts>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "WatchExpiry").await?;
        let since = message.since_time.map(since).transpose()?;
        Ok(Response::new(self.alerts(caller, since).await?))
    }
}

impl Api {
    /// First those of the past that were asked for, then each as it is raised; none twice, none left out between.
    async fn alerts(&self, caller: CallerName, since: Option<Timestamp>) -> Result<Alerts, Status> {
        let mut raised = self.0.watch.subscribe();
        let past = match since {
            Some(since) => self.0.watch.alerts_since(since).await,
            None => Ok(Vec::new()),
        };
        let past = past.map_err(|error| status_of(&error))?;
        let (alerts, stream) = mpsc::channel(BUFFER_ALERTS_MAX);
        let rooms = self.0.clone();
        tokio::spawn(async move {
            let seen: HashSet<_> = past.iter().map(|alert| alert.id.clone()).collect();
            for alert in &past {
                if alerts.send(Ok(response(alert))).await.is_err() {
                    return;
                }
            }
            loop {
                let next = tokio::select! {
                    next = raised.recv() => next,
                    () = alerts.closed() => return,
                };
                let update = match next {
                    Ok(alert) if seen.contains(&alert.id) => continue,
                    // A role that was taken away ends the stream.
                    Ok(alert) => authz::role(&rooms.world.load(), &caller, &READERS)
                        .map(|()| response(&alert))
                        .map_err(|denied| status_of(&denied)),
                    Err(RecvError::Lagged(missed)) => Err(lagged(missed)),
                    Err(RecvError::Closed) => return,
                };
                let ends = update.is_err();
                if alerts.send(update).await.is_err() || ends {
                    return;
                }
            }
        });
        Ok(Box::pin(ReceiverStream::new(stream)))
    }
}

fn response(alert: &Alert) -> v1::WatchExpiryResponse {
    v1::WatchExpiryResponse {
        alert: Some(wire::alert(alert)),
    }
}

fn lagged(missed: u64) -> Status {
    let message =
        format!("{missed} alerts were missed; open the stream again from the last one seen");
    Fault::new(Code::Unavailable, "WATCH_LAGGED").status(message)
}

/// Sorts as the list does. Ends before 1970 sort first, all as one; no certificate in use has such.
fn key(expiry: &Expiry) -> String {
    let end_s = expiry.end.as_second().max(0);
    format!(
        "{end_s:020} {} {}",
        expiry.kind.as_str(),
        hex::encode(expiry.sha256)
    )
}

fn until(within: prost_types::Duration, now: Timestamp) -> Result<Timestamp, Status> {
    let until = now.checked_add(SignedDuration::from_secs(within.seconds));
    match until {
        Ok(until) if within.seconds >= 0 && within.nanos >= 0 => Ok(until),
        _ => Err(invalid(
            "within",
            "a time from 0 on that ends before the year 9999",
        )),
    }
}

fn since(time: prost_types::Timestamp) -> Result<Timestamp, Status> {
    Timestamp::new(time.seconds, time.nanos).map_err(|error| invalid("since_time", error))
}
