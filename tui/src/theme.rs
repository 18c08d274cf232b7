//! Colours, emphasis and glyphs, in one place.
//!
//! What a colour says a word or a glyph says as well, so that everything reads without colours.

use ratatui::{
    style::{Color, Modifier, Style},
    symbols::border,
};

/// How many colours the terminal is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// None: emphasis is bold, dim and reverse.
    Plain,
    /// The sixteen of every terminal, in the operator's own shades.
    Sixteen,
    /// Any.
    Full,
}

/// A set of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Palette {
    /// For dark backgrounds.
    Dark,
    /// For light backgrounds.
    Light,
    /// Nothing faint, nothing subtle.
    HighContrast,
}

/// How kinds of text look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Theme {
    palette: Palette,
    depth: Depth,
    glyphs: &'static Glyphs,
}

/// What stands for states and structure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Glyphs {
    pub(crate) running: &'static str,
    pub(crate) good: &'static str,
    pub(crate) failed: &'static str,
    pub(crate) suspended: &'static str,
    pub(crate) idle: &'static str,
    pub(crate) draining: &'static str,
    pub(crate) canceled: &'static str,
    pub(crate) selected: &'static str,
    pub(crate) folded: &'static str,
    pub(crate) unfolded: &'static str,
    pub(crate) leaf: &'static str,
    pub(crate) ellipsis: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    pub(crate) arrow: &'static str,
    /// The lines of trees and graphs: horizontal, vertical, then the corners from the top left
    /// clockwise, then the joints to the right, left, bottom and top, and the crossing.
    pub(crate) lines: Lines,
    /// A bar of a waterfall, and one of time spent waiting.
    pub(crate) bar: &'static str,
    pub(crate) waiting: &'static str,
    /// From nothing to all, for sparklines.
    pub(crate) levels: [&'static str; 8],
    /// The frame of a pane.
    pub(crate) border: border::Set<'static>,
}

/// Box drawing, one cell each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) horizontal: &'static str,
    pub(crate) vertical: &'static str,
    pub(crate) top_left: &'static str,
    pub(crate) top_right: &'static str,
    pub(crate) bottom_right: &'static str,
    pub(crate) bottom_left: &'static str,
    /// Vertical with a branch to the right.
    pub(crate) right: &'static str,
    /// Vertical with a branch to the left.
    pub(crate) left: &'static str,
    /// Horizontal with a branch down.
    pub(crate) below: &'static str,
    /// Horizontal with a branch up.
    pub(crate) above: &'static str,
    pub(crate) cross: &'static str,
}

/// The usual glyphs.
pub(crate) static UNICODE: Glyphs = Glyphs {
    running: "●",
    good: "✓",
    failed: "✗",
    suspended: "‖",
    idle: "○",
    draining: "◌",
    canceled: "⊘",
    selected: "▶",
    folded: "▸",
    unfolded: "▾",
    leaf: "·",
    ellipsis: "…",
    up: "▲",
    down: "▼",
    arrow: "▶",
    lines: Lines {
        horizontal: "─",
        vertical: "│",
        top_left: "┌",
        top_right: "┐",
        bottom_right: "┘",
        bottom_left: "└",
        right: "├",
        left: "┤",
        below: "┬",
        above: "┴",
        cross: "┼",
    },
    bar: "█",
    waiting: "░",
    levels: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    border: border::PLAIN,
};

/// Those of terminals and readers that know no others.
pub(crate) static ASCII: Glyphs = Glyphs {
    running: "*",
    good: "+",
    failed: "x",
    suspended: "=",
    idle: "o",
    draining: "~",
    canceled: "/",
    selected: ">",
    folded: "+",
    unfolded: "-",
    leaf: ".",
    ellipsis: "~",
    up: "^",
    down: "v",
    arrow: ">",
    lines: Lines {
        horizontal: "-",
        vertical: "|",
        top_left: "+",
        top_right: "+",
        bottom_right: "+",
        bottom_left: "+",
        right: "+",
        left: "+",
        below: "+",
        above: "+",
        cross: "+",
    },
    bar: "#",
    waiting: ":",
    levels: [".", ".", ":", ":", "=", "=", "#", "#"],
    border: border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    },
};

/// A colour for terminals with all of them, and the one of the sixteen that comes nearest.
#[derive(Clone, Copy)]
struct Shade(Color, Color);

impl Theme {
    pub(crate) const fn new(palette: Palette, depth: Depth, glyphs: &'static Glyphs) -> Self {
        Self { palette, depth, glyphs }
    }

