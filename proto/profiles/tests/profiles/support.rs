//! Keys, certificates and requests for tests.

use std::path::PathBuf;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    SerialNumber,
};
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use sealkeep_profiles::algorithm::{HashAlgorithm, SignatureScheme};
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::prepared::{Prepared, Signed};
use sealkeep_profiles::profile::{Catalog, Profile, ProfileError, Settings};
use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::request::{BodyParts, HttpRequest, HttpResponse, RequestParts};

/// The certificate of the vectors; its private key is not needed, their signatures are made already.
pub(crate) fn example_tpp() -> Certificate {
    let pem = include_bytes!("../../vectors/example-tpp-qseal.pem");
    Certificate::chain_from_pem(pem).unwrap().remove(0)
}

pub(crate) fn profile(name: &str) -> &'static Profile {
    Catalog::embedded().get(name).unwrap()
}

/// The table in the file of a shipped profile that says how requests are signed; `None` in a profile of JWTs alone.
pub(crate) fn format_of(name: &str) -> Option<String> {
    let file = format!("{name}.toml");
    let shipped = Catalog::shipped().find(|shipped| shipped.profile.file == file);
    let document: toml::Table = toml::from_str(shipped.unwrap().profile.text).unwrap();
    let request = document.get("request").and_then(toml::Value::as_table);
    let format = request.and_then(|request| request.keys().next().cloned());
    format.or_else(|| format_of(document.get("extends")?.as_str()?))
}

/// Values for all that a profile wants to know.
pub(crate) fn usable_settings(profile: &Profile) -> Settings {
    let value = |name: &str| match name {
        "certificate_url" => "https://tpp.example/certs/qseal_{sha256}",
        "issuer" | "token_endpoint" => "https://auth.bank.example/token",
        _ => "registered-1",
    };
    let required = profile.required_settings().iter();
    required
        .map(|name| (name.clone(), value(name).to_owned()))
        .collect()
}

/// A shared vector file, or `None` with a remark where there is none.
pub(crate) fn vectors(name: &str) -> Option<serde_json::Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/vectors")
        .join(name);
    let Ok(text) = std::fs::read(&path) else {
        #[allow(clippy::print_stderr)] // The remark is for whoever reads the test log.
        {
            eprintln!("skipped: {} is not there", path.display());
        }
        return None;
    };
    Some(serde_json::from_slice(&text).unwrap())
}

/// A key that signs as a token does, and its certificate.
pub(crate) struct Seal {
    pub(crate) certificate: Certificate,
    key: Key,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    /// PKCS#8, because `ring` ties a key pair to its encoding.
    Ec(Vec<u8>),
    P521(Box<p521::ecdsa::SigningKey>),
    Ed25519(Ed25519KeyPair),
}

impl Seal {
    pub(crate) fn rsa() -> Self {
        let pem = include_str!("../data/rfc7520-test-key-rsa.pem");
        let pair = KeyPair::from_pem_and_sign_algo(pem, &rcgen::PKCS_RSA_SHA256).unwrap();
        let key = Key::Rsa(Box::new(
            RsaKeyPair::from_pkcs8(&pair.serialize_der()).unwrap(),
        ));
        Self {
            certificate: certificate(&pair),
            key,
        }
    }

