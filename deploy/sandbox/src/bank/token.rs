//! Access tokens: JWTs of the bank, each bound to the certificate of the connection it was asked for on.
//!
//! In: who, for what, over which certificate, when. Out: a compact JWS (ES256) and its verification. The key lives as
//! long as the process: a token is good for minutes, so nobody misses it after a restart.
//!
//! Serves RFC 9068 (profile of JWT access tokens), RFC 8705 §3.1 (`cnf.x5t#S256`), RFC 7518 §3.4.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::StartError;
use super::peer::Peer;
use super::refused::{Code, Refused};

/// How long an access token is good.
pub(super) const TOKEN_LIFETIME_SECONDS: i64 = 300;

const HEADER: &str = r#"{"alg":"ES256","typ":"at+jwt"}"#;

/// What a token permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Account information services.
    Aisp,
    /// Payment initiation services.
    Pisp,
}

impl Scope {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Aisp => "aisp",
            Self::Pisp => "pisp",
        }
    }
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    client_id: String,
    scope: String,
    iat: i64,
    exp: i64,
    jti: String,
    cnf: Confirmation,
}

#[derive(Debug, Serialize, Deserialize)]
struct Confirmation {
    #[serde(rename = "x5t#S256")]
    thumbprint: String,
}

/// Issues and verifies the bank's tokens.
pub(super) struct Tokens {
    issuer: String,
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Tokens {
    /// A new key for this run.
    pub(super) fn new(issuer: String) -> Result<Self, StartError> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
            .map_err(StartError::tls)
            .and_then(|der| {
                EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).map_err(StartError::tls)
            })?;
        Ok(Self {
            issuer,
            key,
            random,
        })
    }

    /// A token for a provider, bound to the certificate it came with.
    pub(super) fn issue(
        &self,
        peer: &Peer,
        scopes: &[Scope],
        now: Timestamp,
    ) -> Result<String, Refused> {
        let words: Vec<_> = scopes.iter().map(|scope| scope.word()).collect();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            sub: peer.organization().to_owned(),
            client_id: peer.organization().to_owned(),
            scope: words.join(" "),
            iat: now.as_second(),
            exp: now.as_second() + TOKEN_LIFETIME_SECONDS,
            jti: Uuid::new_v4().to_string(),
            cnf: Confirmation {
                thumbprint: peer.thumbprint().to_owned(),
            },
        };
        let broken = || Code::InternalServerError.because("no token could be made");
        let payload = serde_json::to_vec(&claims).map_err(|_| broken())?;
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(HEADER),
            URL_SAFE_NO_PAD.encode(payload)
        );
        let signature = self
            .key
            .sign(&self.random, input.as_bytes())
            .map_err(|_| broken())?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Checks a presented token: ours, in time, for this connection's certificate, for this scope. In this order, so
    /// that nothing of a token that is not ours is believed.
    pub(super) fn verify(
        &self,
        token: &str,
        peer: &Peer,
        scope: Scope,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let claims = self.open(token).ok_or_else(|| {
            Code::TokenUnknown.because("the access token was not issued by this run of the bank")
        })?;
        if now.as_second() >= claims.exp {
            return Err(Code::TokenExpired.because("the access token has expired"));
        }
        if claims.cnf.thumbprint != peer.thumbprint() {
            let text = "the access token is bound to another client certificate (RFC 8705)";
            return Err(Code::TokenInvalid.because(text));
        }
        match claims.scope.split(' ').any(|word| word == scope.word()) {
            true => Ok(()),
            false => {
                let text = format!("the access token has no scope {}", scope.word());
                Err(Code::TokenInvalid.because(text))
            }
        }
    }

    /// Only our own header is taken, so no token chooses its algorithm (RFC 8725 §3.1).
    fn open(&self, token: &str) -> Option<Claims> {
        let (input, signature) = token.rsplit_once('.')?;
        let (header, payload) = input.split_once('.')?;
        if header != URL_SAFE_NO_PAD.encode(HEADER) {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref())
            .verify(input.as_bytes(), &signature)
            .ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}
