//! The W3C header `traceparent`: how a trace goes from one service to another.
//!
//! `https://www.w3.org/TR/trace-context/`; a flag says whether the caller records the trace,
//! which is nothing to us: what is recorded here is this host's to say.

/// The header.
pub const HEADER: &str = "traceparent";

/// Reads the trace and the span of a header; `None` if it is none, which is then as if it were
/// not there.
#[must_use]
pub fn read(header: &str) -> Option<(&str, &str)> {
    let mut parts = header.trim().splitn(5, '-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // Later versions may say more behind the flags, the first may not.
    let is_whole = if version == "00" { parts.next().is_none() } else { is_hex(version, 2) && version != "ff" };
    (is_whole && is_trace(trace) && is_span(span) && is_hex(flags, 2)).then_some((trace, span))
}

/// Writes the header of what a span causes.
#[must_use]
pub fn write(trace_id: &str, span_id: &str) -> String {
    format!("00-{trace_id}-{span_id}-01")
}

/// Whether this names a trace.
#[must_use]
pub fn is_trace(id: &str) -> bool {
    is_hex(id, 32) && id.bytes().any(|byte| byte != b'0')
}

/// Whether this names a span.
#[must_use]
pub fn is_span(id: &str) -> bool {
    is_hex(id, 16) && id.bytes().any(|byte| byte != b'0')
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&write(TRACE, SPAN)), Some((TRACE, SPAN)));
        assert_eq!(read(&format!(" 00-{TRACE}-{SPAN}-00 ")), Some((TRACE, SPAN)));
        assert_eq!(read(&format!("cc-{TRACE}-{SPAN}-01-what-comes-later")), Some((TRACE, SPAN)));
    }

    #[test]
    fn what_is_no_header_is_not_read() {
        let nothing = "0".repeat(32);
        for odd in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{nothing}-{SPAN}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("zz-{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(read(&odd), None, "{odd}");
        }
    }
}
