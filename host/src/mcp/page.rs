//! Long lists, a page at a time.

use rmcp::{ErrorData, model::PaginatedRequestParams};

/// How many a page has: so many that there is seldom a second one, for not all clients ask for it.
const SIZE: usize = 500;

/// Returns the page a client asks for, and where the next one begins.
///
/// # Errors
/// If where it is to begin is nothing this server has said.
pub(super) fn page<T>(
    all: impl Iterator<Item = T>,
    request: Option<PaginatedRequestParams>,
) -> Result<(Vec<T>, Option<String>), ErrorData> {
    let start = match request.and_then(|request| request.cursor) {
        None => 0,
        Some(cursor) => cursor
            .parse::<usize>()
            .map_err(|_| ErrorData::invalid_params("cursor is not what this server gave out", None))?,
    };
    let mut rest = all.skip(start).peekable();
    let page = rest.by_ref().take(SIZE).collect();
    let next = rest.peek().map(|_| start.saturating_add(SIZE).to_string());
    Ok((page, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(cursor: &str) -> Option<PaginatedRequestParams> {
        Some(PaginatedRequestParams::default().with_cursor(Some(cursor.to_owned())))
    }

    #[test]
    fn pages_are_all_of_it_and_no_more() {
        let (first, next) = page(0..2 * SIZE, None).unwrap();
        assert_eq!((first.len(), first[0]), (SIZE, 0));
        let (second, end) = page(0..2 * SIZE, asked(&next.unwrap())).unwrap();
        assert_eq!((second.len(), second[0], end), (SIZE, SIZE, None));
    }

    #[test]
    fn a_list_that_has_become_shorter_ends() {
        assert_eq!(page(0..3, asked("500")).unwrap(), (Vec::new(), None));
        assert_eq!(page(0..3, asked(&usize::MAX.to_string())).unwrap(), (Vec::new(), None));
    }

    #[test]
    fn what_was_not_given_out_is_refused() {
        for cursor in ["", "-1", "next", "99999999999999999999999999"] {
            assert_eq!(page(0..3, asked(cursor)).unwrap_err().code.0, -32602, "{cursor}");
        }
    }
}
