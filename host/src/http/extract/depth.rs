//! How deep a JSON document is nested, before it is parsed: a parser that follows it down has a
//! stack that ends.

use super::{ApiError, Invalid};

/// Refuses a document that is nested deeper than `most`.
///
/// Braces in strings do not count. Of what is no JSON anything may be said: the parser refuses it.
///
/// # Errors
/// With a sentence that says how deep it may be.
pub(super) fn check(document: &[u8], most: usize) -> Result<(), ApiError> {
    // Most documents have fewer braces than that, and those are fast to find.
    if memchr::memchr2_iter(b'[', b'{', document).nth(most).is_none() || is_shallow(document, most) {
        return Ok(());
    }
    Err(ApiError::invalid_field(Invalid::Body, "body", format!("JSON may be nested {most} levels deep at most")))
}

fn is_shallow(document: &[u8], most: usize) -> bool {
    let (mut depth, mut in_string, mut bytes) = (0_usize, false, document.iter());
    while let Some(byte) = bytes.next() {
        match (in_string, byte) {
            (true, b'\\') => {
                bytes.next();
            }
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                depth += 1;
                if depth > most {
                    return false;
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(document: &str, most: usize, fits: bool) {
        assert_eq!(super::check(document.as_bytes(), most).is_ok(), fits, "{document}");
    }

    #[test]
    fn what_is_open_at_once_counts() {
        check("[[1],[2],{\"a\":[]}]", 3, true);
        check("[[1],[2],{\"a\":[]}]", 2, false);
    }

    #[test]
    fn strings_are_not_looked_into() {
        check(r#"["[[[[","\"[[[["]"#, 1, true);
        check(r#"["\\",[[]]]"#, 2, false);
    }

    #[test]
    fn the_parser_follows_whatever_is_let_through() {
        let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let parses = |depth| serde_json::from_str::<serde_json::Value>(&nested(depth)).is_ok();
        assert!(parses(127) && !parses(128));
        super::check(nested(127).as_bytes(), 127).unwrap();
        super::check(nested(128).as_bytes(), 127).unwrap_err();
    }
}
