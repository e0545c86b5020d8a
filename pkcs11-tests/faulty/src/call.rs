//! The way of one call through the module.
//!
//! In: what the application calls, and how to ask the real module. Out: the return code it gets. In this order: the
//! script is read again if it changed, the watch looks for broken rules of the application, the rules of the script
//! break the call, the real module works, its answer is spoilt, and one line goes to the trace.

use std::ptr;
use std::time::Duration;

use cryptoki_sys::*;

use crate::rules::Version;
use crate::script::{Action, Death, OutputFault, When};
use crate::shim::{self, Shim};

/// What every call answers while the script cannot be read: a code that no module uses.
pub(crate) const SCRIPT_INVALID: CK_RV = CKR_VENDOR_DEFINED | 0x5ea1;
/// How long an output is said to be by `output = "lying_length"` (bytes).
pub(crate) const LYING_LENGTH_BYTES: CK_ULONG = 1 << (CK_ULONG::BITS - 24);
/// How often a hanging call looks whether the script was replaced (milliseconds).
const HANG_POLL_MS: u64 = 2;

/// One call, without anything secret.
pub(crate) struct Call {
    pub(crate) function: &'static str,
    pub(crate) session: Option<CK_SESSION_HANDLE>,
    pub(crate) slot: Option<CK_SLOT_ID>,
    pub(crate) mechanism: Option<CK_MECHANISM_TYPE>,
    pub(crate) output: Option<Output>,
}

/// Where a call puts its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    bytes: CK_BYTE_PTR,
    pub(crate) length: CK_ULONG_PTR,
}

impl Call {
    pub(crate) const fn of(function: &'static str) -> Self {
        Self {
            function,
            session: None,
            slot: None,
            mechanism: None,
            output: None,
        }
    }

    /// Whether it asks for the length of its output only.
    pub(crate) fn is_length_query(&self) -> bool {
        self.output.is_some_and(|output| output.bytes.is_null())
    }

    /// Works before and after the module's life, and ends or begins it.
    fn is_about_life(&self) -> bool {
        matches!(self.function, "C_Initialize" | "C_Finalize")
    }
}

/// Runs one call. `work` asks the real module.
pub(crate) fn run(call: &Call, work: impl FnOnce(&Shim) -> CK_RV) -> CK_RV {
    let Some(shim) = shim::get() else {
        return CKR_GENERAL_ERROR;
    };
    let Some(version) = shim.source.current() else {
        return SCRIPT_INVALID;
    };
    let started = shim.trace.clock();
    let watched = &version.script.watch;
    shim.watch.enter(call, watched, &shim.trace);
    let actions = version.decide(call);
    let rv = answer(shim, &version, call, &actions, work);
    shim.watch.leave(call, rv, &shim.trace);
    shim.trace.call(call, rv, started, &actions);
    rv
}

fn answer(
    shim: &Shim,
    version: &Version,
    call: &Call,
    actions: &[Action],
    work: impl FnOnce(&Shim) -> CK_RV,
) -> CK_RV {
    for action in actions {
        match action {
            Action::Delay { ms_min, ms_max } => sleep(version.milliseconds(*ms_min, *ms_max)),
            Action::Hang => hang(shim, version, call),
            Action::Die(death) => die(shim, call, *death),
            Action::Token(event) => shim.happens(*event, call),
            Action::Escape(escape) => shim.trace.escape(call, &escape.attempt()),
            Action::Return {
                rv,
                when: When::Before,
            } => return *rv,
            Action::Return {
                when: When::After, ..
            }
            | Action::Output(_) => {}
        }
    }
    if shim.token.is_down() && !call.is_about_life() {
        return CKR_DEVICE_ERROR;
    }
    let hidden = &version.script.token.hide_mechanisms;
    if hidden
        .iter()
        .any(|mechanism| Some(mechanism.0) == call.mechanism)
    {
        return CKR_MECHANISM_INVALID;
    }
    let mut answer = shim.work(work);
    for action in actions {
        match action {
            Action::Return {
                rv,
                when: When::After,
            } => answer = *rv,
            Action::Output(fault) if answer == CKR_OK => spoil(call.output, *fault),
            _ => {}
        }
    }
    answer
}

/// Changes the bytes that the token made.
#[allow(unsafe_code)]
fn spoil(output: Option<Output>, fault: OutputFault) {
    let Some(output) = output else { return };
    // SAFETY: after CKR_OK the length is there: the real module has just written it for the application.
    let Some(length) = (unsafe { output.length.as_mut() }) else {
        return;
    };
    if fault == OutputFault::LyingLength {
        *length = LYING_LENGTH_BYTES;
        return;
    }
    let Ok(count) = usize::try_from(*length) else {
        return;
    };
    if output.bytes.is_null() || count == 0 {
        return;
    }
    // SAFETY: after CKR_OK the application's buffer holds as many bytes as the length says.
    let bytes = unsafe { std::slice::from_raw_parts_mut(output.bytes, count) };
    match fault {
        OutputFault::Corrupt => bytes[count / 2] ^= 1,
        OutputFault::Zero => bytes.fill(0),
        OutputFault::Short => *length -= 1,
        OutputFault::LyingLength => {}
    }
}

fn hang(shim: &Shim, version: &Version, call: &Call) {
    shim.trace.event(call, "hang");
    let hangs_under = |now: &Version| now.number == version.number || now.script.keep_hanging;
    while shim.source.current().is_none_or(|now| hangs_under(&now)) {
        sleep(HANG_POLL_MS);
    }
}

#[allow(unsafe_code)]
fn die(shim: &Shim, call: &Call, death: Death) {
    shim.trace.event(call, "die");
    match death {
        Death::Abort => std::process::abort(),
        Death::Exit => std::process::exit(EXIT_STATUS),
        // SAFETY: none. The page at 0 is never mapped, and a segmentation fault is what the script asks for.
        Death::Segv => unsafe { ptr::without_provenance_mut::<u8>(8).write_volatile(1) },
    }
}

/// The status of a process that the module ended (`die = "exit"`).
const EXIT_STATUS: i32 = 7;

#[allow(clippy::disallowed_methods)] // A slow or hanging token is what the script asks for.
fn sleep(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

impl Output {
    pub(crate) const fn new(bytes: CK_BYTE_PTR) -> Self {
        Self {
            bytes,
            length: ptr::null_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the application sees of a token's output `1, 2, 3`.
    fn seen(fault: OutputFault, with_buffer: bool) -> (Vec<u8>, CK_ULONG) {
        let (mut bytes, mut length) = ([1, 2, 3, 9], 3);
        let out = if with_buffer {
            bytes.as_mut_ptr()
        } else {
            ptr::null_mut()
        };
        let output = Output {
            length: &mut length,
            ..Output::new(out)
        };
        spoil(Some(output), fault);
        (bytes.to_vec(), length)
    }

    #[test]
    fn spoils_the_output_and_nothing_behind_it() {
        assert_eq!(seen(OutputFault::Corrupt, true), (vec![1, 3, 3, 9], 3));
        assert_eq!(seen(OutputFault::Zero, true), (vec![0, 0, 0, 9], 3));
        assert_eq!(seen(OutputFault::Short, true), (vec![1, 2, 3, 9], 2));
        assert_eq!(
            seen(OutputFault::LyingLength, false),
            (vec![1, 2, 3, 9], LYING_LENGTH_BYTES)
        );
        assert_eq!(seen(OutputFault::Corrupt, false), (vec![1, 2, 3, 9], 3));
    }
}