    pub(crate) const fn glyphs(self) -> &'static Glyphs {
        self.glyphs
    }

    fn shade(self, dark: Shade, light: Shade, contrast: Color) -> Option<Color> {
        let Shade(full, sixteen) = match self.palette {
            Palette::Dark => dark,
            Palette::Light => light,
            Palette::HighContrast => Shade(contrast, contrast),
        };
        match self.depth {
            Depth::Plain => None,
            Depth::Sixteen => Some(sixteen),
            Depth::Full => Some(full),
        }
    }

    fn foreground(self, dark: Shade, light: Shade, contrast: Color) -> Style {
        self.shade(dark, light, contrast).map_or_else(Style::new, |color| Style::new().fg(color))
    }

    /// It went well.
    pub(crate) fn good(self) -> Style {
        let dark = Shade(Color::Rgb(126, 198, 120), Color::Green);
        self.foreground(dark, Shade(Color::Rgb(30, 120, 40), Color::Green), Color::LightGreen)
    }

    /// It needs looking at.
    pub(crate) fn warning(self) -> Style {
        let dark = Shade(Color::Rgb(229, 192, 96), Color::Yellow);
        self.foreground(dark, Shade(Color::Rgb(150, 95, 0), Color::Yellow), Color::LightYellow)
    }

    /// It failed.
    pub(crate) fn bad(self) -> Style {
        let dark = Shade(Color::Rgb(240, 113, 120), Color::Red);
        let style = self.foreground(dark, Shade(Color::Rgb(180, 30, 40), Color::Red), Color::LightRed);
        style.add_modifier(Modifier::BOLD)
    }

    /// It goes on now; what the eye is led to.
    pub(crate) fn accent(self) -> Style {
        let dark = Shade(Color::Rgb(110, 180, 240), Color::Cyan);
        self.foreground(dark, Shade(Color::Rgb(0, 95, 160), Color::Blue), Color::LightCyan)
    }

    /// Names of fields, keys of JSON, code.
    pub(crate) fn name(self) -> Style {
        let dark = Shade(Color::Rgb(198, 160, 246), Color::Magenta);
        self.foreground(dark, Shade(Color::Rgb(120, 50, 150), Color::Magenta), Color::LightMagenta)
    }

    /// What matters less.
    pub(crate) fn quiet(self) -> Style {
        if self.palette == Palette::HighContrast {
            return Style::new();
        }
        match self.depth {
            Depth::Plain | Depth::Sixteen => Style::new().add_modifier(Modifier::DIM),
            Depth::Full => Style::new().fg(match self.palette {
                Palette::Light => Color::Rgb(105, 105, 115),
                Palette::Dark | Palette::HighContrast => Color::Rgb(135, 140, 155),
            }),
        }
    }

    /// Headings of columns, titles, names of speakers.
    pub(crate) const fn heading(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The row, button or tab that is chosen.
    ///
    /// Text in it must have no colours of its own where there are none: some terminals end the
    /// reverse at the first coloured text.
    pub(crate) const fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What a search found.
    pub(crate) fn hit(self) -> Style {
        self.warning().add_modifier(Modifier::UNDERLINED)
    }

    /// The frame of a pane.
    pub(crate) fn border(self, is_focused: bool) -> Style {
        if is_focused { self.accent() } else { self.quiet() }
    }

    /// What stands for a state of a run, a step, a call or a plugin, by its name in the API, and its look.
    pub(crate) fn state(self, state: &str) -> (&'static str, Style) {
        let glyphs = self.glyphs;
        match state {
            "success" | "ok" | "complete" | "completed" | "serving" | "done" => (glyphs.good, self.good()),
            "running" | "trying" | "loading" => (glyphs.running, self.accent()),
            "failed" | "error" | "tripwire" | "crashed" | "broken" | "refused" | "stuck" => (glyphs.failed, self.bad()),
            "suspended" | "waiting" | "paused" => (glyphs.suspended, self.warning()),
            "draining" => (glyphs.draining, self.warning()),
            "canceled" | "cancelled" | "disabled" => (glyphs.canceled, self.warning()),
            _ => (glyphs.idle, self.quiet()),
        }
    }

    /// The look of a log level, by its name in the API.
    pub(crate) fn level(self, level: &str) -> Style {
        match level {
            "error" | "fatal" => self.bad(),
            "warn" => self.warning(),
            "info" => Style::new(),
            _ => self.quiet(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_nothing_has_one_and_failures_still_stand_out() {
        for palette in [Palette::Dark, Palette::Light, Palette::HighContrast] {
            let theme = Theme::new(palette, Depth::Plain, &UNICODE);
            let all = [theme.good(), theme.warning(), theme.bad(), theme.accent(), theme.name(), theme.quiet()];
            assert!(all.iter().all(|style| style.fg.is_none() && style.bg.is_none()), "{palette:?}");
            assert!(theme.bad().add_modifier.contains(Modifier::BOLD));
            assert!(theme.selected().add_modifier.contains(Modifier::REVERSED));
        }
    }

    #[test]
    fn sixteen_colours_are_named_ones() {
        for palette in [Palette::Dark, Palette::Light, Palette::HighContrast] {
            let theme = Theme::new(palette, Depth::Sixteen, &UNICODE);
            let all = [theme.good(), theme.warning(), theme.bad(), theme.accent(), theme.name(), theme.quiet()];
            for style in all {
                assert!(!matches!(style.fg, Some(Color::Rgb(..) | Color::Indexed(_))), "{palette:?} {style:?}");
            }
        }
    }

    #[test]
    fn every_state_has_a_glyph_of_its_own_class() {
        let theme = Theme::new(Palette::Dark, Depth::Full, &ASCII);
        let glyphs = ["success", "running", "failed", "suspended", "draining", "canceled", "pending"];
        let glyphs = glyphs.map(|state| theme.state(state).0);
        let mut different = glyphs.to_vec();
        different.dedup();
        assert_eq!(different.len(), glyphs.len(), "{glyphs:?}");
    }
}
