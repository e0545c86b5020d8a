//! Where a request goes: authority and target, in clean bytes only.
//!
//! Comes in: text as sent. Goes out: a verdict and where the path ends. Never rewrites: normalisation after signing is what
//! breaks signatures, and what a role check reads must be what the bank reads, so forms that servers rewrite (dot segments,
//! empty segments) are refused. Serves RFC 3986 §3.2, §3.3, §3.4, §6.2.2; RFC 9112 §3.2.1.

use std::net::Ipv6Addr;

use crate::refusal::Refusal;

/// The longest target, in bytes.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// The longest authority, in bytes.
pub const AUTHORITY_BYTES_MAX: usize = 255;

/// Accepts origin-form only; answers with the length of the path.
pub(super) fn check_target(target: &str) -> Result<usize, Refusal> {
    let bytes = target.as_bytes();
    if bytes.len() > TARGET_BYTES_MAX {
        return Err(Refusal::TargetTooLong {
            len: bytes.len(),
            max: TARGET_BYTES_MAX,
        });
    }
    if bytes.first() != Some(&b'/') {
        let absolute = target.contains("://");
        return invalid(
            if absolute {
                "absolute form"
            } else {
                "it does not begin with /"
            },
            0,
        );
    }
    let path_len = bytes
        .iter()
        .position(|byte| *byte == b'?')
        .unwrap_or(bytes.len());
    check_bytes(bytes, path_len)?;
    let path = bytes.get(..path_len).unwrap_or_default();
    if let Some(position) = path.windows(2).position(|pair| pair == b"//") {
        return invalid("empty path segment", position);
    }
    check_segments(path)?;
    Ok(path_len)
}

/// pchar (RFC 3986 §3.3), `/`, and after the path `?`; percent-encodings complete.
fn check_bytes(bytes: &[u8], path_len: usize) -> Result<(), Refusal> {
    for (position, byte) in bytes.iter().enumerate() {
        match byte {
            b'%' => match bytes.get(position + 1..position + 3).and_then(decode_hex) {
                None => return invalid("incomplete percent-encoding", position),
                Some(0x00..=0x1f | 0x7f) if position < path_len => {
                    return invalid("encoded control byte in the path", position);
                }
                Some(_) => {}
            },
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {}
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {}
            b':' | b'@' | b'/' => {}
            b'?' if position >= path_len => {}
            b'#' => return invalid("fragment", position),
            b'\\' => return invalid("backslash", position),
            b' ' => return invalid("space", position),
            0x00..=0x1f | 0x7f => return invalid("control byte", position),
            _ => return invalid("byte that must be percent-encoded", position),
        }
    }
    Ok(())
}

/// No segment is `.` or `..`, also after decoding (RFC 3986 §6.2.2.3): an encoded `..%2f` must not climb either.
fn check_segments(path: &[u8]) -> Result<(), Refusal> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, tail @ ..] = rest {
        let encoded = if *byte == b'%' {
            tail.get(..2).and_then(decode_hex)
        } else {
            None
        };
        decoded.push((encoded.unwrap_or(*byte), path.len() - rest.len()));
        rest = if encoded.is_some() {
            tail.get(2..).unwrap_or_default()
        } else {
            tail
        };
    }
    for segment in decoded.split(|(byte, _)| matches!(byte, b'/' | b'\\')) {
        if let [(b'.', position)] | [(b'.', position), (b'.', _)] = segment {
            return invalid("dot segment", *position);
        }
    }
    Ok(())
}

fn decode_hex(pair: &[u8]) -> Option<u8> {
    let mut byte = [0];
    hex::decode_to_slice(pair, &mut byte).ok().map(|()| byte[0])
}

fn invalid<T>(what: &'static str, position: usize) -> Result<T, Refusal> {
    Err(Refusal::TargetInvalid { what, position })
}

/// `host` or `host:port`: a DNS name, an IPv4 address or an IPv6 address in brackets. No user information.
pub(super) fn check_authority(authority: &str) -> Result<(), Refusal> {
    let invalid = |what| Err(Refusal::AuthorityInvalid { what });
    if authority.is_empty() {
        return invalid("it is empty");
    }
    if authority.len() > AUTHORITY_BYTES_MAX {
        return invalid("it is too long");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return invalid("unclosed bracket");
            };
            if address.parse::<Ipv6Addr>().is_err() {
                return invalid("not an IPv6 address");
            }
            (
                None,
                port.strip_prefix(':').or((!port.is_empty()).then_some("")),
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(authority), None),
        },
    };
    if host.is_some_and(|host| !is_host(host)) {
        return invalid("not a host name");
    }
    if port.is_some_and(|port| !is_port(port)) {
        return invalid("not a port");
    }
    Ok(())
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host.split('.').all(label)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit())
        && !port.starts_with('0')
        && port.parse::<u16>().is_ok()
}
