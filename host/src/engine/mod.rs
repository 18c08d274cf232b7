//! (engine)
pub mod error;
pub mod event;
pub mod options;
pub mod turn;
