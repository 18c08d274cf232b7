//! The workflows: `nodes` has one for each kind of node, `waits` those that wait, `policies` what
//! they ask of the host, `swap` one that differs between builds.
//!
//! All compute a number from a number, so a run that was cut off and went on is known by its result.

pub(crate) mod nodes;
pub(crate) mod policies;
pub(crate) mod swap;
#[cfg(test)]
mod tests;
pub(crate) mod waits;
