//! `TlsService`.

use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::format::certificate_verify;
use sealkeep_proto::v1::{self, tls_service_server::TlsService};
use tonic::{Request, Response, Status};

use super::Api;
use super::entry::{Entry, enter};
use super::error::{invalid, status_of};
use crate::domain::{CallerName, Issued, Version, VersionId};
use crate::signing::{Handshake, IdentityInput, Presented, Released, TlsInput};

#[tonic::async_trait]
impl TlsService for Api {
    async fn get_tls_identity(
        &self,
        request: Request<v1::GetTlsIdentityRequest>,
    ) -> Result<Response<v1::GetTlsIdentityResponse>, Status> {
        let Entry {
            caller,
            deadline,
            message,
        } = enter(request)?;
        let input = IdentityInput {
            bank: &message.bank,
            credential: &message.credential,
            verification: &message.verification,
        };
        let presented = self.0.signing.identity(&caller, input, deadline).await;
        let Presented {
            credential,
            version,
            destination,
        } = presented.map_err(|error| status_of(&error))?;
        let (certificate_chain, signature_schemes) = identity(&version);
        let leaf = version.issued.as_ref().map(Issued::leaf);
        Ok(Response::new(v1::GetTlsIdentityResponse {
            credential: credential.to_string(),
            version: version.id.resource(),
            certificate_chain,
            signature_schemes,
            tls12_allowed: destination.bank.tls12_allowed,
            hosts: destination
                .bank
                .hosts
                .iter()
                .map(|host| host.to_string())
                .collect(),
            subject: leaf
                .map(|leaf| leaf.subject().rfc2253())
                .unwrap_or_default(),
            x5t_s256: leaf.map(Certificate::x5t_s256).unwrap_or_default(),
        }))
    }

    async fn sign_tls13(
        &self,
        request: Request<v1::SignTls13Request>,
    ) -> Result<Response<v1::SignTls13Response>, Status> {
        let Entry {
            caller,
            deadline,
            message,
        } = enter(request)?;
        let handshake = Handshake::Tls13(message.transcript_hash);
        let input = input(
            message.bank,
            message.version,
            message.signature_scheme,
            handshake,
            message.verification,
        )?;
        let (signature, audit_record) = self.tls(&caller, input, deadline).await?;
        Ok(Response::new(v1::SignTls13Response {
            signature,
            audit_record,
        }))
    }

    async fn sign_tls12(
        &self,
        request: Request<v1::SignTls12Request>,
    ) -> Result<Response<v1::SignTls12Response>, Status> {
        let Entry {
            caller,
            deadline,
            message,
        } = enter(request)?;
        let handshake = Handshake::Tls12(message.handshake_messages);
        let input = input(
            message.bank,
            message.version,
            message.signature_scheme,
            handshake,
            message.verification,
        )?;
        let (signature, audit_record) = self.tls(&caller, input, deadline).await?;
        Ok(Response::new(v1::SignTls12Response {
            signature,
            audit_record,
        }))
    }
}

impl Api {
    /// The signature, and where the log has it.
    async fn tls(
        &self,
        caller: &CallerName,
        input: TlsInput,
        deadline: std::time::Instant,
    ) -> Result<(Vec<u8>, String), Status> {
        let released = self.0.signing.tls(caller, input, deadline).await;
        let Released {
            signed,
            audit_record,
            ..
        } = released.map_err(|error| status_of(&error))?;
        Ok((signed.signature().to_vec(), audit_record))
    }
}

fn input(
    bank: String,
    version: String,
    scheme: u32,
    handshake: Handshake,
    verification: String,
) -> Result<TlsInput, Status> {
    let version = VersionId::from_resource(&version).map_err(|e| invalid("version", e))?;
    let wrong = |_| invalid("signature_scheme", "not an IANA TLS SignatureScheme");
    let signature_scheme = u16::try_from(scheme).map_err(wrong)?;
    Ok(TlsInput {
        bank,
        version,
        signature_scheme,
        handshake,
        verification,
    })
}

/// The chain and the schemes that a version offers in a handshake.
pub(super) fn identity(version: &Version) -> (Vec<Vec<u8>>, Vec<u32>) {
    let Some(issued) = &version.issued else {
        return (Vec::new(), Vec::new());
    };
    let chain = issued
        .chain
        .iter()
        .map(|certificate| certificate.der().to_vec())
        .collect();
    let schemes = certificate_verify::schemes_for(&issued.leaf().public_key().key_type());
    (
        chain,
        schemes.iter().map(|scheme| u32::from(*scheme)).collect(),
    )
}
