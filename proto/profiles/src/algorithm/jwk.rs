//! Public keys as JSON Web Keys.
//!
//! Comes in: a [`PublicKey`], or a JWK from outside. Goes out: the JWK with its required members only, its thumbprint, or the
//! key. Never a private member: a JWK that has one is refused, for it should not be here. Serves RFC 7517 §4, RFC 7518 §6,
//! RFC 7638, RFC 8037 §2.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::public_key::{Parts, PublicKey};
use super::{HashAlgorithm, KeyError};

/// The longest member read, in characters: an RSA modulus of 8192 bits.
const MEMBER_CHARS_MAX: usize = 1366;
/// Members of private and symmetric keys (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl PublicKey {
    /// The key as a JWK with its required members, in the order of RFC 7638 §3.2.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self.parts() {
            Parts::Rsa { modulus, exponent } => {
                json!({"e": text(exponent), "kty": "RSA", "n": text(modulus)})
            }
            Parts::Ec { curve, x, y } => {
                json!({"crv": curve, "kty": "EC", "x": text(x), "y": text(y)})
            }
            Parts::Ed25519 { x } => json!({"crv": "Ed25519", "kty": "OKP", "x": text(x)}),
        }
    }

    /// The thumbprint of the JWK with SHA-256 (RFC 7638 §3): the `jkt` of DPoP-bound tokens.
    #[must_use]
    pub fn jwk_sha256(&self) -> String {
        // The members stand in lexicographic order and without white space, as §3.3 asks.
        let digest = HashAlgorithm::Sha256.digest(self.jwk().to_string().as_bytes());
        URL_SAFE_NO_PAD.encode(digest)
    }

    /// Reads a public JWK. Members it does not need are ignored, as RFC 7517 §4 asks.
    ///
    /// # Errors
    /// [`KeyError`]: malformed, private, or a key we do not work with.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        if SECRET_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
            return Err(KeyError::Malformed {
                what: "the JWK is not public",
            });
        }
        match text(jwk, "kty")? {
            "RSA" => Self::from_rsa_parts(&bytes(jwk, "n")?, &bytes(jwk, "e")?),
            "EC" => Self::from_ec_parts(text(jwk, "crv")?, &bytes(jwk, "x")?, &bytes(jwk, "y")?),
            "OKP" if text(jwk, "crv")? == "Ed25519" => Self::from_ed25519(&bytes(jwk, "x")?),
            _ => Err(KeyError::Malformed {
                what: "the JWK's kty is none of RSA, EC, and OKP with Ed25519",
            }),
        }
    }
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<&'a str, KeyError> {
    jwk.get(name)
        .and_then(Value::as_str)
        .filter(|text| text.len() <= MEMBER_CHARS_MAX)
        .ok_or(KeyError::Malformed {
            what: "a member of the JWK is missing, no text, or too long",
        })
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyError> {
    URL_SAFE_NO_PAD
        .decode(text(jwk, name)?)
        .map_err(|_| KeyError::Malformed {
            what: "a member of the JWK is not base64url",
        })
}
