//! ClientHello and ServerHello of TLS 1.2.
//!
//! In: message bodies. Out: what the rest of the transcript is checked against. Never accepts a hello that resumes,
//! renegotiates, compresses or leads to TLS 1.3. Serves RFC 5246 section 7.4.1, RFC 5746, RFC 7627.

use std::collections::BTreeMap;

use super::refusal;
use super::server_name;
use crate::format::certificate_verify::wire::{Reader, codes};
use crate::refusal::Refusal;

const TLS12: u16 = 0x0303;
const RANDOM_BYTES: usize = 32;
const SESSION_ID_BYTES_MAX: usize = 32;
const NULL_COMPRESSION: u8 = 0;

/// Extension types (IANA TLS ExtensionType Values).
const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const SIGNATURE_ALGORITHMS: u16 = 13;
const EXTENDED_MASTER_SECRET: u16 = 23;
const PRE_SHARED_KEY: u16 = 41;
const SUPPORTED_VERSIONS: u16 = 43;
const RENEGOTIATION_INFO: u16 = 0xff01;
/// `TLS_EMPTY_RENEGOTIATION_INFO_SCSV`: a suite that stands for an empty renegotiation_info (RFC 5746 section 3.3).
const RENEGOTIATION_SCSV: u16 = 0x00ff;

/// ECDHE with AEAD: AES-GCM, AES-CCM and ChaCha20-Poly1305, RSA and ECDSA servers (RFC 5289, RFC 7251, RFC 7905).
const SUITES: &[u16] = &[
    0xc02b, 0xc02c, 0xc02f, 0xc030, 0xc0ac, 0xc0ad, 0xcca8, 0xcca9,
];

/// What matters of a ClientHello.
pub(super) struct ClientHello {
    pub(super) server_name: String,
    pub(super) groups: Vec<u16>,
    pub(super) schemes: Vec<u16>,
    suites: Vec<u16>,
    extensions: Vec<u16>,
}

impl ClientHello {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        const WHAT: &str = "ClientHello is malformed";
        let mut reader = Reader::new(body, WHAT);
        version_random_session(&mut reader, "ClientHello is not of TLS 1.2")?;
        let suites = codes(reader.vec16()?, WHAT)?;
        if reader.vec8()? != [NULL_COMPRESSION] {
            return Err(refusal("ClientHello offers compression"));
        }
        let extensions = extensions(&mut reader)?;
        reader.finish()?;
        no_renegotiation(&extensions)?;
        if extensions.contains_key(&PRE_SHARED_KEY) {
            return Err(refusal("ClientHello resumes a session"));
        }
        require_extended_master_secret(&extensions)?;
        let sni = extensions.get(&SERVER_NAME).ok_or(Refusal::TlsSniMissing)?;
        Ok(Self {
            server_name: server_name::parse(sni)?,
            groups: code_list(&extensions, SUPPORTED_GROUPS)?,
            schemes: code_list(&extensions, SIGNATURE_ALGORITHMS)?,
            suites,
            extensions: extensions.into_keys().collect(),
        })
    }

    /// RFC 5246 section 7.4.1.4: a server answers what was asked. renegotiation_info may have been asked for by a suite.
    fn offered(&self, extension: u16) -> bool {
        self.extensions.contains(&extension)
            || (extension == RENEGOTIATION_INFO && self.suites.contains(&RENEGOTIATION_SCSV))
    }
}

/// What matters of a ServerHello.
pub(super) struct ServerHello {
    pub(super) cipher_suite: u16,
}

impl ServerHello {
    pub(super) fn parse(body: &[u8], client: &ClientHello) -> Result<Self, Refusal> {
        let mut reader = Reader::new(body, "ServerHello is malformed");
        version_random_session(&mut reader, "ServerHello is not of TLS 1.2")?;
        let cipher_suite = reader.u16()?;
        if !SUITES.contains(&cipher_suite) || !client.suites.contains(&cipher_suite) {
            return Err(refusal(
                "cipher suite is not ECDHE with AEAD, or was not offered",
            ));
        }
        if reader.u8()? != NULL_COMPRESSION {
            return Err(refusal("ServerHello chooses compression"));
        }
        let extensions = extensions(&mut reader)?;
        reader.finish()?;
        if extensions.contains_key(&SUPPORTED_VERSIONS) {
            return Err(refusal("ServerHello is not of TLS 1.2"));
        }
        if extensions.keys().any(|kind| !client.offered(*kind)) {
            return Err(refusal(
                "ServerHello answers an extension that was not offered",
            ));
        }
        no_renegotiation(&extensions)?;
        require_extended_master_secret(&extensions)?;
        Ok(Self { cipher_suite })
    }
}

type Extensions<'a> = BTreeMap<u16, &'a [u8]>;

fn version_random_session(reader: &mut Reader<'_>, wrong: &'static str) -> Result<(), Refusal> {
    if reader.u16()? != TLS12 {
        return Err(refusal(wrong));
    }
    reader.take(RANDOM_BYTES)?;
    if reader.vec8()?.len() > SESSION_ID_BYTES_MAX {
        return Err(refusal("session identifier is longer than 32 bytes"));
    }
    Ok(())
}

fn extensions<'a>(reader: &mut Reader<'a>) -> Result<Extensions<'a>, Refusal> {
    if reader.is_empty() {
        // Extensions may be absent altogether; what they have to hold is asked for later.
        return Ok(Extensions::new());
    }
    let mut list = Reader::new(reader.vec16()?, "hello extensions are malformed");
    let mut extensions = Extensions::new();
    while !list.is_empty() {
        if extensions.insert(list.u16()?, list.vec16()?).is_some() {
            return Err(refusal("hello extension occurs twice"));
        }
    }
    Ok(extensions)
}

/// RFC 5746: in a first handshake the extension, where present, holds an empty vector. Renegotiation would put a second
/// handshake, and a second signature, into one connection.
fn no_renegotiation(extensions: &Extensions<'_>) -> Result<(), Refusal> {
    match extensions.get(&RENEGOTIATION_INFO) {
        None | Some([0]) => Ok(()),
        Some(_) => Err(refusal("handshake is a renegotiation")),
    }
}

/// RFC 7627: present in both hellos and empty. Without it a signature could be replayed into another connection with
/// the same master secret (triple handshake).
fn require_extended_master_secret(extensions: &Extensions<'_>) -> Result<(), Refusal> {
    match extensions.get(&EXTENDED_MASTER_SECRET) {
        Some([]) => Ok(()),
        _ => Err(Refusal::TlsExtendedMasterSecretMissing),
    }
}

fn code_list(extensions: &Extensions<'_>, kind: u16) -> Result<Vec<u16>, Refusal> {
    const WHAT: &str = "ClientHello lacks supported_groups or signature_algorithms";
    let mut reader = Reader::new(extensions.get(&kind).copied().unwrap_or_default(), WHAT);
    let list = codes(reader.vec16()?, WHAT)?;
    reader.finish()?;
    Ok(list)
}
