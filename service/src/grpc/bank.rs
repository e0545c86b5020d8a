//! `BankService`.

use sealkeep_proto::v1::{self, bank_service_server::BankService};
use tonic::{Code, Request, Response, Status};

use super::entry::{Entry, enter};
use super::error::{Fault, status_of};
use super::{Api, wire};
use crate::domain::Role;

/// Who may read banks.
const READERS: [Role; 3] = [Role::Officer, Role::Auditor, Role::Monitor];

#[tonic::async_trait]
impl BankService for Api {
    async fn apply_banks(
        &self,
        request: Request<v1::ApplyBanksRequest>,
    ) -> Result<Response<v1::ApplyBanksResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "ApplyBanks")
            .await?;
        let banks: Result<Vec<_>, _> = message.banks.into_iter().map(wire::bank).collect();
        let applied = self
            .0
            .registry
            .apply_banks(&caller, banks?, message.validate_only)
            .await;
        let names = applied.map_err(|error| status_of(&error))?;
        let snapshot = self.0.world.load();
        let banks = names.iter().filter_map(|name| snapshot.banks.get(name));
        let banks = banks
            .map(|destination| wire::bank_out(destination))
            .collect();
        Ok(Response::new(v1::ApplyBanksResponse { banks }))
    }

    async fn get_bank(
        &self,
        request: Request<v1::GetBankRequest>,
    ) -> Result<Response<v1::GetBankResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "GetBank").await?;
        let snapshot = self.0.world.load();
        let found = snapshot.banks.get(message.bank.as_str()).ok_or_else(|| {
            let fault = Fault::new(Code::NotFound, "BANK_UNKNOWN").field("bank");
            fault.status(format!("{:?} does not exist", message.bank))
        })?;
        Ok(Response::new(v1::GetBankResponse {
            bank: Some(wire::bank_out(found)),
        }))
    }

    async fn list_banks(
        &self,
        request: Request<v1::ListBanksRequest>,
    ) -> Result<Response<v1::ListBanksResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "ListBanks").await?;
        let snapshot = self.0.world.load();
        let all = snapshot.banks.iter().map(|(name, d)| (name.to_string(), d));
        let (page, next_page_token) = wire::page(all, message.page_size, &message.page_token)?;
        let banks = page.into_iter().map(|bank| wire::bank_out(bank)).collect();
        Ok(Response::new(v1::ListBanksResponse {
            banks,
            next_page_token,
        }))
    }
}
