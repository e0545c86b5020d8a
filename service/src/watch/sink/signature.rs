//! The signature of a webhook: Standard Webhooks 1.0.0, symmetric (`v1`).
//!
//! In: secrets from a file, the id, the time and the body. Out: the value of `webhook-signature`. The file has one
//! secret a line, so that a receiver can change to a new one without a gap: every secret signs, either is accepted.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// How a secret begins.
const PREFIX: &str = "whsec_";
/// Shortest and longest secret, bytes (Standard Webhooks, "Signature scheme").
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Secrets of one receiver.
const SECRETS_MAX: usize = 4;

/// Why a file of secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It does not hold what it should; the message says nothing of what it does hold.
    #[error("{path}: {rule}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What it must hold.
        rule: &'static str,
    },
}

/// The secrets shared with one receiver.
pub struct Secrets(Vec<Zeroizing<Vec<u8>>>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({} of them)", self.0.len())
    }
}

impl Secrets {
    /// Reads a file: one secret a line, `whsec_` and 24 to 64 bytes in Base64.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn read(path: &Path) -> Result<Self, SecretsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SecretsError::File {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&Zeroizing::new(text)).map_err(|rule| SecretsError::Content {
            path: path.to_owned(),
            rule,
        })
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "one secret a line: whsec_ and 24 to 64 bytes in Base64";
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secret = |line: &str| {
            let encoded = line.strip_prefix(PREFIX).ok_or(RULE)?;
            let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| RULE)?);
            SECRET_BYTES
                .contains(&bytes.len())
                .then_some(bytes)
                .ok_or(RULE)
        };
        let secrets: Vec<_> = lines.map(secret).collect::<Result<_, _>>()?;
        match secrets.len() {
            0 => Err("no secret in it"),
            1..=SECRETS_MAX => Ok(Self(secrets)),
            _ => Err("at most 4 secrets"),
        }
    }

    /// The value of `webhook-signature`: for each secret `v1,` and the Base64 of HMAC-SHA-256 over `id.timestamp.body`.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let each = self.0.iter().map(|secret| {
            // Cannot fail: HMAC takes keys of any length (RFC 2104 section 3).
            let mut mac = Hmac::<Sha256>::new_from_slice(secret)
                .unwrap_or_else(|e| unreachable!("HMAC key: {e}"));
            mac.update(format!("{id}.{timestamp_s}.").as_bytes());
            mac.update(body);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        });
        each.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The same as `openssl dgst -sha256 -mac HMAC` gives.
    #[test]
    fn signs_as_others_do() {
        let secrets = Secrets::parse(SECRET).unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_secret_signs() {
        let other = format!("whsec_{}", STANDARD.encode([7; 32]));
        let both = Secrets::parse(&format!("{SECRET}\n\n {other}\n")).unwrap();
        let value = both.sign("id", 1, b"body");
        let alone = Secrets::parse(&other).unwrap().sign("id", 1, b"body");
        let parts: Vec<_> = value.split(' ').collect();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[1], alone);
        assert_ne!(parts[0], parts[1]);
    }

    #[test]
    fn refuses_what_is_no_secret_and_never_shows_it() {
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        for bad in ["", "\n", "hunter2", "whsec_", "whsec_!!!!", &short, &long] {
            let rule = Secrets::parse(bad).unwrap_err();
            assert!(!rule.contains("hunter2"));
        }
        let five = format!("{SECRET}\n").repeat(5);
        assert_eq!(Secrets::parse(&five).unwrap_err(), "at most 4 secrets");
        let shown = format!("{:?}", Secrets::parse(SECRET).unwrap());
        assert_eq!(shown, "Secrets(1 of them)");
    }
}
