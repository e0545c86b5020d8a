//! The names of PKCS#11 and their numbers, both ways: scripts and traces speak as the standard does.
//!
//! In: `CKR_DEVICE_ERROR` or a number. Out: the other. Names that are not here can be written as numbers (`"0x1041"`).

use cryptoki_sys::*;

macro_rules! names {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name)),*] };
}

/// Return codes (PKCS#11 v3.2 section 5.1).
#[rustfmt::skip]
const RETURN_CODES: &[(&str, CK_RV)] = names!(
    CKR_OK, CKR_CANCEL, CKR_HOST_MEMORY, CKR_SLOT_ID_INVALID, CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED,
    CKR_ARGUMENTS_BAD, CKR_NO_EVENT, CKR_NEED_TO_CREATE_THREADS, CKR_CANT_LOCK, CKR_ATTRIBUTE_READ_ONLY,
    CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID, CKR_ACTION_PROHIBITED,
    CKR_DATA_INVALID, CKR_DATA_LEN_RANGE, CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY, CKR_DEVICE_REMOVED,
    CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_AEAD_DECRYPT_FAILED, CKR_FUNCTION_CANCELED,
    CKR_FUNCTION_NOT_PARALLEL, CKR_FUNCTION_NOT_SUPPORTED, CKR_KEY_HANDLE_INVALID, CKR_KEY_SIZE_RANGE,
    CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_NOT_NEEDED, CKR_KEY_CHANGED, CKR_KEY_NEEDED, CKR_KEY_INDIGESTIBLE,
    CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_NOT_WRAPPABLE, CKR_KEY_UNEXTRACTABLE, CKR_MECHANISM_INVALID,
    CKR_MECHANISM_PARAM_INVALID, CKR_OBJECT_HANDLE_INVALID, CKR_OPERATION_ACTIVE,
    CKR_OPERATION_NOT_INITIALIZED, CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_EXPIRED,
    CKR_PIN_LOCKED, CKR_SESSION_CLOSED, CKR_SESSION_COUNT, CKR_SESSION_HANDLE_INVALID,
    CKR_SESSION_PARALLEL_NOT_SUPPORTED, CKR_SESSION_READ_ONLY, CKR_SESSION_EXISTS,
    CKR_SESSION_READ_ONLY_EXISTS, CKR_SESSION_READ_WRITE_SO_EXISTS, CKR_SIGNATURE_INVALID,
    CKR_SIGNATURE_LEN_RANGE, CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT, CKR_TOKEN_NOT_PRESENT,
    CKR_TOKEN_NOT_RECOGNIZED, CKR_TOKEN_WRITE_PROTECTED, CKR_UNWRAPPING_KEY_HANDLE_INVALID,
    CKR_UNWRAPPING_KEY_SIZE_RANGE, CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, CKR_USER_ALREADY_LOGGED_IN,
    CKR_USER_NOT_LOGGED_IN, CKR_USER_PIN_NOT_INITIALIZED, CKR_USER_TYPE_INVALID,
    CKR_USER_ANOTHER_ALREADY_LOGGED_IN, CKR_USER_TOO_MANY_TYPES, CKR_WRAPPED_KEY_INVALID,
    CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_WRAPPING_KEY_SIZE_RANGE,
    CKR_WRAPPING_KEY_TYPE_INCONSISTENT, CKR_RANDOM_SEED_NOT_SUPPORTED, CKR_RANDOM_NO_RNG,
    CKR_DOMAIN_PARAMS_INVALID, CKR_CURVE_NOT_SUPPORTED, CKR_BUFFER_TOO_SMALL, CKR_SAVED_STATE_INVALID,
    CKR_INFORMATION_SENSITIVE, CKR_STATE_UNSAVEABLE, CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_MUTEX_BAD, CKR_MUTEX_NOT_LOCKED, CKR_NEW_PIN_MODE, CKR_NEXT_OTP,
    CKR_EXCEEDED_MAX_ITERATIONS, CKR_FIPS_SELF_TEST_FAILED, CKR_LIBRARY_LOAD_FAILED, CKR_PIN_TOO_WEAK,
    CKR_PUBLIC_KEY_INVALID, CKR_FUNCTION_REJECTED, CKR_TOKEN_RESOURCE_EXCEEDED, CKR_OPERATION_CANCEL_FAILED,
    CKR_KEY_EXHAUSTED, CKR_PENDING, CKR_SESSION_ASYNC_NOT_SUPPORTED, CKR_SEED_RANDOM_REQUIRED,
    CKR_OPERATION_NOT_VALIDATED, CKR_TOKEN_NOT_INITIALIZED, CKR_PARAMETER_SET_NOT_SUPPORTED,
);

