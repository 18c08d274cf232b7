//! The operator's console of Hotbay.
#![allow(dead_code, reason = "under construction")]

mod parts;
mod theme;

fn main() {}
