//! Doors for fuzzers (`tests/fuzz`) to what reads what plugins say. Each takes any bytes and returns.

use bytes::{Bytes, BytesMut};
use hotbay_plugin::manifest::Manifest;
use serde_json::Value;

use super::{
    elf,
    frames::{self, Asked, Called, Ended, Opening, OpeningFailed, Span, Spoken},
    manifest,
};

/// Reads what comes over a socket: frame after frame, and what is in each.
pub fn frames(bytes: &[u8]) {
    let mut read = BytesMut::from(bytes);
    while let Ok(Some(frame)) = frames::take(&mut read) {
        bodies(&frame.body);
    }
    bodies(&Bytes::copy_from_slice(bytes));
}

fn bodies(body: &Bytes) {
    drop((Called::read(body.clone()), Ended::read(body.clone()), Asked::read(body.clone())));
    drop((Spoken::read(body.clone()), Span::read(body.clone()), Opening::read(body), OpeningFailed::read(body)));
}

/// Checks a file that says it is a library.
pub fn elf(bytes: &[u8]) {
    drop(elf::check(bytes));
}

/// Checks what a plugin says about itself, and a configuration that follows after a zero byte.
pub fn manifest(bytes: &[u8]) {
    let (said, config) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    let Ok(manifest) = serde_json::from_slice::<Manifest>(said) else { return };
    drop(manifest::check(&manifest));
    let config = serde_json::from_slice::<Value>(config.get(1..).unwrap_or_default()).unwrap_or_default();
    drop(manifest::check_config(&manifest, &config));
}
