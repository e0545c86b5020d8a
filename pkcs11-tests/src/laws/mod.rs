//! What any PKCS#11 module must keep for Sealkeep, as numbered laws.
//!
//! In: a [`Subject`]: a module, a token, its PIN. Out: for each law whether it is kept. A law knows nothing of the
//! module but that; what a module is known to do otherwise stands in the table of `sealkeep-quirks` and excuses it by
//! number.
//! Each law wants a process of its own, for it loads, finalizes and loads again (`pkcs11-laws` does so). It makes test
//! keys in the token and destroys them, never touches another object, and never tries a wrong PIN unless it may.

mod bench;
mod concurrency;
mod described;
mod identity;
mod life;
mod protection;
mod quirks;
mod report;
mod sessions;
mod signing;

use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use described::Described;
pub use quirks::{Exceptions, ExceptionsError};
pub use report::{Line, Report};

/// The module and token that are examined.
#[derive(Debug)]
pub struct Subject {
    /// File of the module.
    pub module: PathBuf,
    /// `CKA_LABEL` of the token.
    pub token_label: String,
    /// Its user PIN.
    pub pin: SecretString,
    /// What the module wants at `C_Initialize` (NSS: `configdir='sql:...'`).
    pub init_string: Option<String>,
    /// A wrong PIN may be tried once.
    pub may_try_wrong_pin: bool,
}

/// One thing that a module must keep.
#[derive(Clone, Copy)]
pub struct Law {
    /// Never given to another law.
    pub number: u16,
    /// What must hold.
    pub says: &'static str,
    /// Where PKCS#11 v2.40 (base specification or mechanisms) says so.
    pub clause: &'static str,
    /// What Sealkeep relies on it for.
    pub needed_for: &'static str,
    check: fn(&Subject) -> Verdict,
}

/// How a module stands to one law.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "finding", content = "detail")]
pub enum Finding {
    /// It holds.
    Kept,
    /// It does not, and this is what was seen.
    Broken(String),
    /// The module does not offer what the law is about, or may not be asked.
    NotApplicable(String),
}

/// Inside a law: everything but "kept" ends it at once.
type Verdict = Result<(), Finding>;

impl Law {
    /// Puts the module to the test.
    pub fn check(&self, subject: &Subject) -> Finding {
        match (self.check)(subject) {
            Ok(()) => Finding::Kept,
            Err(finding) => finding,
        }
    }

    /// The law with this number.
    pub fn numbered(number: u16) -> Option<&'static Self> {
        LAWS.iter().find(|law| law.number == number)
    }
}

impl From<cryptoki::error::Error> for Finding {
    fn from(error: cryptoki::error::Error) -> Self {
        Self::Broken(match error {
            cryptoki::error::Error::Pkcs11(rv, function) => {
                format!("C_{function:?} answered {}", bench::name(&rv))
            }
            other => other.to_string(),
        })
    }
}

/// Ends a law as broken unless something holds.
fn hold(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds {
        Ok(())
    } else {
        Err(Finding::Broken(otherwise()))
    }
}

macro_rules! laws {
    ($($number:literal $check:path, $says:literal, $clause:literal, $needed_for:literal;)*) => {
        /// All laws, in the order in which they are tried.
        pub const LAWS: &[Law] = &[$(Law {
            number: $number,
            says: $says,
            clause: $clause,
            needed_for: $needed_for,
            check: $check,
        }),*];
    };
}

