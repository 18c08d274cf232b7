//! Colours and emphasis, in one place; without colours everything still reads by its words.

use ratatui::style::{Color, Modifier, Style};

/// How kinds of text look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    has_color: bool,
}

impl Theme {
    pub(crate) const fn new(has_color: bool) -> Self {
        Self { has_color }
    }

    fn colored(self, color: Color) -> Style {
        if self.has_color { Style::new().fg(color) } else { Style::new() }
    }

    pub(crate) fn good(self) -> Style {
        self.colored(Color::Green)
    }

    pub(crate) fn warning(self) -> Style {
        self.colored(Color::Yellow)
    }

    pub(crate) fn bad(self) -> Style {
        self.colored(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(crate) const fn heading() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(crate) const fn quiet() -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(crate) const fn selected() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The look of a plugin's state.
    pub(crate) fn state(self, state: &str) -> Style {
        match state {
            "serving" => self.good(),
            "draining" | "disabled" | "retired" => self.warning(),
            _ => self.bad(),
        }
    }
}
