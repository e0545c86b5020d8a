//! Finds the one token that is meant and logs in to it.
//!
//! In: label, serial, PIN. Out: a slot and a session that keeps the login alive. It never goes by slot number (they
//! change), never tries a PIN twice, never tries one when the token says that an attempt could lock it, and never
//! calls `C_Logout` (that would end the login of every session of the process, PKCS#11 v2.40 section 5.6).

use std::path::Path;

use cryptoki::context::Pkcs11;
use cryptoki::error::RvError;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use secrecy::SecretString;

use super::pin_marker::ReadyMarker;
use super::recovery::{Class, Fault};
use crate::backend::BackendError;

/// The token that matches the configuration.
pub(super) struct Token {
    pub(super) slot: Slot,
    pub(super) serial: String,
    pub(super) manufacturer: String,
    pub(super) pin_flags: PinFlags,
}

/// Whoever looks after the process that a token is used from.
pub(in crate::backend) trait TokenWatch: Send + Sync {
    /// Told before every `C_Login`: some tokens are lost when their process dies inside it.
    ///
    /// # Errors
    /// When no login may begin now.
    fn before(&self) -> Result<(), BackendError>;

    /// The call is over, whatever it answered.
    fn after(&self);

    /// The token is lost, and nothing in this process brings it back. `true`: the process will be replaced.
    fn lost(&self, error: &BackendError) -> bool;
}

/// For a module in a process that nobody kills on purpose.
pub(super) struct Unwatched;

impl TokenWatch for Unwatched {
    fn before(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn after(&self) {}

    fn lost(&self, _: &BackendError) -> bool {
        false
    }
}

/// What the token says about the user PIN (PKCS#11 v2.40 section 3.2, `CK_TOKEN_INFO` flags).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PinFlags {
    pub(super) final_try: bool,
    pub(super) locked: bool,
}

impl PinFlags {
    /// # Errors
    /// When an attempt could lock the token, or it is locked already.
    fn check(self) -> Result<(), BackendError> {
        match self {
            Self { locked: true, .. } => Err(BackendError::PinLocked),
            Self {
                final_try: true, ..
            } => Err(BackendError::PinFinalTry),
            Self { .. } => Ok(()),
        }
    }
}

impl Token {
    /// Looks through all slots for the one initialised token with this label, and this serial if one is given.
    ///
    /// # Errors
    /// [`BackendError::TokenNotFound`], [`BackendError::TokenAmbiguous`], or the fault of listing the slots.
    pub(super) fn find(
        context: &Pkcs11,
        label: &str,
        serial: Option<&str>,
    ) -> Result<Self, BackendError> {
        let mut matching = Vec::new();
        for slot in context.get_slots_with_token().map_err(Fault::from)? {
            if let Some(info) = info_of(context, slot)?
                && info.token_initialized()
                && info.label().trim_end() == label
                && serial.is_none_or(|serial| info.serial_number().trim_end() == serial)
            {
                matching.push((slot, info));
            }
        }
        let count = matching.len();
        match matching.pop() {
            None => Err(BackendError::TokenNotFound {
                label: label.to_owned(),
                serial: serial.map(str::to_owned),
            }),
            Some((slot, info)) if count == 1 => Ok(Self::new(slot, &info)),
            Some(_) => Err(BackendError::TokenAmbiguous {
                label: label.to_owned(),
                count,
            }),
        }
    }

    fn new(slot: Slot, info: &TokenInfo) -> Self {
        Self {
            slot,
            serial: info.serial_number().trim_end().to_owned(),
            manufacturer: info.manufacturer_id().trim_end().to_owned(),
            pin_flags: PinFlags {
                final_try: info.user_pin_final_try(),
                locked: info.user_pin_locked(),
            },
        }
    }

    /// Opens a session and makes one `C_Login`. The login lasts while the session is open.
    ///
    /// # Errors
    /// [`BackendError::PinRefused`] now or because of an earlier start (then the token is not asked),
    /// [`BackendError::PinLocked`], [`BackendError::PinFinalTry`], [`BackendError::PinMarker`].
    pub(super) fn log_in(
        &self,
        context: &Pkcs11,
        pin: &SecretString,
        marker: &Path,
        watch: &dyn TokenWatch,
    ) -> Result<Session, BackendError> {
        let ready = ReadyMarker::prepare(marker)?;
        let outcome = self.pin_flags.check().and_then(|()| {
            context
                .open_ro_session_no_drop(self.slot)
                .map_err(|e| Fault::from(e).into())
        });
        let session = match outcome {
            Ok(session) => session,
            Err(error) => {
                ready.discard();
                return Err(error);
            }
        };
        if let Err(error) = watch.before() {
            ready.discard();
            close(session);
            return Err(error);
        }
        let outcome = session.login(UserType::User, Some(pin));
        watch.after();
        let Err(error) = outcome else {
            ready.discard();
            return Ok(session);
        };
        let fault = Fault::from(error);
        match (fault.class(), fault.rv()) {
            // Another part of this process has logged in to the token; the login is shared.
            (_, Some(RvError::UserAlreadyLoggedIn)) => {
                ready.discard();
                Ok(session)
            }
            (Class::Pin, rv) => Err(refused(ready, &fault, rv, session)),
            _ => {
                ready.discard();
                close(session);
                Err(fault.into())
            }
        }
    }
}

/// Latches the refusal before anything else can fail.
fn refused(
    ready: ReadyMarker,
    fault: &Fault,
    rv: Option<RvError>,
    session: Session,
) -> BackendError {
    let latched = ready.latch();
    tracing::error!(%fault, "the token refused the PIN; no further login until the marker is cleared");
    close(session);
    match (latched, rv) {
        (Err(error), _) => error,
        (Ok(_), Some(RvError::PinLocked)) => BackendError::PinLocked,
        (Ok(marker), _) => BackendError::PinRefused { marker },
    }
}

fn close(session: Session) {
    if let Err(error) = session.close() {
        tracing::debug!(fault = %Fault::from(error), "closing a session failed");
    }
}

/// `None`: the token was pulled between listing and asking.
fn info_of(context: &Pkcs11, slot: Slot) -> Result<Option<TokenInfo>, BackendError> {
    match context.get_token_info(slot).map_err(Fault::from) {
        Ok(info) => Ok(Some(info)),
        Err(fault)
            if matches!(
                fault.rv(),
                Some(RvError::TokenNotPresent | RvError::TokenNotRecognized)
            ) =>
        {
            Ok(None)
        }
        Err(fault) => Err(fault.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn refuses_login_that_could_lock_the_token() {
        let check = |final_try, locked| PinFlags { final_try, locked }.check();
        assert_eq!(check(true, false), Err(BackendError::PinFinalTry));
        assert_eq!(check(false, true), Err(BackendError::PinLocked));
        assert_eq!(check(true, true), Err(BackendError::PinLocked));
        assert_eq!(check(false, false), Ok(()));
    }
}
