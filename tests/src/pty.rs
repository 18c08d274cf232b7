//! A program in a terminal of its own: a pseudo terminal, and what a screen would show of it.

use std::{
    io::{Read, Write},
    num::NonZero,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;

use crate::built::built;

/// Longer than anything here takes; reached only when a test fails.
const SOON: Duration = Duration::from_secs(30);

/// What the program wrote.
struct Written {
    parser: vt100::Parser,
    /// All of it, for what a screen does not show.
    bytes: Vec<u8>,
    has_ended: bool,
}

/// The writer's and the reader's side.
struct Shared {
    written: Mutex<Written>,
    more: Condvar,
}

/// A program in a pseudo terminal. It is ended when this is dropped.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    input: Box<dyn Write + Send>,
    shared: Arc<Shared>,
    home: TempDir,
}

/// Says what to start.
#[derive(Debug, Clone)]
pub struct Program {
    name: &'static str,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    size: (u16, u16),
}

impl Program {
    /// A program that was built, on 120 columns and 36 rows.
    #[must_use]
    pub fn built(name: &'static str) -> Self {
        Self { name, arguments: Vec::new(), variables: Vec::new(), size: (120, 36) }
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Sets a variable; there are no others but what a terminal has.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has so many columns and rows.
    #[must_use]
    pub fn size(mut self, columns: u16, rows: u16) -> Self {
        self.size = (columns, rows);
        self
    }

    /// Starts it, in an empty directory that is its home.
    ///
    /// # Errors
    ///
    /// If it is not built, or there are no pseudo terminals.
    pub fn start(self) -> anyhow::Result<Terminal> {
        let home = TempDir::with_prefix("hotbay-test-")?;
        let (columns, rows) = self.size;
        let pair = native_pty_system().openpty(size(columns, rows)).context("open a pseudo terminal")?;
        let mut command = CommandBuilder::new(built(self.name)?);
        command.args(&self.arguments);
        command.cwd(home.path());
        command.env_clear();
        for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("COLORTERM", "truecolor")] {
            command.env(name, value);
        }
        command.env("HOME", home.path());
        self.variables.iter().for_each(|(name, value)| command.env(name, value));
        let child = pair.slave.spawn_command(command).context("start the program")?;
        // The program has the other side alone, so that reading ends when it does.
        drop(pair.slave);
        let shared = Arc::new(Shared {
            written: Mutex::new(Written {
                parser: vt100::Parser::new(cells(rows), cells(columns), 0),
                bytes: Vec::new(),
                has_ended: false,
            }),
            more: Condvar::new(),
        });
        let reader = pair.master.try_clone_reader()?;
        let input = pair.master.take_writer()?;
        let told = Arc::clone(&shared);
        std::thread::Builder::new().name("terminal".into()).spawn(move || read(reader, &told))?;
        Ok(Terminal { child, master: pair.master, input, shared, home })
    }
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap_or(NonZero::<u16>::MIN)
}

fn read(mut reader: Box<dyn Read + Send>, shared: &Shared) {
    let mut piece = [0; 8192];
    loop {
        let length = reader.read(&mut piece).unwrap_or(0);
        let mut written = shared.written.lock().unwrap_or_else(PoisonError::into_inner);
        match piece.get(..length).filter(|read| !read.is_empty()) {
            Some(read) => {
                written.parser.process(read);
                written.bytes.extend_from_slice(read);
            }
            None => written.has_ended = true,
        }
        shared.more.notify_all();
        if written.has_ended {
            return;
        }
    }
}

impl Terminal {
    /// Types text, key by key.
    ///
    /// # Panics
    ///
    /// If the program does not read.
    pub fn text(&mut self, text: &str) {
        self.raw(text.as_bytes());
    }

    /// Presses keys by their names, with spaces between them: `j`, `enter`, `C-c`.
    ///
    /// # Panics
    ///
    /// If there is no such key, or the program does not read.
    pub fn keys(&mut self, keys: &str) {
        for key in keys.split(' ') {
            let bytes: Vec<u8> = match key {
                "enter" => b"\r".to_vec(),
                "esc" => b"\x1b".to_vec(),
                "tab" => b"\t".to_vec(),
                "space" => b" ".to_vec(),
                "up" => b"\x1b[A".to_vec(),
                "down" => b"\x1b[B".to_vec(),
                "right" => b"\x1b[C".to_vec(),
                "left" => b"\x1b[D".to_vec(),
                _ => match key.strip_prefix("C-").and_then(|key| key.bytes().next()) {
                    Some(letter) => vec![letter & 0x1f],
                    None => key.as_bytes().to_vec(),
                },
            };
            self.raw(&bytes);
            if key == "esc" {
                // Alone it is a key; with what follows at once it would be the begin of another.
                self.settle();
            }
        }
    }

