//! What a PKCS#11 return code means for us, and what is done about it.
//!
//! In: an error of `cryptoki`. Out: its class, the rung of the ladder it asks for, and the error the caller gets. It never touches a
//! token. The classes are those of PKCS#11 v2.40 section 5.1 as soft tokens and HSMs really use them; the ladder of
//! recovery hangs on the same table.

use std::fmt;

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

use super::ladder::Rung;
use crate::backend::{BackendError, FaultKind};

/// What kind of fault a return code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The session is gone or stuck in an operation; another one works.
    Session,
    /// The object handle denotes nothing any more; the key may still be there under another handle.
    Handle,
    /// Nobody is logged in any more.
    Login,
    /// The device, its connection or the library has failed.
    Device,
    /// The token has no memory or no sessions left.
    Resources,
    /// The PIN is wrong, expired or locked. Never tried again.
    Pin,
    /// The token understood and refuses; the same call fails for ever.
    Permanent,
}

/// What a signing thread does about a fault. Its session is discarded in every case: after an error a session may be
/// stuck in an active operation, and PKCS#11 v2.40 has no call to end one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Try once more on a new session.
    RetryOnNewSession,
    /// Find the key again by `CKA_ID` and pin, then try once more.
    FindKeyAgain,
    /// Climb the ladder, then try once more.
    Climb(Rung),
    /// Answer the caller.
    GiveUp,
}

impl Class {
    /// What helps against a fault of this class.
    pub(super) fn action(self) -> Action {
        match self {
            Self::Session => Action::RetryOnNewSession,
            Self::Handle => Action::FindKeyAgain,
            Self::Login => Action::Climb(Rung::LogIn),
            Self::Device => Action::Climb(Rung::Initialise),
            Self::Resources | Self::Pin | Self::Permanent => Action::GiveUp,
        }
    }

    /// The token as a whole is not usable: shown as its problem until a call works again.
    pub(super) fn is_outage(self) -> bool {
        matches!(self, Self::Login | Self::Device | Self::Pin)
    }
}

/// Codes that are not in the table are [`Class::Permanent`].
const CLASSES: &[(RvError, Class)] = &[
    (RvError::SessionHandleInvalid, Class::Session),
    (RvError::SessionClosed, Class::Session),
    (RvError::OperationActive, Class::Session),
    (RvError::OperationNotInitialized, Class::Session),
    (RvError::ObjectHandleInvalid, Class::Handle),
    (RvError::KeyHandleInvalid, Class::Handle),
    (RvError::UserNotLoggedIn, Class::Login),
    (RvError::CryptokiNotInitialized, Class::Device),
    (RvError::DeviceError, Class::Device),
    (RvError::DeviceRemoved, Class::Device),
    (RvError::FunctionFailed, Class::Device),
    (RvError::GeneralError, Class::Device),
    (RvError::SlotIdInvalid, Class::Device),
    (RvError::TokenNotPresent, Class::Device),
    (RvError::TokenNotRecognized, Class::Device),
    (RvError::DeviceMemory, Class::Resources),
    (RvError::HostMemory, Class::Resources),
    (RvError::SessionCount, Class::Resources),
    (RvError::PinExpired, Class::Pin),
    (RvError::PinIncorrect, Class::Pin),
    (RvError::PinInvalid, Class::Pin),
    (RvError::PinLenRange, Class::Pin),
    (RvError::PinLocked, Class::Pin),
    (RvError::UserPinNotInitialized, Class::Pin),
];

