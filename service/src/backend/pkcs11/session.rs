//! A session, and the one call that `cryptoki` makes twice.
//!
//! In: a module's file. Out: signatures by one `C_SignInit` and one `C_Sign`. `cryptoki` 0.12 first asks for the length
//! of the signature with a `C_Sign` of its own, which costs a network HSM a second round trip; here the length is known
//! from the key. One of two `unsafe` files of the service: it calls `C_Sign` through the module's own function list
//! (PKCS#11 v2.40 sections 5.2, 5.4 and 5.11), after asking with `C_GetInfo` whether that list works.

#![allow(
    unsafe_code,
    reason = "cryptoki has no C_Sign with a buffer of the caller's"
)]

use std::ops::Deref;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use cryptoki::context::Function;
use cryptoki::error::{Error, Rv};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki_sys::{
    CK_BYTE, CK_INFO, CK_RV, CK_SESSION_HANDLE, CK_ULONG, CKR_CRYPTOKI_NOT_INITIALIZED,
};

use sealkeep_quirks::Effect;

use super::mechanism::SignInput;
use super::module::Module;
use super::recovery::Fault;

/// Room for a signature (bytes): RSA-4096, the longest there is. Tokens may ask for more than they write, so a
/// short signature gets the same room.
const SIGNATURE_BYTES_MAX: usize = 512;

type SignFunction = unsafe extern "C" fn(
    CK_SESSION_HANDLE,
    *mut CK_BYTE,
    CK_ULONG,
    *mut CK_BYTE,
    *mut CK_ULONG,
) -> CK_RV;

/// `C_Sign` of one module.
#[derive(Clone)]
pub(super) struct SignCall {
    function: SignFunction,
    /// Keeps the module loaded as long as the function may be called.
    _module: Arc<cryptoki_sys::Pkcs11>,
}

impl SignCall {
    /// Finds the function in a module that is initialised already. `None`: the module keeps a state for each function
    /// list it hands out (p11-kit's client does), so that the one of `cryptoki` is the only one that works.
    pub(super) fn of_module(file: &Path) -> Result<Option<Self>, Error> {
        // SAFETY: the file was loaded by `cryptoki` just before, so its initialisers have run: this only counts it again.
        let module = unsafe { cryptoki_sys::Pkcs11::new(file.as_os_str()) }
            .map_err(Error::LibraryLoading)?;
        let Ok(get_function_list) = module.C_GetFunctionList else {
            return Err(Error::MissingSymbol("C_GetFunctionList"));
        };
        let mut list = ptr::null_mut();
        // SAFETY: C_GetFunctionList may be called at any time and writes one pointer.
        let answer = unsafe { get_function_list(&raw mut list) };
        Rv::from(answer).into_result(Function::GetFunctionList)?;
        if list.is_null() {
            return Err(Error::NullFunctionPointer);
        }
        // SAFETY: the module answered CKR_OK, so the pointer denotes its list, which lives as long as the module.
        let (function, get_info) = unsafe { ((*list).C_Sign, (*list).C_GetInfo) };
        let (Some(function), Some(get_info)) = (function, get_info) else {
            return Err(Error::NullFunctionPointer);
        };
        let mut info = CK_INFO::default();
        // SAFETY: C_GetInfo fills the structure that it is given; before C_Initialize it only answers so.
        if unsafe { get_info(&raw mut info) } == CKR_CRYPTOKI_NOT_INITIALIZED {
            return Ok(None);
        }
        Ok(Some(Self {
            function,
            _module: Arc::new(module),
        }))
    }

    /// Ends an operation that `C_SignInit` began on this session.
    fn sign(&self, session: &Session, data: &[u8]) -> Result<Vec<u8>, Error> {
        let mut signature = vec![0_u8; SIGNATURE_BYTES_MAX];
        let mut length = CK_ULONG::try_from(signature.len())?;
        // SAFETY: the data is only read (PKCS#11 has no const), the signature has `length` bytes, both live through the
        // call, and the session is used by this thread alone.
        let answer = unsafe {
            (self.function)(
                session.handle(),
                data.as_ptr().cast_mut(),
                CK_ULONG::try_from(data.len())?,
                signature.as_mut_ptr(),
                &raw mut length,
            )
        };
        Rv::from(answer).into_result(Function::Sign)?;
        // A length beyond the room is a lie; what was not written is not a signature.
        signature.truncate(usize::try_from(length)?);
        Ok(signature)
    }
}

/// One session of the token.
pub(super) struct TokenSession {
    session: Session,
    sign: Option<SignCall>,
    /// Which login it belongs to: object handles found in it are of that one.
    pub(super) login: u64,
    /// The module fails on `CKA_ALLOWED_MECHANISMS` in a template.
    pub(super) omits_allowed_mechanisms: bool,
    /// The module fails on `CKA_COPYABLE` in a template.
    pub(super) omits_copyable: bool,
}

impl TokenSession {
    pub(super) fn new(session: Session, module: &Module, login: u64) -> Self {
        Self {
            session,
            sign: module.sign.clone(),
            login,
            omits_allowed_mechanisms: module.asks_for(Effect::OmitAllowedMechanisms),
            omits_copyable: module.asks_for(Effect::OmitCopyable),
        }
    }

    /// One `C_SignInit`, one `C_Sign` (two where the module keeps its function lists apart).
    pub(super) fn sign_once(&self, key: ObjectHandle, input: &SignInput) -> Result<Vec<u8>, Fault> {
        let Some(sign) = &self.sign else {
            return Ok(self.session.sign(&input.mechanism(), key, input.bytes())?);
        };
        self.session.sign_init(&input.mechanism(), key)?;
        Ok(sign.sign(&self.session, input.bytes())?)
    }

    /// `C_CloseSession`.
    pub(super) fn close(self) -> Result<(), Error> {
        self.session.close()
    }
}

impl Deref for TokenSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}
