//! A sandbox key never signs for a production bank, nor the reverse.

use super::{Case, Unfit};
use crate::domain::Environment;

pub(super) fn check(case: &Case<'_>, key: Environment, bank: Environment) -> Result<(), Unfit> {
    if key == bank {
        return Ok(());
    }
    Err(Unfit::Environment {
        version: case.version.id.clone(),
        key: key.as_str(),
        bank: bank.as_str(),
    })
}
