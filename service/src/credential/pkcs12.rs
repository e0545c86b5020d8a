//! Reading a PKCS#12 file (RFC 7292): one private key and the certificates beside it.
//!
//! In: the bytes of a file and its password. Out: the key as PKCS#8, wiped when dropped, and the certificates, the key's
//! own first. Pure. Never: RC2, RC4 or 3DES, whose passwords are guessed by the second; a key that lay in the clear; a
//! choice between several keys.
//!
//! The bytes of the key are decrypted into the one buffer that leaves, and are not decoded into numbers here.

use cms::content_info::ContentInfo;
use cms::encrypted_data::EncryptedData;
use pkcs12::cert_type::CertBag;
use pkcs12::kdf::{Pkcs12KeyType, derive_key_utf8};
use pkcs12::mac_data::MacData;
use pkcs12::pfx::Pfx;
use pkcs12::safe_bag::{SafeBag, SafeContents};
use rsa::pkcs8::der::asn1::{AnyRef, ObjectIdentifier, OctetString};
use rsa::pkcs8::der::{self, Decode, Encode, SliceReader};
use rsa::pkcs8::pkcs5::EncryptionScheme;
use rsa::pkcs8::spki::AlgorithmIdentifierRef;
use rsa::pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::reading::CERTIFICATES_MAX;

/// Largest file, bytes: an RSA-4096 key and a chain take less than 20 KiB.
pub(crate) const FILE_BYTES_MAX: usize = 64 * 1024;
/// Most rounds of a key derivation that are waited for.
const ROUNDS_MAX: i32 = 10_000_000;

/// RFC 5652 section 4, id-data.
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
/// RFC 5652 section 8, id-encryptedData.
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
/// RFC 2985 section 5.5.2, localKeyId: says which certificate belongs to which key.
const LOCAL_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.21");
/// RFC 8018 section 6.2, PBES2; whatever else encrypts is of the time of RFC 7292 appendix C.
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");

/// Why a file gives no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs12Error {
    /// Not PKCS#12, not DER, or too large.
    #[error("not a PKCS#12 file that can be read: {0}")]
    Malformed(&'static str),
    /// The password does not fit the file, or the file was changed.
    #[error("the password does not open the file")]
    Password,
    /// It is protected by RC2, RC4 or 3DES.
    #[error("the file is protected by {0}, which is not safe any more")]
    Legacy(String),
    /// It is protected in a way that is not known.
    #[error("the file is protected by {0}, which is not supported")]
    Unsupported(String),
    /// The key in it is not encrypted.
    #[error("the private key in the file is not encrypted")]
    Unencrypted,
    /// There is no private key in it.
    #[error("no private key in the file")]
    NoKey,
    /// There is more than one.
    #[error("{0} private keys in the file; an import takes one")]
    SeveralKeys(usize),
    /// No certificate in it belongs to the key.
    #[error("no certificate in the file is said to belong to the key")]
    NoCertificate,
    /// More certificates than a chain has.
    #[error("{0} certificates in the file; at most {CERTIFICATES_MAX} are taken")]
    TooManyCertificates(usize),
}

impl Pkcs12Error {
    /// The stable reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "PKCS12_MALFORMED",
            Self::Password => "PKCS12_PASSWORD",
            Self::Legacy(_) => "PKCS12_LEGACY",
            Self::Unsupported(_) => "PKCS12_UNSUPPORTED",
            Self::Unencrypted => "PKCS12_UNENCRYPTED",
            Self::NoKey => "PKCS12_NO_KEY",
            Self::SeveralKeys(_) => "PKCS12_SEVERAL_KEYS",
            Self::NoCertificate => "PKCS12_NO_CERTIFICATE",
            Self::TooManyCertificates(_) => "PKCS12_TOO_MANY_CERTIFICATES",
        }
    }

    /// What a person can do about it. The pipe keeps the key off the disk.
    pub fn way_out(&self) -> Option<&'static str> {
        match self {
            Self::Legacy(_) => Some(
                "write it anew, on a machine that may hold the key: openssl pkcs12 -legacy -in OLD -noenc | openssl pkcs12 -export -out NEW",
            ),
            Self::Malformed(_) | Self::Unsupported(_) | Self::Unencrypted => Some(
                "write it anew, on a machine that may hold the key: openssl pkcs12 -in OLD -noenc | openssl pkcs12 -export -out NEW",
            ),
            Self::SeveralKeys(_) | Self::TooManyCertificates(_) => {
                Some("export one key with its own chain into a file of its own")
            }
            Self::NoCertificate => Some(
                "export key and certificate together: openssl pkcs12 -export -inkey KEY -in CHAIN -out NEW",
            ),
            Self::Password | Self::NoKey => None,
        }
    }
}

/// What a file held.
pub struct Contents {
    /// PrivateKeyInfo, DER (RFC 5208). Wiped when dropped.
    pub(crate) key: Zeroizing<Vec<u8>>,
    /// DER, the one that is said to belong to the key first. Nothing is proven yet.
    pub(crate) certificates: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Contents(key of {} bytes, {} certificates)",
            self.key.len(),
            self.certificates.len()
        )
    }
}

