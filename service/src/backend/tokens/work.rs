//! The private key's part of a decryption, kept for a second token.

use sealkeep_profiles::algorithm::PublicKey;
use sealkeep_profiles::format::jwe::{OaepHash, TokenWork};

/// [`TokenWork`] that can be asked for more than once.
pub(super) enum OwnedWork {
    RsaOaep(OaepHash, Vec<u8>),
    Ecdh(PublicKey),
}

impl From<TokenWork<'_>> for OwnedWork {
    fn from(work: TokenWork<'_>) -> Self {
        match work {
            TokenWork::RsaOaep {
                hash,
                encrypted_key,
            } => Self::RsaOaep(hash, encrypted_key.to_vec()),
            TokenWork::Ecdh { peer } => Self::Ecdh(peer.clone()),
        }
    }
}

impl OwnedWork {
    pub(super) fn borrowed(&self) -> TokenWork<'_> {
        match self {
            Self::RsaOaep(hash, encrypted_key) => TokenWork::RsaOaep {
                hash: *hash,
                encrypted_key,
            },
            Self::Ecdh(peer) => TokenWork::Ecdh { peer },
        }
    }
}