    /// Sends bytes as a terminal would.
    ///
    /// # Panics
    ///
    /// If the program does not read.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).and_then(|()| self.input.flush()).expect("the program reads");
    }

    /// Waits until nothing was written for a moment.
    pub fn settle(&self) {
        let quiet = Duration::from_millis(60);
        let end = Instant::now() + SOON;
        let mut written = self.shared.written.lock().unwrap_or_else(PoisonError::into_inner);
        while Instant::now() < end && !written.has_ended {
            let before = written.bytes.len();
            let (after, timeout) =
                self.shared.more.wait_timeout(written, quiet).unwrap_or_else(PoisonError::into_inner);
            written = after;
            if timeout.timed_out() && written.bytes.len() == before {
                return;
            }
        }
    }

    /// Waits until what is seen is as it should be, and returns it.
    ///
    /// # Panics
    ///
    /// If it never is; the message has what is seen.
    #[track_caller]
    pub fn wait(&self, what: &str, mut is_so: impl FnMut(&str) -> bool) -> String {
        let end = Instant::now() + SOON;
        let mut written = self.shared.written.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let seen = written.parser.screen().contents();
            if is_so(&seen) {
                return seen;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !written.has_ended, "never seen: {what}; what is:\n{seen}");
            written = self.shared.more.wait_timeout(written, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until a text is seen, and returns all that is.
    ///
    /// # Panics
    ///
    /// If it never is.
    #[track_caller]
    pub fn see(&self, text: &str) -> String {
        self.wait(text, |seen| seen.contains(text))
    }

    /// Waits until a text is not seen any more.
    ///
    /// # Panics
    ///
    /// If it always is.
    #[track_caller]
    pub fn lose(&self, text: &str) -> String {
        self.wait(&format!("anything without {text}"), |seen| !seen.contains(text))
    }

    /// Gives it another size.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn resize(&self, columns: u16, rows: u16) -> anyhow::Result<()> {
        let mut written = self.shared.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.parser.screen_mut().set_size(cells(rows), cells(columns));
        self.master.resize(size(columns, rows))
    }

    /// Clicks with the left button on a cell.
    ///
    /// # Panics
    ///
    /// If the program does not read.
    pub fn click(&mut self, column: u16, row: u16) {
        self.raw(format!("\x1b[<0;{};{}M\x1b[<0;{0};{1}m", column + 1, row + 1).as_bytes());
    }

    /// Turns the wheel down over a cell.
    ///
    /// # Panics
    ///
    /// If the program does not read.
    pub fn wheel_down(&mut self, column: u16, row: u16) {
        self.raw(format!("\x1b[<65;{};{}M", column + 1, row + 1).as_bytes());
    }

    /// Returns the program's process id.
    ///
    /// # Panics
    ///
    /// If it has none.
    pub fn process_id(&self) -> u32 {
        self.child.process_id().expect("it runs")
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// If the program is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = Pid::from_raw(i32::try_from(self.process_id())?);
        kill(id, signal).context("send a signal")
    }

    /// Waits until the program has ended, and returns its exit code.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub fn ended(&mut self) -> anyhow::Result<u32> {
        let end = Instant::now() + SOON;
        let mut written = self.shared.written.lock().unwrap_or_else(PoisonError::into_inner);
        while !written.has_ended {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("it does not end; what is seen:\n{}", written.parser.screen().contents());
            }
            written = self.shared.more.wait_timeout(written, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(written);
        Ok(self.child.wait()?.exit_code())
    }

    /// Returns everything that was written.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.shared.written.lock().unwrap_or_else(PoisonError::into_inner).bytes.clone()
    }

    /// Looks at the screen with its styles.
    pub fn screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.shared.written.lock().unwrap_or_else(PoisonError::into_inner).parser.screen())
    }

    /// Returns whether keys are made a line and shown, as shells have it.
    #[must_use]
    pub fn is_cooked(&self) -> bool {
        let settings = self.master.get_termios().map(|settings| format!("{:?}", settings.local_flags));
        settings.is_some_and(|flags| flags.contains("ICANON") && flags.contains("ECHO"))
    }

    /// Returns the directory it works in.
    #[must_use]
    pub fn home(&self) -> &std::path::Path {
        self.home.path()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _killed = self.child.kill().is_ok();
        let _waited = self.child.wait().is_ok();
    }
}
