//! The service: mutual TLS 1.3, `SigningService`, `TlsService`, `CredentialService.WatchCredential`.

use super::io::Io;
use super::pki::{Authority, Leaf, ec_key};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use sealkeep_client::{Config, v1::*};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Barrier, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream, wrappers::WatchStream};
use tonic::{Request, Response, Status};

/// What the service does and what it saw.
#[derive(Default)]
pub struct Script {
    /// Answers of the next calls before it behaves, oldest first.
    pub failures: VecDeque<Status>,
    /// Asks for the body of every request.
    pub wants_body: bool,
    /// Never answers SignHttpRequest.
    pub hangs: bool,
    /// TLS signatures wait until so many are asked for at the same time.
    pub barrier: Option<Arc<Barrier>>,
    pub signed: Vec<SignHttpRequestRequest>,
    pub explained: Vec<SignHttpRequestRequest>,
    pub explained_payloads: Vec<SignJwsRequest>,
    pub payloads: Vec<SignJwsRequest>,
    pub hashes: Vec<Vec<u8>>,
    pub transcripts: Vec<Vec<u8>>,
    pub timeouts: Vec<String>,
    pub hosts: Vec<String>,
    pub tls12_allowed: bool,
    /// WatchCredential tells nothing.
    pub watch_is_silent: bool,
}

/// A version of the transport credential in the fake token.
pub struct Version {
    pub name: String,
    pub leaf: Arc<Leaf>,
    pub schemes: Vec<u32>,
    pub state: VersionState,
}

pub struct Fake {
    pub script: Arc<Mutex<Script>>,
    pub config: Config,
    versions: watch::Sender<Arc<Version>>,
    _stop: mpsc::Sender<()>,
}

impl Fake {
    /// Starts it on a thread of its own.
    pub fn start(first: Version) -> Self {
        let authority = Authority::new("internal CA");
        let server = authority.server();
        let caller = authority.client("tpp", ec_key());
        let script = Arc::new(Mutex::new(Script::default()));
        let (versions, _) = watch::channel(Arc::new(first));
        let state = State {
            script: script.clone(),
            versions: versions.clone(),
        };
        let (stop, stopped) = mpsc::channel(1);
        let (port, is_port) = std::sync::mpsc::channel();
        let tls = tls(&authority, server);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serve(state, tls, stopped, port));
        });
        let addr = format!("localhost:{}", is_port.recv().unwrap());
        let config = Config::new(
            &addr,
            authority.pem.clone().into(),
            caller.pem.into(),
            caller.key_pem.into(),
        );
        Self {
            script,
            config,
            versions,
            _stop: stop,
        }
    }

    pub fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Binds the bank to another version.
    pub fn rebind(&self, version: Version) {
        self.versions.send_replace(Arc::new(version));
    }

    /// Leaves the bank bound to the same version in another state.
    pub fn restate(&self, state: VersionState) {
        let now = self.versions.borrow().clone();
        self.rebind(Version {
            name: now.name.clone(),
            leaf: now.leaf.clone(),
            schemes: now.schemes.clone(),
            state,
        });
    }
}

fn tls(authority: &Authority, server: Leaf) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![server.der], server.key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(
    state: State,
    tls: TlsAcceptor,
    mut stopped: mpsc::Receiver<()>,
    port: std::sync::mpsc::Sender<u16>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    port.send(listener.local_addr().unwrap().port()).unwrap();
    let (accepted, incoming) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (tls, accepted) = (tls.clone(), accepted.clone());
            tokio::spawn(async move {
                if let Ok(stream) = tls.accept(tcp).await {
                    let _ = accepted.send(Ok::<_, std::io::Error>(Io(stream))).await;
                }
            });
        }
    });
    let incoming = ReceiverStream::new(incoming);
    tonic::transport::Server::builder()
        .add_service(signing_service_server::SigningServiceServer::new(
            state.clone(),
        ))
        .add_service(tls_service_server::TlsServiceServer::new(state.clone()))
        .add_service(credential_service_server::CredentialServiceServer::new(
            state,
        ))
        .serve_with_incoming_shutdown(incoming, async move {
            stopped.recv().await;
        })
        .await
        .unwrap();
}

#[derive(Clone)]
struct State {
    script: Arc<Mutex<Script>>,
    versions: watch::Sender<Arc<Version>>,
}