/// Mechanisms that a signing service meets.
#[rustfmt::skip]
const MECHANISMS: &[(&str, CK_MECHANISM_TYPE)] = names!(
    CKM_RSA_PKCS_KEY_PAIR_GEN, CKM_RSA_PKCS, CKM_RSA_X_509, CKM_RSA_PKCS_PSS, CKM_RSA_PKCS_OAEP,
    CKM_SHA1_RSA_PKCS, CKM_SHA256_RSA_PKCS, CKM_SHA384_RSA_PKCS, CKM_SHA512_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS,
    CKM_SHA384_RSA_PKCS_PSS, CKM_SHA512_RSA_PKCS_PSS, CKM_EC_KEY_PAIR_GEN, CKM_EC_EDWARDS_KEY_PAIR_GEN,
    CKM_ECDSA, CKM_ECDSA_SHA1, CKM_ECDSA_SHA256, CKM_ECDSA_SHA384, CKM_ECDSA_SHA512, CKM_EDDSA, CKM_MD5,
    CKM_SHA_1, CKM_SHA256,
);

/// What a token says about its PIN and its state (`CK_TOKEN_INFO`).
#[rustfmt::skip]
const TOKEN_FLAGS: &[(&str, CK_FLAGS)] = names!(
    CKF_WRITE_PROTECTED, CKF_LOGIN_REQUIRED, CKF_USER_PIN_INITIALIZED, CKF_TOKEN_INITIALIZED,
    CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED, CKF_USER_PIN_TO_BE_CHANGED,
);

/// # Errors
/// What is wrong with the word.
pub(crate) fn return_code(word: &str) -> Result<CK_RV, String> {
    number(word, RETURN_CODES, "return code")
}

/// # Errors
/// What is wrong with the word.
pub(crate) fn mechanism(word: &str) -> Result<CK_MECHANISM_TYPE, String> {
    number(word, MECHANISMS, "mechanism")
}

/// # Errors
/// What is wrong with the word.
pub(crate) fn token_flag(word: &str) -> Result<CK_FLAGS, String> {
    number(word, TOKEN_FLAGS, "token flag")
}

/// `CKR_OK`, or the number of a code that has no name here.
pub(crate) fn return_code_name(rv: CK_RV) -> String {
    name(rv, RETURN_CODES)
}

/// `CKM_ECDSA`, or the number of a mechanism that has no name here.
pub(crate) fn mechanism_name(mechanism: CK_MECHANISM_TYPE) -> String {
    name(mechanism, MECHANISMS)
}

fn number(word: &str, names: &[(&str, CK_ULONG)], what: &str) -> Result<CK_ULONG, String> {
    let known = names.iter().find(|(name, _)| *name == word);
    let hex = || CK_ULONG::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    known
        .map(|(_, number)| *number)
        .or_else(hex)
        .ok_or_else(|| {
            format!("{word:?} is no {what}: neither a name of PKCS#11 nor a number like 0x1041")
        })
}

fn name(number: CK_ULONG, names: &[(&str, CK_ULONG)]) -> String {
    let known = names.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| format!("{number:#x}"), |(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_and_numbers_are_one_to_one() {
        for (at, (name, number)) in RETURN_CODES.iter().enumerate() {
            assert!(
                RETURN_CODES[at + 1..]
                    .iter()
                    .all(|(_, other)| other != number),
                "{name}"
            );
            assert_eq!(return_code(name), Ok(*number));
            assert_eq!(return_code_name(*number), *name);
        }
    }

    #[test]
    fn numbers_stand_for_what_has_no_name() {
        assert_eq!(return_code("0x80000001").unwrap(), 0x8000_0001);
        assert_eq!(return_code_name(0x8000_0001), "0x80000001");
        for word in ["CKR_NO_SUCH", "ckr_ok", "48", "0x", "0xzz", ""] {
            let error = return_code(word).unwrap_err();
            assert!(error.contains("is no return code"), "{error}");
        }
    }
}
