//! JWE: what a bank encrypted to us, and what is encrypted to a bank.
//!
//! In: a compact JWE, decrypted by the service; or a payload and a bank's public key, encrypted here. Out: the content, or
//! the JWE. Never: a private key of ours; that of an agreement lives for one message. Serves RFC 7516, RFC 7518 §4, §5.3.

use crate::bank::BankHandle;
use crate::error::Error;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use ring::rand::{SecureRandom, SystemRandom};
use rsa::pkcs8::DecodePublicKey;
use rsa::rand_core::OsRng;
use rsa::{Oaep, RsaPublicKey};
use sealkeep_profiles::algorithm::{KeyType, PublicKey};
use sealkeep_profiles::format::jwe::{CEK_BYTES_MAX, ContentEncryption, KeyManagement};
use sealkeep_proto::v1::DecryptJweRequest;
use sealkeep_proto::v1::decryption_service_client::DecryptionServiceClient;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// The length of the IV of AES-GCM, in bytes (RFC 7518 §5.3).
const IV_BYTES: usize = 12;
/// The length of its tag, in bytes.
const TAG_BYTES: usize = 16;

/// What was encrypted to us.
#[derive(Clone)]
pub struct DecryptedJwe {
    /// The content. A JWT in it is signed by the bank and still to be verified.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// `cty` of the header, for example `JWT`.
    pub content_type: Option<String>,
    /// The version that decrypted, `credentials/{credential}/versions/{number}`.
    pub version: String,
    /// `alg` of the header.
    pub algorithm: String,
    /// `enc` of the header.
    pub encryption: String,
    /// The audit record of this use of the key, `{log}/{sequence}`.
    pub audit_record: String,
}

impl BankHandle {
    /// Decrypts a JWE of the bank: an id_token, a JARM answer, a payload.
    ///
    /// # Errors
    /// [`Error`], by what to do; from the key on every failure is `JWE_UNDECRYPTABLE`.
    pub async fn decrypt_jwe(&self, jwe: &str) -> Result<DecryptedJwe, Error> {
        let request = DecryptJweRequest {
            bank: self.name().to_owned(),
            credential: self.credential_name().to_owned(),
            jwe: jwe.to_owned(),
        };
        let answer = self.call(request, async |channel, request| {
            DecryptionServiceClient::new(channel)
                .decrypt_jwe(request)
                .await
        });
        let answer = answer.await?;
        Ok(DecryptedJwe {
            plaintext: Zeroizing::new(answer.plaintext),
            content_type: Some(answer.content_type).filter(|text| !text.is_empty()),
            version: answer.version,
            algorithm: answer.algorithm,
            encryption: answer.encryption,
            audit_record: answer.audit_record,
        })
    }
}

impl std::fmt::Debug for DecryptedJwe {
    /// Of the content only the length is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecryptedJwe")
            .field("plaintext_len", &self.plaintext.len())
            .field("content_type", &self.content_type)
            .field("version", &self.version)
            .field("audit_record", &self.audit_record)
            .finish_non_exhaustive()
    }
}

/// Why nothing can be encrypted to a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// The JWK is none, or holds no public key of at least 2048 bits or on P-256 or P-384.
    #[error("the key cannot be read as a public JWK of RSA, P-256 or P-384")]
    KeyMalformed,
    /// The JWK says that it is for signatures.
    #[error("the key is for `{found}`, not `enc`")]
    KeyUse {
        /// `use` of the JWK.
        found: String,
    },
    /// `alg` of the JWK is another one.
    #[error("the key is for {found}")]
    KeyAlgorithm {
        /// `alg` of the JWK.
        found: String,
    },
    /// RSA-OAEP and RSA-OAEP-256 take RSA keys, ECDH-ES keys on P-256 and P-384; nothing else is offered.
    #[error("{algorithm} does not fit a {key} key, or is not offered")]
    AlgorithmUnfit {
        /// `alg`.
        algorithm: &'static str,
        /// The type of the key.
        key: KeyType,
    },
    /// Only A128GCM and A256GCM are offered.
    #[error("{0} is not offered; take A256GCM or A128GCM")]
    EncryptionNotOffered(&'static str),
    /// The key is not one that can be computed with, or there is no randomness.
    #[error("the key cannot be used")]
    Unusable,
}

/// A bank that something is encrypted to.
#[derive(Clone, Debug)]
pub struct JweRecipient {
    key: PublicKey,
    key_id: Option<String>,
    algorithm: KeyManagement,
    encryption: ContentEncryption,
}

impl JweRecipient {
    /// The bank's key out of its key set (RFC 7517), with the algorithms its metadata name, for example
    /// `request_object_encryption_alg` and `request_object_encryption_enc`.
    ///
    /// # Errors
    /// [`RecipientError`].
    pub fn from_jwk(
        jwk: &str,
        algorithm: KeyManagement,
        encryption: ContentEncryption,
    ) -> Result<Self, RecipientError> {
        let malformed = |_| RecipientError::KeyMalformed;
        let members: Map<String, Value> = serde_json::from_str(jwk).map_err(malformed)?;
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        if let Some(found) = text("use").filter(|found| found != "enc") {
            return Err(RecipientError::KeyUse { found });
        }
        if let Some(found) = text("alg").filter(|found| found != algorithm.name()) {
            return Err(RecipientError::KeyAlgorithm { found });
        }
        let key = PublicKey::from_jwk(&members).map_err(|_| RecipientError::KeyMalformed)?;
        let fits = match key.key_type() {
            KeyType::Rsa { .. } => algorithm.oaep_hash().is_some(),
            KeyType::EcP256 | KeyType::EcP384 => algorithm == KeyManagement::EcdhEs,
            _ => false,
        };
        if !fits {
            let (algorithm, key) = (algorithm.name(), key.key_type());
            return Err(RecipientError::AlgorithmUnfit { algorithm, key });
        }
        use ContentEncryption::{A128Gcm, A256Gcm};
        if !matches!(encryption, A128Gcm | A256Gcm) {
            return Err(RecipientError::EncryptionNotOffered(encryption.name()));
        }
        Ok(Self {
            key,
            key_id: text("kid"),
            algorithm,
            encryption,
        })
    }

