//! TLS 1.2 transcripts with one thing wrong, each refused by name.

use super::messages::*;
use super::*;

#[test]
fn taking_apart_and_putting_together_changes_nothing() {
    let mut messages = Messages::captured(Key::P256);
    let before = messages.bytes();
    messages.extensions(AT_CLIENT_HELLO, |_| {});
    messages.extensions(AT_SERVER_HELLO, |_| {});
    assert_eq!(messages.bytes(), before);
    assert_eq!(
        messages.facts().unwrap().server_name,
        handshake::SERVER_NAME
    );
    assert_eq!(messages.list.len(), 8);
}

#[test]
fn refuses_another_leaf_and_no_leaf() {
    let mut messages = Messages::captured(Key::P256);
    let other = capture(Key::P256, TLS12).leaf;
    let refused = prepare_tls12(messages.scheme, &messages.bytes(), &other).map(drop);
    assert_eq!(refused, Err(Refusal::TlsWrongLeaf));
    *messages.body(AT_CLIENT_CERTIFICATE) = vec![0, 0, 0];
    assert_eq!(messages.refusal(), Refusal::TlsWrongLeaf);
}

#[test]
fn refuses_a_client_hello_without_server_name() {
    let mut messages = Messages::captured(Key::P256);
    messages.extensions(AT_CLIENT_HELLO, |list| list.retain(|(kind, _)| *kind != 0));
    assert_eq!(messages.refusal(), Refusal::TlsSniMissing);
}

#[test]
fn refuses_two_server_names_and_a_name_that_is_no_host() {
    let mut messages = Messages::captured(Key::P256);
    let name = |host: &[u8]| [&[0, 0, host.len() as u8], host].concat();
    let list = |names: &[u8]| [&[0, names.len() as u8], names].concat();
    let mut with = |data: Vec<u8>| {
        messages.extensions(AT_CLIENT_HELLO, |extensions| {
            extensions
                .iter_mut()
                .find(|(kind, _)| *kind == 0)
                .unwrap()
                .1 = data;
        });
        messages.refusal()
    };
    let two = [name(b"a.example"), name(b"b.example")].concat();
    assert_eq!(with(list(&two)), Refusal::TlsSniMissing);
    assert_eq!(
        with(list(&name(b"10.0.0.1"))),
        named("server_name is not a host name")
    );
    assert_eq!(
        with(list(&name(b"a\0.example"))),
        named("server_name is not a host name")
    );
    assert_eq!(with(vec![0]), named("server_name is malformed"));
}

#[test]
fn refuses_hellos_without_extended_master_secret() {
    for place in [AT_CLIENT_HELLO, AT_SERVER_HELLO] {
        let mut messages = Messages::captured(Key::P256);
        messages.extensions(place, |list| list.retain(|(kind, _)| *kind != 23));
        assert_eq!(messages.refusal(), Refusal::TlsExtendedMasterSecretMissing);
        messages.extensions(place, |list| list.push((23, vec![0])));
        assert_eq!(messages.refusal(), Refusal::TlsExtendedMasterSecretMissing);
    }
}

#[test]
fn refuses_sha_1_and_schemes_of_other_keys() {
    for (key, codes) in [
        (
            Key::P256,
            &[0x0203, 0x0503, 0x0401, 0x0603, 0x0303, 0x0807][..],
        ),
        (Key::Rsa, &[0x0201, 0x0101, 0x0403, 0x0301, 0x0809]),
    ] {
        let mut messages = Messages::captured(key);
        // Offered or not, the answer is the same.
        *messages.body(AT_CERTIFICATE_REQUEST) = request(&[1, 64], codes, &[]);
        for code in codes {
            messages.scheme = *code;
            assert_eq!(
                messages.refusal(),
                Refusal::TlsSchemeUnknown { code: *code }
            );
        }
    }
}

#[test]
fn signs_pkcs1_in_tls12_only_when_the_server_offers_it() {
    let mut messages = Messages::captured(Key::Rsa);
    for code in [0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806] {
        messages.scheme = code;
        *messages.body(AT_CERTIFICATE_REQUEST) = request(&[1], &[code], &[b"\x30\x00"]);
        assert!(messages.facts().is_ok());
        *messages.body(AT_CERTIFICATE_REQUEST) = request(&[1], &[code ^ 0x0100], &[]);
        assert_eq!(messages.refusal(), Refusal::TlsSchemeUnknown { code });
    }
}

#[test]
fn refuses_a_certificate_request_for_other_keys_or_malformed() {
    let mut messages = Messages::captured(Key::P256);
    *messages.body(AT_CERTIFICATE_REQUEST) = request(&[1, 2], &[0x0403], &[]);
    let other = "CertificateRequest does not accept keys of this type";
    assert_eq!(messages.refusal(), named(other));
    for body in [
        request(&[], &[0x0403], &[]),
        request(&[64], &[], &[]),
        vec![1, 64, 0, 1, 4, 0, 0],
    ] {
        *messages.body(AT_CERTIFICATE_REQUEST) = body;
        assert_eq!(messages.refusal(), named("CertificateRequest is malformed"));
    }
}

