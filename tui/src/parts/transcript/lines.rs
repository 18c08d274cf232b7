//! The lines of an item.

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use serde_json::Value;

use super::item::{Body, Call, Class, Heading, Item};
use crate::{
    parts::text::{clean, count, duration, fit, width, wrap},
    theme::Theme,
};

/// More lines of a call than anybody reads here.
const MOST: usize = 400;

/// An item with its lines.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) item: Item,
    pub(super) is_open: bool,
    /// What the lines were made for; absent when the item has changed since.
    pub(super) look: Option<(usize, Theme)>,
    /// A blank line comes before.
    has_gap: bool,
    /// Those of an answer are in the answer.
    lines: Vec<Line<'static>>,
}

static BLANK: Line<'static> = Line { style: Style::new(), alignment: None, spans: Vec::new() };

impl Entry {
    pub(super) const fn new(item: Item) -> Self {
        Self { item, is_open: false, look: None, has_gap: false, lines: Vec::new() }
    }

    /// Makes the lines unless they are those of this item at this width already.
    pub(super) fn layout(&mut self, before: Option<Class>, agent: &str, width: usize, theme: Theme) {
        self.has_gap = match (before, self.item.class()) {
            (None, _) => false,
            (Some(_), Class::Heading) | (Some(Class::Text), Class::Aside) => true,
            (Some(before), Class::Text) => before != Class::Heading,
            (Some(_), Class::Aside) => false,
        };
        if self.look == Some((width, theme)) {
            return;
        }
        self.look = Some((width, theme));
        let is_open = self.is_open;
        self.lines = match &mut self.item.body {
            Body::Answer(answer) => {
                answer.layout(width, theme);
                Vec::new()
            }
            Body::Heading(heading) => vec![headed(heading, agent, theme)],
            Body::Said(text) => plain(text, width, Style::new()),
            Body::System(text) => plain(text, width, theme.quiet()),
            Body::Error(text) => marked(theme.glyphs().failed, text, width, theme.bad()),
            Body::Notice(text) => marked(theme.glyphs().leaf, text, width, theme.quiet()),
            Body::Thinking(text) => thought(text, is_open, width, theme),
            Body::Call(call) => called(call, is_open, width, theme),
        };
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &Line<'static>> {
        let answer = match &self.item.body {
            Body::Answer(answer) => Some(answer.lines()),
            _ => None,
        };
        self.has_gap.then_some(&BLANK).into_iter().chain(&self.lines).chain(answer.into_iter().flatten())
    }

    pub(super) fn len(&self) -> usize {
        let answer = match &self.item.body {
            Body::Answer(answer) => answer.len(),
            _ => 0,
        };
        self.head() + self.lines.len() + answer
    }

    /// Returns the line that is not blank first.
    pub(super) fn head(&self) -> usize {
        usize::from(self.has_gap)
    }

    /// Whether a line of it folds and unfolds it.
    pub(super) fn is_head(&self, line: usize) -> bool {
        self.item.is_foldable() && line == self.head()
    }
}

fn headed(heading: &Heading, agent: &str, theme: Theme) -> Line<'static> {
    let name = if heading.role == "assistant" && !agent.is_empty() { agent } else { &heading.role };
    let style = if heading.role == "user" { theme.accent() } else { theme.good() };
    let mut spans = vec![Span::styled(clean(name).into_owned(), style.patch(theme.heading()))];
    let mut note = |text: String| spans.push(Span::styled(format!("  {text}"), theme.quiet()));
    if !heading.time.is_empty() {
        note(clean(&heading.time).into_owned());
    }
    if let Some(tokens) = heading.tokens {
        note(format!("{} tok", count(tokens)));
    }
    if let Some(took) = heading.took_ms {
        note(duration(took));
    }
    if heading.is_streaming {
        note(format!("streaming{}", theme.glyphs().ellipsis));
    }
    Line::from(spans)
}

/// Returns text as it is, with its own line breaks.
fn plain(text: &str, width: usize, style: Style) -> Vec<Line<'static>> {
    let lines = text.lines().flat_map(|line| wrap(&clean(line), width));
    lines.map(|line| Line::styled(line, style)).collect()
}

