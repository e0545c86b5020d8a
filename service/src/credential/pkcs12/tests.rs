//! Files as OpenSSL writes them, and as an attacker or an old tool would.

use std::path::Path;
use std::process::Command;

use rsa::pkcs8::der::asn1::Any;
use tempfile::TempDir;

use super::*;

const PASSWORD: &str = "correct horse";

fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(dir)
        .output()
        .expect("openssl is not installed");
    assert!(output.status.success(), "openssl {arguments}: {output:?}");
}

/// A key and a self-signed certificate in a folder of their own.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    openssl(
        dir.path(),
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout k.pem -out c.pem -subj /CN=t",
    );
    std::fs::write(dir.path().join("pass"), PASSWORD).unwrap();
    dir
}

/// What `openssl pkcs12 -export` makes with these flags.
fn exported(dir: &Path, flags: &str) -> Vec<u8> {
    let flags = format!("pkcs12 -export -passout file:pass -out out.p12 {flags}");
    openssl(dir, flags.trim_end());
    std::fs::read(dir.join("out.p12")).unwrap()
}

fn opened(file: &[u8]) -> Result<Contents, Pkcs12Error> {
    open(file, &SecretString::from(PASSWORD))
}

fn refusal(file: &[u8]) -> Pkcs12Error {
    opened(file).unwrap_err()
}

#[test]
fn opens_what_openssl_writes_today() {
    let dir = folder();
    openssl(
        dir.path(),
        "pkcs8 -topk8 -nocrypt -in k.pem -outform der -out k.der",
    );
    openssl(dir.path(), "x509 -in c.pem -outform der -out c.der");
    let (key, certificate) = (
        std::fs::read(dir.path().join("k.der")).unwrap(),
        std::fs::read(dir.path().join("c.der")).unwrap(),
    );
    for flags in [
        "",
        "-macalg sha512 -keypbe AES-128-CBC -certpbe AES-192-CBC",
        "-macalg sha1",
        "-certpbe NONE",
    ] {
        let file = exported(dir.path(), &format!("-inkey k.pem -in c.pem {flags}"));
        let contents = opened(&file).unwrap();
        assert_eq!(contents.key.as_slice(), key, "{flags}");
        assert_eq!(contents.certificates.len(), 1, "{flags}");
        assert_eq!(contents.certificates[0], certificate, "{flags}");
        assert!(!format!("{contents:?}").contains("48, 129"), "{contents:?}");
    }
}

#[test]
fn the_certificate_of_the_key_comes_first() {
    let dir = folder();
    openssl(
        dir.path(),
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout k2.pem -out ca.pem -subj /CN=ca",
    );
    let file = exported(dir.path(), "-inkey k.pem -in c.pem -certfile ca.pem");
    let contents = opened(&file).unwrap();
    assert_eq!(contents.certificates.len(), 2);
    openssl(dir.path(), "x509 -in c.pem -outform der -out c.der");
    let own = std::fs::read(dir.path().join("c.der")).unwrap();
    assert_eq!(contents.certificates[0], own);
}

#[test]
fn refuses_a_wrong_password_and_a_changed_file_alike() {
    let dir = folder();
    let file = exported(dir.path(), "-inkey k.pem -in c.pem");
    for wrong in ["", "Correct horse", "correct horse ", "\u{1f40e}"] {
        let refused = open(&file, &SecretString::from(wrong)).unwrap_err();
        assert_eq!(refused, Pkcs12Error::Password, "{wrong}");
    }
    // Within the second encryption, far from every length.
    let mut changed = file.clone();
    let at = file.len() * 2 / 3;
    changed[at] ^= 1;
    assert_eq!(refusal(&changed), Pkcs12Error::Password);
}

#[test]
fn refuses_ciphers_of_the_last_century_and_says_how_to_write_the_file_anew() {
    let dir = folder();
    for (flags, cipher) in [
        ("-legacy", "40-bit RC2"),
        (
            "-legacy -certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES",
            "3DES",
        ),
        ("-legacy -certpbe AES-256-CBC -keypbe PBE-SHA1-3DES", "3DES"),
        (
            "-legacy -certpbe PBE-SHA1-RC4-128 -keypbe AES-256-CBC",
            "128-bit RC4",
        ),
    ] {
        let file = exported(dir.path(), &format!("-inkey k.pem -in c.pem {flags}"));
        let refused = refusal(&file);
        assert_eq!(refused, Pkcs12Error::Legacy(cipher.to_owned()), "{flags}");
        assert!(refused.way_out().unwrap().contains("-legacy"));
    }
}

