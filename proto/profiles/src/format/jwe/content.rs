//! The content of a JWE: authenticated, then decrypted.
//!
//! Comes in: a key of the right length, IV, ciphertext, tag, and the header as additional data. Goes out: the plaintext, or
//! [`Undecryptable`]. No byte is decrypted before the tag was compared, in constant time. Serves RFC 7518 §5.

use aes::{Aes128, Aes256};
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Undecryptable;

/// The longest key of a content, in bytes: A256CBC-HS512.
pub const CEK_BYTES_MAX: usize = 64;

/// How the content is encrypted (RFC 7518 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEncryption {
    /// `A128GCM`.
    A128Gcm,
    /// `A256GCM`.
    A256Gcm,
    /// `A128CBC-HS256`.
    A128CbcHs256,
    /// `A256CBC-HS512`.
    A256CbcHs512,
}

/// The parts of an encrypted content.
#[derive(Clone, Copy)]
pub(super) struct Sealed<'a> {
    pub(super) iv: &'a [u8],
    pub(super) ciphertext: &'a [u8],
    pub(super) tag: &'a [u8],
    pub(super) authenticated: &'a [u8],
}

impl ContentEncryption {
    /// Every encryption.
    pub const ALL: [Self; 4] = [
        Self::A128Gcm,
        Self::A256Gcm,
        Self::A128CbcHs256,
        Self::A256CbcHs512,
    ];

    /// The name in `enc`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A128Gcm => "A128GCM",
            Self::A256Gcm => "A256GCM",
            Self::A128CbcHs256 => "A128CBC-HS256",
            Self::A256CbcHs512 => "A256CBC-HS512",
        }
    }

    /// The encryption with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// The length of the content's key, in bytes.
    #[must_use]
    pub const fn cek_bytes(self) -> usize {
        match self {
            Self::A128Gcm => 16,
            Self::A256Gcm | Self::A128CbcHs256 => 32,
            Self::A256CbcHs512 => CEK_BYTES_MAX,
        }
    }

    /// The lengths of IV and tag, in bytes.
    pub(super) const fn iv_and_tag_bytes(self) -> (usize, usize) {
        match self {
            Self::A128Gcm | Self::A256Gcm => (12, 16),
            Self::A128CbcHs256 => (16, 16),
            Self::A256CbcHs512 => (16, 32),
        }
    }

    pub(super) fn open(
        self,
        key: &[u8],
        sealed: Sealed<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
        match self {
            Self::A128Gcm => gcm(&AES_128_GCM, key, sealed),
            Self::A256Gcm => gcm(&AES_256_GCM, key, sealed),
            Self::A128CbcHs256 => {
                let cipher_key = authenticated(hmac::HMAC_SHA256, key, sealed)?;
                cbc(
                    Decryptor::<Aes128>::new_from_slices(cipher_key, sealed.iv),
                    sealed,
                )
            }
            Self::A256CbcHs512 => {
                let cipher_key = authenticated(hmac::HMAC_SHA512, key, sealed)?;
                cbc(
                    Decryptor::<Aes256>::new_from_slices(cipher_key, sealed.iv),
                    sealed,
                )
            }
        }
    }
}

/// RFC 7518 §5.3.
fn gcm(
    algorithm: &'static Algorithm,
    key: &[u8],
    sealed: Sealed<'_>,
) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
    let key = UnboundKey::new(algorithm, key).map_err(|_| Undecryptable)?;
    let nonce = Nonce::try_assume_unique_for_key(sealed.iv).map_err(|_| Undecryptable)?;
    let mut buffer = Zeroizing::new([sealed.ciphertext, sealed.tag].concat());
    let aad = Aad::from(sealed.authenticated);
    let len = LessSafeKey::new(key)
        .open_in_place(nonce, aad, &mut buffer)
        .map_err(|_| Undecryptable)?
        .len();
    buffer.truncate(len);
    Ok(buffer)
}

/// RFC 7518 §5.2.2.2, steps 1 and 2: the first half of the key authenticates; answers with the second, which decrypts.
fn authenticated<'a>(
    algorithm: hmac::Algorithm,
    key: &'a [u8],
    sealed: Sealed<'_>,
) -> Result<&'a [u8], Undecryptable> {
    let (mac_key, cipher_key) = key.split_at(key.len() / 2);
    let bits = (sealed.authenticated.len() as u64) * 8;
    let mut mac = hmac::Context::with_key(&hmac::Key::new(algorithm, mac_key));
    for part in [sealed.authenticated, sealed.iv, sealed.ciphertext] {
        mac.update(part);
    }
    mac.update(&bits.to_be_bytes());
    let mac = mac.sign();
    let expected = mac.as_ref().split_at(cipher_key.len()).0;
    match bool::from(expected.ct_eq(sealed.tag)) {
        true => Ok(cipher_key),
        false => Err(Undecryptable),
    }
}

/// The padding was authenticated before: it tells a stranger nothing.
fn cbc<D: BlockModeDecrypt, E>(
    decryptor: Result<D, E>,
    sealed: Sealed<'_>,
) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
    let decryptor = decryptor.map_err(|_| Undecryptable)?;
    let mut buffer = Zeroizing::new(sealed.ciphertext.to_vec());
    let len = decryptor
        .decrypt_padded::<Pkcs7>(&mut buffer)
        .map_err(|_| Undecryptable)?
        .len();
    buffer.truncate(len);
    Ok(buffer)
}
