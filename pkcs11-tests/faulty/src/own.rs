//! The functions that show another token than the real one.
//!
//! In: the parameters of the standard. Out: the real module's answer, changed as `[token]` in the script says: other
//! slots, a clone, hidden mechanisms, a PIN that locks, too few sessions, hidden or swapped ids.

#![allow(unsafe_code)]
#![allow(non_snake_case)] // The standard's names.

use std::fs;
use std::sync::Arc;

use cryptoki_sys::*;

use crate::call::SCRIPT_INVALID;
use crate::rules::Version;
use crate::script::{TokenFlag, TokenView};
use crate::shim::{self, Shim};
use crate::token::{self, Token};

/// Calls the real function of this name, if it is there.
macro_rules! real {
    ($shim:ident.$name:ident($($argument:expr),*)) => {
        match $shim.real.list.$name {
            // SAFETY: the parameters are the application's, under the same rules.
            Some(function) => unsafe { function($($argument),*) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    };
}

/// The present script, or the answer of a call that has none.
macro_rules! version {
    ($shim:ident) => {
        match $shim.source.current() {
            Some(version) => version,
            None => return SCRIPT_INVALID,
        }
    };
}

pub(crate) unsafe fn C_Initialize(shim: &Shim, args: CK_VOID_PTR) -> CK_RV {
    let rv = real!(shim.C_Initialize(args));
    if rv == CKR_OK {
        shim.token.initialised();
    }
    rv
}

pub(crate) unsafe fn C_Finalize(shim: &Shim, args: CK_VOID_PTR) -> CK_RV {
    real!(shim.C_Finalize(args))
}

pub(crate) unsafe fn C_GetSlotList(
    shim: &Shim,
    flag: CK_BBOOL,
    slots: CK_SLOT_ID_PTR,
    out_length: CK_ULONG_PTR,
) -> CK_RV {
    let version = version!(shim);
    let view = &version.script.token;
    let real = match shim.real.slots(flag) {
        Ok(real) => real,
        Err(rv) => return rv,
    };
    let mut shown = Vec::new();
    for slot in real {
        shown.push(shim.token.shown_slot(slot, view));
        let initialised = || {
            shim.real
                .token_info(slot)
                .is_ok_and(|info| info.flags & CKF_TOKEN_INITIALIZED != 0)
        };
        if view.clone_serial.is_some() && initialised() {
            shown.push(Token::clone_slot(shim.token.shown_slot(slot, view)));
        }
    }
    // SAFETY: the standard's pair of buffer and length.
    unsafe { give(&shown, slots, out_length) }
}

pub(crate) unsafe fn C_GetTokenInfo(
    shim: &Shim,
    slot: CK_SLOT_ID,
    token_info: CK_TOKEN_INFO_PTR,
) -> CK_RV {
    let version = version!(shim);
    let view = &version.script.token;
    let rv = real!(shim.C_GetTokenInfo(shim.token.real_slot(slot), token_info));
    // SAFETY: after CKR_OK the real module has filled it in.
    let Some(info) = (unsafe { token_info.as_mut() }).filter(|_| rv == CKR_OK) else {
        return rv;
    };
    let serial = if Token::is_clone(slot) {
        &view.clone_serial
    } else {
        &view.serial
    };
    if let Some(serial) = serial {
        info.serialNumber = serial.0;
    }
    info.flags |= pin_flags(shim, view) | flags(&view.flags_set);
    info.flags &= !flags(&view.flags_clear);
    rv
}

pub(crate) unsafe fn C_GetMechanismList(
    shim: &Shim,
    slot: CK_SLOT_ID,
    mechanisms: CK_MECHANISM_TYPE_PTR,
    out_length: CK_ULONG_PTR,
) -> CK_RV {
    let version = version!(shim);
    let hidden = &version.script.token.hide_mechanisms;
    match shim.real.mechanisms(shim.token.real_slot(slot)) {
        Ok(mut list) => {
            list.retain(|mechanism| hidden.iter().all(|hidden| hidden.0 != *mechanism));
            // SAFETY: the standard's pair of buffer and length.
            unsafe { give(&list, mechanisms, out_length) }
        }
        Err(rv) => rv,
    }
}

pub(crate) unsafe fn C_OpenSession(
    shim: &Shim,
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    args: CK_VOID_PTR,
    notify: CK_NOTIFY,
    opened: CK_SESSION_HANDLE_PTR,
) -> CK_RV {
    let version = version!(shim);
    let view = &version.script.token;
    if view.read_only && flags & CKF_RW_SESSION != 0 {
        return CKR_TOKEN_WRITE_PROTECTED;
    }
    if view
        .sessions_max
        .is_some_and(|most| shim.watch.open_sessions() >= most)
    {
        return CKR_SESSION_COUNT;
    }
    let rv = real!(shim.C_OpenSession(shim.token.real_slot(slot), flags, args, notify, opened));
    // SAFETY: after CKR_OK the real module has written the handle there.
    if let Some(session) = (unsafe { opened.as_ref() }).filter(|_| rv == CKR_OK) {
        shim.watch.opened(*session, slot);
    }
    rv
}

pub(crate) unsafe fn C_CloseSession(shim: &Shim, session: CK_SESSION_HANDLE) -> CK_RV {
    shim.token.end_search(session);
    let rv = real!(shim.C_CloseSession(session));
    shim.watch.closed(session);
    rv
}

pub(crate) unsafe fn C_CloseAllSessions(shim: &Shim, slot: CK_SLOT_ID) -> CK_RV {
    let rv = real!(shim.C_CloseAllSessions(shim.token.real_slot(slot)));
    if rv == CKR_OK {
        shim.watch.closed_all(slot);
    }
    rv
}

pub(crate) unsafe fn C_Login(
    shim: &Shim,
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: CK_UTF8CHAR_PTR,
    length: CK_ULONG,
) -> CK_RV {
    let version = version!(shim);
    let most = version
        .script
        .token
        .pin_tries_max
        .filter(|_| user == CKU_USER);
    if most.is_some_and(|most| wrong_pins(shim) >= most) {
        return CKR_PIN_LOCKED;
    }
    let rv = real!(shim.C_Login(session, user, pin, length));
    match rv {
        CKR_PIN_INCORRECT if most.is_some() => remember_wrong_pins(shim, wrong_pins(shim) + 1),
        CKR_OK => {
            if most.is_some() {
                remember_wrong_pins(shim, 0);
            }
            know_all_objects(shim, &version, session);
        }
        _ => {}
    }
    rv
}

pub(crate) unsafe fn C_GetAttributeValue(
    shim: &Shim,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: CK_ATTRIBUTE_PTR,
    count: CK_ULONG,
) -> CK_RV {
    let version = version!(shim);
    let rv =
        real!(shim.C_GetAttributeValue(session, shim.token.real_object(object), template, count));
    if rv == CKR_OK && version.script.token.changes_objects() {
        // SAFETY: after CKR_OK every attribute of the template has its value, in the application's memory.
        for attribute in unsafe { attributes(template, count) } {
            // SAFETY: as above.
            if let Some(id) = unsafe { id_in(attribute) } {
                let shown = version.script.token.shown_id(id);
                // Ids that stand for each other have the same length: the script is refused otherwise.
                if let Some(shown) = shown.filter(|shown| shown.len() == id.len()) {
                    id.copy_from_slice(&shown);
                }
            }
        }
    }
    rv
}

pub(crate) unsafe fn C_FindObjectsInit(
    shim: &Shim,
    session: CK_SESSION_HANDLE,
    template: CK_ATTRIBUTE_PTR,
    count: CK_ULONG,
) -> CK_RV {
    let version = version!(shim);
    let view = &version.script.token;
    if !view.changes_objects() {
        return real!(shim.C_FindObjectsInit(session, template, count));
    }
    let (mut others, mut wanted) = (Vec::new(), None);
    // SAFETY: the template is the application's, and it does not change it during the call.
    for attribute in unsafe { attributes(template, count) } {
        // SAFETY: as above.
        match unsafe { id_in(attribute) } {
            Some(id) => wanted = Some(id.to_vec()),
            None => others.push(*attribute),
        }
    }
    let found = match shim.real.search(session, &mut others) {
        Ok(found) => found,
        Err(rv) => return rv,
    };
    let mut shown = Vec::new();
    for object in found {
        let identity = token::identity(&shim.real, session, object);
        let id = view.shown_id(&identity.id);
        let handle = shim.token.shown_object(object, Some(identity));
        if id.is_some_and(|id| wanted.as_ref().is_none_or(|wanted| *wanted == id)) {
            shown.push(handle);
        }
    }
    shim.token.begin_search(session, shown.into());
    CKR_OK
}

pub(crate) unsafe fn C_FindObjects(
    shim: &Shim,
    session: CK_SESSION_HANDLE,
    made: CK_OBJECT_HANDLE_PTR,
    count: CK_ULONG,
    out_length: CK_ULONG_PTR,
) -> CK_RV {
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let Some(results) = shim.token.next_results(session, most) else {
        return real!(shim.C_FindObjects(session, made, count, out_length));
    };
    let mut room = count;
    // SAFETY: `made` has room for `count` handles, and there are no more results than that.
    let rv = unsafe { give(&results, made, &mut room) };
    // SAFETY: null, or the application's place for the number of results.
    match unsafe { out_length.as_mut() } {
        Some(length) => *length = room,
        None => return CKR_ARGUMENTS_BAD,
    }
    rv
}

pub(crate) unsafe fn C_FindObjectsFinal(shim: &Shim, session: CK_SESSION_HANDLE) -> CK_RV {
    if shim.token.end_search(session) {
        CKR_OK
    } else {
        real!(shim.C_FindObjectsFinal(session))
    }
}

/// So that old handles denote what the script wants as soon as somebody is logged in again, not only once they are
/// searched for: that is when they do harm.
fn know_all_objects(shim: &Shim, version: &Arc<Version>, session: CK_SESSION_HANDLE) {
    if version.script.token.changes_objects() {
        for object in shim.real.search(session, &mut []).unwrap_or_default() {
            shim.token
                .shown_object(object, Some(token::identity(&shim.real, session, object)));
        }
    }
}

fn flags(flags: &[TokenFlag]) -> CK_FLAGS {
    flags.iter().fold(0, |all, flag| all | flag.0)
}

/// What a token says that counts wrong PINs (PKCS#11 v2.40 section 3.2).
fn pin_flags(shim: &Shim, view: &TokenView) -> CK_FLAGS {
    match (view.pin_tries_max, wrong_pins(shim)) {
        (None, _) | (Some(_), 0) => 0,
        (Some(most), wrong) if wrong >= most => CKF_USER_PIN_LOCKED,
        (Some(most), wrong) if wrong + 1 == most => CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY,
        _ => CKF_USER_PIN_COUNT_LOW,
    }
}

/// Kept in a file: a token remembers wrong PINs over restarts of whoever tries them.
fn wrong_pins(shim: &Shim) -> u32 {
    let text = shim
        .source
        .beside("pins")
        .and_then(|path| fs::read_to_string(path).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn remember_wrong_pins(shim: &Shim, count: u32) {
    let Some(path) = shim.source.beside("pins") else {
        return;
    };
    if let Err(error) = fs::write(&path, format!("{count}\n")) {
        shim::complain(&format!("{}: {error}", path.display()));
    }
}

/// Gives a list as PKCS#11 does: its length alone, too small a buffer, or all of it (v2.40 section 5.2).
///
/// # Safety
/// `out` is null or has room for `*length` values; `length` is null or may be written.
unsafe fn give<T: Copy>(values: &[T], out: *mut T, length: CK_ULONG_PTR) -> CK_RV {
    // SAFETY: as the caller says.
    let Some(length) = (unsafe { length.as_mut() }) else {
        return CKR_ARGUMENTS_BAD;
    };
    let room = usize::try_from(*length).unwrap_or(usize::MAX);
    *length = values.len() as CK_ULONG;
    if out.is_null() {
        return CKR_OK;
    }
    if room < values.len() {
        return CKR_BUFFER_TOO_SMALL;
    }
    // SAFETY: there is room for them, and our list is not the application's.
    unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), out, values.len()) };
    CKR_OK
}

/// # Safety
/// `template` is null or an array of `count` attributes.
unsafe fn attributes<'a>(template: CK_ATTRIBUTE_PTR, count: CK_ULONG) -> &'a mut [CK_ATTRIBUTE] {
    match usize::try_from(count) {
        // SAFETY: as the caller says.
        Ok(count) if !template.is_null() => unsafe {
            std::slice::from_raw_parts_mut(template, count)
        },
        _ => &mut [],
    }
}

/// The bytes of a `CKA_ID`.
///
/// # Safety
/// The attribute is complete: its value has as many bytes as it says.
unsafe fn id_in(attribute: &mut CK_ATTRIBUTE) -> Option<&mut [u8]> {
    if attribute.type_ != CKA_ID || attribute.pValue.is_null() {
        return None;
    }
    let length = usize::try_from(attribute.ulValueLen).ok()?;
    // SAFETY: as the caller says.
    Some(unsafe { std::slice::from_raw_parts_mut(attribute.pValue.cast::<u8>(), length) })
}
