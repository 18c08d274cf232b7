//! The workflows: each shows one kind of node or one way to end.
//!
//! `steps` are what several of them share.

pub(crate) mod branching;
pub(crate) mod endings;
pub(crate) mod looping;
pub(crate) mod nested;
pub(crate) mod plain;
mod steps;
pub(crate) mod suspending;
#[cfg(test)]
mod tests;
