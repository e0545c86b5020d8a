//! Where a version may go from where it is: the whole of its life in one table.

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
    /// Its banks have moved to a newer version.
    Outgoing,
    /// Nobody needs it any more.
    Retired,
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
    use Happening::{Activated, Installed, Published};
    use VersionState::{Active, Destroyed, Frozen, Requested, Retired, Retiring, Revoked, Staged};
    let forbid = |hint| {
        Err(Forbidden {
            state: state.as_str(),
            hint,
        })
    };
    match (state, happening) {
        (Requested | Staged, Installed) => Ok(Staged),
        (Staged | Active, Activated) | (Requested | Active, Published) => Ok(Active),
        (Active, H::Outgoing) => Ok(Retiring),
        (Requested | Staged | Active | Retiring, H::Retired) => Ok(Retired),
        (_, H::Outgoing) => forbid("only an active version goes out"),
        (_, H::Retired) => forbid("it is out of use already"),
        (Requested, Activated) => forbid("install its certificate first"),
        (Active | Retiring | Retired | Destroyed | Frozen | Revoked, Installed) => {
            forbid("a certificate is installed once; enrol a new version")
        }
        (Staged, Published) => forbid("it has a certificate; activate it with that"),
        (Frozen, Activated | Published) => forbid("unfreeze it first"),
        (Retiring | Retired | Destroyed | Revoked, Activated | Published) => {
            forbid("it cannot come back; enrol a new version")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VersionState::*;

    #[test]
    fn the_whole_table() {
        let all = [
            Requested, Staged, Active, Retiring, Retired, Destroyed, Frozen, Revoked,
        ];
        let installed = all.map(|state| next(state, Happening::Installed).ok());
        let activated = all.map(|state| next(state, Happening::Activated).ok());
        let published = all.map(|state| next(state, Happening::Published).ok());
        let (active, no) = (Some(Active), None);
        assert_eq!(published, [active, no, active, no, no, no, no, no]);
        assert_eq!(
            installed,
            [
                Some(Staged),
                Some(Staged),
                None,
                None,
                None,
                None,
                None,
                None
            ]
        );
        assert_eq!(
            activated,
            [
                None,
                Some(Active),
                Some(Active),
                None,
                None,
                None,
                None,
                None
            ]
        );
    }

    #[test]
    fn what_is_in_use_goes_out_and_is_then_retired() {
        let all = [
            Requested, Staged, Active, Retiring, Retired, Destroyed, Frozen, Revoked,
        ];
        let outgoing = all.map(|state| next(state, Happening::Outgoing).ok());
        let mut wanted = [None; 8];
        wanted[2] = Some(Retiring);
        assert_eq!(outgoing, wanted);
        let retired = all.map(|state| next(state, Happening::Retired).is_ok());
        assert_eq!(
            retired,
            [true, true, true, true, false, false, false, false]
        );
    }

    #[test]
    fn only_active_and_retiring_versions_sign() {
        let all = [
            Requested, Staged, Active, Retiring, Retired, Destroyed, Frozen, Revoked,
        ];
        let signing: Vec<_> = all.into_iter().filter(|state| state.signs()).collect();
        assert_eq!(signing, [Active, Retiring]);
    }
}
