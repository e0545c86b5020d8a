//! Everything that ends, fetched.
//!
//! In: `ListExpiring`, page by page. Out: the whole list, soonest first. Never: an opinion about it.

use crate::failure::Failure;
use crate::pages::{self, PAGE_SIZE};
use crate::words::time;
use jiff::Timestamp;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::watch_service_client::WatchServiceClient;
use sealkeep_client::v1::{Expiry, ListExpiringRequest};

pub(crate) async fn all(sealkeep: &Sealkeep) -> Result<Vec<Expiry>, Failure> {
    pages::all(async |page_token| {
        let request = ListExpiringRequest {
            within: None,
            page_size: PAGE_SIZE,
            page_token,
        };
        let page = sealkeep
            .call(request, async |channel, request| {
                WatchServiceClient::new(channel)
                    .list_expiring(request)
                    .await
            })
            .await?;
        Ok((page.expiries, page.next_page_token))
    })
    .await
}

/// When its life begins.
pub(crate) fn start(expiry: &Expiry) -> Option<Timestamp> {
    expiry.start_time.and_then(|at| time(at.seconds, at.nanos))
}

/// When it ends.
pub(crate) fn end(expiry: &Expiry) -> Option<Timestamp> {
    expiry.end_time.and_then(|at| time(at.seconds, at.nanos))
}

/// When its renewal should begin.
pub(crate) fn renew(expiry: &Expiry) -> Option<Timestamp> {
    expiry.renew_time.and_then(|at| time(at.seconds, at.nanos))
}
