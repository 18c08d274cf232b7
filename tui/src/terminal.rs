//! The terminal: taken over, drawn on, and given back, whatever ends the console.

use std::io::{self, Stdout, Write, stdout};

use crossterm::{
    clipboard::CopyToClipboard,
    event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture},
    execute, queue,
    terminal::{
        BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode,
    },
};
use ratatui::{Frame, Terminal, backend::CrosstermBackend};

/// The longest text that is put on a clipboard: terminals take no longer ones.
const LONGEST_COPY: usize = 74_994;

/// The terminal while the console has it.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    has_mouse: bool,
}

impl Screen {
    /// Takes the terminal over. It is given back when this is dropped, and when anything panics.
    ///
    /// # Errors
    ///
    /// If there is no terminal.
    pub(crate) fn take(has_mouse: bool, is_plain: bool) -> io::Result<Self> {
        if is_plain {
            // Colours are turned off by the theme; crossterm's own way takes emphasis away as well.
            crossterm::style::force_color_output(true);
        }
        give_back_on_panic();
        let mut screen = Self { terminal: Terminal::new(CrosstermBackend::new(stdout()))?, has_mouse };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes it over, at first or once more.
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
        if self.has_mouse {
            execute!(stdout(), EnableMouseCapture)?;
        }
        self.forget()
    }

    /// Gives it back, until it is entered again.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        give_back()
    }

    /// Draws, in one go where the terminal can.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(stdout(), BeginSynchronizedUpdate)?;
        self.terminal.draw(draw)?;
        execute!(stdout(), EndSynchronizedUpdate)
    }

    /// Draws everything again next time.
    pub(crate) fn forget(&mut self) -> io::Result<()> {
        // Clearing by its name asks the terminal where the cursor is, and some do not answer.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Whether the mouse is the console's.
    pub(crate) fn set_mouse(&mut self, has_mouse: bool) -> io::Result<()> {
        self.has_mouse = has_mouse;
        if has_mouse { execute!(stdout(), EnableMouseCapture) } else { execute!(stdout(), DisableMouseCapture) }
    }

    /// Puts a text on the clipboard of whoever looks, also over a network (OSC 52). Says what was done.
    pub(crate) fn copy(text: &str) -> Result<String, String> {
        if text.len() > LONGEST_COPY {
            return Err(format!("{} bytes are too many for a terminal's clipboard; C-e writes a file", text.len()));
        }
        let copied = execute!(stdout(), CopyToClipboard::to_clipboard_from(text));
        copied.map(|()| format!("copied {} bytes", text.len())).map_err(|error| error.to_string())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _restored = give_back().is_ok();
    }
}

/// Has the terminal given back before a panic is told, so that it is read where the shell's lines are.
fn give_back_on_panic() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // There is nobody else to tell.
        let _restored = give_back().is_ok();
        hook(panic);
    }));
}

fn give_back() -> io::Result<()> {
    let mut out = stdout();
    let left = execute!(out, DisableMouseCapture, DisableBracketedPaste, EndSynchronizedUpdate, LeaveAlternateScreen);
    let shown = execute!(out, crossterm::cursor::Show);
    disable_raw_mode()?;
    left.and(shown)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set in the process that panics.
    const PANICS: &str = "HOTBAY_TEST_CONSOLE_PANICS";

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        if crate::config::variable(PANICS).is_some() {
            give_back_on_panic();
            panic!("as it should");
        }
        let name = "terminal::tests::a_panic_gives_the_terminal_back_before_it_is_told";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", name, "--nocapture"]).env(PANICS, "1").output().unwrap();
        assert!(!output.status.success());
        let written = String::from_utf8_lossy(&output.stdout).into_owned();
        for sequence in ["\x1b[?1000l", "\x1b[?2004l", "\x1b[?1049l", "\x1b[?25h"] {
            assert!(written.contains(sequence), "{sequence:?} is not in {written:?}");
        }
        assert!(String::from_utf8_lossy(&output.stderr).contains("as it should"));
    }
}
