//! The key of the content: unwrapped or derived from what the token answered.
//!
//! Comes in: the header, the encrypted key, the token's answer or none, random bytes. Goes out: a key of the right length,
//! always: random where there is none, so that the content is tried in any case. Serves RFC 7518 §4.3, §4.4, §4.6, RFC 3394.

use aes_kw::{KeyInit, KwAes128, KwAes256};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::content::CEK_BYTES_MAX;
use super::header::Header;
use super::{ContentEncryption, OaepHash};

/// How the content's key travels (RFC 7518 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyManagement {
    /// `RSA-OAEP`: with SHA-1.
    RsaOaep,
    /// `RSA-OAEP-256`: with SHA-256.
    RsaOaep256,
    /// `ECDH-ES`: the agreed key is the content's.
    EcdhEs,
    /// `ECDH-ES+A128KW`: the agreed key unwraps the content's.
    EcdhEsA128Kw,
    /// `ECDH-ES+A256KW`.
    EcdhEsA256Kw,
}

impl KeyManagement {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [
        Self::RsaOaep,
        Self::RsaOaep256,
        Self::EcdhEs,
        Self::EcdhEsA128Kw,
        Self::EcdhEsA256Kw,
    ];

    /// The name in `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaOaep => "RSA-OAEP",
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::EcdhEs => "ECDH-ES",
            Self::EcdhEsA128Kw => "ECDH-ES+A128KW",
            Self::EcdhEsA256Kw => "ECDH-ES+A256KW",
        }
    }

    /// The algorithm with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// The hash of OAEP; none for ECDH.
    #[must_use]
    pub const fn oaep_hash(self) -> Option<OaepHash> {
        match self {
            Self::RsaOaep => Some(OaepHash::Sha1),
            Self::RsaOaep256 => Some(OaepHash::Sha256),
            Self::EcdhEs | Self::EcdhEsA128Kw | Self::EcdhEsA256Kw => None,
        }
    }

    /// The length of the key that unwraps, in bytes; none where nothing is wrapped by AES.
    pub(super) const fn wrapping_key_bytes(self) -> Option<usize> {
        match self {
            Self::EcdhEsA128Kw => Some(16),
            Self::EcdhEsA256Kw => Some(32),
            Self::RsaOaep | Self::RsaOaep256 | Self::EcdhEs => None,
        }
    }
}

/// The content's key; random when it cannot be had.
pub(super) fn content_key(
    header: &Header,
    encrypted_key: &[u8],
    from_token: Option<&[u8]>,
    random: &[u8; CEK_BYTES_MAX],
) -> Zeroizing<Vec<u8>> {
    let len = header.encryption.cek_bytes();
    // Without the token's answer the same steps are gone with random bytes in its place.
    let answer = from_token.unwrap_or(random);
    let parties = [&header.party_u[..], &header.party_v[..]];
    let found = match (header.algorithm, header.algorithm.wrapping_key_bytes()) {
        (KeyManagement::RsaOaep | KeyManagement::RsaOaep256, _) => {
            Some(Zeroizing::new(answer.to_vec()))
        }
        (_, None) => Some(agreed(parties, header.encryption.name(), len, answer)),
        (algorithm, Some(kek_bytes)) => {
            let kek = agreed(parties, algorithm.name(), kek_bytes, answer);
            unwrapped(&kek, encrypted_key, header.encryption)
        }
    };
    let fallback = || Zeroizing::new(random.iter().copied().take(len).collect());
    match (from_token, found) {
        (Some(_), Some(key)) if key.len() == len => key,
        _ => fallback(),
    }
}

impl ContentEncryption {
    /// The content's key from a secret agreed on by `ECDH-ES`, without `apu` and `apv`: for whoever encrypts.
    #[must_use]
    pub fn agreed_key(self, secret: &[u8]) -> Zeroizing<Vec<u8>> {
        agreed([&[], &[]], self.name(), self.cek_bytes(), secret)
    }
}

/// The Concat KDF with SHA-256 (RFC 7518 §4.6.2, NIST SP 800-56A §5.8.1).
fn agreed(
    [party_u, party_v]: [&[u8]; 2],
    algorithm: &str,
    len: usize,
    secret: &[u8],
) -> Zeroizing<Vec<u8>> {
    // Cannot truncate: all of it is shorter than 1 KiB.
    let prefix = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    let bits = u32::try_from(len * 8).unwrap_or(u32::MAX).to_be_bytes();
    let mut key = Zeroizing::new(Vec::with_capacity(len.next_multiple_of(32)));
    for round in 1_u32.. {
        if key.len() >= len {
            break;
        }
        let mut hash = Sha256::new();
        hash.update(round.to_be_bytes());
        hash.update(secret);
        for part in [algorithm.as_bytes(), party_u, party_v] {
            hash.update(prefix(part));
            hash.update(part);
        }
        hash.update(bits);
        key.extend_from_slice(&hash.finalize());
    }
    key.truncate(len);
    key
}

/// AES Key Wrap (RFC 3394); none when its integrity check fails.
fn unwrapped(
    kek: &[u8],
    encrypted_key: &[u8],
    encryption: ContentEncryption,
) -> Option<Zeroizing<Vec<u8>>> {
    let mut key = Zeroizing::new(vec![0; encryption.cek_bytes()]);
    let opened = match kek.len() {
        16 => KwAes128::new_from_slice(kek)
            .ok()?
            .unwrap_key(encrypted_key, &mut key)
            .is_ok(),
        _ => KwAes256::new_from_slice(kek)
            .ok()?
            .unwrap_key(encrypted_key, &mut key)
            .is_ok(),
    };
    opened.then_some(key)
}