    pub(crate) fn p256() -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Self {
            certificate: certificate(&pair),
            key: Key::Ec(pair.serialize_der()),
        }
    }

    pub(crate) fn p384() -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        Self {
            certificate: certificate(&pair),
            key: Key::Ec(pair.serialize_der()),
        }
    }

    /// `ring` and `rcgen` have no P-521: the certificate is a file.
    pub(crate) fn p521() -> Self {
        use p521::pkcs8::DecodePrivateKey;
        let file = include_str!("../data/rfc7520-test-key-p521.pem");
        let (_, pem) = file.split_once('\n').unwrap();
        let key = p521::ecdsa::SigningKey::from_pkcs8_pem(pem).unwrap();
        let pem = include_bytes!("../data/test-p521-seal.pem");
        Self {
            certificate: Certificate::chain_from_pem(pem).unwrap().remove(0),
            key: Key::P521(Box::new(key)),
        }
    }

    pub(crate) fn ed25519() -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Self {
            certificate: certificate(&pair),
            key: Key::Ed25519(Ed25519KeyPair::from_pkcs8(&pair.serialize_der()).unwrap()),
        }
    }

    /// One seal of each key type.
    pub(crate) fn each() -> [Self; 5] {
        [
            Self::rsa(),
            Self::p256(),
            Self::p384(),
            Self::p521(),
            Self::ed25519(),
        ]
    }

    /// A chain of three: the seal, its issuer and the root.
    pub(crate) fn below_two_cas() -> (Self, Vec<Certificate>) {
        let issuer = |name: &str| {
            let mut params = CertificateParams::new(vec![]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            (
                params,
                KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
            )
        };
        let (root_params, root_key) = issuer("Root");
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::from_params(&root_params, &root_key);
        let (params, key) = issuer("Issuing CA");
        let issuing = params.signed_by(&key, &root_issuer).unwrap();
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let leaf = leaf_params()
            .signed_by(&pair, &Issuer::from_params(&params, &key))
            .unwrap();
        let parsed =
            |certificate: &rcgen::Certificate| Certificate::from_der(certificate.der()).unwrap();
        let seal = Self {
            certificate: parsed(&leaf),
            key: Key::Ec(pair.serialize_der()),
        };
        (seal, vec![parsed(&issuing), parsed(&root)])
    }

    /// The raw signature.
    pub(crate) fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rsa(pair) => {
                let encoding: &dyn signature::RsaEncoding = match scheme {
                    SignatureScheme::RsaPkcs1Sha256 => &signature::RSA_PKCS1_SHA256,
                    SignatureScheme::RsaPkcs1Sha384 => &signature::RSA_PKCS1_SHA384,
                    SignatureScheme::RsaPkcs1Sha512 => &signature::RSA_PKCS1_SHA512,
                    SignatureScheme::RsaPssSha256 => &signature::RSA_PSS_SHA256,
                    SignatureScheme::RsaPssSha384 => &signature::RSA_PSS_SHA384,
                    SignatureScheme::RsaPssSha512 => &signature::RSA_PSS_SHA512,
                    other => panic!("{other} with an RSA key"),
                };
                let mut raw = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, message, &mut raw).unwrap();
                raw
            }
            Key::Ec(pkcs8) => {
                let algorithm = match scheme {
                    SignatureScheme::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                    SignatureScheme::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
                    other => panic!("{other} with an EC key"),
                };
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &random).unwrap();
                pair.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Key::P521(key) => {
                use p521::ecdsa::signature::Signer;
                assert_eq!(scheme, SignatureScheme::EcdsaP521Sha512);
                let signature: p521::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Key::Ed25519(pair) => {
                assert_eq!(scheme, SignatureScheme::Ed25519);
                pair.sign(message).as_ref().to_vec()
            }
        }
    }

    /// What the token and the service do with what was prepared.
    pub(crate) fn finish(&self, prepared: Prepared) -> Signed {
        let raw = self.sign(prepared.scheme(), prepared.to_be_signed());
        prepared.assemble(&raw).unwrap()
    }
}

fn certificate(pair: &KeyPair) -> Certificate {
    Certificate::from_der(leaf_params().self_signed(pair).unwrap().der()).unwrap()
}

fn leaf_params() -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.serial_number = Some(SerialNumber::from(vec![0x00, 0xa9, 0xfa, 0x1c]));
    params.distinguished_name.push(DnType::CountryName, "DE");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Test QTSP GmbH");
    params
        .distinguished_name
        .push(DnType::CommonName, "Test CA 1");
    params
}

pub(crate) type Lines = Vec<(String, Vec<u8>)>;

