//! What of a message is embedded: its words, in pieces an embedder takes in whole.

/// Longest piece, in characters; small models take in some 256 tokens.
const PIECE: usize = 800;
/// Most pieces of a message: the rest of a longer one is not found.
const PIECES: usize = 64;

/// Returns the pieces of a text, cut between words; none if it says nothing.
pub(super) fn of(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        // A word longer than a piece is cut as well: no spaces are no reason to forget.
        for part in letters.chunks(PIECE) {
            if length > 0 && length + 1 + part.len() > PIECE {
                pieces.push(std::mem::take(&mut piece));
                length = 0;
            }
            if length > 0 {
                piece.push(' ');
                length += 1;
            }
            piece.extend(part);
            length += part.len();
        }
        if pieces.len() >= PIECES {
            pieces.truncate(PIECES);
            return pieces;
        }
    }
    if length > 0 {
        pieces.push(piece);
    }
    pieces
}

/// Returns the name of a message's piece in an index.
pub(super) fn id(message: &str, n: u64) -> String {
    format!("{message}#{n}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_has_no_piece() {
        assert!(of("").is_empty());
        assert!(of(" \n\t ").is_empty());
        assert_eq!(of(" one\ntwo "), ["one two"]);
    }

    #[test]
    fn a_long_text_is_cut_between_words_and_loses_none() {
        let words: Vec<String> = (0..2000).map(|n| format!("word{n}")).collect();
        let pieces = of(&words.join(" "));
        assert!(pieces.len() > 10 && pieces.iter().all(|piece| piece.chars().count() <= PIECE));
        assert_eq!(pieces.join(" "), words.join(" "));
    }

    #[test]
    fn a_text_without_spaces_is_cut_and_one_without_end_ends() {
        assert_eq!(of(&"語".repeat(PIECE * 2)).len(), 2);
        assert_eq!(of(&"x ".repeat(PIECE * PIECES)).len(), PIECES);
        assert_eq!(of(&"x".repeat(PIECE * (PIECES + 9))).len(), PIECES);
    }
}