/// Opens a file.
///
/// # Errors
/// [`Pkcs12Error`].
pub fn open(file: &[u8], password: &SecretString) -> Result<Contents, Pkcs12Error> {
    if file.len() > FILE_BYTES_MAX {
        return Err(Pkcs12Error::Malformed(
            "it is larger than a key and a chain",
        ));
    }
    let damaged = |what| move |_: der::Error| Pkcs12Error::Malformed(what);
    let pfx = Pfx::from_der(file).map_err(damaged("the frame is no PFX in DER"))?;
    if pfx.auth_safe.content_type != DATA {
        return Err(Pkcs12Error::Unsupported("a signature".to_owned()));
    }
    let safe = octets(&pfx.auth_safe)?;
    // Whatever protects the safes comes before the password: a legacy file has no right one.
    let safes = Vec::<ContentInfo>::from_der(&safe).map_err(damaged("the list of safes"))?;
    for safe in safes
        .iter()
        .filter(|safe| safe.content_type == ENCRYPTED_DATA)
    {
        check_scheme(encrypted(safe)?.enc_content_info.content_enc_alg.oid)?;
    }
    verify(pfx.mac_data.as_ref(), &safe, password)?;
    let mut bags = Vec::new();
    for safe in &safes {
        let contents = contents_of(safe, password)?;
        bags.extend(SafeContents::from_der(&contents).map_err(damaged("a safe"))?);
    }
    sorted(&bags, password)
}

/// The OCTET STRING in a content.
fn octets(info: &ContentInfo) -> Result<Vec<u8>, Pkcs12Error> {
    let decoded = info.content.decode_as::<OctetString>();
    let content = decoded.map_err(|_| Pkcs12Error::Malformed("a content"))?;
    Ok(content.into_bytes())
}

fn encrypted(info: &ContentInfo) -> Result<EncryptedData, Pkcs12Error> {
    let content = info.content.to_der();
    content
        .and_then(|content| EncryptedData::from_der(&content))
        .map_err(|_| Pkcs12Error::Malformed("an encrypted safe"))
}

fn check_scheme(scheme: ObjectIdentifier) -> Result<(), Pkcs12Error> {
    // RFC 7292 appendix C, and RFC 8018 section 6.1 (PBES1).
    let legacy = match scheme.to_string().as_str() {
        "1.2.840.113549.1.12.1.1" => "128-bit RC4",
        "1.2.840.113549.1.12.1.2" => "40-bit RC4",
        "1.2.840.113549.1.12.1.3" => "3DES",
        "1.2.840.113549.1.12.1.4" => "two-key 3DES",
        "1.2.840.113549.1.12.1.5" => "128-bit RC2",
        "1.2.840.113549.1.12.1.6" => "40-bit RC2",
        "1.2.840.113549.1.5.1" | "1.2.840.113549.1.5.3" | "1.2.840.113549.1.5.10" => "DES",
        _ if scheme == PBES2 => return Ok(()),
        other => return Err(Pkcs12Error::Unsupported(format!("scheme {other}"))),
    };
    Err(Pkcs12Error::Legacy(legacy.to_owned()))
}

/// RFC 7292 section 5.1 and appendix B: integrity under the password.
fn verify(mac: Option<&MacData>, safe: &[u8], password: &SecretString) -> Result<(), Pkcs12Error> {
    let mac = mac.ok_or(Pkcs12Error::Malformed("it carries no MAC"))?;
    if !(1..=ROUNDS_MAX).contains(&mac.iterations) {
        return Err(Pkcs12Error::Malformed("the MAC has too many rounds"));
    }
    let (password, salt) = (password.expose_secret(), mac.mac_salt.as_bytes());
    macro_rules! key {
        ($hash:ty, $bytes:literal) => {
            derive_key_utf8::<$hash>(password, salt, Pkcs12KeyType::Mac, mac.iterations, $bytes)
        };
    }
    use ring::hmac;
    let (algorithm, key) = match mac.mac.algorithm.oid.to_string().as_str() {
        "1.3.14.3.2.26" => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key!(sha1::Sha1, 20)),
        "2.16.840.1.101.3.4.2.1" => (hmac::HMAC_SHA256, key!(rsa::sha2::Sha256, 32)),
        "2.16.840.1.101.3.4.2.2" => (hmac::HMAC_SHA384, key!(rsa::sha2::Sha384, 48)),
        "2.16.840.1.101.3.4.2.3" => (hmac::HMAC_SHA512, key!(rsa::sha2::Sha512, 64)),
        other => return Err(Pkcs12Error::Unsupported(format!("MAC {other}"))),
    };
    // A password that is no text of the file's alphabet is a wrong one.
    let key = Zeroizing::new(key.map_err(|_| Pkcs12Error::Password)?);
    let key = hmac::Key::new(algorithm, &key);
    let verified = hmac::verify(&key, safe, mac.mac.digest.as_bytes());
    verified.map_err(|_| Pkcs12Error::Password)
}