#[test]
fn refuses_files_without_key_without_certificate_and_with_a_key_in_the_clear() {
    let dir = folder();
    let path = dir.path();
    let no_key = exported(path, "-nokeys -in c.pem");
    assert_eq!(refusal(&no_key), Pkcs12Error::NoKey);
    let no_certificate = exported(path, "-nocerts -inkey k.pem -in c.pem");
    assert_eq!(refusal(&no_certificate), Pkcs12Error::NoCertificate);
    let clear = exported(path, "-keypbe NONE -inkey k.pem -in c.pem");
    assert_eq!(refusal(&clear), Pkcs12Error::Unencrypted);
    let no_mac = exported(path, "-nomac -inkey k.pem -in c.pem");
    assert_eq!(refusal(&no_mac).reason(), "PKCS12_MALFORMED");
}

/// The file with other safes, and a MAC that fits them.
fn resealed(file: &[u8], change: impl FnOnce(&mut Vec<ContentInfo>)) -> Vec<u8> {
    let mut pfx = Pfx::from_der(file).unwrap();
    let mut safes = Vec::<ContentInfo>::from_der(&octets(&pfx.auth_safe).unwrap()).unwrap();
    change(&mut safes);
    let safe = safes.to_der().unwrap();
    let mac = pfx.mac_data.as_mut().unwrap();
    let key = derive_key_utf8::<rsa::sha2::Sha256>(
        PASSWORD,
        mac.mac_salt.as_bytes(),
        Pkcs12KeyType::Mac,
        mac.iterations,
        32,
    );
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key.unwrap());
    let tag = ring::hmac::sign(&key, &safe);
    mac.mac.digest = OctetString::new(tag.as_ref()).unwrap();
    pfx.auth_safe.content = Any::encode_from(&OctetString::new(safe).unwrap()).unwrap();
    pfx.to_der().unwrap()
}

#[test]
fn refuses_to_choose_between_two_keys() {
    let dir = folder();
    let file = exported(dir.path(), "-inkey k.pem -in c.pem");
    assert!(opened(&resealed(&file, |_| ())).is_ok());
    let two = resealed(&file, |safes| {
        let keys = safes.last().unwrap().clone();
        safes.push(keys);
    });
    assert_eq!(refusal(&two), Pkcs12Error::SeveralKeys(2));
}

#[test]
fn refuses_more_certificates_than_a_chain_has() {
    let dir = folder();
    let file = exported(dir.path(), "-certpbe NONE -inkey k.pem -in c.pem");
    let many = resealed(&file, |safes| {
        let certificates = safes.first().unwrap().clone();
        safes.extend(std::iter::repeat_n(certificates, CERTIFICATES_MAX));
    });
    let count = CERTIFICATES_MAX + 1;
    assert_eq!(refusal(&many), Pkcs12Error::TooManyCertificates(count));
}

#[test]
fn refuses_what_is_no_pkcs12_without_a_panic() {
    let dir = folder();
    let file = exported(dir.path(), "-inkey k.pem -in c.pem");
    for length in 0..file.len() {
        assert_eq!(
            refusal(&file[..length]).reason(),
            "PKCS12_MALFORMED",
            "{length}"
        );
    }
    let pem = std::fs::read(dir.path().join("k.pem")).unwrap();
    assert!(matches!(refusal(&pem), Pkcs12Error::Malformed(_)));
    let large = vec![0x30; FILE_BYTES_MAX + 1];
    assert!(matches!(refusal(&large), Pkcs12Error::Malformed(_)));
}

#[test]
fn refuses_a_mac_that_would_be_computed_for_hours() {
    let dir = folder();
    let file = exported(dir.path(), "-inkey k.pem -in c.pem");
    for rounds in [i32::MAX, ROUNDS_MAX + 1, 0, -1] {
        let mut pfx = Pfx::from_der(&file).unwrap();
        pfx.mac_data.as_mut().unwrap().iterations = rounds;
        let refused = refusal(&pfx.to_der().unwrap());
        assert_eq!(refused.reason(), "PKCS12_MALFORMED", "{rounds}");
    }
}
