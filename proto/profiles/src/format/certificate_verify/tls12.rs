//! The TLS 1.2 handshake from ClientHello to ClientKeyExchange, parsed to the last byte.
//!
//! In: the concatenated handshake messages a client wants to sign. Out: [`Transcript`], and from it the facts a
//! signature would vouch for. Never tolerates: every message is there once and in order, every length fits, every
//! extension occurs once. What a transcript of another protocol, of a resumed or renegotiated session, of a server's
//! side or of a weak suite would look like is refused. Serves RFC 5246 section 7.4, RFC 8422 section 5 (ECDHE), RFC 6066
//! section 3 (SNI), RFC 7627 (extended master secret).

mod hello;
mod server_name;

use self::hello::{ClientHello, ServerHello};
use super::wire::{Reader, codes};
use crate::algorithm::KeyType;
use crate::refusal::Refusal;

/// What a TLS 1.2 transcript proves about the connection it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls12Facts {
    /// The host the client asked for (SNI), in lower case.
    pub server_name: String,
    /// The cipher suite agreed on (IANA code point).
    pub cipher_suite: u16,
    /// The server's certificates as DER, leaf first. Sent, not verified here.
    pub server_chain: Vec<Vec<u8>>,
}

/// A parsed transcript.
pub(super) struct Transcript<'a> {
    server_name: String,
    cipher_suite: u16,
    server_chain: Vec<&'a [u8]>,
    request: CertificateRequest,
    client_chain: Vec<&'a [u8]>,
}

impl<'a> Transcript<'a> {
    pub(super) fn parse(handshake_messages: &'a [u8]) -> Result<Self, Refusal> {
        let messages = Messages::split(handshake_messages)?;
        let client = ClientHello::parse(messages.client_hello)?;
        let server = ServerHello::parse(messages.server_hello, &client)?;
        let server_chain = certificates(messages.server_certificate)?;
        if server_chain.is_empty() {
            return Err(refusal("server Certificate is empty"));
        }
        if let Some(status) = messages.certificate_status {
            certificate_status(status)?;
        }
        let point_bytes = server_key_exchange(messages.server_key_exchange, &client)?;
        let request = CertificateRequest::parse(messages.certificate_request)?;
        if !messages.server_hello_done.is_empty() {
            return Err(refusal("ServerHelloDone is not empty"));
        }
        let client_chain = certificates(messages.client_certificate)?;
        client_key_exchange(messages.client_key_exchange, point_bytes)?;
        Ok(Self {
            server_name: client.server_name,
            cipher_suite: server.cipher_suite,
            server_chain,
            request,
            client_chain,
        })
    }

    /// Whether a key with this certificate may sign the transcript under this scheme.
    pub(super) fn admit(
        self,
        scheme_code: u16,
        key: KeyType,
        leaf_der: &[u8],
    ) -> Result<Tls12Facts, Refusal> {
        if self
            .client_chain
            .first()
            .is_none_or(|leaf| *leaf != leaf_der)
        {
            return Err(Refusal::TlsWrongLeaf);
        }
        if !self.request.schemes.contains(&scheme_code) {
            return Err(Refusal::TlsSchemeUnknown { code: scheme_code });
        }
        let certificate_type = match key {
            KeyType::Rsa { .. } => CERTIFICATE_TYPE_RSA_SIGN,
            // RFC 8422 §5.5: EdDSA keys go by the type of ECDSA.
            KeyType::EcP256 | KeyType::EcP384 | KeyType::EcP521 | KeyType::Ed25519 => {
                CERTIFICATE_TYPE_ECDSA_SIGN
            }
        };
        if !self.request.types.contains(&certificate_type) {
            return Err(refusal(
                "CertificateRequest does not accept keys of this type",
            ));
        }
        Ok(Tls12Facts {
            server_name: self.server_name,
            cipher_suite: self.cipher_suite,
            server_chain: self.server_chain.into_iter().map(<[u8]>::to_vec).collect(),
        })
    }
}

