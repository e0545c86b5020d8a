//! Mutual TLS to a bank with a private key that stays in the token.
//!
//! In: the identity the service names for a bank, trust roots given by the caller. Out: [`TlsConfig`] and from it rustls
//! client configurations, connector layers and HTTP clients. Never: a private key, and never more of a TLS 1.3 handshake
//! to the service than its transcript hash (RFC 8446 section 4.4.3).
//!
//! rustls asks for a signature synchronously. The question goes to a thread with its own runtime and its own connection
//! to the service ([`thread`]), so that it is answered even while every worker of the caller's runtime waits; and
//! handshakes are polled on the blocking pool ([`offload`]), so that no worker has to wait.

pub(crate) mod cancel;
pub(crate) mod identity;
pub(crate) mod key;
pub(crate) mod offload;
pub(crate) mod thread;
pub(crate) mod watch;

use crate::error::Error;
use crate::handle::Sealkeep;
use identity::Identity;
use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use sealkeep_proto::v1::tls_service_client::TlsServiceClient;
use sealkeep_proto::v1::{
    GetTlsIdentityRequest, GetTlsIdentityResponse, VersionState, WatchCredentialResponse,
};
use std::sync::Arc;

static TLS13_ONLY: [&SupportedProtocolVersion; 1] = [&TLS13];
static TLS13_AND_12: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// TLS towards one bank: the certificate bound to it now, the remote key, the roots trusted for its server.
///
/// The certificate follows the bank's binding: after a rotation new handshakes present the new version, without a new
/// `TlsConfig`. Connections that are open stay as they are.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    ask: Ask,
    identity: Arc<Identity>,
    roots: Arc<RootCertStore>,
    hosts: Arc<[String]>,
    tls12_allowed: bool,
}

impl TlsConfig {
    pub(crate) async fn fetch(ask: Ask, roots: RootCertStore) -> Result<Self, Error> {
        let answer = ask.identity().await?;
        let hosts = answer.hosts.clone().into();
        let tls12_allowed = answer.tls12_allowed;
        let signer = ask.sealkeep.signer()?;
        let identity = Identity::new(&ask.bank, &ask.verification, answer, signer)?;
        Ok(Self {
            ask,
            identity,
            roots: Arc::new(roots),
            hosts,
            tls12_allowed,
        })
    }

    /// Asks the service which version is bound now, instead of waiting to be told. For after a handshake that was
    /// refused because the bank was bound to another version meanwhile.
    ///
    /// # Errors
    /// [`Error`], by what to do; the presented version stays.
    pub async fn refresh(&self) -> Result<(), Error> {
        let answer = self.ask.identity().await?;
        self.identity.update(WatchCredentialResponse {
            bound_version: answer.version,
            certificate_chain: answer.certificate_chain,
            signature_schemes: answer.signature_schemes,
            state: VersionState::Unspecified.into(),
        })
    }

    /// A rustls client configuration. TLS 1.3, and 1.2 where the bank allows it; no ALPN (connectors set their own); no
    /// resumption, so that each connection has a signature and a record of its own.
    ///
    /// The remote key blocks the thread that polls the handshake for as long as the service takes. Wrap the connector
    /// in [`OffloadLayer`](crate::OffloadLayer), or the handshake in [`Offload`](crate::Offload).
    ///
    /// # Errors
    /// [`Error::Broken`] when rustls refuses the protocol versions.
    pub fn client_config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(Self::versions(self.tls12_allowed))
            .map_err(|error| Error::broken("TLS_CONFIG_REFUSED", error.to_string()))?
            .with_root_certificates(self.roots.clone())
            .with_client_cert_resolver(self.identity.clone());
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// TLS 1.3, and 1.2 where the bank allows it.
    pub(crate) fn versions(tls12_allowed: bool) -> &'static [&'static SupportedProtocolVersion] {
        match tls12_allowed {
            true => &TLS13_AND_12,
            false => &TLS13_ONLY,
        }
    }

    /// The version that the next handshake presents, `credentials/{credential}/versions/{number}`.
    #[must_use]
    pub fn version(&self) -> String {
        self.identity.current().version.clone()
    }

    /// Counts the changes of the presented version, from 0. Pools compare it to know when to drain, and who holds an
    /// access token to know when to ask for a new one: tokens are bound to a certificate (RFC 8705 section 3).
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.identity.current().number
    }

    /// Returns when [`generation`](Self::generation) is above `seen`.
    pub async fn changed(&self, seen: u64) {
        self.identity.changed(seen).await;
    }

    /// The DER certificates that the next handshake presents, leaf first.
    #[must_use]
    pub fn certificate_chain(&self) -> Vec<rustls_pki_types::CertificateDer<'static>> {
        self.identity.current().certified.cert.clone()
    }

    /// The hosts of the bank, each with an optional port.
    #[must_use]
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Whether the bank allows TLS 1.2.
    #[must_use]
    pub fn tls12_allowed(&self) -> bool {
        self.tls12_allowed
    }
}

/// Whom to ask for the identity, and for what.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) sealkeep: Sealkeep,
    pub(crate) bank: Arc<str>,
    pub(crate) credential: Arc<str>,
    /// The verification it belongs to; empty for everything else.
    pub(crate) verification: Arc<str>,
}

impl Ask {
    async fn identity(&self) -> Result<GetTlsIdentityResponse, Error> {
        let request = GetTlsIdentityRequest {
            bank: self.bank.to_string(),
            credential: self.credential.to_string(),
            verification: self.verification.to_string(),
        };
        self.sealkeep
            .line()
            .call(
                self.sealkeep.timeout(),
                request,
                async |channel, request| {
                    TlsServiceClient::new(channel)
                        .get_tls_identity(request)
                        .await
                },
            )
            .await
    }
}
