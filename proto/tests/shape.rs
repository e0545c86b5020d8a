//! The shape of the API, kept by a test: nothing takes a digest or free bytes to sign.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// Every bytes field that a request may carry, and why it is no door to a free signature.
const BYTES_IN_REQUESTS: [(&str, &str); 10] = [
    (
        "Header.value",
        "a header value; the service lays out the string that is signed",
    ),
    (
        "BodyDigest.value",
        "goes into the Digest header that is signed, never to the token itself",
    ),
    (
        "SignHttpRequestRequest.body",
        "hashed by the service, or wrapped in a JWS it builds",
    ),
    (
        "SignJwsRequest.payload",
        "wrapped in a JWS whose header the service builds",
    ),
    (
        "InstallCertificateRequest.certificates",
        "read as certificates and stored; no key sees them",
    ),
    (
        "ImportTrustedListsRequest.chunk",
        "read as a trusted list and its signature verified; no key sees it",
    ),
    (
        "SignDpopProofRequest.access_token_sha256",
        "becomes the claim `ath` of a proof whose other claims the service makes",
    ),
    (
        "SignJwtBodyRequest.body",
        "a JSON object, made a JWT whose audience and issuer the service sets",
    ),
    (
        "SignTls13Request.transcript_hash",
        "wrapped in the context of a client CertificateVerify",
    ),
    (
        "SignTls12Request.handshake_messages",
        "parsed strictly from ClientHello on",
    ),
];

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(sealkeep_proto::FILE_DESCRIPTOR_SET).unwrap()
}

fn messages(set: &FileDescriptorSet) -> BTreeMap<String, &DescriptorProto> {
    let ours = set
        .file
        .iter()
        .filter(|file| file.package() == "sealkeep.v1");
    let all = ours.flat_map(|file| &file.message_type);
    all.map(|message| (format!(".sealkeep.v1.{}", message.name()), message))
        .collect()
}

/// The messages that a request of any method can hold, at any depth.
fn reachable(set: &FileDescriptorSet) -> BTreeSet<String> {
    let messages = messages(set);
    let mut open: Vec<String> = set
        .file
        .iter()
        .flat_map(|file| &file.service)
        .flat_map(|service| &service.method)
        .map(|method| method.input_type().to_owned())
        .filter(|name| name.starts_with(".sealkeep."))
        .collect();
    let mut found = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !found.insert(name.clone()) {
            continue;
        }
        if let Some(message) = messages.get(&name) {
            open.extend(
                message
                    .field
                    .iter()
                    .map(|field| field.type_name().to_owned()),
            );
        }
    }
    found
}

#[test]
fn no_method_takes_bytes_that_are_not_accounted_for() {
    let set = descriptors();
    let (messages, reachable) = (messages(&set), reachable(&set));
    assert!(reachable.len() > 20, "the walk found the API");
    let mut found = BTreeSet::new();
    for message in reachable.iter().filter_map(|name| messages.get(name)) {
        let bytes = message
            .field
            .iter()
            .filter(|field| field.r#type() == Type::Bytes);
        found.extend(bytes.map(|field| format!("{}.{}", message.name(), field.name())));
    }
    let known: BTreeSet<_> = BYTES_IN_REQUESTS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(found, known);
}

#[test]
fn no_method_or_field_is_called_as_if_it_signed_anything() {
    let set = descriptors();
    for method in set
        .file
        .iter()
        .flat_map(|f| &f.service)
        .flat_map(|s| &s.method)
    {
        let name = method.name();
        for word in ["Raw", "Digest", "Hash", "Bytes", "Decrypt"] {
            // It answers content that was authenticated, and takes a grant and a key of its own: no oracle for a key that signs.
            let is_whole_jwe = word == "Decrypt" && name == "DecryptJwe";
            assert!(!name.contains(word) || is_whole_jwe, "{name}");
        }
    }
    // `hash` stands in one place only: the transcript hash that the service wraps.
    for name in reachable(&set) {
        let messages = messages(&set);
        let Some(message) = messages.get(&name) else {
            continue;
        };
        for field in &message.field {
            let hash = field.name().contains("hash") || field.name().contains("to_be_signed");
            assert!(
                !hash || field.name() == "transcript_hash",
                "{name}.{}",
                field.name()
            );
        }
    }
}

/// buf's COMMENTS rules, as far as a descriptor set tells.
#[test]
fn everything_has_a_comment() {
    let set = descriptors();
    for file in set
        .file
        .iter()
        .filter(|file| file.package() == "sealkeep.v1")
    {
        let locations = &file.source_code_info.as_ref().unwrap().location;
        let commented = |path: &[i32]| {
            locations
                .iter()
                .any(|l| l.path == path && !l.leading_comments().trim().is_empty())
        };
        for (m, message) in (0..).zip(&file.message_type) {
            assert!(commented(&[4, m]), "{}", message.name());
            for (f, field) in (0..).zip(&message.field) {
                assert!(
                    commented(&[4, m, 2, f]),
                    "{}.{}",
                    message.name(),
                    field.name()
                );
            }
        }
        for (s, service) in (0..).zip(&file.service) {
            assert!(commented(&[6, s]), "{}", service.name());
            for (m, method) in (0..).zip(&service.method) {
                assert!(
                    commented(&[6, s, 2, m]),
                    "{}.{}",
                    service.name(),
                    method.name()
                );
            }
        }
    }
}
