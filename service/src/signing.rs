//! The way of one signature.
//!
//! In: a caller and a structured request. Out: what to set on the request, and the position of its record. Every step
//! hands on a value that only it can make: [`Grant`](crate::authz::Grant), [`Permit`], [`Prepared`],
//! [`Intent`](crate::audit::Intent), [`Signed`](sealkeep_profiles::prepared::Signed). Never: SQL, a PKCS#11 search or
//! login, a signature without a durable record.
//!
//! Once a request is permitted, its signature runs in a task of its own: a caller that goes away cannot leave an intent
//! without an end.

mod bound;
mod decrypt;
mod doubt;
mod error;
mod explain;
mod held;
mod identity;
mod input;
mod jwt;
mod meter;

use std::sync::Arc;
use std::time::Instant;

use prometheus_client::registry::Registry;
use sealkeep_profiles::algorithm::HashAlgorithm;
use sealkeep_profiles::format::certificate_verify;
use sealkeep_profiles::prepared::Prepared;
use sealkeep_profiles::profile::Profile;
use sealkeep_profiles::request::{BodyParts, HttpRequest, RequestParts};
use serde_json::json;
use tokio::sync::oneshot;

use crate::audit::{AuditLog, Event};
use crate::backend::tokens::Tokens;
use crate::bank::rotation::moving::share;
use crate::clock::{self, SharedClock};
use crate::domain::{CallerName, Operation, Version, VersionState};
use crate::policy::{self, Facts, Permit, Unfit};
use crate::world::World;
use held::{Held, Patience};
use meter::Meter;

use bound::{Asked, Bound, http_share, no_share};
pub use decrypt::{JweInput, Opened};
pub use error::SigningError;
pub use explain::{Explained, Explanation};
pub use identity::{IdentityInput, Presented};
pub use input::{Handshake, HttpInput, JwsInput, Released, TlsInput};
pub use jwt::{AskedJwt, Endpoint, JwtInput};

/// The room where signatures are made: cheap to clone.
#[derive(Clone)]
pub struct Signing {
    clock: SharedClock,
    world: Arc<World>,
    audit: AuditLog,
    tokens: Tokens,
    meter: Meter,
    held: Held,
}

/// A permitted signature, ready for the key.
struct Ready {
    permit: Permit,
    prepared: Prepared,
    version: Arc<Version>,
    profile: Option<Arc<Profile>>,
    /// The verification it belongs to.
    verification: Option<String>,
}

impl Signing {
    /// The room over its neighbours.
    pub fn new(clock: SharedClock, world: Arc<World>, audit: AuditLog, tokens: Tokens) -> Self {
        Self {
            clock,
            world,
            audit,
            tokens,
            meter: Meter::new(),
            held: Held::default(),
        }
    }

    /// Registers what is counted of signatures.
    pub fn register(&self, registry: &mut Registry) {
        self.meter.register(registry);
        self.held.register(registry);
    }

    /// Signs an HTTP request for a bank.
    pub async fn http(
        &self,
        caller: &CallerName,
        input: HttpInput,
        deadline: Instant,
    ) -> Result<Released, SigningError> {
        let asked = Asked::new(caller, Operation::SignHttp, &input.bank, &input.credential)
            .verifying(&input.verification);
        let ready = self.unless_held(deadline, || self.prepare_http(&asked, &input));
        let ready = ready.await;
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
        let ready = self.unless_held(deadline, || self.prepare_jws(&asked, &input));
        let ready = ready.await;
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
        let asked = Asked::new(caller, Operation::Tls, &input.bank, credential)
            .verifying(&input.verification);
        let ready = self.unless_held(deadline, || self.prepare_tls(&asked, &input));
        let ready = ready.await;
        self.finish(&asked, ready, deadline).await
    }

    /// What is decided now, or when the bank has changed over.
    async fn unless_held<T>(
        &self,
        deadline: Instant,
        decide: impl Fn() -> Result<T, SigningError>,
    ) -> Result<T, SigningError> {
        let decided = decide();
        let Err(SigningError::Held { .. }) = decided else {
            return decided;
        };
        let patience = Patience {
            clock: &self.clock,
            changed: self.world.subscribe(),
            left: deadline.saturating_duration_since(clock::monotonic()),
        };
        self.held.wait_out(patience, decide).await
    }

    fn prepare_http(&self, asked: &Asked<'_>, input: &HttpInput) -> Result<Ready, SigningError> {
        let now = self.clock.now();
        let snapshot = self.world.current()?;
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
        let bound = Bound::of(asked, &grant, &snapshot, now, || {
            http_share(&grant, &request)
        })?;
        let destination = grant.destination().clone();
        if asked.in_verification().is_some() {
            policy::harmless::check(&destination.bank, &request)?;
        }
        let permit = bound.permit(grant, Facts::Http(&request), now)?;
        let (profile, settings) = (&destination.profile, &destination.settings);
        let prepared = profile.prepare(&request, bound.issued.chain(), settings, now)?;
        Ok(bound.ready(permit, prepared, Some(profile.clone())))
    }

    fn prepare_jws(&self, asked: &Asked<'_>, input: &JwsInput) -> Result<Ready, SigningError> {
        let now = self.clock.now();
        let snapshot = self.world.current()?;
        let grant = asked.grant(&snapshot)?;
        let bound = Bound::of(asked, &grant, &snapshot, now, || share(&input.payload))?;
        let destination = grant.destination().clone();
        let permit = bound.permit(grant, Facts::Jws, now)?;
        let (profile, settings) = (&destination.profile, &destination.settings);
        let prepared = profile.prepare_jws(&input.payload, bound.issued.chain(), settings, now)?;
        Ok(bound.ready(permit, prepared, Some(profile.clone())))
    }

    fn prepare_tls(&self, asked: &Asked<'_>, input: &TlsInput) -> Result<Ready, SigningError> {
        let now = self.clock.now();
        let snapshot = self.world.current()?;
        let grant = asked.grant(&snapshot)?;
        let bound = Bound::of(asked, &grant, &snapshot, now, no_share)?;
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
        let permit = bound.permit(grant, facts, now)?;
        Ok(bound.ready(permit, prepared, None))
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
            // The log is in the database that is not reached.
            Err(refused @ SigningError::OutOfTouch(_)) => return Err(refused),
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
            verification,
        } = ready;
        let profile = profile.map(|profile| profile.name().to_owned());
        let mut about = about(&permit, &prepared, &version, profile.as_deref());
        if let Some(verification) = verification {
            about["verification"] = verification.into();
        }
        let (intent, raw) = tokio::join!(
            self.audit.intend(permit, about),
            self.tokens.sign(
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
        let signed = match raw {
            Err(error) => Err(error.into()),
            Ok(raw) => match prepared.assemble(&raw.bytes) {
                Ok(signed) => Ok(signed),
                Err(_) => Err(self.doubt(&raw, &version).await),
            },
        };
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
