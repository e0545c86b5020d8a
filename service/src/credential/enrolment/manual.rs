//! The way that a person goes: a portal, an e-mail, a notary.
//!
//! In: an order. Out: words for the person who carries the request, and a ticket that stays open until the certificate is
//! installed. Never: a message to anybody; [`crate::metrics`] says when it takes too long.

use jiff::SignedDuration;

use super::{EnrolError, Enroller, Errand, Order, Progress};
use crate::backend::BoxFuture;

/// How often an open ticket is looked at, seconds. Installing closes it at once; this is only for what was missed.
const LOOK_INTERVAL_S: u32 = 3_600;

/// A QTSP that only people can reach.
#[derive(Debug)]
pub struct ManualEnroller {
    patience: SignedDuration,
}

impl ManualEnroller {
    /// For a QTSP that takes so long.
    pub fn new(patience: SignedDuration) -> Self {
        Self { patience }
    }
}

impl Enroller for ManualEnroller {
    fn step(&self, order: Order) -> BoxFuture<Result<Progress, EnrolError>> {
        let version = order.version;
        if let Errand::Revocation { .. } = order.errand {
            let by_hand = "people revoke by hand: call the QTSP, and tell it the serial number";
            return Box::pin(std::future::ready(Err(EnrolError::Never(
                by_hand.to_owned(),
            ))));
        }
        let detail = format!(
            "take the request (`sealkeep credential csr {version}`) to the QTSP, then \
             `sealkeep credential install {version}` what it issues"
        );
        let pending = Progress::Pending {
            ticket: "by hand".to_owned(),
            check_after_s: LOOK_INTERVAL_S,
            detail,
        };
        Box::pin(std::future::ready(Ok(pending)))
    }

    fn patience(&self) -> SignedDuration {
        self.patience
    }
}
