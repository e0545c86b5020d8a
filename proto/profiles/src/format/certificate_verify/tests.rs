//! Real handshakes of rustls, their transcripts taken apart, and everything that must not be signed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod handshake;
mod messages;
mod mutation;
mod transcript;

use self::handshake::{Captured, Key, capture};
use super::*;

const TLS12: &rustls::SupportedProtocolVersion = &rustls::version::TLS12;
const TLS13: &rustls::SupportedProtocolVersion = &rustls::version::TLS13;

#[test]
fn a_tls13_handshake_succeeds_with_what_is_prepared_and_assembled_here() {
    for (key, scheme) in [(Key::P256, 0x0403), (Key::P384, 0x0503), (Key::Rsa, 0x0804)] {
        let captured = capture(key, TLS13);
        assert_eq!(captured.scheme, scheme);
        let hash = &captured.message[98..];
        let prepared = prepare_tls13(scheme, hash, &captured.leaf).unwrap();
        assert_eq!(prepared.to_be_signed(), captured.message);
        assert_eq!(prepared.signed_fields(), ["tls13.certificate_verify"]);
    }
}

#[test]
fn a_tls12_handshake_succeeds_with_what_is_prepared_and_assembled_here() {
    for key in [Key::P256, Key::P384, Key::Rsa] {
        let captured = capture(key, TLS12);
        let (prepared, facts) =
            prepare_tls12(captured.scheme, &captured.message, &captured.leaf).unwrap();
        assert_eq!(prepared.to_be_signed(), captured.message);
        assert_eq!(prepared.signed_fields(), ["tls12.certificate_verify"]);
        assert_eq!(facts.server_name, handshake::SERVER_NAME);
        assert_eq!(facts.server_chain, captured.server_chain);
        assert_eq!(Some(facts.cipher_suite), captured.cipher_suite);
    }
}

#[test]
fn offers_only_schemes_that_it_prepares() {
    for key in [Key::P256, Key::P384, Key::Rsa] {
        let captured = capture(key, TLS13);
        let key_type = captured.leaf.public_key().key_type();
        let prepares = |code: &u16| prepare_tls13(*code, &[7; 32], &captured.leaf).is_ok();
        let offered = schemes_for(&key_type);
        assert!(prepares(&offered[0]));
        let tls13: Vec<u16> = (0..=u16::MAX).filter(prepares).collect();
        assert!(tls13.iter().all(|code| offered.contains(code)));
    }
}

#[test]
fn tls13_refuses_schemes_of_other_keys_of_tls12_and_of_sha_1() {
    let ec = capture(Key::P256, TLS13).leaf;
    let rsa = capture(Key::Rsa, TLS13).leaf;
    for code in [0x0503, 0x0603, 0x0804, 0x0203, 0x0401, 0x0807, 0x081a, 0] {
        let refused = Err(Refusal::TlsSchemeUnknown { code });
        assert_eq!(prepare_tls13(code, &[7; 32], &ec).map(drop), refused);
    }
    for code in [0x0401, 0x0501, 0x0601, 0x0201, 0x0101, 0x0809, 0x0403] {
        let refused = Err(Refusal::TlsSchemeUnknown { code });
        assert_eq!(prepare_tls13(code, &[7; 32], &rsa).map(drop), refused);
    }
}

#[test]
fn tls13_refuses_a_prebuilt_message_and_any_other_length_of_hash() {
    let Captured { message, leaf, .. } = capture(Key::P256, TLS13);
    for input in [
        &message[..],
        &[],
        &[7; 20],
        &[7; 31],
        &[7; 33],
        &[7; 47],
        &[7; 49],
        &[7; 64],
    ] {
        let refusal = prepare_tls13(0x0403, input, &leaf).map(drop).unwrap_err();
        assert!(
            matches!(refusal, Refusal::TlsTranscript { .. }),
            "{} bytes",
            input.len()
        );
        assert_eq!(refusal.reason(), "TLS_TRANSCRIPT_INVALID");
    }
}

/// RFC 8446 section 4.4.3: a hash that is itself the beginning of a server's content stays a hash.
#[test]
fn tls13_never_signs_under_the_server_context() {
    let leaf = capture(Key::P256, TLS13).leaf;
    for hash in [
        [0x20; 32].as_slice(),
        b"TLS 1.3, server CertificateVerify\0 and more to go",
    ] {
        let len = if hash.len() < 48 { 32 } else { 48 };
        let prepared = prepare_tls13(0x0403, &hash[..len], &leaf).unwrap();
        assert_eq!(&prepared.to_be_signed()[..64], [0x20; 64]);
        assert_eq!(
            &prepared.to_be_signed()[64..98],
            b"TLS 1.3, client CertificateVerify\0"
        );
    }
}

#[test]
fn a_signature_of_another_key_is_not_released() {
    let Captured { message, leaf, .. } = capture(Key::P256, TLS13);
    let prepared = prepare_tls13(0x0403, &message[98..], &leaf).unwrap();
    assert!(prepared.assemble(&[1; 64]).is_err());
}

#[test]
fn recognises_both_shapes_and_nothing_that_a_seal_signs() {
    for version in [TLS12, TLS13] {
        assert!(looks_like_certificate_verify(
            &capture(Key::P256, version).message
        ));
    }
    let server = [&[0x20; 64][..], b"TLS 1.3, server CertificateVerify\0"].concat();
    assert!(looks_like_certificate_verify(&server));
    for other in [
        "(request-target): post /",
        "date: x",
        "\"@method\": GET",
        "eyJhbGciOi",
        "0\u{3}",
        "",
    ] {
        assert!(!looks_like_certificate_verify(other.as_bytes()), "{other}");
    }
}