#[test]
fn refuses_messages_missing_doubled_swapped_or_behind_the_end() {
    let order = "messages are not those of a full handshake, in order";
    for place in 0..8 {
        let mut missing = Messages::captured(Key::P256);
        missing.list.remove(place);
        assert_eq!(missing.refusal(), named(order), "without {place}");
        let mut doubled = Messages::captured(Key::P256);
        let message = doubled.list[place].clone();
        doubled.list.insert(place, message);
        assert_eq!(doubled.refusal(), named(order), "{place} twice");
        let mut swapped = Messages::captured(Key::P256);
        swapped.list.swap(place, (place + 1) % 8);
        assert_eq!(swapped.refusal(), named(order), "{place} swapped");
    }
    let mut longer = Messages::captured(Key::P256);
    longer.list.extend([(15, vec![]), (20, vec![0; 12])]);
    assert_eq!(longer.refusal(), named("messages follow ClientKeyExchange"));
}

#[test]
fn refuses_trailing_bytes_and_every_truncation() {
    let Captured {
        message,
        leaf,
        scheme,
        ..
    } = capture(Key::P256, TLS12);
    let refused = |bytes: &[u8]| prepare_tls12(scheme, bytes, &leaf).map(drop).unwrap_err();
    for len in 0..message.len() {
        assert!(
            matches!(refused(&message[..len]), Refusal::TlsTranscript { .. }),
            "{len}"
        );
    }
    let cut = named("handshake message is cut short");
    assert_eq!(refused(&[&message[..], &[0]].concat()), cut);
    let too_long = named("transcript is longer than 64 KiB");
    let mut long = message;
    long.resize(TLS12_TRANSCRIPT_BYTES_MAX, 0);
    assert_ne!(refused(&long), too_long);
    long.push(0);
    assert_eq!(refused(&long), too_long);
}

#[test]
fn refuses_trailing_bytes_inside_each_message() {
    for place in 0..8 {
        let mut messages = Messages::captured(Key::P256);
        messages.body(place).push(0);
        assert!(
            matches!(messages.refusal(), Refusal::TlsTranscript { .. }),
            "{place}"
        );
    }
}

#[test]
fn accepts_a_stapled_status_and_refuses_a_malformed_one() {
    let mut messages = Messages::captured(Key::P256);
    let before = messages.facts().unwrap();
    messages.list.insert(3, (22, vec![1, 0, 0, 2, 0x30, 0]));
    assert_eq!(messages.facts().unwrap(), before);
    for body in [
        vec![],
        vec![2, 0, 0, 1, 0],
        vec![1, 0, 0, 0],
        vec![1, 0, 0, 1, 0, 0],
    ] {
        *messages.body(3) = body;
        assert_eq!(messages.refusal(), named("CertificateStatus is malformed"));
    }
}

#[test]
fn refuses_other_versions() {
    for place in [AT_CLIENT_HELLO, AT_SERVER_HELLO] {
        for version in [[3, 0], [3, 1], [3, 2], [3, 4]] {
            let mut messages = Messages::captured(Key::P256);
            messages.body(place)[..2].copy_from_slice(&version);
            assert!(
                matches!(messages.refusal(), Refusal::TlsTranscript { what } if what.ends_with("is not of TLS 1.2"))
            );
        }
    }
    let mut messages = Messages::captured(Key::P256);
    messages.extensions(AT_SERVER_HELLO, |list| list.push((43, vec![3, 4])));
    assert_eq!(messages.refusal(), named("ServerHello is not of TLS 1.2"));
}

#[test]
fn refuses_suites_without_forward_secrecy_or_aead_and_suites_not_offered() {
    let name = "cipher suite is not ECDHE with AEAD, or was not offered";
    let mut messages = Messages::captured(Key::P256);
    let offset = 2 + 32 + 1 + usize::from(messages.body(AT_SERVER_HELLO)[34]);
    // RSA key transport, CBC with ECDHE, DHE, a TLS 1.3 suite, and an ECDHE suite that rustls does not offer.
    for suite in [0x009c_u16, 0xc023, 0x009e, 0x1301, 0xc0ac] {
        messages.body(AT_SERVER_HELLO)[offset..offset + 2].copy_from_slice(&suite.to_be_bytes());
        assert_eq!(messages.refusal(), named(name), "{suite:04x}");
    }
}

