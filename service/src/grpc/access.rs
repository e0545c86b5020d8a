//! `AccessService`.

use std::collections::BTreeMap;

use sealkeep_proto::v1::{self, access_service_server::AccessService};
use tonic::{Request, Response, Status};

use super::entry::{Entry, enter};
use super::error::status_of;
use super::{Api, wire};
use crate::domain::Role;

#[tonic::async_trait]
impl AccessService for Api {
    async fn apply_grants(
        &self,
        request: Request<v1::ApplyGrantsRequest>,
    ) -> Result<Response<v1::ApplyGrantsResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "ApplyGrants")
            .await?;
        let callers: Result<Vec<_>, _> = message.callers.into_iter().map(wire::caller).collect();
        let callers = callers?;
        let names: Vec<_> = callers.iter().map(|caller| caller.name.clone()).collect();
        let applied = self
            .0
            .registry
            .apply_callers(&caller, callers, message.validate_only)
            .await;
        applied.map_err(|error| status_of(&error))?;
        let snapshot = self.0.world.load();
        let callers = names.iter().filter_map(|name| snapshot.callers.get(name));
        let callers = callers.map(wire::caller_out).collect();
        Ok(Response::new(v1::ApplyGrantsResponse { callers }))
    }

    async fn list_grants(
        &self,
        request: Request<v1::ListGrantsRequest>,
    ) -> Result<Response<v1::ListGrantsResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer, Role::Auditor], "ListGrants")
            .await?;
        let snapshot = self.0.world.load();
        let sorted: BTreeMap<_, _> = snapshot.callers.iter().collect();
        let all = sorted
            .into_iter()
            .map(|(name, c)| (name.to_string(), wire::caller_out(c)));
        let (callers, next_page_token) = wire::page(all, message.page_size, &message.page_token)?;
        Ok(Response::new(v1::ListGrantsResponse {
            callers,
            next_page_token,
        }))
    }

    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let Entry { caller: name, .. } = enter(request)?;
        let snapshot = self.0.world.load();
        let caller = match snapshot.callers.get(&name) {
            Some(known) => wire::caller_out(known),
            None => v1::Caller {
                name: name.to_string(),
                ..v1::Caller::default()
            },
        };
        Ok(Response::new(v1::WhoAmIResponse {
            caller: Some(caller),
        }))
    }
}
