//! The certificate is for the key in the token, and that key is strong enough.

use sealkeep_profiles::algorithm::KeyType;

use super::{Case, Finding};

/// Least RSA modulus, bits (ETSI TS 119 312).
const RSA_BITS_MIN: u32 = 2_048;
/// Signature algorithms of issuers that rest on MD5 or SHA-1: RFC 4055 section 2.1, RFC 3279 sections 2.2.1 and 2.2.3.
const BROKEN_HASHES: [&str; 3] = [
    "1.2.840.113549.1.1.4",
    "1.2.840.113549.1.1.5",
    "1.2.840.10045.4.1",
];

pub(super) fn check(case: &Case<'_>, found: &mut Vec<Finding>) {
    let (leaf, version) = (case.leaf, case.candidate.version);
    let (issued, held) = (leaf.public_key().spki_sha256(), version.key.spki_sha256);
    if issued != held {
        let detail = format!("the certificate is for another key than {}", version.id);
        let seen = format!(
            "certificate {}, token {}",
            hex::encode(issued),
            hex::encode(held)
        );
        found.push(Finding::block("key.match", detail).seen(seen));
    }
    if let KeyType::Rsa { bits } = leaf.public_key().key_type()
        && bits < RSA_BITS_MIN
    {
        let detail = format!("RSA of less than {RSA_BITS_MIN} bits");
        found.push(
            case.strict("key.strength", detail)
                .seen(format!("{bits} bits")),
        );
    }
    for certificate in case.candidate.chain {
        let broken = certificate.signature_algorithm();
        let broken = broken.filter(|oid| BROKEN_HASHES.contains(&oid.as_str()));
        // The signature of a root by itself proves nothing and is not relied on.
        if let Some(oid) = broken.filter(|_| !certificate.is_self_issued()) {
            let seen = format!("{} signed by {oid}", certificate.subject().rfc2253());
            found.push(
                case.strict("key.strength", "signed over MD5 or SHA-1")
                    .seen(seen),
            );
        }
    }
    for other in &case.candidate.others {
        double(case, other, found);
    }
}

/// One certificate or one key in two versions: a freeze of one would leave the other signing.
fn double(
    case: &Case<'_>,
    other: &sealkeep_profiles::certificate::Certificate,
    found: &mut Vec<Finding>,
) {
    let leaf = case.leaf;
    let number = |c: &sealkeep_profiles::certificate::Certificate| {
        format!("serial {} of {}", c.serial_hex(), c.issuer().rfc2253())
    };
    let what = if other.sha256() == leaf.sha256() {
        "this certificate is installed in another version"
    } else if other.issuer() == leaf.issuer() && other.serial_hex() == leaf.serial_hex() {
        "another certificate has the same issuer and serial number"
    } else if other.public_key().spki_sha256() == leaf.public_key().spki_sha256() {
        "another version has a certificate for the same key"
    } else {
        return;
    };
    found.push(Finding::block("dup", what).seen(number(leaf)));
}
