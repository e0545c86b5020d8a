//! Where a version may go from where it is: the whole of its life in one table.
//!
//! In: a state and what happens. Out: the next state, or why not and what to do instead. Pure.

use crate::domain::VersionState;

/// What happens to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// Its certificate passed the checks and was installed. Again is allowed until it is used: a QTSP may reissue.
    Installed,
    /// An officer put it to use.
    Activated,
    /// An officer put a key to use that has no certificate: banks have its public key.
    Published,
    /// An officer began to take it out of use while banks are still bound to it.
    Outgoing,
    /// An officer took it out of use; no bank is bound to it.
    Retired,
    /// An officer stopped it.
    Frozen,
    /// Two officers let it go on where it was stopped.
    Unfrozen {
        /// The state it was in when it was stopped.
        before: VersionState,
    },
    /// Two officers declared its certificate revoked.
    Revoked,
    /// Its key was destroyed in the token.
    Destroyed,
}

/// The state does not allow it.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("is {state}; {hint}")]
pub struct Forbidden {
    state: &'static str,
    hint: &'static str,
}

/// The state after something happened.
pub fn next(state: VersionState, happening: Happening) -> Result<VersionState, Forbidden> {
    use Happening as H;
    use VersionState::{Active, Destroyed, Frozen, Requested, Retired, Retiring, Revoked, Staged};
    let forbid = |hint| {
        Err(Forbidden {
            state: state.as_str(),
            hint,
        })
    };
    match (state, happening) {
        (Requested | Staged, H::Installed) => Ok(Staged),
        (Staged | Active, H::Activated) | (Requested | Active, H::Published) => Ok(Active),
        (Active, H::Outgoing) => Ok(Retiring),
        (Requested | Staged | Active | Retiring, H::Retired) => Ok(Retired),
        (Staged | Active | Retiring, H::Frozen) => Ok(Frozen),
        (Frozen, H::Unfrozen { before }) if matches!(before, Staged | Active | Retiring) => {
            Ok(before)
        }
        (Staged | Active | Retiring | Retired | Frozen, H::Revoked) => Ok(Revoked),
        // A key is destroyed only after it was taken out of use: no bank hangs on it any more.
        (Retired | Revoked, H::Destroyed) => Ok(Destroyed),

        (Requested, H::Activated) => forbid("install its certificate first"),
        (Requested, H::Frozen | H::Revoked) => forbid("it has no certificate; retire it instead"),
        (_, H::Installed) => forbid("a certificate is installed once; enrol a new version"),
        (Staged, H::Published) => forbid("it has a certificate; activate it with that"),
        (Frozen, H::Activated | H::Published) => forbid("unfreeze it first"),
        (_, H::Activated | H::Published) => forbid("it cannot come back; enrol a new version"),
        (Retiring, H::Outgoing) => forbid("banks are still bound to it; move them first"),
        (_, H::Outgoing) => forbid("no bank may be bound to it in this state"),
        (Frozen, H::Retired) => forbid("unfreeze it first, or revoke it"),
        (_, H::Retired) => forbid("it is out of use already"),
        (_, H::Frozen) => forbid("it signs nothing already"),
        (_, H::Unfrozen { .. }) => forbid("only a frozen version can be unfrozen"),
        (_, H::Revoked) => forbid("its certificate is out of use for ever already"),
        (Destroyed, H::Destroyed) => forbid("its key is gone already"),
        (_, H::Destroyed) => forbid("retire or revoke it first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VersionState::*;

    const ALL: [VersionState; 8] = [
        Requested, Staged, Active, Retiring, Retired, Destroyed, Frozen, Revoked,
    ];

    /// One row a happening, one column a state, in the order of [`ALL`].
    #[test]
    fn the_whole_table() {
        const NO: Option<VersionState> = None;
        let to = Some;
        let unfrozen = |before| Happening::Unfrozen { before };
        let table = [
            (
                Happening::Installed,
                [to(Staged), to(Staged), NO, NO, NO, NO, NO, NO],
            ),
            (
                Happening::Activated,
                [NO, to(Active), to(Active), NO, NO, NO, NO, NO],
            ),
            (
                Happening::Published,
                [to(Active), NO, to(Active), NO, NO, NO, NO, NO],
            ),
            (
                Happening::Outgoing,
                [NO, NO, to(Retiring), NO, NO, NO, NO, NO],
            ),
            (
                Happening::Retired,
                [
                    to(Retired),
                    to(Retired),
                    to(Retired),
                    to(Retired),
                    NO,
                    NO,
                    NO,
                    NO,
                ],
            ),
            (
                Happening::Frozen,
                [NO, to(Frozen), to(Frozen), to(Frozen), NO, NO, NO, NO],
            ),
            (unfrozen(Active), [NO, NO, NO, NO, NO, NO, to(Active), NO]),
            (
                unfrozen(Retiring),
                [NO, NO, NO, NO, NO, NO, to(Retiring), NO],
            ),
            (unfrozen(Staged), [NO, NO, NO, NO, NO, NO, to(Staged), NO]),
            (
                Happening::Revoked,
                [
                    NO,
                    to(Revoked),
                    to(Revoked),
                    to(Revoked),
                    to(Revoked),
                    NO,
                    to(Revoked),
                    NO,
                ],
            ),
            (
                Happening::Destroyed,
                [NO, NO, NO, NO, to(Destroyed), NO, NO, to(Destroyed)],
            ),
        ];
        for (happening, row) in table {
            let found = ALL.map(|state| next(state, happening).ok());
            assert_eq!(found, row, "{happening:?}");
        }
    }

    #[test]
    fn nothing_is_unfrozen_into_a_state_it_cannot_have_been_frozen_in() {
        for before in ALL {
            let came_from = next(before, Happening::Frozen).is_ok();
            let goes_back = next(Frozen, Happening::Unfrozen { before }).is_ok();
            assert_eq!(came_from, goes_back, "{before:?}");
        }
    }

    #[test]
    fn nothing_leads_out_of_destroyed() {
        for happening in [
            Happening::Installed,
            Happening::Activated,
            Happening::Published,
            Happening::Outgoing,
            Happening::Retired,
            Happening::Frozen,
            Happening::Unfrozen { before: Active },
            Happening::Revoked,
            Happening::Destroyed,
        ] {
            assert!(next(Destroyed, happening).is_err(), "{happening:?}");
        }
    }

    #[test]
    fn only_active_and_retiring_versions_sign() {
        let signing: Vec<_> = ALL.into_iter().filter(|state| state.signs()).collect();
        assert_eq!(signing, [Active, Retiring]);
    }
}
