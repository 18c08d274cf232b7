//! Which build of the plugin the library passes for. Tests replace the text in the built file,
//! which makes another build without another compilation.

/// Starts with a marker, goes on with the build's name, padded with spaces.
#[used]
static BUILD: [u8; 48] = *b"HOTBAY-TEST-BUILD:one                           ";

const MARKER: usize = "HOTBAY-TEST-BUILD:".len();

/// Returns the build's name: `one`; any other says other texts; `changed` has another graph as well.
pub(crate) fn name() -> &'static str {
    // Opaque to the compiler: the bytes may have been replaced after it had seen them.
    let bytes: &'static [u8] = std::hint::black_box(&BUILD);
    bytes.get(MARKER..).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default().trim_end()
}
