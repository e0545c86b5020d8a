//! `CredentialService`.

use sealkeep_proto::v1::{self, credential_service_server::CredentialService};
use tonic::{Request, Response, Status};

use super::entry::{Entry, enter, enter_long};
use super::error::{invalid, status_of};
use super::watch::{self, Updates, Watch};
use super::{Api, wire};
use crate::credential::{CredentialError, EnrolRequest, Psd2Wish, Subject};
use crate::domain::{Role, Verb, VersionId};

/// Who may read credentials.
const READERS: [Role; 3] = [Role::Officer, Role::Auditor, Role::Monitor];

#[tonic::async_trait]
impl CredentialService for Api {
    async fn enrol_credential(
        &self,
        request: Request<v1::EnrolCredentialRequest>,
    ) -> Result<Response<v1::EnrolCredentialResponse>, Status> {
        let Entry {
            caller,
            deadline,
            message,
        } = enter_long(request)?;
        self.require(&caller, &[Role::Officer], "EnrolCredential")
            .await?;
        let subject = message.subject.unwrap_or_default();
        let psd2 = subject.psd2.map(|psd2| Psd2Wish {
            roles: psd2.roles,
            nca_name: psd2.nca_name,
            nca_id: psd2.nca_id,
        });
        let request = EnrolRequest {
            credential: wire::name("credential", message.credential)?,
            purpose: wire::purpose(message.purpose)?,
            key: wire::key_spec(message.key_algorithm)?,
            subject: Subject {
                country: subject.country,
                organization: subject.organization,
                organization_identifier: subject.organization_identifier,
                common_name: subject.common_name,
                dns_names: subject.dns_names,
                psd2,
            },
            token_set: Some(message.token).filter(|token| !token.is_empty()),
        };
        let enrolled = self.0.registry.enrol(&caller, request, deadline).await;
        let enrolled = enrolled.map_err(|error| status_of(&error))?;
        let algorithms = enrolled.decrypts.iter().map(|a| a.name().to_owned());
        Ok(Response::new(v1::EnrolCredentialResponse {
            version: Some(self.version(&enrolled.version)?),
            csr_pem: enrolled.csr_pem.unwrap_or_default(),
            decryption_algorithms: algorithms.collect(),
        }))
    }

