//! Every value of every byte of a real TLS 1.2 transcript.
//!
//! A changed transcript is refused, or it states the same facts, or the changed byte is the stated fact itself. Where
//! the structure stands (types, lengths, versions, the client's leaf), nothing but refusal will do.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::tls12::Transcript;
use super::*;

fn find(haystack: &[u8], needle: &[u8]) -> Vec<Range<usize>> {
    let starts = (0..haystack.len()).filter(|at| haystack[*at..].starts_with(needle));
    starts.map(|at| at..at + needle.len()).collect()
}

/// Offsets where every change has to be refused: message headers, hello versions, and the client's own certificate.
fn structure(captured: &Captured) -> BTreeSet<usize> {
    let mut offsets = BTreeSet::new();
    let mut at = 0;
    for (place, (_, body)) in messages::split(&captured.message).iter().enumerate() {
        offsets.extend(at..at + 4);
        if place < 2 {
            offsets.extend(at + 4..at + 6);
        }
        at += 4 + body.len();
    }
    offsets.extend(find(&captured.message, captured.leaf.der()).remove(0));
    offsets
}

/// The suite in the ServerHello, which is the second message: behind version, random and session identifier.
fn cipher_suite(bytes: &[u8]) -> u16 {
    let server_hello = &messages::split(bytes)[1].1;
    let at = 35 + usize::from(server_hello[34]);
    u16::from_be_bytes([server_hello[at], server_hello[at + 1]])
}

#[test]
fn every_changed_byte_is_refused_or_states_the_facts_that_stand_there() {
    let captured = capture(Key::P256, TLS12);
    let (key, leaf) = (captured.leaf.public_key().key_type(), captured.leaf.der());
    let read = |bytes: &[u8]| Transcript::parse(bytes)?.admit(captured.scheme, key, leaf);
    assert_eq!(
        read(&captured.message).unwrap().server_name,
        handshake::SERVER_NAME
    );
    let structure = structure(&captured);
    let name = find(&captured.message, handshake::SERVER_NAME.as_bytes()).remove(0);
    let chain: Vec<Range<usize>> = captured
        .server_chain
        .iter()
        .map(|der| find(&captured.message, der).remove(0))
        .collect();
    let mut accepted = BTreeSet::new();
    let mut bytes = captured.message.clone();
    for at in 0..captured.message.len() {
        for value in 0..=u8::MAX {
            bytes.copy_from_slice(&captured.message);
            if bytes[at] == value {
                continue;
            }
            bytes[at] = value;
            let Ok(changed) = read(&bytes) else { continue };
            accepted.insert(at);
            // The only differences allowed are those that stand in the bytes.
            let stated = std::str::from_utf8(&bytes[name.clone()])
                .unwrap()
                .to_ascii_lowercase();
            assert_eq!(changed.server_name, stated, "byte {at} = {value}");
            let stated: Vec<&[u8]> = chain.iter().map(|range| &bytes[range.clone()]).collect();
            assert_eq!(changed.server_chain, stated, "byte {at} = {value}");
            assert_eq!(
                changed.cipher_suite,
                cipher_suite(&bytes),
                "byte {at} = {value}"
            );
        }
    }
    let broken: Vec<&usize> = structure.intersection(&accepted).collect();
    assert_eq!(broken, [&0; 0], "structure that may be changed");
    // The test would be empty if nothing but refusals came back: randoms and key shares are free.
    assert!(accepted.len() > 64 + 64);
    assert!(structure.len() > 8 * 4 + leaf.len());
}

#[test]
fn two_changed_bytes_never_panic_and_never_change_the_leaf() {
    let captured = capture(Key::Rsa, TLS12);
    let leaf = find(&captured.message, captured.leaf.der()).remove(0);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..20_000 {
        // xorshift64: a fixed sequence, so that a failure repeats.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mut bytes = captured.message.clone();
        let len = bytes.len();
        bytes[(state >> 16) as usize % len] ^= (state >> 8) as u8;
        bytes[(state >> 40) as usize % len] ^= state as u8;
        let key = captured.leaf.public_key().key_type();
        let admitted = Transcript::parse(&bytes)
            .and_then(|t| t.admit(captured.scheme, key, captured.leaf.der()));
        if admitted.is_ok() {
            assert_eq!(&bytes[leaf.clone()], captured.leaf.der());
        }
    }
}
