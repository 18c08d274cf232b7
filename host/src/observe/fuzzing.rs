//! Doors for fuzzers (`tests/fuzz`) to what reads records and queries. Each takes any bytes and returns.

use super::{filter::Filter, keeper, query, record::RecordKind};

/// Reads a record of the write-ahead log.
pub fn record(bytes: &[u8]) {
    for kind in RecordKind::ALL {
        drop(keeper::read(kind, bytes));
    }
}

/// Reads a query of people.
pub fn query(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    drop(query::compile(&Filter::Query(text.to_owned())));
}
