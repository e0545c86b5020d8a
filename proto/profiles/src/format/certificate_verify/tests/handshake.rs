//! A rustls client and server in memory. The client's signing key goes the way of the service: prepare, sign, assemble.

use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    SignatureAlgorithm, SignatureScheme as Scheme, SupportedProtocolVersion,
};

use crate::algorithm::ecdsa_der_to_raw;
use crate::certificate::Certificate;
use crate::format::certificate_verify::{prepare_tls12, prepare_tls13};

pub(super) const SERVER_NAME: &str = "xs2a.bank.example";

/// The client's key.
#[derive(Clone, Copy)]
pub(super) enum Key {
    P256,
    P384,
    Rsa,
}

/// What rustls gave to the signer in a handshake that then succeeded.
pub(super) struct Captured {
    pub(super) scheme: u16,
    pub(super) message: Vec<u8>,
    pub(super) leaf: Certificate,
    pub(super) server_chain: Vec<Vec<u8>>,
    pub(super) cipher_suite: Option<u16>,
}

/// Runs one handshake with client authentication to its end.
pub(super) fn capture(key: Key, version: &'static SupportedProtocolVersion) -> Captured {
    let ca_key = KeyPair::generate().unwrap();
    let ca = issuer("Test CA");
    let root = ca.self_signed(&ca_key).unwrap().der().clone();
    let issuer = Issuer::new(ca, &ca_key);
    let (client_chain, client_key) = leaf(key_pair(key), "tpp.example", &issuer, &root);
    let (server_chain, server_key) = leaf(key_pair(Key::P256), SERVER_NAME, &issuer, &root);
    let certificate = Certificate::from_der(&client_chain[0]).unwrap();
    let seen = Arc::new(Mutex::new(None));
    let spy = Spy {
        inner: any_supported_type(&client_key).unwrap(),
        leaf: certificate.clone(),
        seen: Arc::clone(&seen),
    };
    let client = client_config(
        version,
        &root,
        CertifiedKey::new(client_chain, Arc::new(spy)),
    );
    let server = server_config(version, &root, server_chain.clone(), server_key);
    let cipher_suite = shake(client, server);
    let (scheme, message) = seen.lock().unwrap().take().expect("the client signed");
    Captured {
        scheme,
        message,
        leaf: certificate,
        server_chain: server_chain.iter().map(|der| der.to_vec()).collect(),
        cipher_suite,
    }
}

fn shake(client: ClientConfig, server: ServerConfig) -> Option<u16> {
    let name = SERVER_NAME.try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    for _ in 0..20 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().unwrap();
        }
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    assert!(
        server.peer_certificates().is_some(),
        "the server verified the client"
    );
    client
        .negotiated_cipher_suite()
        .map(|suite| suite.suite().into())
}

fn issuer(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key_pair(key: Key) -> KeyPair {
    match key {
        Key::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
        Key::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        Key::Rsa => KeyPair::from_pem(include_str!("fixtures/rsa_2048_key.pem")).unwrap(),
    }
}

fn leaf(
    key: KeyPair,
    name: &str,
    issuer: &Issuer<'_, &KeyPair>,
    root: &CertificateDer<'static>,
) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    (vec![certificate.der().clone(), root.clone()], private)
}

fn roots(root: &CertificateDer<'static>) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    Arc::new(roots)
}

fn client_config(
    version: &'static SupportedProtocolVersion,
    root: &CertificateDer<'static>,
    identity: CertifiedKey,
) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots(root))
        .with_client_cert_resolver(Arc::new(Identity(Arc::new(identity))))
}

fn server_config(
    version: &'static SupportedProtocolVersion,
    root: &CertificateDer<'static>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(root), Arc::clone(&provider));
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap()
}

#[derive(Debug)]
struct Identity(Arc<CertifiedKey>);

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[Scheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

type Seen = Arc<Mutex<Option<(u16, Vec<u8>)>>>;

#[derive(Debug)]
struct Spy {
    inner: Arc<dyn SigningKey>,
    leaf: Certificate,
    seen: Seen,
}

impl SigningKey for Spy {
    fn choose_scheme(&self, offered: &[Scheme]) -> Option<Box<dyn Signer>> {
        // As the client crate does: the first of ours that the server offers.
        let ours = super::schemes_for(&self.leaf.public_key().key_type());
        let scheme = ours
            .iter()
            .map(|code| Scheme::from(*code))
            .find(|s| offered.contains(s))?;
        Some(Box::new(SpySigner {
            inner: self.inner.choose_scheme(&[scheme])?,
            leaf: self.leaf.clone(),
            seen: Arc::clone(&self.seen),
        }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.inner.algorithm()
    }
}

#[derive(Debug)]
struct SpySigner {
    inner: Box<dyn Signer>,
    leaf: Certificate,
    seen: Seen,
}

impl Signer for SpySigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let code = u16::from(self.inner.scheme());
        *self.seen.lock().unwrap() = Some((code, message.to_vec()));
        let prepared = match message.first() {
            Some(0x20) => prepare_tls13(code, &message[98..], &self.leaf).unwrap(),
            _ => prepare_tls12(code, message, &self.leaf).unwrap().0,
        };
        assert_eq!(prepared.to_be_signed(), message);
        let signature = self.inner.sign(message)?;
        let raw = match prepared.scheme().hash().len() {
            len if prepared.scheme().is_ecdsa() => ecdsa_der_to_raw(&signature, len).unwrap(),
            _ => signature,
        };
        Ok(prepared.assemble(&raw).unwrap().signature().to_vec())
    }

    fn scheme(&self) -> Scheme {
        self.inner.scheme()
    }
}
