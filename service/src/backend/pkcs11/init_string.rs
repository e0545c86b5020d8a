//! `C_Initialize` with the string that some modules want.
//!
//! In: a context and perhaps a string. Out: an initialised module. NSS's softokn is told where its database is in
//! `pReserved`, which PKCS#11 v2.40 section 5.4 reserves and vendors use; `cryptoki` has no safe way to set it.

#![allow(unsafe_code, reason = "cryptoki takes pReserved as a raw pointer only")]

use std::ffi::CString;
use std::ptr::NonNull;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::Error;

/// Initialises the module, letting it lock by the operating system's means.
pub(super) fn initialise(context: &Pkcs11, init_string: Option<&str>) -> Result<(), Error> {
    let flags = CInitializeFlags::OS_LOCKING_OK;
    // A zero byte inside is refused with the configuration.
    let text = init_string.and_then(|text| CString::new(text).ok());
    let arguments = match text
        .as_deref()
        .and_then(|text| NonNull::new(text.as_ptr().cast_mut()))
    {
        // SAFETY: the text ends in a zero byte and outlives the call below, the only use of the arguments; a module that
        // needs it longer has to copy it, for `C_Initialize` gives the arguments back (PKCS#11 v2.40 section 5.4).
        Some(text) => unsafe { CInitializeArgs::new_with_reserved(flags, text.cast()) },
        None => CInitializeArgs::new(flags),
    };
    context.initialize(arguments)
}
