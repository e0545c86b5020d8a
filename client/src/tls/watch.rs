//! Follows the binding of a transport credential, for as long as somebody uses the identity.
//!
//! In: the `WatchCredential` stream. Out: updates of an [`Identity`]. Never: an end because the service was away; the
//! stream begins with the state of now, so nothing is missed in between.

use crate::link::Line;
use crate::retry::Retry;
use crate::tls::identity::Identity;
use sealkeep_proto::v1::WatchCredentialRequest;
use sealkeep_proto::v1::credential_service_client::CredentialServiceClient;
use std::sync::{Arc, Weak};
use tonic::Status;

/// From half a second to half a minute between two attempts to watch.
const REOPEN: Retry = Retry {
    tries_max: u32::MAX,
    pause_ms_first: 1_000,
    pause_ms_max: 30_000,
};

/// Follows until the identity is gone.
pub(crate) async fn follow(
    line: Line,
    credential: String,
    bank: Arc<str>,
    identity: Weak<Identity>,
) {
    let mut failed = 0_u32;
    while identity.strong_count() > 0 {
        let request = WatchCredentialRequest {
            credential: credential.clone(),
            bank: bank.to_string(),
        };
        let heard = listen(&line, request, &identity).await;
        failed = if heard.unwrap_or(false) {
            1
        } else {
            failed.saturating_add(1)
        };
        let random = uuid::Uuid::new_v4().as_u64_pair().1;
        let pause = REOPEN.pause(failed, None, random).unwrap_or_default();
        tokio::time::sleep(pause).await;
    }
}

/// Listens until the stream ends; tells whether anything was heard.
async fn listen(
    line: &Line,
    request: WatchCredentialRequest,
    identity: &Weak<Identity>,
) -> Result<bool, Status> {
    let mut client = CredentialServiceClient::new(line.channel());
    let mut stream = client.watch_credential(request).await?.into_inner();
    let mut heard = false;
    while let Ok(Some(said)) = stream.message().await {
        heard = true;
        let Some(identity) = identity.upgrade() else {
            return Ok(heard);
        };
        // What makes no sense is not presented; the version of before stays until the service says something better.
        let _ = identity.update(said);
    }
    Ok(heard)
}
