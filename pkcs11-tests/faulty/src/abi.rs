//! The 67 functions of the standard's list, as applications call them.
//!
//! In: C calls. Out: each as a [`Call`] with a way to the real module, handed to [`call::run`]. What a parameter is
//! stands in its name: `session`, `slot`, `object`, `mechanism`, and `out` with `out_length` are treated alike in
//! every function, so one table says all. `pass` functions go to the real module with slots and objects translated;
//! `own` functions are written by hand in [`own`].

#![allow(unsafe_code)]
#![allow(non_snake_case, clippy::too_many_arguments)] // The standard's names and lists of parameters.

use cryptoki_sys::*;

use crate::call::{self, Call, Output};
use crate::own;

/// What a rule may know about a function.
pub(crate) struct FunctionInfo {
    pub(crate) name: &'static str,
    /// It gives bytes whose length the caller can ask for first.
    pub(crate) has_output: bool,
}

#[rustfmt::skip]
macro_rules! c_type {
    (session) => { CK_SESSION_HANDLE };
    (slot) => { CK_SLOT_ID };
    (object) => { CK_OBJECT_HANDLE };
    (object2) => { CK_OBJECT_HANDLE };
    (mechanism) => { CK_MECHANISM_PTR };
    (mechanism_type) => { CK_MECHANISM_TYPE };
    (template) => { CK_ATTRIBUTE_PTR };
    (template2) => { CK_ATTRIBUTE_PTR };
    (count) => { CK_ULONG };
    (count2) => { CK_ULONG };
    (length) => { CK_ULONG };
    (length2) => { CK_ULONG };
    (bytes) => { CK_BYTE_PTR };
    (bytes2) => { CK_BYTE_PTR };
    (out) => { CK_BYTE_PTR };
    (out_length) => { CK_ULONG_PTR };
    (made) => { CK_OBJECT_HANDLE_PTR };
    (made2) => { CK_OBJECT_HANDLE_PTR };
    (pin) => { CK_UTF8CHAR_PTR };
    (pin2) => { CK_UTF8CHAR_PTR };
    (args) => { CK_VOID_PTR };
    (user) => { CK_USER_TYPE };
    (flags) => { CK_FLAGS };
    (flag) => { CK_BBOOL };
    (notify) => { CK_NOTIFY };
    (opened) => { CK_SESSION_HANDLE_PTR };
    (slots) => { CK_SLOT_ID_PTR };
    (mechanisms) => { CK_MECHANISM_TYPE_PTR };
    (info) => { CK_INFO_PTR };
    (slot_info) => { CK_SLOT_INFO_PTR };
    (token_info) => { CK_TOKEN_INFO_PTR };
    (session_info) => { CK_SESSION_INFO_PTR };
    (mechanism_info) => { CK_MECHANISM_INFO_PTR };
}

/// What the real module gets for a parameter.
macro_rules! to_real {
    ($shim:ident slot $value:ident) => {
        $shim.token.real_slot($value)
    };
    ($shim:ident object $value:ident) => {
        $shim.token.real_object($value)
    };
    ($shim:ident object2 $value:ident) => {
        $shim.token.real_object($value)
    };
    ($shim:ident $role:ident $value:ident) => {
        $value
    };
}

/// What is written down about a parameter before the call.
macro_rules! note {
    ($call:ident session $value:ident) => {
        $call.session = Some($value)
    };
    ($call:ident slot $value:ident) => {
        $call.slot = Some($value)
    };
    ($call:ident mechanism_type $value:ident) => {
        $call.mechanism = Some($value)
    };
    ($call:ident mechanism $value:ident) => {
        // SAFETY: null, or a CK_MECHANISM that the application owns during the call.
        $call.mechanism = unsafe { $value.as_ref() }.map(|mechanism| mechanism.mechanism)
    };
    ($call:ident out $value:ident) => {
        $call.output = Some(Output::new($value))
    };
    ($call:ident out_length $value:ident) => {
        if let Some(output) = &mut $call.output {
            output.length = $value
        }
    };
    ($call:ident $role:ident $value:ident) => {};
}

/// New objects get the handles that this module shows.
macro_rules! show {
    ($shim:ident $call:ident made $value:ident) => {
        // SAFETY: the real module has just written the handle there, and it is the application's to read.
        unsafe { $shim.token.show_new(&$shim.real, &$call, $value) }
    };
    ($shim:ident $call:ident made2 $value:ident) => {
        // SAFETY: as above.
        unsafe { $shim.token.show_new(&$shim.real, &$call, $value) }
    };
    ($shim:ident $call:ident $role:ident $value:ident) => {};
}

macro_rules! has_output {
    () => { false };
    (out $(, $rest:ident)*) => { true };
    ($first:ident $(, $rest:ident)*) => { has_output!($($rest),*) };
}

macro_rules! body {
    (own $name:ident $shim:ident $call:ident ($($role:ident),*)) => {
        // SAFETY: the same parameters, from the same caller, under the same rules.
        unsafe { own::$name($shim, $($role),*) }
    };
    (pass $name:ident $shim:ident $call:ident ($($role:ident),*)) => {{
        let Some(function) = $shim.real.list.$name else { return CKR_FUNCTION_NOT_SUPPORTED };
        // SAFETY: the function comes from the real module's list; the parameters are the application's, under the
        // same rules, with only numbers of slots and objects replaced.
        let rv = unsafe { function($(to_real!($shim $role $role)),*) };
        if rv == CKR_OK {
            $(show!($shim $call $role $role);)*
        }
        rv
    }};
}

