//! Fixtures of the integration tests: a real host as a child process, raw HTTP
//! without a client's opinions, a model server that misbehaves on request, and the
//! player of the recorded sessions.
//!
//! Start with [`TestHost`]; [`replay`] explains the recorded sessions. Only
//! [`plugin_host`] knows Hotbay's own types: all else sees what any client sees.

pub mod built;
pub mod cargo;
pub mod dev_host;
pub mod host;
pub mod http;
pub mod openai_fake;
pub mod plugin_host;
pub mod postgres;
pub mod process;
pub mod pty;
pub mod raw;
pub mod relay;
pub mod replay;
pub mod sse;
pub mod wait;

pub use host::TestHost;
pub use wait::eventually;