/// Handshake types (RFC 5246 section 7.4, RFC 6066 section 8).
const CLIENT_HELLO: u8 = super::CLIENT_HELLO;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const CERTIFICATE_REQUEST: u8 = 13;
const SERVER_HELLO_DONE: u8 = 14;
const CLIENT_KEY_EXCHANGE: u8 = 16;
const CERTIFICATE_STATUS: u8 = 22;

const CERTIFICATE_TYPE_RSA_SIGN: u8 = 1;
const CERTIFICATE_TYPE_ECDSA_SIGN: u8 = 64;
const STATUS_TYPE_OCSP: u8 = 1;
const CURVE_TYPE_NAMED: u8 = 3;

/// Groups of ECDHE with the length of a public value, in bytes: secp256r1, secp384r1, secp521r1, x25519, x448.
const GROUPS: &[(u16, usize)] = &[(23, 65), (24, 97), (25, 133), (29, 32), (30, 56)];

/// Hash octets of TLS 1.2 signature algorithms that are too weak: none, MD5, SHA-1, SHA-224.
const WEAK_HASHES: [u8; 4] = [0, 1, 2, 3];

/// The bodies of the messages, by place.
struct Messages<'a> {
    client_hello: &'a [u8],
    server_hello: &'a [u8],
    server_certificate: &'a [u8],
    certificate_status: Option<&'a [u8]>,
    server_key_exchange: &'a [u8],
    certificate_request: &'a [u8],
    server_hello_done: &'a [u8],
    client_certificate: &'a [u8],
    client_key_exchange: &'a [u8],
}

impl<'a> Messages<'a> {
    fn split(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut reader = Reader::new(bytes, "handshake message is cut short");
        let mut list = Vec::new();
        while !reader.is_empty() {
            // More messages than any accepted order has: stop before collecting an attacker's thousands.
            if list.len() == 9 {
                return Err(refusal("messages follow ClientKeyExchange"));
            }
            list.push((reader.u8()?, reader.vec24()?));
        }
        let types: Vec<u8> = list.iter().map(|(kind, _)| *kind).collect();
        let bodies: Vec<&[u8]> = list.iter().map(|(_, body)| *body).collect();
        match (types.as_slice(), bodies.as_slice()) {
            (
                [
                    CLIENT_HELLO,
                    SERVER_HELLO,
                    CERTIFICATE,
                    SERVER_KEY_EXCHANGE,
                    CERTIFICATE_REQUEST,
                    SERVER_HELLO_DONE,
                    CERTIFICATE,
                    CLIENT_KEY_EXCHANGE,
                ],
                [c, s, certificate, rest @ ..],
            ) => Self::place(c, s, certificate, None, rest),
            (
                [
                    CLIENT_HELLO,
                    SERVER_HELLO,
                    CERTIFICATE,
                    CERTIFICATE_STATUS,
                    SERVER_KEY_EXCHANGE,
                    CERTIFICATE_REQUEST,
                    SERVER_HELLO_DONE,
                    CERTIFICATE,
                    CLIENT_KEY_EXCHANGE,
                ],
                [c, s, certificate, status, rest @ ..],
            ) => Self::place(c, s, certificate, Some(status), rest),
            _ => Err(refusal(
                "messages are not those of a full handshake, in order",
            )),
        }
    }