macro_rules! functions {
    ($($kind:ident $name:ident($($role:ident),*);)*) => {
        /// Every function of the list but `C_GetFunctionList`.
        pub(crate) const FUNCTIONS: &[FunctionInfo] = &[
            $(FunctionInfo { name: stringify!($name), has_output: has_output!($($role),*) }),*
        ];

        mod entry {
            use super::*;
            $(
                /// # Safety
                /// As PKCS#11 says for the function of this name.
                pub(super) unsafe extern "C" fn $name($($role: c_type!($role)),*) -> CK_RV {
                    #[allow(unused_mut)]
                    let mut call = Call::of(stringify!($name));
                    $(note!(call $role $role);)*
                    call::run(&call, |shim| body!($kind $name shim call ($($role),*)))
                }
            )*
        }

        /// The list for applications: what the real module has, wrapped; what it lacks, lacking.
        pub(crate) fn wrap(real: &CK_FUNCTION_LIST) -> CK_FUNCTION_LIST {
            CK_FUNCTION_LIST {
                version: real.version,
                C_GetFunctionList: Some(crate::C_GetFunctionList),
                $($name: if real.$name.is_some() { Some(entry::$name) } else { None },)*
            }
        }
    };
}

#[rustfmt::skip]
functions! {
    own C_Initialize(args);
    own C_Finalize(args);
    pass C_GetInfo(info);
    own C_GetSlotList(flag, slots, out_length);
    pass C_GetSlotInfo(slot, slot_info);
    own C_GetTokenInfo(slot, token_info);
    own C_GetMechanismList(slot, mechanisms, out_length);
    pass C_GetMechanismInfo(slot, mechanism_type, mechanism_info);
    pass C_InitToken(slot, pin, length, pin2);
    pass C_InitPIN(session, pin, length);
    pass C_SetPIN(session, pin, length, pin2, length2);
    own C_OpenSession(slot, flags, args, notify, opened);
    own C_CloseSession(session);
    own C_CloseAllSessions(slot);
    pass C_GetSessionInfo(session, session_info);
    pass C_GetOperationState(session, out, out_length);
    pass C_SetOperationState(session, bytes, length, object, object2);
    own C_Login(session, user, pin, length);
    pass C_Logout(session);
    pass C_CreateObject(session, template, count, made);
    pass C_CopyObject(session, object, template, count, made);
    pass C_DestroyObject(session, object);
    pass C_GetObjectSize(session, object, out_length);
    own C_GetAttributeValue(session, object, template, count);
    pass C_SetAttributeValue(session, object, template, count);
    own C_FindObjectsInit(session, template, count);
    own C_FindObjects(session, made, count, out_length);
    own C_FindObjectsFinal(session);
    pass C_EncryptInit(session, mechanism, object);
    pass C_Encrypt(session, bytes, length, out, out_length);
    pass C_EncryptUpdate(session, bytes, length, out, out_length);
    pass C_EncryptFinal(session, out, out_length);
    pass C_DecryptInit(session, mechanism, object);
    pass C_Decrypt(session, bytes, length, out, out_length);
    pass C_DecryptUpdate(session, bytes, length, out, out_length);
    pass C_DecryptFinal(session, out, out_length);
    pass C_DigestInit(session, mechanism);
    pass C_Digest(session, bytes, length, out, out_length);
    pass C_DigestUpdate(session, bytes, length);
    pass C_DigestKey(session, object);
    pass C_DigestFinal(session, out, out_length);
    pass C_SignInit(session, mechanism, object);
    pass C_Sign(session, bytes, length, out, out_length);
    pass C_SignUpdate(session, bytes, length);
    pass C_SignFinal(session, out, out_length);
    pass C_SignRecoverInit(session, mechanism, object);
    pass C_SignRecover(session, bytes, length, out, out_length);
    pass C_VerifyInit(session, mechanism, object);
    pass C_Verify(session, bytes, length, bytes2, length2);
    pass C_VerifyUpdate(session, bytes, length);
    pass C_VerifyFinal(session, bytes, length);
    pass C_VerifyRecoverInit(session, mechanism, object);
    pass C_VerifyRecover(session, bytes, length, out, out_length);
    pass C_DigestEncryptUpdate(session, bytes, length, out, out_length);
    pass C_DecryptDigestUpdate(session, bytes, length, out, out_length);
    pass C_SignEncryptUpdate(session, bytes, length, out, out_length);
    pass C_DecryptVerifyUpdate(session, bytes, length, out, out_length);
    pass C_GenerateKey(session, mechanism, template, count, made);
    pass C_GenerateKeyPair(session, mechanism, template, count, template2, count2, made, made2);
    pass C_WrapKey(session, mechanism, object, object2, out, out_length);
    pass C_UnwrapKey(session, mechanism, object, bytes, length, template, count, made);
    pass C_DeriveKey(session, mechanism, object, template, count, made);
    pass C_SeedRandom(session, bytes, length);
    pass C_GenerateRandom(session, bytes, length);
    pass C_GetFunctionStatus(session);
    pass C_CancelFunction(session);
    pass C_WaitForSlotEvent(flags, slots, args);
}
