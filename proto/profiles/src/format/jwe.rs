//! JSON Web Encryption: what banks encrypt to us, for id_tokens, JARM answers and payloads.
//!
//! Comes in: a compact JWE and the public key it should be for. Goes out: the one thing the token has to do ([`TokenWork`]),
//! and from its result the plaintext. The private key is never here. What is wrong with the form is told by name
//! ([`JweError`]); from the key on every failure is the same [`Undecryptable`], and where the key could not be unwrapped, work
//! goes on with random bytes as the key, so that nobody learns from answer or time which step failed (RFC 7516 §11.5).
//! RSA1_5, `dir`, `zip` and passwords have no value here. Serves RFC 7516, RFC 7518 §4.3, §4.6, §5.

mod content;
mod header;
mod key;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::algorithm::{KeyType, PublicKey};

use header::Header;

pub use content::{CEK_BYTES_MAX, ContentEncryption};
pub use key::KeyManagement;

/// The longest JWE read, in characters.
pub const JWE_CHARS_MAX: usize = 512 * 1024;
/// The longest protected header read, in characters of base64url.
const PROTECTED_CHARS_MAX: usize = 8 * 1024;

/// A JWE for a key of ours, parsed; nothing about it is proven.
pub struct Jwe<'a> {
    header: Header,
    /// What the content authenticates besides itself: the header as sent (RFC 7516 §5.1, step 14).
    protected: &'a str,
    encrypted_key: Vec<u8>,
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

/// What the token has to do with the private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenWork<'a> {
    /// RSAES-OAEP decryption with this hash, MGF1 with the same, and an empty label (RFC 8017 §7.1).
    RsaOaep {
        /// SHA-1 or SHA-256.
        hash: OaepHash,
        /// As long as the modulus.
        encrypted_key: &'a [u8],
    },
    /// ECDH with this public key; the result is the x coordinate, as wide as the field (RFC 7518 §4.6).
    Ecdh {
        /// On the curve of our key.
        peer: &'a PublicKey,
    },
}

/// The hash of OAEP. SHA-1 is no weakness there, and `RSA-OAEP` means it (RFC 7518 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OaepHash {
    /// `RSA-OAEP`.
    Sha1,
    /// `RSA-OAEP-256`.
    Sha256,
}

/// Why bytes are no JWE for this key; all of it can be seen without a private key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JweError {
    /// Longer than the limit.
    #[error("the JWE has {len} characters, at most 524288 are read")]
    TooLong {
        /// Characters found.
        len: usize,
    },
    /// Not five parts of base64url, or a header that is no JSON object.
    #[error("the JWE is malformed: {what}")]
    Malformed {
        /// The part that is wrong.
        what: &'static str,
    },
    /// A member of the header that we do not take: `zip`, `crit`, `jku`, and whatever is unknown.
    #[error("header member {name} is not taken")]
    MemberUnexpected {
        /// The member.
        name: String,
    },
    /// `alg` is none of RSA-OAEP, RSA-OAEP-256, ECDH-ES, ECDH-ES+A128KW, ECDH-ES+A256KW.
    #[error("key management algorithm {name} is not taken")]
    AlgorithmNotAllowed {
        /// What the header says, cut off.
        name: String,
    },
    /// `enc` is none of A128GCM, A256GCM, A128CBC-HS256, A256CBC-HS512.
    #[error("content encryption {name} is not taken")]
    EncryptionNotAllowed {
        /// What the header says, cut off.
        name: String,
    },
    /// The algorithm, the ephemeral key or the encrypted key does not fit our key.
    #[error("the JWE is not for a {key} key: {what}")]
    KeyUnfit {
        /// The type of our key.
        key: KeyType,
        /// What does not fit.
        what: &'static str,
    },
}

impl JweError {
    /// The stable reason word.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "JWE_TOO_LONG",
            Self::Malformed { .. } => "JWE_MALFORMED",
            Self::MemberUnexpected { .. } => "MEMBER_UNEXPECTED",
            Self::AlgorithmNotAllowed { .. } => "ALGORITHM_NOT_ALLOWED",
            Self::EncryptionNotAllowed { .. } => "ENCRYPTION_NOT_ALLOWED",
            Self::KeyUnfit { .. } => "JWE_KEY_UNFIT",
        }
    }
}

/// It cannot be decrypted. Says no more on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the JWE cannot be decrypted")]
pub struct Undecryptable;

impl Undecryptable {
    /// The stable reason word.
    pub const REASON: &'static str = "JWE_UNDECRYPTABLE";
}

