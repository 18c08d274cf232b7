//! Text for cells: made harmless, fitted, and numbers in the words of people.
//!
//! Whatever a server says is foreign: names of plugins, lines of logs and answers of models may
//! have control characters and escape sequences in them. [`clean`] is the way to the screen.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Returns the text on one line: control characters are spaces, marks that turn the direction of
/// what follows are gone.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => clean.push('⏎'),
            _ if is_harmless(character) => clean.push(character),
            _ if is_mark(character) => {}
            _ => clean.push(' '),
        }
    }
    Cow::Owned(clean)
}

fn is_harmless(character: char) -> bool {
    !character.is_control() && !is_mark(character)
}

/// Marks that are not seen but change how their neighbours are: embeddings, overrides and
/// isolates of direction, and those of annotations.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fff9}'..='\u{fffb}' | '\u{feff}')
}

/// Returns how many cells a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Returns as much of the text as fits, with `…` in place of the rest.
pub(crate) fn fit(text: &str, cells: usize) -> Cow<'_, str> {
    if width(text) <= cells {
        return Cow::Borrowed(text);
    }
    let Some(room) = cells.checked_sub(1) else { return Cow::Borrowed("") };
    Cow::Owned(format!("{}…", start(text, room)))
}

/// Returns the longest start of the text that fits.
pub(crate) fn start(text: &str, cells: usize) -> &str {
    let mut fitting = "";
    for (at, grapheme) in text.grapheme_indices(true) {
        let Some(start) = text.get(..at + grapheme.len()).filter(|start| width(start) <= cells) else { break };
        fitting = start;
    }
    fitting
}

/// Returns the end of an id: ids made soon after each other begin alike.
pub(crate) fn tail(id: &str) -> &str {
    let start = id.char_indices().rev().nth(7).map_or(0, |(at, _)| at);
    id.get(start..).unwrap_or(id)
}

/// Returns the text in exactly so many cells, at their left.
pub(crate) fn left(text: &str, cells: usize) -> String {
    let text = fit(text, cells);
    let padding = cells.saturating_sub(width(&text));
    format!("{text}{}", " ".repeat(padding))
}

/// Returns the text in exactly so many cells, at their right.
pub(crate) fn right(text: &str, cells: usize) -> String {
    let text = fit(text, cells);
    let padding = cells.saturating_sub(width(&text));
    format!("{}{text}", " ".repeat(padding))
}

/// Returns the text in lines of at most so many cells, broken between words where possible.
pub(crate) fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        // A line that was broken does not begin with the space it was broken at.
        let mut is_broken = false;
        for (at, word) in paragraph.split(' ').enumerate() {
            let before = line.len();
            let space = if at == 0 || (is_broken && line.is_empty()) { "" } else { " " };
            if add(&mut line, space, cells) && add(&mut line, word, cells) {
                continue;
            }
            line.truncate(before);
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                is_broken = true;
            }
            // Alone on its line, and in pieces if even that is too long.
            for grapheme in word.graphemes(true) {
                if add(&mut line, grapheme, cells) {
                    continue;
                }
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                    is_broken = true;
                }
                // Its marks may need more cells than there are; then they are left out.
                let _fitted = add(&mut line, grapheme, cells)
                    || grapheme.chars().all(|part| add(&mut line, part.encode_utf8(&mut [0; 4]), cells));
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Adds a piece to a line if it fits. Pieces next to each other may take other cells than each alone.
fn add(line: &mut String, piece: &str, cells: usize) -> bool {
    let before = line.len();
    line.push_str(piece);
    let fits = width(line) <= cells;
    if !fits {
        line.truncate(before);
    }
    fits
}

/// Returns a count: `950`, `12.1k`, `4.2M`.
pub(crate) fn count(number: u64) -> String {
    scaled(number, 1000, ["", "k", "M", "G", "T", "P", "E"])
}

/// Returns a size: `950 B`, `12.1 KiB`, `4.2 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    scaled(number, 1024, [" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
fn scaled(number: u64, step: u64, units: [&str; 7]) -> String {
    let mut unit = 0;
    let mut scale = 1_u64;
    while number / scale >= step && unit + 1 < units.len() {
        scale = scale.saturating_mul(step);
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{number}{name}") } else { format!("{:.1}{name}", number as f64 / scale as f64) }
}

/// Returns how long something took: `0.4 ms`, `12 ms`, `1.2 s`, `2:10`, `3:04:10`, `2d 04h`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded on purpose, and not negative")]
pub(crate) fn duration(milliseconds: f64) -> String {
    if !milliseconds.is_finite() || milliseconds < 0.0 {
        return "-".to_owned();
    }
    if milliseconds < 10.0 {
        return format!("{milliseconds:.1} ms");
    }
    if milliseconds < 1000.0 {
        return format!("{milliseconds:.0} ms");
    }
    if milliseconds < 60_000.0 {
        return format!("{:.1} s", milliseconds / 1000.0);
    }
    let seconds = (milliseconds / 1000.0) as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{:02}", seconds % 60),
        (0, _) => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        _ => format!("{days}d {hours:02}h"),
    }
}

/// Returns how long ago something was: `5s`, `12m`, `3h`, `4d`.
pub(crate) fn age(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_and_turned_text_never_reach_a_cell() {
        assert_eq!(clean("a\u{1b}[31mb"), "a [31mb");
        assert_eq!(clean("one\ntwo\tthree"), "one⏎two three");
        assert_eq!(clean("abc\u{202e}def"), "abcdef");
        assert!(matches!(clean("plain ünï 漢字"), Cow::Borrowed(_)));
    }

    #[test]
    fn text_is_fitted_by_cells_not_by_characters() {
        assert_eq!(fit("漢字漢字", 5), "漢字…");
        assert_eq!(fit("漢字漢字", 4), "漢…");
        assert_eq!(fit("漢字", 4), "漢字");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(left("漢", 4), "漢  ");
        assert_eq!(right("ab", 4), "  ab");
        assert_eq!(fit("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
    }

    #[test]
    fn words_are_kept_whole_where_they_fit() {
        assert_eq!(wrap("the quick brown fox", 9), ["the quick", "brown fox"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("a\n\nb", 9), ["a", "", "b"]);
        assert!(wrap("𬺰𑲱", 2).iter().all(|line| width(line) <= 2));
        assert_eq!(wrap("  one  two  three", 8), ["  one", "two", "three"]);
    }

    #[test]
    fn numbers_read_as_people_say_them() {
        assert_eq!([count(950), count(12_100), count(4_200_000)], ["950", "12.1k", "4.2M"]);
        assert_eq!([bytes(950), bytes(12_390)], ["950 B", "12.1 KiB"]);
        let durations = [0.4, 12.0, 1234.0, 130_000.0, 11_050_000.0, 187_200_000.0].map(duration);
        assert_eq!(durations, ["0.4 ms", "12 ms", "1.2 s", "2:10", "3:04:10", "2d 04h"]);
        assert_eq!(duration(f64::NAN), "-");
        assert_eq!([age(5_000), age(700_000), age(90_000_000)], ["5s", "11m", "1d"]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_its_cells(text in any::<String>(), cells in 0_usize..40) {
            let clean = clean(&text);
            prop_assert!(!clean.chars().any(char::is_control));
            prop_assert!(width(&fit(&clean, cells)) <= cells);
            if cells >= 2 {
                for line in wrap(&clean, cells) {
                    prop_assert!(width(&line) <= cells, "{line:?}");
                }
            }
        }
    }
}
