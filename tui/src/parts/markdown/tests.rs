use proptest::prelude::*;
use ratatui::{style::Modifier, text::Line};
use unicode_segmentation::UnicodeSegmentation;

use super::{Streaming, flow::cells_of, render};
use crate::theme::{ASCII, Depth, Palette, Theme, UNICODE};

const THEME: Theme = Theme::new(Palette::Dark, Depth::Full, &UNICODE);

fn text_of<'a>(lines: impl IntoIterator<Item = &'a Line<'static>>) -> String {
    let lines = lines.into_iter().map(|line| line.spans.iter().map(|span| span.content.as_ref()).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}

fn shown(text: &str, width: usize) -> String {
    text_of(&render(text, width, THEME))
}

const ANSWER: &str = "\
## Digest
Some *emphasis*, **strong** text and `code`, then a [link](https://example.org/a) \
and <https://example.org>.

1. **Rates** - the deposit rate was held; item 3 said it was cut.
2. Three releases:
   - one
   - two is so long that it goes on in the next line
     1. deep

> a quote
> goes on
>
> - with a list

```rust
fn main() {
\tprintln!(\"hi\");

}
```

| project | version | change |
|---------|---------|--------|
| ratatui | 0.30.2 | fixes |
| 漢字 | **1** | a cell whose text is too long for it |

---
- [x] done
- [ ] open

The end.
";

#[test]
fn an_answer_is_shown_with_its_structure() {
    insta::assert_snapshot!(shown(ANSWER, 48), @r#"
    ## Digest

    Some emphasis, strong text and `code`, then a
    link (https://example.org/a) and
    https://example.org.

    1. Rates - the deposit rate was held; item 3
       said it was cut.
    2. Three releases:
       - one
       - two is so long that it goes on in the next
         line
         1. deep

    │ a quote goes on
    │
    │ - with a list

    │ rust
    │ fn main() {
    │     println!("hi");
    │
    │ }

    ┌─────────┬─────────┬──────────────────────────┐
    │ project │ version │ change                   │
    ├─────────┼─────────┼──────────────────────────┤
    │ ratatui │ 0.30.2  │ fixes                    │
    │ 漢字    │ 1       │ a cell whose text is too │
    │         │         │ long for it              │
    └─────────┴─────────┴──────────────────────────┘

    ────────────────────────────────────────────────

    - [x] done
    - [ ] open

    The end.
    "#);
}

#[test]
fn a_table_too_wide_for_its_frame_is_a_list_of_fields() {
    insta::assert_snapshot!(shown("| name | state |\n|-|-|\n| a | good |\n| b | bad |\n", 12), @r"
    name: a
    state: good

    name: b
    state: bad
    ");
}

#[test]
fn text_is_broken_at_words_and_between_wide_characters() {
    assert_eq!(shown("the quick, brown fox", 10), "the quick,\nbrown fox");
    assert_eq!(shown("漢字漢字漢字", 5), "漢字\n漢字\n漢字");
    assert_eq!(shown("a 👩‍👩‍👧 family and an é", 8), "a 👩‍👩‍👧\nfamily\nand an é");
    assert_eq!(shown("abcdefghij", 4), "abcd\nefgh\nij");
    assert_eq!(shown("one  \ntwo", 20), "one\ntwo");
}

#[test]
fn emphasis_is_a_look_and_escapes_are_spaces() {
    let lines = render("a **b** \u{1b}[31mc\u{202e}", 20, THEME);
    let bold = lines[0].spans.iter().find(|span| span.content == "b").expect("a span for what is strong");
    assert!(bold.style.add_modifier.contains(Modifier::BOLD));
    assert_eq!(text_of(&lines), "a b  [31mc");
}

#[test]
fn only_what_follows_the_last_boundary_is_rendered_again() {
    let mut streaming = Streaming::default();
    streaming.push("first\n\n```\ncode\n\nmore");
    streaming.layout(20, THEME);
    assert_eq!((streaming.finished.len(), text_of(&streaming.finished)), (3, "first\n\n│ code".to_owned()));
    streaming.push("\nand more\nstill");
    streaming.layout(20, THEME);
    assert_eq!(text_of(&streaming.finished), "first\n\n│ code\n│\n│ more");
    assert_eq!(text_of(&streaming.tail), "│ and more\n│ still");
    streaming.push("\n```\n\nlast\n");
    streaming.layout(20, THEME);
    assert_eq!(text_of(&streaming.finished), "first\n\n│ code\n│\n│ more\n│ and more\n│ still");
    assert_eq!(text_of(&streaming.tail), "last");
    assert_eq!(streaming.lines().count(), streaming.len());
}

#[test]
fn lists_keep_their_numbers_over_blank_lines_and_code() {
    insta::assert_snapshot!(shown("1. a\n\n   ```\n   x\n\n   y\n   ```\n\n2. b\n\nafter\n\n[1]: https://example.org\n", 30), @r"
    1. a

       │ x
       │
       │ y

    2. b

    after

    [1]: https://example.org
    ");
}

fn fragments() -> impl Strategy<Value = String> {
    let known = [
        "# head\n",
        "para ",
        "\n",
        "\n\n",
        "- item\n",
        "  - deeper\n",
        "1. one\n",
        "   more\n",
        "> quote\n",
        "```\n",
        "~~~rust\n",
        "- ```\n",
        "````rust\n",
        "let code;\n",
        "\t<pre>\n",
        "    code\n",
        "| a | b |\n|--|--|\n",
        "| 漢字 | x |\n",
        "---\n",
        "[l](u)",
        "[1]: x\n",
        "**",
        "`",
        "👩‍👩‍👧",
        "\t",
        "\r\n",
        "<b>\n",
    ];
    prop_oneof![4 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn an_answer_that_comes_in_pieces_looks_like_the_whole(pieces in proptest::collection::vec(fragments(), 0..25), width in 0_usize..40) {
        let mut streaming = Streaming::default();
        let mut whole = String::new();
        for piece in &pieces {
            whole.push_str(piece);
            streaming.push(piece);
            streaming.layout(width, THEME);
            let all = render(&whole, width, THEME);
            prop_assert_eq!(streaming.lines().cloned().collect::<Vec<_>>(), all);
        }
    }

    #[test]
    fn no_line_is_wider_than_asked_and_none_has_control_characters(pieces in proptest::collection::vec(fragments(), 0..25), width in 2_usize..60) {
        let text = pieces.concat();
        // Some marks have a width of their own and cannot be cut off what they stand on.
        prop_assume!(text.graphemes(true).all(|grapheme| cells_of(grapheme) <= 2));
        for line in render(&text, width, Theme::new(Palette::Light, Depth::Plain, &ASCII)) {
            let text = text_of([&line]);
            prop_assert!(cells_of(&text) <= width, "{text:?}");
            prop_assert!(!text.chars().any(char::is_control));
        }
    }
}
