//! The console as a person has it: keys in, frames out, over answers a real server gave.

mod fire;
mod fixture;
mod frames;
mod orders;
