//! The way of one signature.
//!
//! In: a caller and a structured request. Out: what to set on the request, and the position of its record. Every step
//! hands on a value that only it can make: [`Grant`], [`Permit`], [`Prepared`], [`Intent`](crate::audit::Intent),
//! [`Signed`]. Never: SQL, a PKCS#11 search or login, a signature without a durable record.
//!
//! Once a request is permitted, its signature runs in a task of its own: a caller that goes away cannot leave an intent
//! without an end.

mod decrypt;
mod explain;
mod jwt;
mod meter;

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use prometheus_client::registry::Registry;
use sealkeep_profiles::algorithm::HashAlgorithm;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::format::certificate_verify;
use sealkeep_profiles::format::jwe::{JweError, Undecryptable};
use sealkeep_profiles::prepared::{Prepared, Signed};
use sealkeep_profiles::profile::Profile;
use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::request::{BodyParts, HttpRequest, RequestParts};
use serde_json::json;
use tokio::sync::oneshot;

use crate::audit::{AuditError, AuditLog, Event};
use crate::authz::{self, Denied, Grant, NotBound};
use crate::backend::{BackendError, KeyBackend};
use crate::bank::rotation::moving::{Pick, share};
use crate::clock::{self, SharedClock};
use crate::domain::{CallerName, Issued, Operation, Purpose, Version, VersionId, VersionState};
use crate::policy::{self, Facts, Permit, Unfit};
use crate::world::{Snapshot, World};
use meter::Meter;

pub use decrypt::{JweInput, Opened};
pub use explain::{Explained, Explanation};
pub use jwt::{AskedJwt, Endpoint, JwtInput};

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The bank accepts no version now.
    #[error(transparent)]
    NotBound(#[from] NotBound),
    /// The version that the caller names is not the one the bank accepts now.
    #[error("{bank} accepts {bound} now, not {asked}; get the identity again")]
    Rebound {
        /// The bank.
        bank: String,
        /// What was asked for.
        asked: VersionId,
        /// What is bound.
        bound: VersionId,
    },
    /// The bank changes over to a new version.
    #[error("{bank} changes over to a new certificate until {until}; try again then")]
    Held {
        /// The bank.
        bank: String,
        /// Until then.
        until: Timestamp,
    },
    /// The request is not fit to be signed.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The request cannot be laid out as the bank wants it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The token did not sign.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The record could not be made durable; the signature was dropped.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The signature does not verify under the certificate; it was dropped.
    #[error("the signature of {0} does not verify under its certificate")]
    SelfVerification(VersionId),
    /// What should be decrypted is no JWE for the key.
    #[error(transparent)]
    Jwe(#[from] JweError),
    /// It cannot be decrypted; nobody is told why.
    #[error(transparent)]
    Undecryptable(#[from] Undecryptable),
    /// The deadline passed.
    #[error("the deadline passed")]
    Late,
    /// The task that signed died.
    #[error("the signing task ended abnormally")]
    Broken,
}

impl SigningError {
    /// The stable reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.reason(),
            Self::NotBound(_) => NotBound::REASON,
            Self::Rebound { .. } => "VERSION_NOT_BOUND",
            Self::Held { .. } => "CUTOVER_IN_PROGRESS",
            Self::Unfit(unfit) => unfit.reason(),
            Self::Refused(refusal) => refusal.reason(),
            Self::Backend(error) => error.reason(),
            Self::Audit(_) => "AUDIT_UNAVAILABLE",
            Self::SelfVerification(_) => "SELF_VERIFICATION_FAILED",
            Self::Jwe(error) => error.reason(),
            Self::Undecryptable(_) => Undecryptable::REASON,
            Self::Late => "DEADLINE_EXCEEDED",
            Self::Broken => "SIGNING_FAILED",
        }
    }
}

/// An HTTP request as it came over the wire.
#[derive(Debug)]
#[allow(
    missing_docs,
    reason = "the fields are those of SignHttpRequestRequest"
)]
pub struct HttpInput {
    pub bank: String,
    pub credential: String,
    pub method: String,
    pub authority: String,
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Option<Vec<u8>>,
    pub body_digests: Vec<(HashAlgorithm, Vec<u8>)>,
}

/// A payload to be made a JWS.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of SignJwsRequest")]
pub struct JwsInput {
    pub bank: String,
    pub credential: String,
    pub payload: Vec<u8>,
}

/// What a TLS client CertificateVerify is asked over.
#[derive(Debug)]
pub enum Handshake {
    /// TLS 1.3: the transcript hash.
    Tls13(Vec<u8>),
    /// TLS 1.2: the messages from ClientHello to ClientKeyExchange.
    Tls12(Vec<u8>),
}