fn marked(mark: &str, text: &str, width: usize, style: Style) -> Vec<Line<'static>> {
    let lines = text.lines().flat_map(|line| wrap(&clean(line), width.saturating_sub(2)));
    let mut lines: Vec<Line<'static>> = lines.map(|line| Line::styled(format!("  {line}"), style)).collect();
    if let Some(first) = lines.first_mut().and_then(|line| line.spans.first_mut()) {
        let rest = first.content.trim_start().to_owned();
        first.content = format!("{mark} {rest}").into();
    }
    lines
}

fn fold_mark(is_open: bool, theme: Theme) -> &'static str {
    if is_open { theme.glyphs().unfolded } else { theme.glyphs().folded }
}

/// Puts text behind an upright line, cut where it is too much.
fn inside(text: &str, width: usize, style: Style, theme: Theme, lines: &mut Vec<Line<'static>>) {
    let bar = theme.glyphs().lines.vertical;
    let all: Vec<String> = text.lines().flat_map(|line| wrap(&clean(line), width.saturating_sub(2))).collect();
    let rest = all.len().saturating_sub(MOST);
    for line in all.into_iter().take(MOST) {
        lines.push(Line::from(vec![Span::styled(format!("{bar} "), theme.quiet()), Span::styled(line, style)]));
    }
    if rest > 0 {
        lines.push(Line::styled(format!("{bar} {} {rest} more lines", theme.glyphs().ellipsis), theme.quiet()));
    }
}

fn thought(text: &str, is_open: bool, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let head = format!("{} thinking ({} chars)", fold_mark(is_open, theme), text.chars().count());
    let mut lines = vec![Line::styled(head, theme.quiet())];
    if is_open {
        inside(text, width, theme.quiet(), theme, &mut lines);
    }
    lines
}

fn called(call: &Call, is_open: bool, cells: usize, theme: Theme) -> Vec<Line<'static>> {
    let (glyph, look) = theme.state(&call.state);
    let mut said = glyph.to_owned();
    // A state that is not the usual one is named, so that a glyph need not be known.
    let word = if call.state == "success" { "" } else { call.state.as_str() };
    let took = call.took_ms.map(duration).unwrap_or_default();
    for word in [word, &took, &summary(call), &call.note] {
        if !word.is_empty() {
            said.push(' ');
            said.push_str(word);
        }
    }
    let said = fit(&clean(&said), cells / 2).into_owned();
    let args = if call.args.is_null() { String::new() } else { format!(" {}", one_line(&call.args)) };
    let room = cells.saturating_sub(width(&said) + 2);
    let name = clean(&call.name);
    let head = format!("{} tool {name}", fold_mark(is_open, theme));
    let head = fit(&head, room).into_owned();
    let args = fit(&args, room.saturating_sub(width(&head))).into_owned();
    let gap = cells.saturating_sub(width(&head) + width(&args) + width(&said)).min(2);
    let mut lines = vec![Line::from(vec![
        Span::styled(head, theme.heading()),
        Span::styled(args, theme.quiet()),
        Span::raw(" ".repeat(gap)),
        Span::styled(said, look),
    ])];
    if is_open {
        let quiet = theme.quiet();
        inside(&pretty(&call.args), cells, quiet, theme, &mut lines);
        if let Some(result) = &call.result {
            inside(theme.glyphs().lines.horizontal, cells, quiet, theme, &mut lines);
            inside(&pretty(result), cells, Style::new(), theme, &mut lines);
        }
        inside(&call.note, cells, look, theme, &mut lines);
    }
    lines
}

fn summary(call: &Call) -> String {
    match &call.result {
        Some(Value::Array(items)) if items.len() == 1 => "1 item".to_owned(),
        Some(Value::Array(items)) => format!("{} items", items.len()),
        _ => String::new(),
    }
}

fn one_line(value: &Value) -> String {
    match value.as_str() {
        Some(text) => clean(text).into_owned(),
        None => clean(&value.to_string()).into_owned(),
    }
}

fn pretty(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        _ => serde_json::to_string_pretty(value).unwrap_or_default(),
    }
}