    /// Encrypts a signed request object, or another JWT: `cty` says `JWT` (RFC 7519 §5.2, RFC 9101 §6.1).
    ///
    /// # Errors
    /// [`RecipientError::Unusable`].
    pub fn encrypt_jwt(&self, jwt: &str) -> Result<String, RecipientError> {
        self.encrypt(jwt.as_bytes(), Some("JWT"))
    }

    /// Encrypts a payload.
    ///
    /// # Errors
    /// [`RecipientError::Unusable`].
    pub fn encrypt(
        &self,
        payload: &[u8],
        content_type: Option<&str>,
    ) -> Result<String, RecipientError> {
        let mut header = Map::new();
        header.insert("alg".into(), self.algorithm.name().into());
        header.insert("enc".into(), self.encryption.name().into());
        if let Some(key_id) = &self.key_id {
            header.insert("kid".into(), key_id.as_str().into());
        }
        if let Some(content_type) = content_type {
            header.insert("cty".into(), content_type.into());
        }
        let (cek, encrypted_key) = match self.algorithm {
            KeyManagement::EcdhEs => {
                let (cek, ephemeral) = self.agree()?;
                header.insert("epk".into(), ephemeral);
                (cek, Vec::new())
            }
            _ => self.wrap()?,
        };
        let protected = URL_SAFE_NO_PAD.encode(Value::from(header).to_string());
        let (iv, sealed) = self.seal(&cek, &protected, payload)?;
        let (ciphertext, tag) = sealed.split_at(sealed.len() - TAG_BYTES);
        let parts = [&encrypted_key[..], &iv, ciphertext, tag].map(|p| URL_SAFE_NO_PAD.encode(p));
        Ok(format!("{protected}.{}", parts.join(".")))
    }

    /// A new key for the content, encrypted to the bank's RSA key.
    fn wrap(&self) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), RecipientError> {
        let mut random = Zeroizing::new([0; CEK_BYTES_MAX]);
        let filled = SystemRandom::new().fill(random.as_mut_slice());
        filled.map_err(|_| RecipientError::Unusable)?;
        let cek = random.iter().copied().take(self.encryption.cek_bytes());
        let cek: Zeroizing<Vec<u8>> = Zeroizing::new(cek.collect());
        let key = RsaPublicKey::from_public_key_der(self.key.spki_der());
        let padding = match self.algorithm {
            KeyManagement::RsaOaep => Oaep::new::<sha1::Sha1>(),
            _ => Oaep::new::<rsa::sha2::Sha256>(),
        };
        let key = key.map_err(|_| RecipientError::Unusable)?;
        let encrypted = key.encrypt(&mut OsRng, padding, &cek);
        let encrypted = encrypted.map_err(|_| RecipientError::Unusable)?;
        Ok((cek, encrypted))
    }

    /// A key agreed on with a key pair that is made for this message.
    fn agree(&self) -> Result<(Zeroizing<Vec<u8>>, Value), RecipientError> {
        let unusable = |_| RecipientError::Unusable;
        let (curve, name, field_bytes) = match self.key.key_type() {
            KeyType::EcP256 => (&agreement::ECDH_P256, "P-256", 32),
            _ => (&agreement::ECDH_P384, "P-384", 48),
        };
        let spki = self.key.spki_der();
        // The point ends a SubjectPublicKeyInfo (RFC 5480 §2.2).
        let point = spki.len().checked_sub(1 + 2 * field_bytes);
        let point = point.and_then(|at| spki.get(at..));
        let point = UnparsedPublicKey::new(curve, point.ok_or(RecipientError::Unusable)?);
        let random = SystemRandom::new();
        let ephemeral = EphemeralPrivateKey::generate(curve, &random).map_err(unusable)?;
        let public = ephemeral.compute_public_key().map_err(unusable)?;
        let (x, y) = public.as_ref()[1..].split_at(field_bytes);
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({ "kty": "EC", "crv": name, "x": text(x), "y": text(y) });
        let encryption = self.encryption;
        let agreed =
            agreement::agree_ephemeral(ephemeral, &point, |secret| encryption.agreed_key(secret));
        Ok((agreed.map_err(unusable)?, jwk))
    }

    /// Ciphertext and tag under a new IV.
    fn seal(
        &self,
        cek: &[u8],
        protected: &str,
        payload: &[u8],
    ) -> Result<([u8; IV_BYTES], Vec<u8>), RecipientError> {
        let unusable = |_| RecipientError::Unusable;
        let algorithm = match self.encryption {
            ContentEncryption::A128Gcm => &AES_128_GCM,
            _ => &AES_256_GCM,
        };
        let mut iv = [0; IV_BYTES];
        SystemRandom::new().fill(&mut iv).map_err(unusable)?;
        let key = LessSafeKey::new(UnboundKey::new(algorithm, cek).map_err(unusable)?);
        let nonce = Nonce::assume_unique_for_key(iv);
        let mut sealed = payload.to_vec();
        let aad = Aad::from(protected.as_bytes());
        let done = key.seal_in_place_append_tag(nonce, aad, &mut sealed);
        done.map_err(unusable)?;
        Ok((iv, sealed))
    }
}
