//! Hotbay (architecture follows).
pub mod engine;
pub mod model;
pub mod plugin;
pub mod types;
