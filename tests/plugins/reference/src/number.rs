//! Numbers as the recorded server wrote them.

use serde::Serializer;

/// Writes whole numbers without a fraction, the way JavaScript does: `21`, not `21.0`.
pub(crate) fn plain_number<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    // Beyond 2^53 not every whole number has an `f64` of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return serializer.serialize_i64(*number as i64);
    }
    serializer.serialize_f64(*number)
}