/// A safe, decrypted. Certificates lie in it, and the key within an encryption of its own.
fn contents_of(
    safe: &ContentInfo,
    password: &SecretString,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    if safe.content_type == DATA {
        return Ok(Zeroizing::new(octets(safe)?));
    }
    if safe.content_type != ENCRYPTED_DATA {
        let kind = format!("content {}", safe.content_type);
        return Err(Pkcs12Error::Unsupported(kind));
    }
    let content = encrypted(safe)?.enc_content_info;
    let ciphertext = content.encrypted_content;
    let ciphertext = ciphertext.ok_or(Pkcs12Error::Malformed("an empty safe"))?;
    let algorithm = content.content_enc_alg.to_der();
    let algorithm = algorithm.map_err(|_| Pkcs12Error::Malformed("a scheme"))?;
    let scheme = EncryptionScheme::from_der(&algorithm);
    let scheme = scheme.map_err(|_| unsupported_pbes2())?;
    decrypted(&scheme, ciphertext.as_bytes(), password)
}

/// In the one buffer that is handed on.
fn decrypted(
    scheme: &EncryptionScheme<'_>,
    ciphertext: &[u8],
    password: &SecretString,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let plain = scheme.decrypt_in_place(password.expose_secret(), &mut buffer);
    // The password was right by the MAC, so it is the scheme that is not known.
    let length = plain.map_err(|_| unsupported_pbes2())?.len();
    buffer.truncate(length);
    Ok(buffer)
}

fn unsupported_pbes2() -> Pkcs12Error {
    Pkcs12Error::Unsupported(
        "a PBES2 other than AES-CBC with PBKDF2 over SHA-2, or scrypt".to_owned(),
    )
}

/// The one key, and the certificates with its own first.
fn sorted(bags: &[SafeBag], password: &SecretString) -> Result<Contents, Pkcs12Error> {
    let of_kind = |kind| bags.iter().filter(move |bag| bag.bag_id == kind);
    if of_kind(pkcs12::PKCS_12_KEY_BAG_OID).next().is_some() {
        return Err(Pkcs12Error::Unencrypted);
    }
    let keys: Vec<_> = of_kind(pkcs12::PKCS_12_PKCS8_KEY_BAG_OID).collect();
    let key_bag = match keys.as_slice() {
        [] => return Err(Pkcs12Error::NoKey),
        [one] => *one,
        several => return Err(Pkcs12Error::SeveralKeys(several.len())),
    };
    let certificate_bags: Vec<_> = of_kind(pkcs12::PKCS_12_CERT_BAG_OID).collect();
    let own = match local_key_id(key_bag) {
        Some(id) => certificate_bags
            .iter()
            .position(|bag| local_key_id(bag).is_some_and(|other| other == id)),
        None => (certificate_bags.len() == 1).then_some(0),
    };
    let own = own.ok_or(Pkcs12Error::NoCertificate)?;
    if certificate_bags.len() > CERTIFICATES_MAX {
        return Err(Pkcs12Error::TooManyCertificates(certificate_bags.len()));
    }
    let mut certificates = Vec::with_capacity(certificate_bags.len());
    for bag in &certificate_bags {
        certificates.push(certificate(bag)?);
    }
    certificates.swap(0, own);
    Ok(Contents {
        key: key(key_bag, password)?,
        certificates,
    })
}

fn local_key_id(bag: &SafeBag) -> Option<Vec<u8>> {
    let mut attributes = bag.bag_attributes.as_ref()?.iter();
    let id = attributes.find(|attribute| attribute.oid == LOCAL_KEY_ID)?;
    id.values.get(0)?.to_der().ok()
}

/// What stands in the `[0]` of a bag.
fn value(bag: &SafeBag) -> Result<&[u8], Pkcs12Error> {
    let outer = AnyRef::from_der(&bag.bag_value);
    Ok(outer.map_err(|_| Pkcs12Error::Malformed("a bag"))?.value())
}

fn certificate(bag: &SafeBag) -> Result<Vec<u8>, Pkcs12Error> {
    let certificate = CertBag::from_der(value(bag)?);
    let certificate = certificate.map_err(|_| Pkcs12Error::Malformed("a certificate bag"))?;
    Ok(certificate.cert_value.into_bytes())
}

fn key(bag: &SafeBag, password: &SecretString) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let malformed = |_: der::Error| Pkcs12Error::Malformed("the bag of the key");
    let value = value(bag)?;
    // The scheme first: what the library does not know it does not name.
    let shrouded = AnyRef::from_der(value).map_err(malformed)?;
    let mut reader = SliceReader::new(shrouded.value()).map_err(malformed)?;
    let scheme = AlgorithmIdentifierRef::decode(&mut reader).map_err(malformed)?;
    check_scheme(scheme.oid)?;
    let info = EncryptedPrivateKeyInfo::try_from(value).map_err(|_| unsupported_pbes2())?;
    let key = decrypted(&info.encryption_algorithm, info.encrypted_data, password)?;
    match PrivateKeyInfo::try_from(key.as_slice()) {
        Ok(_) => Ok(key),
        Err(_) => Err(Pkcs12Error::Malformed("the key is no PKCS#8")),
    }
}

#[cfg(test)]
mod tests;