    async fn get_certificate_signing_request(
        &self,
        request: Request<v1::GetCertificateSigningRequestRequest>,
    ) -> Result<Response<v1::GetCertificateSigningRequestResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "GetCertificateSigningRequest")
            .await?;
        let found = self
            .0
            .registry
            .csr_pem(&message.name)
            .map_err(|error| status_of(&error))?;
        let (version, csr_pem) = (found.0.resource(), found.1);
        Ok(Response::new(v1::GetCertificateSigningRequestResponse {
            version,
            csr_pem,
        }))
    }

    async fn install_certificate(
        &self,
        request: Request<v1::InstallCertificateRequest>,
    ) -> Result<Response<v1::InstallCertificateResponse>, Status> {
        let Entry {
            caller,
            deadline,
            message,
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "InstallCertificate")
            .await?;
        let v1::InstallCertificateRequest {
            name,
            certificate_chain_pem,
            validate_only,
            certificates,
        } = message;
        let delivered = match (certificate_chain_pem.is_empty(), certificates.is_empty()) {
            (false, true) => certificate_chain_pem.into_bytes(),
            (true, _) => certificates,
            (false, false) => {
                let twice = "give certificates or certificate_chain_pem, not both";
                return Err(invalid("certificates", twice));
            }
        };
        let installed = self
            .0
            .registry
            .install(&caller, &name, &delivered, validate_only, deadline)
            .await
            .map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::InstallCertificateResponse {
            version: Some(self.version(&installed.version)?),
            findings: installed.findings.into_iter().map(wire::finding).collect(),
            trust: Some(wire::trust_basis(installed.listed.as_ref())),
        }))
    }

    async fn activate_version(
        &self,
        request: Request<v1::ActivateVersionRequest>,
    ) -> Result<Response<v1::ActivateVersionResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "ActivateVersion")
            .await?;
        let activated = self
            .0
            .registry
            .activate(&caller, &message.name, message.rebind)
            .await;
        let activated = activated.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::ActivateVersionResponse {
            version: Some(self.version(&activated.version)?),
            bound_banks: activated.banks.iter().map(ToString::to_string).collect(),
            findings: activated.findings.into_iter().map(wire::finding).collect(),
            trust: Some(wire::trust_basis(activated.listed.as_ref())),
        }))
    }

    async fn check_revocation(
        &self,
        request: Request<v1::CheckRevocationRequest>,
    ) -> Result<Response<v1::CheckRevocationResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "CheckRevocation")
            .await?;
        let checked = self.0.registry.check_revocation(&message.name).await;
        let (version, looked) = checked.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::CheckRevocationResponse {
            version: Some(self.version(&version)?),
            certificates: looked.iter().map(wire::looked).collect(),
        }))
    }

    async fn retire_version(
        &self,
        request: Request<v1::RetireVersionRequest>,
    ) -> Result<Response<v1::RetireVersionResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "RetireVersion")
            .await?;
        let retired = self.0.registry.retire(&caller, &message.name).await;
        let retired = retired.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::RetireVersionResponse {
            version: Some(self.version(&retired.version)?),
            bound_banks: retired.banks.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn freeze_version(
        &self,
        request: Request<v1::FreezeVersionRequest>,
    ) -> Result<Response<v1::FreezeVersionResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &[Role::Officer], "FreezeVersion")
            .await?;
        let v1::FreezeVersionRequest { name, reason } = message;
        let frozen = self.0.registry.freeze(&caller, &name, &reason).await;
        let frozen = frozen.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::FreezeVersionResponse {
            version: Some(self.version(&frozen.version)?),
            affected_banks: frozen.banks.iter().map(ToString::to_string).collect(),
            spare_version: frozen
                .spare
                .map(|spare| spare.resource())
                .unwrap_or_default(),
        }))
    }

    async fn unfreeze_version(
        &self,
        request: Request<v1::UnfreezeVersionRequest>,
    ) -> Result<Response<v1::UnfreezeVersionResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        let (name, reason) = (message.name, message.reason);
        let approval = self.ask(&caller, Verb::Unfreeze, &name, &reason).await?;
        Ok(Response::new(v1::UnfreezeVersionResponse { approval }))
    }

    async fn revoke_version(
        &self,
        request: Request<v1::RevokeVersionRequest>,
    ) -> Result<Response<v1::RevokeVersionResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        let (name, reason) = (message.name, message.reason);
        let approval = self.ask(&caller, Verb::Revoke, &name, &reason).await?;
        Ok(Response::new(v1::RevokeVersionResponse { approval }))
    }

    async fn compromise_version(
        &self,
        request: Request<v1::CompromiseVersionRequest>,
    ) -> Result<Response<v1::CompromiseVersionResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter_long(request)?;
        self.require(&caller, &[Role::Officer], "CompromiseVersion")
            .await?;
        self.compromise(&caller, &message).await.map(Response::new)
    }

    async fn destroy_version(
        &self,
        request: Request<v1::DestroyVersionRequest>,
    ) -> Result<Response<v1::DestroyVersionResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        let (name, reason) = (message.name, message.reason);
        let approval = self.ask(&caller, Verb::Destroy, &name, &reason).await?;
        Ok(Response::new(v1::DestroyVersionResponse { approval }))
    }

    async fn prove_key(
        &self,
        request: Request<v1::ProveKeyRequest>,
    ) -> Result<Response<v1::ProveKeyResponse>, Status> {
        let Entry {
            caller,
            deadline,
            message,
        } = enter_long(request)?;
        self.require(&caller, &[Role::Officer], "ProveKey").await?;
        let proven = self.0.registry.prove(&caller, &message.name, deadline);
        let (version, report) = proven.await.map_err(|error| status_of(&error))?;
        Ok(Response::new(v1::ProveKeyResponse {
            version: version.resource(),
            replicas: report.iter().map(wire::replica).collect(),
        }))
    }

    async fn get_credential(
        &self,
        request: Request<v1::GetCredentialRequest>,
    ) -> Result<Response<v1::GetCredentialResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "GetCredential").await?;
        let snapshot = self.0.world.load();
        let found = snapshot.credentials.get(message.credential.as_str());
        let found = found
            .ok_or_else(|| status_of(&CredentialError::Unknown(message.credential.clone())))?;
        let rules = self.0.registry.revocation.rules();
        let issued = found.versions.iter().filter_map(|v| v.issued.as_ref());
        let revocations = issued.filter_map(|issued| {
            let leaf = issued.leaf();
            let known = snapshot.revocations.get(&leaf.sha256())?;
            let until = rules.of(issued.environment).counts_until(known);
            Some(wire::revocation(leaf, known, until))
        });
        Ok(Response::new(v1::GetCredentialResponse {
            credential: Some(wire::credential(found)),
            revocations: revocations.collect(),
        }))
    }

    async fn list_credentials(
        &self,
        request: Request<v1::ListCredentialsRequest>,
    ) -> Result<Response<v1::ListCredentialsResponse>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        self.require(&caller, &READERS, "ListCredentials").await?;
        let snapshot = self.0.world.load();
        let all = snapshot.credentials.values();
        let all = all.map(|c| (c.name.to_string(), c));
        let (page, next_page_token) = wire::page(all, message.page_size, &message.page_token)?;
        let credentials = page.into_iter().map(|c| wire::credential(c)).collect();
        Ok(Response::new(v1::ListCredentialsResponse {
            credentials,
            next_page_token,
        }))
    }

    type WatchCredentialStream = Updates;

    async fn watch_credential(
        &self,
        request: Request<v1::WatchCredentialRequest>,
    ) -> Result<Response<Updates>, Status> {
        let Entry {
            caller, message, ..
        } = enter(request)?;
        let v1::WatchCredentialRequest { credential, bank } = message;
        let updates = watch::start(
            self.0.clone(),
            Watch {
                caller,
                credential,
                bank,
            },
        )?;
        Ok(Response::new(updates))
    }
}

impl Api {
    /// A version as it is in the snapshot now.
    pub(super) fn version(&self, id: &VersionId) -> Result<v1::Version, Status> {
        let snapshot = self.0.world.load();
        let found = snapshot
            .credentials
            .get(&id.credential)
            .and_then(|c| c.version(id.number));
        let found = found.ok_or_else(|| status_of(&CredentialError::Unknown(id.resource())))?;
        Ok(wire::version(found))
    }
}
