//! `TrustService`: the trusted lists of the EU.

use sealkeep_proto::v1::{self, trust_service_server::TrustService};
use tonic::{Code, Request, Response, Status, Streaming};

use super::entry::{Entry, enter, enter_long};
use super::error::{Fault, invalid, status_of};
use super::{Api, wire};
use crate::clock;
use crate::domain::Role;
use crate::trust::{Batch, ImportError, LIST_BYTES_MAX, ListId};

/// Who may read lists.
const READERS: [Role; 3] = [Role::Officer, Role::Auditor, Role::Monitor];
/// The longest name of a file that is repeated in messages, characters.
const FILE_NAME_CHARS_MAX: usize = 100;

#[tonic::async_trait]
impl TrustService for Api {
    async fn import_trusted_lists(
        &self,
        request: Request<Streaming<v1::ImportTrustedListsRequest>>,
    ) -> Result<Response<v1::ImportTrustedListsResponse>, Status> {
        let Entry {
            caller,
            deadline,
            message: files,
        } = enter_long(request)?;
        self.require(&caller, &[Role::Officer], "ImportTrustedLists")
            .await?;
        let registry = &self.0.registry;
        let batch = registry.list_batch().map_err(|error| status_of(&error))?;
        let left = deadline.saturating_duration_since(clock::monotonic());
        let received = tokio::time::timeout(left, receive(batch, files)).await;
        let late = |_| {
            let fault = Fault::new(Code::DeadlineExceeded, "DEADLINE");
            fault.status("the files did not come in time; nothing was imported".to_owned())
        };
        let (batch, validate_only) = received.map_err(late)??;
        let imported = registry.import_lists(&caller, batch, validate_only).await;
        let imported = imported.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::ImportTrustedListsResponse {
            lists: imported.iter().map(wire::trusted_list).collect(),
        }))
    }

    async fn list_trusted_lists(
        &self,
        request: Request<v1::ListTrustedListsRequest>,
    ) -> Result<Response<v1::ListTrustedListsResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "ListTrustedLists").await?;
        let known = self.0.world.load();
        let all = known.trusted_lists.iter();
        let all = all.map(|(id, list)| (id.to_string(), wire::trusted_list(list)));
        // By name: the order of the identifiers puts one world before the other, not one word before the other.
        let all: std::collections::BTreeMap<_, _> = all.collect();
        let (lists, next_page_token) =
            wire::page(all.into_iter(), message.page_size, &message.page_token)?;
        Ok(Response::new(v1::ListTrustedListsResponse {
            lists,
            next_page_token,
        }))
    }

    async fn get_trusted_list(
        &self,
        request: Request<v1::GetTrustedListRequest>,
    ) -> Result<Response<v1::GetTrustedListResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "GetTrustedList").await?;
        let known = self.0.world.load();
        let found = known.trusted_lists.get(&id(&message.name)?);
        let found = found.ok_or_else(|| status_of(&ImportError::Unknown(message.name.clone())))?;
        let now = self.0.clock.now();
        let services = found.list.services.iter();
        Ok(Response::new(v1::GetTrustedListResponse {
            list: Some(wire::trusted_list(found)),
            services: services.map(|s| wire::trusted_service(s, now)).collect(),
            skipped: found.list.skipped.named.clone(),
        }))
    }

    async fn remove_trusted_list(
        &self,
        request: Request<v1::RemoveTrustedListRequest>,
    ) -> Result<Response<v1::RemoveTrustedListResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "RemoveTrustedList")
            .await?;
        let id = id(&message.name)?;
        let removed = self.0.registry.remove_list(&caller, &id).await;
        removed.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::RemoveTrustedListResponse {}))
    }
}

fn id(name: &str) -> Result<ListId, Status> {
    ListId::try_from(name).map_err(|error| invalid("name", error))
}

/// Takes file after file as they come; only one is held at a time. Also whether it is all only to be checked.
async fn receive(
    mut batch: Batch,
    mut files: Streaming<v1::ImportTrustedListsRequest>,
) -> Result<(Batch, bool), Status> {
    let mut validate_only = None;
    let mut file: Option<(String, Vec<u8>)> = None;
    while let Some(message) = files.message().await? {
        let _ = validate_only.get_or_insert(message.validate_only);
        if !message.file_name.is_empty() {
            batch = take(batch, file.take()).await?;
            let name = message.file_name.chars().take(FILE_NAME_CHARS_MAX);
            file = Some((name.collect(), Vec::new()));
        }
        let Some((_, bytes)) = &mut file else {
            return Err(invalid("file_name", "the first message names a file"));
        };
        // One byte over is enough to be refused for it.
        if bytes.len() <= LIST_BYTES_MAX {
            bytes.extend_from_slice(&message.chunk);
        }
    }
    Ok((take(batch, file).await?, validate_only.unwrap_or_default()))
}

/// Verification takes long enough to be in the way of others.
async fn take(mut batch: Batch, file: Option<(String, Vec<u8>)>) -> Result<Batch, Status> {
    let Some((name, bytes)) = file else {
        return Ok(batch);
    };
    let taken = tokio::task::spawn_blocking(move || {
        batch.take(&name, &bytes);
        batch
    });
    taken.await.map_err(|error| {
        tracing::error!(%error, "a trusted list could not be read");
        Fault::new(Code::Internal, "BROKEN")
            .status("internal error; see the service's log".to_owned())
    })
}
