//! `p11fault`: a PKCS#11 module that wraps another one and breaks it on a script.
//!
//! In: the calls of an application, which loads this file as its module. Out: the answers of the real module, but for
//! what the script breaks; a trace of every call; a complaint for every rule of PKCS#11 that the application breaks
//! itself. It never writes a PIN, a digest, a signature or an attribute's value anywhere.
//!
//! | variable | |
//! |---|---|
//! | `P11FAULT_MODULE` | the real module |
//! | `P11FAULT_SCRIPT` | a TOML file (`pkcs11-tests/README.md` shows one); read again whenever it changes; none: nothing is broken |
//! | `P11FAULT_TRACE` | JSON lines are appended to this file |
//!
//! ```text
//! application -> abi (67 functions) -> call (watch, rules, trace) -> token (what it looks like) -> real module
//! ```
//!
//! It exports `C_GetFunctionList` alone, so that applications of PKCS#11 v2.40 and v3.x take the same list.

mod abi;
mod call;
mod escape;
mod handles;
mod names;
mod own;
mod real;
mod rules;
mod script;
mod shim;
mod source;
mod token;
mod trace;
mod watch;

use cryptoki_sys::{CK_FUNCTION_LIST, CK_RV, CKR_ARGUMENTS_BAD, CKR_GENERAL_ERROR, CKR_OK};

/// Gives the application the wrapped functions (PKCS#11 v2.40 section 5.4). The real module is loaded here.
///
/// # Safety
/// As the standard says: `list` is null or a place for one pointer.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    let Some(shim) = shim::get() else {
        return CKR_GENERAL_ERROR;
    };
    // SAFETY: the caller says that `list` takes a pointer. The list behind it is in a static and never changes; the
    // standard gives applications a pointer to mutable and forbids them to use it as one.
    unsafe { *list = std::ptr::from_ref(&shim.list).cast_mut() };
    CKR_OK
}
