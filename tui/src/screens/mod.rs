//! What is on the terminal, a file for each screen.

pub(crate) mod plugins;
