//! Fixtures of the integration tests: a real host as a child process, raw HTTP
//! without a client's opinions, and the player of the recorded sessions.
//!
//! Nothing here knows Hotbay's own types: the tests see what any client sees.
//! Start with [`TestHost`]; [`replay`] explains the recorded sessions.

pub mod host;
pub mod http;
pub mod openai_fake;
pub mod replay;
pub mod sse;
pub mod wait;

pub use host::TestHost;
pub use wait::eventually;