impl State {
    fn fail<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let mut script = self.script.lock().unwrap();
        let timeout = request.metadata().get("grpc-timeout");
        script.timeouts.push(
            timeout
                .map(|t| t.to_str().unwrap().to_owned())
                .unwrap_or_default(),
        );
        script.failures.pop_front().map_or(Ok(()), Err)
    }

    async fn sign_tls(&self, name: &str, scheme: u32, message: &[u8]) -> Result<Vec<u8>, Status> {
        let barrier = self.script.lock().unwrap().barrier.clone();
        if let Some(barrier) = barrier {
            barrier.wait().await;
        }
        let version = self.versions.borrow().clone();
        if version.name != name {
            return Err(rebound(&version.name));
        }
        let key = PrivateKeyDer::from_pem_slice(version.leaf.key_pem.as_bytes()).unwrap();
        let scheme = SignatureScheme::from(u16::try_from(scheme).unwrap());
        let key = any_supported_type(&key).unwrap();
        let signer = key
            .choose_scheme(&[scheme])
            .ok_or_else(|| Status::internal("scheme"))?;
        signer
            .sign(message)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

#[tonic::async_trait]
impl signing_service_server::SigningService for State {
    async fn sign_http_request(
        &self,
        request: Request<SignHttpRequestRequest>,
    ) -> Result<Response<SignHttpRequestResponse>, Status> {
        self.fail(&request)?;
        let request = request.into_inner();
        let (hangs, wants_body) = {
            let mut script = self.script.lock().unwrap();
            script.signed.push(request.clone());
            (script.hangs, script.wants_body)
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        if wants_body && request.body.is_none() {
            return Err(refusal(
                tonic::Code::InvalidArgument,
                "BODY_REQUIRED",
                "body",
            ));
        }
        let header = |name: &str, value: &str| Header {
            name: name.into(),
            value: value.into(),
        };
        Ok(Response::new(SignHttpRequestResponse {
            headers: vec![
                header("Digest", "SHA-256=x"),
                header("Signature", "keyId=\"y\""),
            ],
            version: "credentials/seal/versions/3".into(),
            profile: "berlin-group-1.3.4".into(),
            algorithm: "ecdsa-p256-sha256".into(),
            audit_record: "main/7".into(),
            certificate_not_after_time: None,
        }))
    }

    async fn explain_signature(
        &self,
        request: Request<ExplainSignatureRequest>,
    ) -> Result<Response<ExplainSignatureResponse>, Status> {
        self.fail(&request)?;
        let message = match request.into_inner().request {
            Some(explain_signature_request::Request::HttpRequest(message)) => message,
            Some(explain_signature_request::Request::Jws(message)) => {
                self.script.lock().unwrap().explained_payloads.push(message);
                return Ok(Response::new(ExplainSignatureResponse {
                    jws: "a..<signature>".into(),
                    ..Default::default()
                }));
            }
            None => return unused(),
        };
        let mut script = self.script.lock().unwrap();
        if script.wants_body && message.body.is_none() {
            return Err(refusal(
                tonic::Code::InvalidArgument,
                "BODY_REQUIRED",
                "body",
            ));
        }
        script.explained.push(message);
        Ok(Response::new(ExplainSignatureResponse {
            to_be_signed: b"digest: x".to_vec(),
            profile_confidence: "seen".into(),
            ..Default::default()
        }))
    }

    async fn sign_jws(
        &self,
        request: Request<SignJwsRequest>,
    ) -> Result<Response<SignJwsResponse>, Status> {
        self.fail(&request)?;
        self.script
            .lock()
            .unwrap()
            .payloads
            .push(request.into_inner());
        Ok(Response::new(SignJwsResponse {
            jws: "a..b".into(),
            ..Default::default()
        }))
    }
}

#[tonic::async_trait]
impl tls_service_server::TlsService for State {
    async fn get_tls_identity(
        &self,
        request: Request<GetTlsIdentityRequest>,
    ) -> Result<Response<GetTlsIdentityResponse>, Status> {
        self.fail(&request)?;
        let version = self.versions.borrow().clone();
        let script = self.script.lock().unwrap();
        Ok(Response::new(GetTlsIdentityResponse {
            credential: "transport".into(),
            version: version.name.clone(),
            certificate_chain: vec![version.leaf.der.to_vec()],
            signature_schemes: version.schemes.clone(),
            tls12_allowed: script.tls12_allowed,
            hosts: script.hosts.clone(),
            ..GetTlsIdentityResponse::default()
        }))
    }

    async fn sign_tls13(
        &self,
        request: Request<SignTls13Request>,
    ) -> Result<Response<SignTls13Response>, Status> {
        self.fail(&request)?;
        let request = request.into_inner();
        self.script
            .lock()
            .unwrap()
            .hashes
            .push(request.transcript_hash.clone());
        let context = b"TLS 1.3, client CertificateVerify\0";
        let message = [&[b' '; 64], &context[..], &request.transcript_hash].concat();
        let signature = self
            .sign_tls(&request.version, request.signature_scheme, &message)
            .await?;
        Ok(Response::new(SignTls13Response {
            signature,
            audit_record: "main/8".into(),
        }))
    }

    async fn sign_tls12(
        &self,
        request: Request<SignTls12Request>,
    ) -> Result<Response<SignTls12Response>, Status> {
        self.fail(&request)?;
        let request = request.into_inner();
        let message = request.handshake_messages;
        let signature = self
            .sign_tls(&request.version, request.signature_scheme, &message)
            .await?;
        self.script.lock().unwrap().transcripts.push(message);
        Ok(Response::new(SignTls12Response {
            signature,
            audit_record: "main/9".into(),
        }))
    }
}

type Watched = Pin<Box<dyn Stream<Item = Result<WatchCredentialResponse, Status>> + Send>>;

fn unused<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not part of this test"))
}

#[tonic::async_trait]
impl credential_service_server::CredentialService for State {
    type WatchCredentialStream = Watched;

    async fn watch_credential(
        &self,
        request: Request<WatchCredentialRequest>,
    ) -> Result<Response<Watched>, Status> {
        assert_eq!(request.get_ref().credential, "transport");
        if self.script.lock().unwrap().watch_is_silent {
            return Ok(Response::new(Box::pin(tokio_stream::pending())));
        }
        let said = WatchStream::new(self.versions.subscribe()).map(|version| {
            Ok(WatchCredentialResponse {
                bound_version: version.name.clone(),
                certificate_chain: vec![version.leaf.der.to_vec()],
                signature_schemes: version.schemes.clone(),
                state: version.state.into(),
            })
        });
        Ok(Response::new(Box::pin(said)))
    }

    async fn enrol_credential(
        &self,
        _: Request<EnrolCredentialRequest>,
    ) -> Result<Response<EnrolCredentialResponse>, Status> {
        unused()
    }

    async fn get_certificate_signing_request(
        &self,
        _: Request<GetCertificateSigningRequestRequest>,
    ) -> Result<Response<GetCertificateSigningRequestResponse>, Status> {
        unused()
    }

    async fn install_certificate(
        &self,
        _: Request<InstallCertificateRequest>,
    ) -> Result<Response<InstallCertificateResponse>, Status> {
        unused()
    }

    async fn activate_version(
        &self,
        _: Request<ActivateVersionRequest>,
    ) -> Result<Response<ActivateVersionResponse>, Status> {
        unused()
    }

    async fn check_revocation(
        &self,
        _: Request<CheckRevocationRequest>,
    ) -> Result<Response<CheckRevocationResponse>, Status> {
        unused()
    }

    async fn retire_version(
        &self,
        _: Request<RetireVersionRequest>,
    ) -> Result<Response<RetireVersionResponse>, Status> {
        unused()
    }

    async fn freeze_version(
        &self,
        _: Request<FreezeVersionRequest>,
    ) -> Result<Response<FreezeVersionResponse>, Status> {
        unused()
    }

    async fn unfreeze_version(
        &self,
        _: Request<UnfreezeVersionRequest>,
    ) -> Result<Response<UnfreezeVersionResponse>, Status> {
        unused()
    }

    async fn revoke_version(
        &self,
        _: Request<RevokeVersionRequest>,
    ) -> Result<Response<RevokeVersionResponse>, Status> {
        unused()
    }

    async fn compromise_version(
        &self,
        _: Request<CompromiseVersionRequest>,
    ) -> Result<Response<CompromiseVersionResponse>, Status> {
        unused()
    }

    async fn destroy_version(
        &self,
        _: Request<DestroyVersionRequest>,
    ) -> Result<Response<DestroyVersionResponse>, Status> {
        unused()
    }

    async fn prove_key(
        &self,
        _: Request<ProveKeyRequest>,
    ) -> Result<Response<ProveKeyResponse>, Status> {
        unused()
    }

    async fn get_credential(
        &self,
        _: Request<GetCredentialRequest>,
    ) -> Result<Response<GetCredentialResponse>, Status> {
        unused()
    }

    async fn list_credentials(
        &self,
        request: Request<ListCredentialsRequest>,
    ) -> Result<Response<ListCredentialsResponse>, Status> {
        self.fail(&request)?;
        Ok(Response::new(ListCredentialsResponse::default()))
    }
}

/// A refusal as the service makes them.
pub fn refusal(code: tonic::Code, reason: &str, field: &str) -> Status {
    use tonic_types::{ErrorDetails, StatusExt};
    let facts = [("bank".to_owned(), "demo-bank".to_owned())];
    let mut details = ErrorDetails::with_error_info(reason, "sealkeep", facts);
    if !field.is_empty() {
        details.add_bad_request_violation(field, "refused");
    }
    Status::with_error_details(code, "refused for the test", details)
}

/// A refusal with a pause asked for.
pub fn unavailable(pause: Duration) -> Status {
    use tonic_types::{ErrorDetails, StatusExt};
    let mut details = ErrorDetails::with_retry_info(Some(pause));
    details.set_error_info(
        "TOKEN_UNAVAILABLE",
        "sealkeep",
        std::collections::HashMap::new(),
    );
    Status::with_error_details(tonic::Code::Unavailable, "the token is away", details)
}

/// The refusal of a version that the bank is not bound to any more.
fn rebound(bound: &str) -> Status {
    use tonic_types::{ErrorDetails, StatusExt};
    let facts = [("bound".to_owned(), bound.to_owned())];
    let details = ErrorDetails::with_error_info("VERSION_NOT_BOUND", "sealkeep", facts);
    Status::with_error_details(tonic::Code::FailedPrecondition, "bound to another", details)
}
