//! The real module, and the few questions this one asks it on its own.
//!
//! In: a path; sessions and handles of the real module. Out: its function list; answers as Rust values.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::path::Path;
use std::ptr;

use cryptoki_sys::*;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

/// For [`Real::slots`]: only slots that hold a token.
pub(crate) const WITH_TOKEN: CK_BBOOL = CK_TRUE;
/// Handles that are asked for at a time.
const HANDLES_AT_A_TIME: usize = 64;
/// Longest attribute that is read (bytes): an id, or a number.
const ATTRIBUTE_BYTES_MAX: usize = 256;

/// A loaded module.
pub(crate) struct Real {
    pub(crate) list: CK_FUNCTION_LIST,
    /// The functions live as long as it does.
    _library: Library,
}

/// Calls a function of the list, if it is there.
macro_rules! ask {
    ($real:ident.$name:ident($($argument:expr),*)) => {
        match $real.list.$name {
            // SAFETY: the function comes from the module's own list; pointers are to values of this frame, with
            // lengths that are theirs.
            Some(function) => unsafe { function($($argument),*) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    };
}

impl Real {
    /// # Errors
    /// What the loader said, or that the file is no PKCS#11 module.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let told = |problem: &dyn std::fmt::Display| format!("{}: {problem}", path.display());
        // SAFETY: running the initialisers of a library is what loading a PKCS#11 module means; the test chose it.
        let library =
            unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|e| told(&e))?;
        type GetFunctionList = unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV;
        // SAFETY: PKCS#11 gives the symbol this type.
        let get = unsafe { library.get::<GetFunctionList>(b"C_GetFunctionList\0") }
            .map_err(|e| told(&e))?;
        let mut list = ptr::null_mut();
        // SAFETY: a place for one pointer, as the function wants.
        let rv = unsafe { get(&mut list) };
        // SAFETY: after CKR_OK the list belongs to the library, which stays loaded.
        match unsafe { list.as_ref() } {
            Some(list) if rv == CKR_OK => Ok(Self {
                list: *list,
                _library: library,
            }),
            _ => Err(told(&format!("C_GetFunctionList answered {rv:#x}"))),
        }
    }

    pub(crate) fn logout(&self, session: CK_SESSION_HANDLE) {
        ask!(self.C_Logout(session));
    }

    pub(crate) fn close_all_sessions(&self, slot: CK_SLOT_ID) {
        ask!(self.C_CloseAllSessions(slot));
    }

    /// # Errors
    /// The return code.
    pub(crate) fn slots(&self, with_token: CK_BBOOL) -> Result<Vec<CK_SLOT_ID>, CK_RV> {
        two_calls(|slots, count| ask!(self.C_GetSlotList(with_token, slots, count)))
    }

    /// # Errors
    /// The return code.
    pub(crate) fn mechanisms(&self, slot: CK_SLOT_ID) -> Result<Vec<CK_MECHANISM_TYPE>, CK_RV> {
        two_calls(|list, count| ask!(self.C_GetMechanismList(slot, list, count)))
    }

    /// # Errors
    /// The return code.
    pub(crate) fn token_info(&self, slot: CK_SLOT_ID) -> Result<CK_TOKEN_INFO, CK_RV> {
        let mut info = CK_TOKEN_INFO::default();
        code(ask!(self.C_GetTokenInfo(slot, &mut info)))?;
        Ok(info)
    }

    /// A whole search: it leaves no search open.
    ///
    /// # Errors
    /// The return code.
    pub(crate) fn search(
        &self,
        session: CK_SESSION_HANDLE,
        template: &mut [CK_ATTRIBUTE],
    ) -> Result<Vec<CK_OBJECT_HANDLE>, CK_RV> {
        let count = CK_ULONG::try_from(template.len()).map_err(|_| CKR_ARGUMENTS_BAD)?;
        code(ask!(self.C_FindObjectsInit(
            session,
            template.as_mut_ptr(),
            count
        )))?;
        let mut found = Vec::new();
        let outcome = loop {
            let mut some = [CK_INVALID_HANDLE; HANDLES_AT_A_TIME];
            let mut count = 0;
            let rv = ask!(self.C_FindObjects(
                session,
                some.as_mut_ptr(),
                HANDLES_AT_A_TIME as CK_ULONG,
                &mut count
            ));
            let count = usize::try_from(count).unwrap_or(0).min(HANDLES_AT_A_TIME);
            found.extend_from_slice(&some[..count]);
            if rv != CKR_OK || count == 0 {
                break code(rv);
            }
        };
        ask!(self.C_FindObjectsFinal(session));
        outcome.map(|()| found)
    }

    /// One attribute; `None` if the object has none, or none that may be seen.
    pub(crate) fn attribute(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        attribute: CK_ATTRIBUTE_TYPE,
    ) -> Option<Vec<u8>> {
        let mut value = [0u8; ATTRIBUTE_BYTES_MAX];
        let mut template = CK_ATTRIBUTE {
            type_: attribute,
            pValue: value.as_mut_ptr().cast::<c_void>(),
            ulValueLen: ATTRIBUTE_BYTES_MAX as CK_ULONG,
        };
        let rv = ask!(self.C_GetAttributeValue(session, object, &mut template, 1));
        let length = usize::try_from(template.ulValueLen).ok()?;
        (rv == CKR_OK)
            .then(|| value.get(..length).map(<[u8]>::to_vec))
            .flatten()
    }
}

/// How PKCS#11 gives lists: first the length, then the values (v2.40 section 5.2).
fn two_calls<T: Copy + Default>(
    call: impl Fn(*mut T, *mut CK_ULONG) -> CK_RV,
) -> Result<Vec<T>, CK_RV> {
    let mut count = 0;
    code(call(ptr::null_mut(), &mut count))?;
    let mut values = vec![T::default(); usize::try_from(count).map_err(|_| CKR_GENERAL_ERROR)?];
    code(call(values.as_mut_ptr(), &mut count))?;
    values.truncate(usize::try_from(count).unwrap_or(0));
    Ok(values)
}

fn code(rv: CK_RV) -> Result<(), CK_RV> {
    if rv == CKR_OK { Ok(()) } else { Err(rv) }
}
