//! A captured TLS 1.2 transcript taken apart, to be changed in one place and put together again.

use super::*;

/// A captured transcript as (type, body), to be changed and put together again.
pub(super) struct Messages {
    pub(super) list: Vec<(u8, Vec<u8>)>,
    pub(super) leaf: Certificate,
    pub(super) scheme: u16,
}

impl Messages {
    pub(super) fn captured(key: Key) -> Self {
        let Captured {
            message,
            leaf,
            scheme,
            ..
        } = capture(key, TLS12);
        Self {
            list: split(&message),
            leaf,
            scheme,
        }
    }

    pub(super) fn body(&mut self, place: usize) -> &mut Vec<u8> {
        &mut self.list[place].1
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, body) in &self.list {
            bytes.push(*kind);
            bytes.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
            bytes.extend(body);
        }
        bytes
    }

    pub(super) fn refusal(&self) -> Refusal {
        prepare_tls12(self.scheme, &self.bytes(), &self.leaf)
            .map(drop)
            .unwrap_err()
    }

    pub(super) fn facts(&self) -> Result<Tls12Facts, Refusal> {
        prepare_tls12(self.scheme, &self.bytes(), &self.leaf).map(|(_, facts)| facts)
    }

    /// Changes the extensions of a hello and writes them back with lengths that fit.
    pub(super) fn extensions(
        &mut self,
        place: usize,
        change: impl FnOnce(&mut Vec<(u16, Vec<u8>)>),
    ) {
        let body = self.body(place);
        let at = extensions_at(body, place);
        let mut list = Vec::new();
        let mut rest = &body[at + 2..];
        while !rest.is_empty() {
            let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            list.push((
                u16::from_be_bytes([rest[0], rest[1]]),
                rest[4..4 + len].to_vec(),
            ));
            rest = &rest[4 + len..];
        }
        change(&mut list);
        let mut written = Vec::new();
        for (kind, data) in list {
            written.extend(kind.to_be_bytes());
            written.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            written.extend(data);
        }
        body.truncate(at);
        body.extend(u16::try_from(written.len()).unwrap().to_be_bytes());
        body.extend(written);
    }
}

/// Places of the messages in a transcript without CertificateStatus.
pub(super) const AT_CLIENT_HELLO: usize = 0;
pub(super) const AT_SERVER_HELLO: usize = 1;
pub(super) const AT_SERVER_CERTIFICATE: usize = 2;
pub(super) const AT_SERVER_KEY_EXCHANGE: usize = 3;
pub(super) const AT_CERTIFICATE_REQUEST: usize = 4;
pub(super) const AT_SERVER_HELLO_DONE: usize = 5;
pub(super) const AT_CLIENT_CERTIFICATE: usize = 6;
pub(super) const AT_CLIENT_KEY_EXCHANGE: usize = 7;

pub(super) fn split(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut list = Vec::new();
    while !bytes.is_empty() {
        let len = usize::from(bytes[1]) << 16 | usize::from(bytes[2]) << 8 | usize::from(bytes[3]);
        list.push((bytes[0], bytes[4..4 + len].to_vec()));
        bytes = &bytes[4 + len..];
    }
    list
}

/// Where the extensions' length stands: behind version, random, session, suites and compression.
pub(super) fn extensions_at(body: &[u8], place: usize) -> usize {
    let session_end = 2 + 32 + 1 + usize::from(body[34]);
    if place == AT_SERVER_HELLO {
        return session_end + 3;
    }
    let suites = usize::from(u16::from_be_bytes([
        body[session_end],
        body[session_end + 1],
    ]));
    let compression_at = session_end + 2 + suites;
    compression_at + 1 + usize::from(body[compression_at])
}

pub(super) fn named(what: &'static str) -> Refusal {
    Refusal::TlsTranscript { what }
}

/// A CertificateRequest of these certificate types, schemes and authorities.
pub(super) fn request(types: &[u8], schemes: &[u16], authorities: &[&[u8]]) -> Vec<u8> {
    let mut body = vec![types.len() as u8];
    body.extend(types);
    body.extend((2 * schemes.len() as u16).to_be_bytes());
    body.extend(schemes.iter().flat_map(|scheme| scheme.to_be_bytes()));
    let mut names = Vec::new();
    for name in authorities {
        names.extend((name.len() as u16).to_be_bytes());
        names.extend(*name);
    }
    body.extend((names.len() as u16).to_be_bytes());
    body.extend(names);
    body
}