#[rustfmt::skip]
laws! {
    1 identity::one_token_has_the_label, "exactly one initialised token has the label", "5.5", "finding the token without its slot number";
    2 identity::token_says_who_it_is, "the token has a serial number and a manufacturer, and says that it wants a login", "3.2", "telling a token from its clone";
    3 identity::mechanisms_are_told_honestly, "every mechanism listed can be asked about", "5.5", "knowing what works before a key is made";
    4 identity::what_is_not_listed_is_refused, "a mechanism that is not listed is refused, and the process lives", "5.11", "a clear error for a scheme that a token lacks";

    10 sessions::login_is_shared, "one login serves every session, opened before it or after", "5.6", "one login, many signing threads";
    11 sessions::second_login_is_told, "a second login answers CKR_USER_ALREADY_LOGGED_IN and breaks nothing", "5.6", "two parts of a process on one token";
    12 sessions::closing_one_session_keeps_the_login, "the login lasts while one session is open", "5.6", "the anchor session";
    13 sessions::closing_the_last_session_ends_the_login, "the login ends with the last session", "5.6", "nothing signs after the end";
    14 sessions::private_keys_hide_without_login, "private keys are not found without a login", "4.4", "\"not found\" means nothing without a login";
    15 sessions::an_open_operation_stays_in_its_session, "an operation or an error in one session does not touch another", "5.6", "discarding one session is enough";
    16 sessions::wrong_pin_is_told_as_such, "a wrong PIN answers CKR_PIN_INCORRECT, and the right one works after it", "5.6", "latching on a wrong PIN and on nothing else";

    20 protection::generated_key_is_protected, "a generated key reads back as sensitive, never extractable, local", "4.9", "evidence that a key was born in the token";
    21 protection::value_never_leaves, "the value of a private key cannot be read", "4.9", "keys that stay in the token";
    22 protection::protection_cannot_be_taken_back, "a sensitive key cannot be made readable later", "4.9", "evidence that stays true";
    23 protection::allowed_mechanisms_are_kept, "CKA_ALLOWED_MECHANISMS is enforced", "4.7", "a second lock behind our own choice of mechanism";
    24 protection::id_finds_exactly_one_pair, "an object is found by its CKA_ID, and an unknown id finds nothing", "4.4", "finding a key again";
    25 protection::destroyed_key_is_gone, "a destroyed key is not found and does not sign", "5.7", "an end of a key's life";

    30 signing::p256_signs_r_and_s_of_fixed_width, "CKM_ECDSA over P-256 gives r || s of 64 bytes, always", "mechanisms 2.3.1", "JOSE and HTTP signatures without guessing";
    31 signing::p384_signs_r_and_s_of_fixed_width, "CKM_ECDSA over P-384 gives r || s of 96 bytes", "mechanisms 2.3.1", "JOSE and HTTP signatures without guessing";
    32 signing::ec_point_is_a_der_octet_string, "CKA_EC_POINT of the public key is a DER OCTET STRING", "mechanisms 2.3.3", "pinning the public key";
    33 signing::rsa_pkcs1_signs_a_digest_info, "CKM_RSA_PKCS over a DigestInfo is a PKCS#1 v1.5 signature", "mechanisms 2.1.6", "RS256";
    34 signing::rsa_pss_signs_a_digest, "CKM_RSA_PKCS_PSS over a digest is a PSS signature", "mechanisms 2.1.10", "PS256 and TLS 1.3";
    35 concurrency::threads_sign_side_by_side, "four threads with a session each sign at the same time, each with its key", "5.4", "throughput without mixed up keys";
    36 signing::handle_is_good_in_every_session, "a handle denotes the same key in every session of a login", "4.4", "one search for all signing threads";
    37 concurrency::making_a_key_does_not_stop_signatures, "signatures go on while another session makes an RSA key", "5.4", "renewing a certificate without an outage";

    40 life::end_is_an_end, "after C_Finalize every call answers CKR_CRYPTOKI_NOT_INITIALIZED", "5.4", "recovery without a new process";
    41 life::module_starts_again, "after C_Finalize and C_Initialize nobody is logged in, and keys are found again by id", "5.4", "recovery without a new process";
    42 life::second_initialise_is_told, "a second C_Initialize, also through a second C_GetFunctionList, answers CKR_CRYPTOKI_ALREADY_INITIALIZED", "5.4", "two parts of a process on one module";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_stands_for_one_law() {
        assert!(LAWS.windows(2).all(|pair| pair[0].number < pair[1].number));
    }
}