pub(crate) fn lines(headers: &[(&str, &str)]) -> Lines {
    headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

pub(crate) fn try_request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<HttpRequest, Refusal> {
    request_of(method, target, &lines(headers), body)
}

pub(crate) fn request_of(
    method: &str,
    target: &str,
    headers: &Lines,
    body: &[u8],
) -> Result<HttpRequest, Refusal> {
    HttpRequest::parse(RequestParts {
        method,
        authority: "bank.example",
        target,
        headers,
        body: BodyParts {
            bytes: Some(body),
            digests: &[],
        },
    })
}

pub(crate) fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> HttpRequest {
    try_request(method, target, headers, body).unwrap()
}

/// The request with the headers of a signature set, as it goes over the wire.
pub(crate) fn sent(request: &HttpRequest, signed: &Signed) -> HttpRequest {
    sent_with(request, signed, |_| {})
}

/// As [`sent`], changed on the way.
pub(crate) fn sent_with(
    request: &HttpRequest,
    signed: &Signed,
    change: impl FnOnce(&mut Lines),
) -> HttpRequest {
    let mut headers = with_headers(request.headers(), signed);
    change(&mut headers);
    let body = request.body().bytes().unwrap();
    request_of(request.method().as_str(), request.target(), &headers, body).unwrap()
}

pub(crate) fn answered(response: &HttpResponse, signed: &Signed) -> HttpResponse {
    let headers = with_headers(response.headers(), signed);
    let body = BodyParts {
        bytes: response.body().bytes(),
        digests: &[],
    };
    HttpResponse::parse(response.status(), &headers, body).unwrap()
}

fn with_headers(sent: &[sealkeep_profiles::request::Header], signed: &Signed) -> Lines {
    let is_set = |name: &str| {
        signed
            .headers()
            .iter()
            .any(|(set, _)| set.eq_ignore_ascii_case(name))
    };
    let kept = sent.iter().filter(|header| !is_set(header.name()));
    let kept = kept.map(|header| (header.name().to_owned(), header.value().as_bytes().to_vec()));
    let set = signed
        .headers()
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into_bytes()));
    kept.chain(set).collect()
}

/// The environment variable that has tests write what they would otherwise compare with.
pub(crate) const GOLDEN: &str = "SEALKEEP_GOLDEN";

pub(crate) fn golden_is_rewritten() -> bool {
    std::env::var(GOLDEN).is_ok_and(|value| value == "write")
}

/// A profile from the lines that matter.
pub(crate) fn custom(rest: &str) -> Result<Profile, ProfileError> {
    Profile::from_toml(&format!(
        "name = \"case\"\ntitle = \"case\"\nsource = \"test\"\nconfidence = \"seen\"\n{rest}"
    ))
}

/// Replaces the value of a header that is there.
pub(crate) fn replace(headers: &mut Lines, name: &str, change: impl FnOnce(&str) -> String) {
    let (_, value) = headers
        .iter_mut()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .unwrap();
    *value = change(std::str::from_utf8(value).unwrap()).into_bytes();
}

/// Tue, 18 Sep 2018 09:51:01 GMT, when the vectors were signed.
pub(crate) fn vector_time() -> Timestamp {
    Timestamp::from_second(1_537_264_261).unwrap()
}

pub(crate) const VECTOR_DATE: &str = "Tue, 18 Sep 2018 09:51:01 GMT";
pub(crate) const REQUEST_ID: &str = "99391c7e-ad88-49ec-a2ad-99ddcb1f7721";

pub(crate) fn no_settings() -> Settings {
    Settings::new()
}

pub(crate) fn stet_settings() -> Settings {
    [(
        "certificate_url",
        "https://tpp.example/certs/qseal_{sha256}",
    )]
    .into_iter()
    .collect()
}

pub(crate) fn obuk_settings() -> Settings {
    let settings = [
        ("kid", "90210ABAD"),
        ("iss", "0015800001041RHAAY/AORlKI7oUF85BB2WUr7ZK2"),
        ("tan", "openbanking.org.uk"),
    ];
    settings.into_iter().collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    HashAlgorithm::Sha256.digest(bytes)
}
