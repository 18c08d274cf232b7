//! Hotbay (architecture follows).
pub mod model;
pub mod plugin;
pub mod types;
