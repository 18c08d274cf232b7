//! Hotbay (architecture follows).
pub mod app;
pub mod config;
pub mod engine;
pub mod http;
pub mod model;
pub mod plugin;
pub mod types;
