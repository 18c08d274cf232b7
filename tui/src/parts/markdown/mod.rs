//! Markdown as models write it, in lines of a given width.
//!
//! A text is cut into chunks at blank lines where no block goes on, and each chunk is rendered by
//! itself. So an answer that is still coming is rendered again from the last such place only, and
//! what is seen then is what rendering it all at once gives.

mod blocks;
mod flow;
mod table;
#[cfg(test)]
mod tests;

use ratatui::text::Line;

use crate::theme::Theme;

/// Returns the lines of a text; none is wider than so many cells where at least two are given.
pub(crate) fn render(text: &str, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut rest = text;
    loop {
        let end = match next_cut(rest, true) {
            Some(Cut::Chunk(end)) => end,
            Some(Cut::Code(..)) | None => rest.len(),
        };
        let (chunk, after) = rest.split_at(end);
        append(&mut lines, blocks::render(chunk, width, theme));
        if after.is_empty() {
            return lines;
        }
        rest = after;
    }
}

fn append(lines: &mut Vec<Line<'static>>, more: Vec<Line<'static>>) {
    if more.is_empty() {
        return;
    }
    if !lines.is_empty() {
        lines.push(Line::default());
    }
    lines.extend(more);
}

/// A text that grows, with the lines of what can no longer change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streaming {
    text: String,
    /// How much of the text is in the finished lines.
    done: usize,
    /// What opens again the code that the finished lines end in.
    opening: String,
    look: Option<(usize, Theme)>,
    finished: Vec<Line<'static>>,
    tail: Vec<Line<'static>>,
    is_stale: bool,
}

impl Streaming {
    /// Adds text; [`Self::layout`] makes it seen.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.is_stale = true;
    }

    /// Returns all of the text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Renders what has come since the last time, and everything when the width or the theme is another.
    pub(crate) fn layout(&mut self, width: usize, theme: Theme) {
        if self.look != Some((width, theme)) {
            self.look = Some((width, theme));
            self.finished.clear();
            self.opening.clear();
            self.done = 0;
            self.is_stale = true;
        }
        if !self.is_stale {
            return;
        }
        let mut rest = self.rest();
        while let Some(cut) = next_cut(&rest, false) {
            let (end, opening) = match cut {
                Cut::Chunk(end) => (end, String::new()),
                Cut::Code(end, opening) => (end, opening),
            };
            let lines = blocks::render(rest.get(..end).unwrap_or_default(), width, theme);
            if self.opening.is_empty() {
                append(&mut self.finished, lines);
            } else {
                self.finished.extend(lines);
            }
            self.done += end - self.opening.len();
            self.opening = opening;
            rest = self.rest();
        }
        self.tail = render(&rest, width, theme);
        self.is_stale = false;
    }

    /// Returns the text whose lines are not finished.
    fn rest(&self) -> String {
        format!("{}{}", self.opening, self.text.get(self.done..).unwrap_or_default())
    }

    /// Returns the lines as of the last layout.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line<'static>> {
        self.finished.iter().chain(self.has_gap().then_some(&BLANK)).chain(&self.tail)
    }

    /// Returns how many lines there are.
    pub(crate) fn len(&self) -> usize {
        self.finished.len() + usize::from(self.has_gap()) + self.tail.len()
    }

    const fn has_gap(&self) -> bool {
        self.opening.is_empty() && !self.finished.is_empty() && !self.tail.is_empty()
    }
}

static BLANK: Line<'static> = Line { style: ratatui::style::Style::new(), alignment: None, spans: Vec::new() };

/// Where a text may be cut.
enum Cut {
    /// Before another chunk.
    Chunk(usize),
    /// Before the last line of code that goes on, with what opens the code again.
    Code(usize, String),
}

/// Returns the first cut of a text, if there is one.
///
/// The line behind it must have ended, unless the text is known to be all.
fn next_cut(text: &str, is_all: bool) -> Option<Cut> {
    let mut scan = Scan::default();
    let mut at = 0;
    let mut code = Vec::new();
    for line in text.split_inclusive('\n') {
        if !is_all && !line.ends_with('\n') {
            break;
        }
        let was_code = scan.code().is_some();
        if scan.begins_a_chunk(line) {
            return Some(Cut::Chunk(at));
        }
        match scan.code() {
            Some(_) if was_code => code.push(at),
            Some(_) | None => code.clear(),
        }
        at += line.len();
    }
    let fence = scan.code().filter(|_| !is_all && code.len() > 1)?;
    let opening = format!("{}\n", fence.mark.to_string().repeat(fence.length));
    Some(Cut::Code(code.pop()?, opening))
}

/// What is known of a chunk after some of its lines.
#[derive(Default)]
struct Scan {
    has_text: bool,
    has_list: bool,
    has_html: bool,
    is_after_blank: bool,
    /// Code of its own has ended: whatever follows is another chunk.
    is_over: bool,
    fence: Option<Fence>,
}

/// An open block of code: its character, how many of them, and how far it is indented.
struct Fence {
    mark: char,
    length: usize,
    indent: usize,
}

impl Scan {
    /// Returns what opened the code that the next line is in, unless something else holds the code.
    fn code(&self) -> Option<&Fence> {
        self.fence.as_ref().filter(|fence| fence.indent == 0 && !self.has_list && !self.has_html)
    }

    fn begins_a_chunk(&mut self, line: &str) -> bool {
        let body = line.trim_start_matches(' ');
        let indent = line.len() - body.len();
        let body = body.trim_end();
        if body.is_empty() {
            self.is_after_blank = true;
            return false;
        }
        if self.is_over {
            return true;
        }
        // A line at the margin ends a list, and with it the code within.
        if indent == 0 && self.has_list && self.fence.as_ref().is_some_and(|fence| fence.indent > 0) {
            self.fence = None;
        }
        let content = after_marker(body);
        let is_after_blank = std::mem::take(&mut self.is_after_blank);
        if let Some(fence) = &self.fence {
            let run = body.chars().take_while(|&character| character == fence.mark).count();
            if run >= fence.length && body.chars().all(|character| character == fence.mark) {
                self.is_over = self.code().is_some();
                self.fence = None;
            }
            return false;
        }
        let goes_on = line.starts_with([' ', '\t']) || (self.has_list && content.is_some());
        if self.has_text && is_after_blank && !goes_on {
            return true;
        }
        self.has_text = true;
        self.has_list |= content.is_some();
        self.has_html |= body.starts_with('<');
        let inner = content.unwrap_or(body);
        let indent = if content.is_some() { indent + 1 } else { indent };
        self.fence = fence(inner, indent).filter(|_| self.has_list || indent < 4);
        false
    }
}

fn fence(line: &str, indent: usize) -> Option<Fence> {
    let mark = line.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let length = line.chars().take_while(|&character| character == mark).count();
    let info = line.get(length..).unwrap_or_default();
    (length >= 3 && !(mark == '`' && info.contains('`'))).then_some(Fence { mark, length, indent })
}

/// Returns what follows the marker of a list's item.
fn after_marker(line: &str) -> Option<&str> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = line.get(digits..)?;
    let rest = match digits {
        0 => rest.strip_prefix(['-', '*', '+']),
        1..=9 => rest.strip_prefix(['.', ')']),
        _ => None,
    }?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| rest.trim_start())
}
