//! Files, by Landlock (landlock(7)): what is not allowed here does not open.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::paths::Allowed;
use super::refused;
use crate::backend::BackendError;

/// The kernel interface that was tried (Linux 6.12). An older kernel gives what it has: from 5.13 files, from 6.7 TCP
/// ports, from 6.12 signals and abstract sockets.
const INTERFACE: ABI = ABI::V6;

/// `false`: this kernel has no Landlock.
pub(super) fn restrict(allowed: &Allowed, network: bool) -> Result<bool, BackendError> {
    let status = apply(allowed, network).map_err(|problem| refused("landlock", problem))?;
    Ok(status != RulesetStatus::NotEnforced)
}

fn apply(allowed: &Allowed, network: bool) -> Result<RulesetStatus, RulesetError> {
    // Libraries are mapped, not executed: to load one it is enough to read it.
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::from_all(INTERFACE)
        & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock);
    let ports: BitFlags<AccessNet> = match network {
        true => AccessNet::BindTcp.into(),
        false => AccessNet::from_all(INTERFACE),
    };
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(INTERFACE))?
        .handle_access(ports)?
        .scope(Scope::from_all(INTERFACE))?
        .create()?
        .add_rules(beneath(&allowed.read, read))?
        .add_rules(beneath(&allowed.write, write))?;
    Ok(ruleset.restrict_self()?.ruleset)
}

/// What is not there is left out.
fn beneath<'a>(
    paths: &'a [impl AsRef<Path>],
    access: BitFlags<AccessFs>,
) -> impl Iterator<Item = Result<PathBeneath<PathFd>, RulesetError>> + 'a {
    path_beneath_rules(paths, access)
}