/// A TLS handshake to be authenticated.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of SignTls13Request")]
pub struct TlsInput {
    pub bank: String,
    pub version: VersionId,
    pub signature_scheme: u16,
    pub handshake: Handshake,
}

/// A signature that may leave.
#[derive(Debug)]
pub struct Released {
    /// The signature in the form the bank wants.
    pub signed: Signed,
    /// Who signed.
    pub version: Arc<Version>,
    /// The profile that was applied; none for TLS.
    pub profile: Option<String>,
    /// The record, `{log}/{sequence}`.
    pub audit_record: String,
}

/// The room where signatures are made: cheap to clone.
#[derive(Clone)]
pub struct Signing {
    clock: SharedClock,
    world: Arc<World>,
    audit: AuditLog,
    backend: Arc<dyn KeyBackend>,
    meter: Meter,
}

/// A permitted signature, ready for the key.
struct Ready {
    permit: Permit,
    prepared: Prepared,
    version: Arc<Version>,
    profile: Option<Arc<Profile>>,
}

impl Signing {
    /// The room over its neighbours.
    pub fn new(
        clock: SharedClock,
        world: Arc<World>,
        audit: AuditLog,
        backend: Arc<dyn KeyBackend>,
    ) -> Self {
        Self {
            clock,
            world,
            audit,
            backend,
            meter: Meter::new(),
        }
    }

    /// Registers what is counted of signatures.
    pub fn register(&self, registry: &mut Registry) {
        self.meter.register(registry);
    }

    /// Signs an HTTP request for a bank.
    pub async fn http(
        &self,
        caller: &CallerName,
        input: HttpInput,
        deadline: Instant,
    ) -> Result<Released, SigningError> {
        let asked = Asked::new(caller, Operation::SignHttp, &input.bank, &input.credential);
        let ready = self.prepare_http(&asked, &input);
        self.finish(&asked, ready, deadline).await
    }

    /// Makes a payload a JWS for a bank.
    pub async fn jws(
        &self,
        caller: &CallerName,
        input: JwsInput,
        deadline: Instant,
    ) -> Result<Released, SigningError> {
        let asked = Asked::new(caller, Operation::SignJws, &input.bank, &input.credential);
        let ready = self.prepare_jws(&asked, &input);
        self.finish(&asked, ready, deadline).await
    }

    /// Makes the CertificateVerify signature of a TLS handshake with a bank.
    pub async fn tls(
        &self,
        caller: &CallerName,
        input: TlsInput,
        deadline: Instant,
    ) -> Result<Released, SigningError> {
        let credential = input.version.credential.as_str();
        let asked = Asked::new(caller, Operation::Tls, &input.bank, credential);
        let ready = self.prepare_tls(&asked, &input);
        self.finish(&asked, ready, deadline).await
    }

    fn prepare_http(&self, asked: &Asked<'_>, input: &HttpInput) -> Result<Ready, SigningError> {
        let now = self.clock.now();
        let snapshot = self.world.load();
        let grant = asked.grant(&snapshot)?;
        let request = HttpRequest::parse(RequestParts {
            method: &input.method,
            authority: &input.authority,
            target: &input.target,
            headers: &input.headers,
            body: BodyParts {
                bytes: input.body.as_deref(),
                digests: &input.body_digests,
            },
        })?;
        let bound = Bound::of(&grant, &snapshot, now, || http_share(&grant, &request))?;
        let destination = grant.destination().clone();
        let facts = Facts::Http(&request);
        let permit = policy::decide(
            grant,
            bound.version,
            bound.issued,
            bound.purpose,
            facts,
            now,
        )?;
        let (profile, settings) = (&destination.profile, &destination.settings);
        let prepared = profile.prepare(&request, bound.issued.chain(), settings, now)?;
        Ok(Ready {
            permit,
            prepared,
            version: bound.version.clone(),
            profile: Some(profile.clone()),
        })
    }

    fn prepare_jws(&self, asked: &Asked<'_>, input: &JwsInput) -> Result<Ready, SigningError> {
        let now = self.clock.now();
        let snapshot = self.world.load();
        let grant = asked.grant(&snapshot)?;
        let bound = Bound::of(&grant, &snapshot, now, || share(&input.payload))?;
        let destination = grant.destination().clone();
        let permit = policy::decide(
            grant,
            bound.version,
            bound.issued,
            bound.purpose,
            Facts::Jws,
            now,
        )?;
        let (profile, settings) = (&destination.profile, &destination.settings);
        let prepared = profile.prepare_jws(&input.payload, bound.issued.chain(), settings, now)?;
        Ok(Ready {
            permit,
            prepared,
            version: bound.version.clone(),
            profile: Some(profile.clone()),
        })
    }