impl<'a> Jwe<'a> {
    /// Reads a compact JWE (RFC 7516 §7.1) for `key`.
    ///
    /// # Errors
    /// [`JweError`].
    pub fn parse(compact: &'a str, key: &PublicKey) -> Result<Self, JweError> {
        if compact.len() > JWE_CHARS_MAX {
            return Err(JweError::TooLong { len: compact.len() });
        }
        let parts: Vec<&str> = compact.split('.').collect();
        let [protected, encrypted_key, iv, ciphertext, tag] = parts.as_slice() else {
            return Err(JweError::Malformed {
                what: "not five parts",
            });
        };
        if protected.len() > PROTECTED_CHARS_MAX {
            return Err(JweError::Malformed {
                what: "the header is too long",
            });
        }
        let jwe = Self {
            header: Header::parse(&decode(protected)?)?,
            protected,
            encrypted_key: decode(encrypted_key)?,
            iv: decode(iv)?,
            ciphertext: decode(ciphertext)?,
            tag: decode(tag)?,
        };
        jwe.check_key(key)?;
        let (iv, tag) = jwe.header.encryption.iv_and_tag_bytes();
        if jwe.iv.len() != iv || jwe.tag.len() != tag {
            return Err(JweError::Malformed {
                what: "the length of IV or tag is not that of the content encryption",
            });
        }
        Ok(jwe)
    }

    fn check_key(&self, key: &PublicKey) -> Result<(), JweError> {
        let unfit = |what| {
            Err(JweError::KeyUnfit {
                key: key.key_type(),
                what,
            })
        };
        let encrypted_bytes = match (key.key_type(), self.header.algorithm.oaep_hash()) {
            (KeyType::Rsa { bits }, Some(_)) => bits.div_ceil(8) as usize,
            (KeyType::EcP256 | KeyType::EcP384, None) => {
                let peer = self.header.peer.as_ref();
                if peer.map(PublicKey::key_type) != Some(key.key_type()) {
                    return unfit("the ephemeral key is on another curve");
                }
                let wrapped = self.header.algorithm.wrapping_key_bytes().is_some();
                let cek_bytes = self.header.encryption.cek_bytes();
                if wrapped { cek_bytes + 8 } else { 0 }
            }
            _ => return unfit("the algorithm is for other keys"),
        };
        match self.encrypted_key.len() == encrypted_bytes {
            true => Ok(()),
            false => unfit("the encrypted key has another length"),
        }
    }

    /// How the content's key travels.
    #[must_use]
    pub fn algorithm(&self) -> KeyManagement {
        self.header.algorithm
    }

    /// How the content is encrypted.
    #[must_use]
    pub fn encryption(&self) -> ContentEncryption {
        self.header.encryption
    }

    /// The key's name, as the sender knows it.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.header.key_id.as_deref()
    }

    /// `cty`: `JWT` when the plaintext is a signed JWT, which is to be verified next.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.header.content_type.as_deref()
    }

    /// What the token has to do.
    #[must_use]
    pub fn token_work(&self) -> TokenWork<'_> {
        match (&self.header.peer, self.header.algorithm.oaep_hash()) {
            (Some(peer), None) => TokenWork::Ecdh { peer },
            (_, hash) => TokenWork::RsaOaep {
                hash: hash.unwrap_or(OaepHash::Sha256),
                encrypted_key: &self.encrypted_key,
            },
        }
    }

    /// Decrypts with what the token made of [`Self::token_work`]: the content's key or the shared secret, or `None` when it
    /// refused. `random` stands in for a key that could not be unwrapped and must be new for each call.
    ///
    /// # Errors
    /// [`Undecryptable`].
    pub fn decrypt(
        self,
        from_token: Option<&[u8]>,
        random: &[u8; CEK_BYTES_MAX],
    ) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
        let cek = key::content_key(&self.header, &self.encrypted_key, from_token, random);
        let sealed = content::Sealed {
            iv: &self.iv,
            ciphertext: &self.ciphertext,
            tag: &self.tag,
            authenticated: self.protected.as_bytes(),
        };
        self.header.encryption.open(&cek, sealed)
    }
}

impl fmt::Debug for Jwe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwe")
            .field("algorithm", &self.header.algorithm)
            .field("encryption", &self.header.encryption)
            .field("ciphertext_len", &self.ciphertext.len())
            .finish_non_exhaustive()
    }
}

/// Base64url without padding, canonical (RFC 7515 §2).
fn decode(text: &str) -> Result<Vec<u8>, JweError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| JweError::Malformed {
            what: "a part is not base64url",
        })
}
