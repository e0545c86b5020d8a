//! What the token looks like from outside.
//!
//! In: handles and slots as applications know them. Out: those of the real module, and back. It keeps the number of
//! initialisations, the open searches and whether the token is down.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki_sys::*;

use crate::call::Call;
use crate::handles::{Handles, Identity};
use crate::real::Real;
use crate::script::{HandleMode, TokenView};
use crate::shim;

/// Set in the number of a slot that shows a token a second time.
const CLONE_SLOT: CK_SLOT_ID = 1 << (CK_SLOT_ID::BITS - 2);

/// What changes about the token.
#[derive(Default)]
pub(crate) struct Token(Mutex<State>);

#[derive(Default)]
struct State {
    initialisations: u32,
    down: bool,
    handles: Handles,
    searches: HashMap<CK_SESSION_HANDLE, VecDeque<CK_OBJECT_HANDLE>>,
}

impl Token {
    /// `C_Initialize` worked: slots move, handles age, a token that was down is back.
    pub(crate) fn initialised(&self) {
        let mut state = self.lock();
        state.initialisations += 1;
        state.down = false;
        state.searches.clear();
        state.handles.next_epoch();
    }

    pub(crate) fn is_down(&self) -> bool {
        self.lock().down
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    pub(crate) fn permute_handles(&self) {
        self.lock().handles.permute();
    }

    /// The number under which a slot is shown.
    pub(crate) fn shown_slot(&self, real: CK_SLOT_ID, view: &TokenView) -> CK_SLOT_ID {
        real.wrapping_add(self.shift(view)) & !CLONE_SLOT
    }

    /// The slot behind a shown number.
    pub(crate) fn real_slot(&self, shown: CK_SLOT_ID) -> CK_SLOT_ID {
        let version = shim::get().and_then(|shim| shim.source.current());
        version.map_or(shown, |version| {
            let view = &version.script.token;
            let slot = if view.clone_serial.is_some() {
                shown & !CLONE_SLOT
            } else {
                shown
            };
            slot.wrapping_sub(self.shift(view))
        })
    }

    /// The second place of a token.
    pub(crate) fn clone_slot(shown: CK_SLOT_ID) -> CK_SLOT_ID {
        shown | CLONE_SLOT
    }

    pub(crate) fn is_clone(shown: CK_SLOT_ID) -> bool {
        shown & CLONE_SLOT != 0
    }

    /// The real handle behind a shown one; one that is never valid if it denotes nothing.
    pub(crate) fn real_object(&self, shown: CK_OBJECT_HANDLE) -> CK_OBJECT_HANDLE {
        match mode() {
            HandleMode::Real => shown,
            _ => self.lock().handles.real(shown).unwrap_or(CK_INVALID_HANDLE),
        }
    }

    /// The handle under which an object is shown.
    pub(crate) fn shown_object(
        &self,
        real: CK_OBJECT_HANDLE,
        identity: Option<Identity>,
    ) -> CK_OBJECT_HANDLE {
        match mode() {
            HandleMode::Real => real,
            mode => self.lock().handles.show(real, identity, mode),
        }
    }

    /// Replaces the handle of an object that was just made in a session.
    ///
    /// # Safety
    /// `made` is null or points to a handle that may be written.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn show_new(&self, real: &Real, call: &Call, made: CK_OBJECT_HANDLE_PTR) {
        // SAFETY: as the caller says.
        let Some(handle) = (unsafe { made.as_mut() }) else {
            return;
        };
        if mode() != HandleMode::Real {
            let identity = call.session.map(|session| identity(real, session, *handle));
            *handle = self.shown_object(*handle, identity);
        }
    }

    pub(crate) fn begin_search(
        &self,
        session: CK_SESSION_HANDLE,
        found: VecDeque<CK_OBJECT_HANDLE>,
    ) {
        self.lock().searches.insert(session, found);
    }

    /// The next results of a search; `None` if this module runs none in the session.
    pub(crate) fn next_results(
        &self,
        session: CK_SESSION_HANDLE,
        most: usize,
    ) -> Option<Vec<CK_OBJECT_HANDLE>> {
        let mut state = self.lock();
        let results = state.searches.get_mut(&session)?;
        let count = results.len().min(most);
        Some(results.drain(..count).collect())
    }

    /// Whether this module ran a search in the session.
    pub(crate) fn end_search(&self, session: CK_SESSION_HANDLE) -> bool {
        self.lock().searches.remove(&session).is_some()
    }

    fn shift(&self, view: &TokenView) -> CK_SLOT_ID {
        CK_SLOT_ID::from(view.slot_shift)
            .wrapping_mul(CK_SLOT_ID::from(self.lock().initialisations))
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mode() -> HandleMode {
    let version = shim::get().and_then(|shim| shim.source.current());
    version.map_or(HandleMode::Real, |version| version.script.token.handles)
}

/// What an object is, by its attributes.
pub(crate) fn identity(
    real: &Real,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
) -> Identity {
    let read = |attribute| {
        real.attribute(session, object, attribute)
            .unwrap_or_default()
    };
    Identity {
        kind: (read(CKA_CLASS), read(CKA_KEY_TYPE)),
        id: read(CKA_ID),
    }
}