    fn prepare_tls(&self, asked: &Asked<'_>, input: &TlsInput) -> Result<Ready, SigningError> {
        let now = self.clock.now();
        let snapshot = self.world.load();
        let grant = asked.grant(&snapshot)?;
        let bound = Bound::of(&grant, &snapshot, now, no_share)?;
        if bound.version.id != input.version {
            let bank = input.bank.clone();
            let (asked, bound) = (input.version.clone(), bound.version.id.clone());
            return Err(SigningError::Rebound { bank, asked, bound });
        }
        let (scheme, certificate) = (input.signature_scheme, bound.certificate());
        let (prepared, server_name) = match &input.handshake {
            Handshake::Tls13(hash) => (
                certificate_verify::prepare_tls13(scheme, hash, certificate)?,
                None,
            ),
            Handshake::Tls12(messages) => {
                let (prepared, facts) =
                    certificate_verify::prepare_tls12(scheme, messages, certificate)?;
                (prepared, Some(facts.server_name))
            }
        };
        let facts = match &server_name {
            Some(server_name) => Facts::Tls12 { server_name },
            None => Facts::Tls13,
        };
        let permit = policy::decide(
            grant,
            bound.version,
            bound.issued,
            bound.purpose,
            facts,
            now,
        )?;
        Ok(Ready {
            permit,
            prepared,
            version: bound.version.clone(),
            profile: None,
        })
    }

    /// Records a refusal, or lets the key work; counts either.
    async fn finish(
        &self,
        asked: &Asked<'_>,
        ready: Result<Ready, SigningError>,
        deadline: Instant,
    ) -> Result<Released, SigningError> {
        let begun = clock::monotonic();
        let result = self.release(asked, ready, deadline).await;
        self.meter.count(asked.operation, &result, begun.elapsed());
        result
    }

    async fn release(
        &self,
        asked: &Asked<'_>,
        ready: Result<Ready, SigningError>,
        deadline: Instant,
    ) -> Result<Released, SigningError> {
        let ready = match ready {
            Ok(ready) => ready,
            Err(refused) => return Err(self.record_refusal(asked, refused).await),
        };
        let (reply, released) = oneshot::channel();
        let signing = self.clone();
        tokio::spawn(async move { signing.perform(ready, deadline, reply).await });
        match tokio::time::timeout_at(deadline.into(), released).await {
            Err(_) => Err(SigningError::Late),
            Ok(Err(_)) => Err(SigningError::Broken),
            Ok(Ok(result)) => result,
        }
    }

    /// A refusal is told once it is durable.
    async fn record_refusal(&self, asked: &Asked<'_>, refused: SigningError) -> SigningError {
        let data = asked.refused(&refused);
        let who = Some(asked.caller.as_str());
        match self.audit.append(Event::SignRefused, who, data).await {
            Ok(_) => refused,
            Err(error) => error.into(),
        }
    }

    /// The bracket: the intent becomes durable while the token works; nothing leaves unless both succeeded and the
    /// signature verifies under the certificate that the bank will see.
    async fn perform(
        &self,
        ready: Ready,
        deadline: Instant,
        reply: oneshot::Sender<Result<Released, SigningError>>,
    ) {
        let Ready {
            permit,
            prepared,
            version,
            profile,
        } = ready;
        let profile = profile.map(|profile| profile.name().to_owned());
        let about = about(&permit, &prepared, &version, profile.as_deref());
        let (intent, raw) = tokio::join!(
            self.audit.intend(permit, about),
            self.backend.sign(
                &version.key,
                prepared.scheme(),
                prepared.token_input(),
                deadline
            ),
        );
        let intent = match intent {
            Ok(intent) => intent,
            Err(error) => {
                let _ = reply.send(Err(error.into()));
                return;
            }
        };
        let signed = raw.map_err(SigningError::from).and_then(|raw| {
            let version = version.id.clone();
            prepared
                .assemble(&raw)
                .map_err(|_| SigningError::SelfVerification(version))
        });
        let signed = signed.and_then(|signed| self.still_signs(&version).map(|()| signed));
        match signed {
            Err(error) => {
                intent.failed(error.reason()).await;
                let _ = reply.send(Err(error));
            }
            Ok(_) if reply.is_closed() => intent.failed("CALLER_GONE").await,
            Ok(signed) => {
                let audit_record = intent.record_name();
                // Written before the signature is handed over, so that what leaves is never called failed.
                intent.released().await;
                let _ = reply.send(Ok(Released {
                    signed,
                    version,
                    profile,
                    audit_record,
                }));
            }
        }
    }
}