    fn place(
        client_hello: &'a [u8],
        server_hello: &'a [u8],
        server_certificate: &'a [u8],
        certificate_status: Option<&'a [u8]>,
        rest: &[&'a [u8]],
    ) -> Result<Self, Refusal> {
        let [
            key_exchange,
            request,
            done,
            certificate,
            client_key_exchange,
        ] = rest
        else {
            return Err(refusal(
                "messages are not those of a full handshake, in order",
            ));
        };
        Ok(Self {
            client_hello,
            server_hello,
            server_certificate,
            certificate_status,
            server_key_exchange: key_exchange,
            certificate_request: request,
            server_hello_done: done,
            client_certificate: certificate,
            client_key_exchange,
        })
    }
}

/// `Certificate { ASN.1Cert certificate_list<0..2^24-1> }` (RFC 5246 section 7.4.2); each entry not empty.
fn certificates(body: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    const WHAT: &str = "Certificate is malformed";
    let mut outer = Reader::new(body, WHAT);
    let mut list = Reader::new(outer.vec24()?, WHAT);
    outer.finish()?;
    let mut certificates = Vec::new();
    while !list.is_empty() {
        let certificate = list.vec24()?;
        if certificate.is_empty() {
            return Err(refusal(WHAT));
        }
        certificates.push(certificate);
    }
    Ok(certificates)
}

/// `CertificateStatus { status_type ocsp(1), OCSPResponse<1..2^24-1> }` (RFC 6066 section 8).
fn certificate_status(body: &[u8]) -> Result<(), Refusal> {
    let mut reader = Reader::new(body, "CertificateStatus is malformed");
    if reader.u8()? != STATUS_TYPE_OCSP || reader.vec24()?.is_empty() {
        return Err(refusal("CertificateStatus is malformed"));
    }
    reader.finish()
}

/// `ServerECDHParams` and a signature (RFC 8422 section 5.4). Returns how long a public value of the group is.
fn server_key_exchange(body: &[u8], client: &ClientHello) -> Result<usize, Refusal> {
    let mut reader = Reader::new(body, "ServerKeyExchange is malformed");
    if reader.u8()? != CURVE_TYPE_NAMED {
        return Err(refusal("ServerKeyExchange is not ECDHE over a named group"));
    }
    let group = reader.u16()?;
    let public = reader.vec8()?;
    let point_bytes = GROUPS
        .iter()
        .find(|(known, _)| *known == group)
        .map(|(_, len)| *len);
    let point_bytes = point_bytes
        .filter(|len| *len == public.len() && client.groups.contains(&group))
        .ok_or(refusal(
            "ServerKeyExchange group is not one the client offered",
        ))?;
    let scheme = reader.u16()?;
    if is_weak(scheme) || !client.schemes.contains(&scheme) {
        return Err(refusal(
            "ServerKeyExchange signature algorithm was not offered or is weak",
        ));
    }
    if reader.vec16()?.is_empty() {
        return Err(refusal("ServerKeyExchange is not signed"));
    }
    reader.finish()?;
    Ok(point_bytes)
}

/// `ClientKeyExchange` of ECDHE: the public value alone (RFC 8422 section 5.7).
fn client_key_exchange(body: &[u8], point_bytes: usize) -> Result<(), Refusal> {
    let mut reader = Reader::new(body, "ClientKeyExchange is malformed");
    if reader.vec8()?.len() != point_bytes {
        return Err(refusal("ClientKeyExchange is not of the server's group"));
    }
    reader.finish()
}

/// `CertificateRequest` (RFC 5246 section 7.4.4).
struct CertificateRequest {
    types: Vec<u8>,
    schemes: Vec<u16>,
}

impl CertificateRequest {
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
        const WHAT: &str = "CertificateRequest is malformed";
        let mut reader = Reader::new(body, WHAT);
        let types = reader.vec8()?.to_vec();
        if types.is_empty() {
            return Err(refusal(WHAT));
        }
        let schemes = codes(reader.vec16()?, WHAT)?;
        let mut authorities = Reader::new(reader.vec16()?, WHAT);
        while !authorities.is_empty() {
            if authorities.vec16()?.is_empty() {
                return Err(refusal(WHAT));
            }
        }
        reader.finish()?;
        Ok(Self { types, schemes })
    }
}

fn is_weak(scheme: u16) -> bool {
    let [hash, _] = scheme.to_be_bytes();
    WEAK_HASHES.contains(&hash)
}

fn refusal(what: &'static str) -> Refusal {
    Refusal::TlsTranscript { what }
}