#[test]
fn refuses_compression_renegotiation_resumption_and_unasked_answers() {
    let hello = |place, kind, data: Vec<u8>| {
        let mut messages = Messages::captured(Key::P256);
        messages.extensions(place, |list| {
            list.retain(|(known, _)| *known != kind);
            list.push((kind, data));
        });
        messages.refusal()
    };
    let renegotiation = || vec![12; 13];
    assert_eq!(
        hello(AT_CLIENT_HELLO, 0xff01, renegotiation()),
        named("handshake is a renegotiation")
    );
    assert_eq!(
        hello(AT_SERVER_HELLO, 0xff01, renegotiation()),
        named("handshake is a renegotiation")
    );
    assert_eq!(
        hello(AT_CLIENT_HELLO, 41, vec![]),
        named("ClientHello resumes a session")
    );
    assert_eq!(
        hello(AT_SERVER_HELLO, 0x1234, vec![]),
        named("ServerHello answers an extension that was not offered")
    );
    let mut messages = Messages::captured(Key::P256);
    let at = extensions_at(messages.body(AT_SERVER_HELLO), AT_SERVER_HELLO) - 1;
    messages.body(AT_SERVER_HELLO)[at] = 1;
    assert_eq!(messages.refusal(), named("ServerHello chooses compression"));
    let mut messages = Messages::captured(Key::P256);
    let at = extensions_at(messages.body(AT_CLIENT_HELLO), AT_CLIENT_HELLO) - 1;
    messages.body(AT_CLIENT_HELLO)[at] = 1;
    assert_eq!(messages.refusal(), named("ClientHello offers compression"));
}

#[test]
fn refuses_an_extension_that_occurs_twice() {
    for place in [AT_CLIENT_HELLO, AT_SERVER_HELLO] {
        let mut messages = Messages::captured(Key::P256);
        messages.extensions(place, |list| list.push((23, vec![])));
        assert_eq!(messages.refusal(), named("hello extension occurs twice"));
    }
}

#[test]
fn refuses_key_exchanges_of_other_groups_and_weak_server_signatures() {
    let group = "ServerKeyExchange group is not one the client offered";
    let body = |curve: u8, group: u16, point: usize, scheme: u16, signature: usize| {
        let mut body = vec![curve];
        body.extend(group.to_be_bytes());
        body.push(point as u8);
        body.resize(body.len() + point, 4);
        body.extend(scheme.to_be_bytes());
        body.extend((signature as u16).to_be_bytes());
        body.resize(body.len() + signature, 5);
        body
    };
    let with = |body: Vec<u8>| {
        let mut messages = Messages::captured(Key::P256);
        *messages.body(AT_SERVER_KEY_EXCHANGE) = body;
        messages.refusal()
    };
    assert_eq!(
        with(body(1, 23, 65, 0x0403, 9)),
        named("ServerKeyExchange is not ECDHE over a named group")
    );
    assert_eq!(with(body(3, 25, 133, 0x0403, 9)), named(group));
    assert_eq!(with(body(3, 29, 33, 0x0403, 9)), named(group));
    assert_eq!(with(body(3, 0x0100, 65, 0x0403, 9)), named(group));
    let weak = "ServerKeyExchange signature algorithm was not offered or is weak";
    for scheme in [0x0203, 0x0201, 0x0101, 0x0402] {
        assert_eq!(
            with(body(3, 29, 32, scheme, 9)),
            named(weak),
            "{scheme:04x}"
        );
    }
    for offered in [0x0203_u16, 0x0201, 0x0101] {
        let mut messages = Messages::captured(Key::P256);
        messages.extensions(AT_CLIENT_HELLO, |list| {
            let (_, data) = list.iter_mut().find(|(kind, _)| *kind == 13).unwrap();
            data.extend(offered.to_be_bytes());
            let codes = u16::try_from(data.len() - 2).unwrap();
            data[..2].copy_from_slice(&codes.to_be_bytes());
        });
        messages.facts().unwrap();
        *messages.body(AT_SERVER_KEY_EXCHANGE) = body(3, 29, 32, offered, 9);
        assert_eq!(messages.refusal(), named(weak), "{offered:04x}");
    }
    assert_eq!(
        with(body(3, 29, 32, 0x0403, 0)),
        named("ServerKeyExchange is not signed")
    );
    // A good one of another group than the client's answer.
    assert_eq!(
        with(body(3, 24, 97, 0x0403, 9)),
        named("ClientKeyExchange is not of the server's group")
    );
}

#[test]
fn refuses_an_rsa_key_transport_and_a_server_without_certificate() {
    let mut messages = Messages::captured(Key::Rsa);
    *messages.body(AT_CLIENT_KEY_EXCHANGE) = [&[1, 0][..], &[7; 256]].concat();
    assert_eq!(
        messages.refusal(),
        named("ClientKeyExchange is not of the server's group")
    );
    let mut messages = Messages::captured(Key::Rsa);
    *messages.body(AT_SERVER_CERTIFICATE) = vec![0, 0, 0];
    assert_eq!(messages.refusal(), named("server Certificate is empty"));
    *messages.body(AT_SERVER_CERTIFICATE) = vec![0, 0, 3, 0, 0, 0];
    assert_eq!(messages.refusal(), named("Certificate is malformed"));
    let mut messages = Messages::captured(Key::Rsa);
    messages.body(AT_SERVER_HELLO_DONE).push(0);
    assert_eq!(messages.refusal(), named("ServerHelloDone is not empty"));
}