impl Signing {
    /// A version that was frozen while the token worked lets no signature out any more.
    fn still_signs(&self, version: &Version) -> Result<(), SigningError> {
        let snapshot = self.world.load();
        let credential = snapshot.credentials.get(&version.id.credential);
        let now = credential.and_then(|credential| credential.version(version.id.number));
        let state = now.map_or(VersionState::Destroyed, |version| version.state);
        let version = version.id.clone();
        match state.signs() {
            true => Ok(()),
            false => Err(Unfit::VersionState { version, state }.into()),
        }
    }
}

/// What a caller asked for, in the caller's words.
struct Asked<'a> {
    caller: &'a CallerName,
    operation: Operation,
    bank: &'a str,
    credential: &'a str,
}

impl<'a> Asked<'a> {
    fn new(
        caller: &'a CallerName,
        operation: Operation,
        bank: &'a str,
        credential: &'a str,
    ) -> Self {
        Self {
            caller,
            operation,
            bank,
            credential,
        }
    }

    fn grant(&self, snapshot: &Snapshot) -> Result<Grant, Denied> {
        authz::grant(
            snapshot,
            self.caller,
            self.operation,
            self.credential,
            self.bank,
        )
    }

    /// The record of a refusal. Names come from outside: they are cut, and JSON escapes the rest.
    fn refused(&self, error: &SigningError) -> serde_json::Value {
        let cut = |text: &str| text.chars().take(80).collect::<String>();
        let field = match error {
            SigningError::Refused(refusal) => Some(cut(&refusal.field())),
            _ => None,
        };
        json!({
            "operation": self.operation.as_str(),
            "bank": cut(self.bank),
            "credential": cut(self.credential),
            "reason": error.reason(),
            "field": field,
        })
    }
}

/// The version that a bank accepts now, with its chain.
struct Bound<'a> {
    version: &'a Arc<Version>,
    issued: &'a Issued,
    purpose: Purpose,
}

impl<'a> Bound<'a> {
    fn of(
        grant: &Grant,
        snapshot: &'a Snapshot,
        now: Timestamp,
        share: impl FnOnce() -> u8,
    ) -> Result<Self, SigningError> {
        let not_bound = || SigningError::NotBound(grant.not_bound());
        let destination = snapshot.banks.get(&grant.destination().bank.name);
        let pick = destination.and_then(|d| d.pick(grant.credential().as_str(), now, share));
        let version = match pick.ok_or_else(not_bound)? {
            Pick::Version(version) => version,
            Pick::Held { until } => {
                let bank = grant.destination().bank.name.to_string();
                return Err(SigningError::Held { bank, until });
            }
        };
        let credential = snapshot
            .credentials
            .get(grant.credential())
            .ok_or_else(not_bound)?;
        // A version without certificate is one for decryption, which this names.
        policy::usable(grant, version, credential.purpose)?;
        let issued = version.issued.as_ref().ok_or_else(not_bound)?;
        Ok(Self {
            version,
            issued,
            purpose: credential.purpose,
        })
    }

    fn certificate(&self) -> &'a Certificate {
        self.issued.leaf()
    }
}

/// The share of a request in a canary: by its request id, so that a repetition gets the same version; without one by
/// what it asks for.
fn http_share(grant: &Grant, request: &HttpRequest) -> u8 {
    let profile = &grant.destination().profile;
    let id = profile
        .request_id()
        .and_then(|id| request.header(id.header).first().copied());
    share(id.unwrap_or_else(|| request.target()).as_bytes())
}

/// A transport credential has no canary.
fn no_share() -> u8 {
    u8::MAX
}

/// What the intent says: names and digests, never header values or bodies.
fn about(
    permit: &Permit,
    prepared: &Prepared,
    version: &Version,
    profile: Option<&str>,
) -> serde_json::Value {
    let digest = HashAlgorithm::Sha256.digest(prepared.to_be_signed());
    json!({
        "operation": permit.operation().as_str(),
        "bank": permit.bank(),
        "call": permit.bank_operation(),
        "version": version.id.to_string(),
        "profile": profile,
        "algorithm": prepared.scheme().name(),
        "to_be_signed_sha256": hex::encode(digest),
        "fields": prepared.signed_fields(),
    })
}
