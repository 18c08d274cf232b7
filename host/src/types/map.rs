//! Maps that calls and requests are looked up in.

use std::collections::HashMap;

/// A map whose hashes cost little. Anybody may ask it for anything, but what is in it the host and its
/// plugins have named: with keys that callers choose without end, somebody might find some that collide.
pub type QuickMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
