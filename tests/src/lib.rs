//! Fixtures of Hotbay's integration tests.

pub mod openai_fake;