/// One failed PKCS#11 call.
#[derive(Debug)]
pub(super) struct Fault(Error);

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl Fault {
    /// The token shows no private object because nobody is logged in: told by the state of a session, not by a code.
    pub(super) fn logged_out() -> Self {
        Self(Error::Pkcs11(
            RvError::UserNotLoggedIn,
            Function::FindObjects,
        ))
    }

    /// The token is logged in to and shows none of the keys it had: it has lost them from sight.
    pub(super) fn no_key_visible() -> Self {
        Self(Error::Pkcs11(
            RvError::TokenNotPresent,
            Function::FindObjects,
        ))
    }

    /// Which kind of fault it is. Errors of the wrapper itself (a missing function, a value out of range) are
    /// permanent.
    pub(super) fn class(&self) -> Class {
        self.rv()
            .and_then(|rv| CLASSES.iter().find(|(known, _)| *known == rv))
            .map_or(Class::Permanent, |(_, class)| *class)
    }

    /// The return code, if the module gave one.
    pub(super) fn rv(&self) -> Option<RvError> {
        match self.0 {
            Error::Pkcs11(rv, _) => Some(rv),
            _ => None,
        }
    }

    /// The token does not offer the mechanism, or not on this curve.
    pub(super) fn lacks_mechanism(&self) -> bool {
        matches!(
            self.rv(),
            Some(
                RvError::MechanismInvalid
                    | RvError::CurveNotSupported
                    | RvError::DomainParamsInvalid
            )
        )
    }

    /// It failed before anything was changed: while a session was opened, or objects were looked for.
    pub(super) fn is_of_search(&self) -> bool {
        use Function::{FindObjects, FindObjectsFinal, FindObjectsInit, OpenSession};
        matches!(
            self.0,
            Error::Pkcs11(
                _,
                OpenSession | FindObjectsInit | FindObjects | FindObjectsFinal
            )
        )
    }

    /// `C_Decrypt` itself failed, not what stands before it.
    pub(super) fn is_from_decrypt(&self) -> bool {
        matches!(self.0, Error::Pkcs11(_, Function::Decrypt))
    }

    /// What it is counted as.
    pub(super) fn kind(&self) -> FaultKind {
        FaultKind {
            function: self.function(),
            rv: match &self.0 {
                // Vendors have as many codes as they like.
                Error::Pkcs11(RvError::VendorDefined(_), _) => "CKR_VENDOR_DEFINED".to_owned(),
                Error::Pkcs11(..) => self.rv_name(),
                _ => "none".to_owned(),
            },
        }
    }

    /// The PKCS#11 name of the function that failed (`C_Sign`).
    fn function(&self) -> String {
        match self.0 {
            Error::Pkcs11(_, function) => format!("C_{function:?}"),
            _ => "cryptoki".to_owned(),
        }
    }

    /// The PKCS#11 name of the return code (`CKR_DEVICE_ERROR`).
    pub(super) fn rv_name(&self) -> String {
        match &self.0 {
            Error::Pkcs11(RvError::VendorDefined(code), _) => {
                format!("CKR_VENDOR_DEFINED(0x{code:08x})")
            }
            Error::Pkcs11(rv, _) => format!("CKR_{}", screaming_snake(&format!("{rv:?}"))),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered {}", self.function(), self.rv_name())
    }
}

impl From<Fault> for BackendError {
    fn from(fault: Fault) -> Self {
        Self::from(&fault)
    }
}

impl From<&Fault> for BackendError {
    fn from(fault: &Fault) -> Self {
        let (function, rv) = (fault.function(), fault.rv_name());
        match fault.class() {
            Class::Session | Class::Handle | Class::Login | Class::Device => {
                Self::Unavailable { function, rv }
            }
            Class::Resources => Self::Exhausted { function, rv },
            Class::Pin | Class::Permanent => Self::Rejected { function, rv },
        }
    }
}

/// `DeviceError` -> `DEVICE_ERROR`.
fn screaming_snake(camel: &str) -> String {
    let mut name = String::with_capacity(camel.len() + 8);
    for (at, letter) in camel.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn fault(rv: RvError) -> Fault {
        Fault(Error::Pkcs11(rv, Function::Sign))
    }

    #[test]
    fn every_code_stands_in_the_table_once() {
        for (at, (rv, _)) in CLASSES.iter().enumerate() {
            assert!(
                !CLASSES[..at].iter().any(|(other, _)| other == rv),
                "{rv:?} twice"
            );
        }
    }

    #[test]
    fn no_pin_error_is_ever_retried() {
        for (rv, class) in CLASSES {
            if format!("{rv:?}").contains("Pin") {
                assert_eq!(
                    (*class, class.action()),
                    (Class::Pin, Action::GiveUp),
                    "{rv:?}"
                );
            }
        }
    }

    #[test]
    fn unknown_and_vendor_codes_are_permanent() {
        for rv in [
            RvError::MechanismInvalid,
            RvError::DataLenRange,
            RvError::VendorDefined(0x8000_0001),
        ] {
            assert_eq!(fault(rv).class(), Class::Permanent);
            assert_eq!(fault(rv).class().action(), Action::GiveUp);
        }
        assert_eq!(Fault(Error::NullFunctionPointer).class(), Class::Permanent);
    }

    #[test]
    fn names_the_function_and_the_code_as_the_standard_does() {
        assert_eq!(
            fault(RvError::DeviceError).to_string(),
            "C_Sign answered CKR_DEVICE_ERROR"
        );
        assert_eq!(
            fault(RvError::VendorDefined(0x8000_0001)).to_string(),
            "C_Sign answered CKR_VENDOR_DEFINED(0x80000001)"
        );
        let kind = fault(RvError::VendorDefined(0x8000_0001)).kind();
        assert_eq!(kind.to_string(), "C_Sign CKR_VENDOR_DEFINED");
    }

    #[test]
    fn each_class_reaches_the_caller_as_its_own_error() {
        let reason = |rv| BackendError::from(fault(rv)).reason();
        assert_eq!(reason(RvError::SessionClosed), "TOKEN_UNAVAILABLE");
        assert_eq!(reason(RvError::UserNotLoggedIn), "TOKEN_UNAVAILABLE");
        assert_eq!(reason(RvError::SessionCount), "TOKEN_EXHAUSTED");
        assert_eq!(reason(RvError::KeyFunctionNotPermitted), "TOKEN_REJECTED");
    }
}
