//! Under construction.
pub mod backend;
pub mod clock;
