//! One chunk of markdown: blocks, with what stands before each of their lines.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use ratatui::{
    style::{Modifier, Style},
    text::{Line, Span},
};

use super::{
    flow::{Flow, cells_of},
    table::Table,
};
use crate::{
    parts::text::{clean, start},
    theme::Theme,
};

/// Returns the lines of a chunk, with a blank one between its blocks.
pub(super) fn render(text: &str, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut writer = Writer::new(width, theme);
    for event in Parser::new_ext(text, options) {
        writer.event(event);
    }
    writer.flush();
    let text = text.trim();
    let is_code = text.starts_with("```") || text.starts_with("~~~");
    if writer.lines.is_empty() && !is_code {
        // Nothing but addresses of links that other text may use.
        for line in text.lines() {
            writer.flow.push(&clean(line), theme.quiet());
            writer.flush();
        }
    }
    writer.lines
}

/// What a block puts before its lines: before the first, and before the others.
struct Prefix {
    first: Option<String>,
    rest: String,
    style: Style,
}

struct Writer {
    width: usize,
    theme: Theme,
    lines: Vec<Line<'static>>,
    flow: Flow,
    styles: Vec<Style>,
    prefixes: Vec<Prefix>,
    /// The next number of each open list, if its items have any.
    lists: Vec<Option<u64>>,
    links: Vec<Link>,
    /// A blank line comes before the next block.
    has_gap: bool,
    /// Text is code, or a line of a foreign language.
    is_verbatim: bool,
    table: Option<Table>,
}

struct Link {
    address: String,
    start: usize,
    is_image: bool,
}

impl Writer {
    fn new(width: usize, theme: Theme) -> Self {
        Self {
            width: width.max(1),
            theme,
            lines: Vec::new(),
            flow: Flow::default(),
            styles: Vec::new(),
            prefixes: Vec::new(),
            lists: Vec::new(),
            links: Vec::new(),
            has_gap: false,
            is_verbatim: false,
            table: None,
        }
    }

    fn style(&self) -> Style {
        self.styles.last().copied().unwrap_or_default()
    }

    fn patch(&mut self, style: Style) {
        self.styles.push(self.style().patch(style));
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.open(tag),
            Event::End(tag) => self.close(tag),
            Event::Text(text) if self.is_verbatim => self.verbatim(&text),
            Event::Html(text) => self.verbatim(&text),
            Event::Text(text) => self.flow.push(&clean(&text), self.style()),
            Event::InlineHtml(text) => self.flow.push(&clean(&text), self.style().patch(self.theme.quiet())),
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.flow.push(&format!("`{}`", clean(&text)), self.style().patch(self.theme.name()));
            }
            Event::FootnoteReference(text) => self.flow.push(&format!("[^{}]", clean(&text)), self.style()),
            Event::SoftBreak => self.flow.push(" ", self.style()),
            Event::HardBreak => self.flow.push("\n", self.style()),
            Event::TaskListMarker(is_done) => self.flow.push(if is_done { "[x] " } else { "[ ] " }, self.style()),
            Event::Rule => {
                self.begin();
                let rule = self.theme.glyphs().lines.horizontal.repeat(self.room());
                self.flow.push(&rule, self.theme.quiet());
                self.flush();
                self.has_gap = true;
            }
        }
    }

    fn open(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.begin(),
            Tag::Heading { level, .. } => {
                self.begin();
                self.patch(self.theme.heading());
                let marks = "#".repeat(depth(level));
                self.flow.push(&format!("{marks} "), self.style());
            }
            Tag::BlockQuote(_) => {
                self.begin();
                let bar = format!("{} ", self.theme.glyphs().lines.vertical);
                self.prefixes.push(Prefix { first: None, rest: bar, style: self.theme.quiet() });
            }
            Tag::CodeBlock(kind) => {
                self.begin();
                let bar = format!("{} ", self.theme.glyphs().lines.vertical);
                self.prefixes.push(Prefix { first: None, rest: bar, style: self.theme.quiet() });
                self.is_verbatim = true;
                if let CodeBlockKind::Fenced(language) = kind
                    && !language.trim().is_empty()
                {
                    self.flow.push(&clean(language.trim()), self.theme.quiet());
                    self.flush();
                }
            }
            Tag::List(first) => {
                self.begin();
                self.lists.push(first);
            }
            Tag::Item => {
                self.begin();
                let marker = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let marker = format!("{number}. ");
                        *number = number.saturating_add(1);
                        marker
                    }
                    _ => "- ".to_owned(),
                };
                let rest = " ".repeat(marker.len());
                self.prefixes.push(Prefix { first: Some(marker), rest, style: self.theme.accent() });
            }
            Tag::Table(_) => {
                self.begin();
                self.table = Some(Table::default());
            }
            Tag::TableHead => self.patch(self.theme.heading()),
            Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
            }
            Tag::Emphasis => self.patch(Style::new().add_modifier(Modifier::ITALIC)),
            Tag::Strong => self.patch(Style::new().add_modifier(Modifier::BOLD)),
            Tag::Strikethrough => self.patch(Style::new().add_modifier(Modifier::CROSSED_OUT)),
            Tag::Link { dest_url, .. } => self.link(&dest_url, false),
            Tag::Image { dest_url, .. } => self.link(&dest_url, true),
            Tag::TableCell
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => {}
        }
    }

    fn close(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::HtmlBlock => {
                self.flush();
                self.has_gap = true;
            }
            TagEnd::Heading(_) => {
                self.flush();
                self.styles.pop();
                self.has_gap = true;
            }
            TagEnd::BlockQuote(_) | TagEnd::CodeBlock => {
                self.flush();
                self.prefixes.pop();
                self.is_verbatim = false;
                self.has_gap = true;
            }
            TagEnd::Item => {
                self.flush();
                if self.prefixes.last().is_some_and(|prefix| prefix.first.is_some()) {
                    self.write(&[Line::default()]);
                }
                self.prefixes.pop();
            }
            TagEnd::List(_) => {
                self.flush();
                self.lists.pop();
                self.has_gap |= self.lists.is_empty();
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.flow);
                if let Some(table) = &mut self.table {
                    table.rows.last_mut().unwrap_or(&mut table.head).push(cell);
                }
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    let lines = table.lines(self.room(), self.theme);
                    self.write(&lines);
                }
                self.has_gap = true;
            }
            TagEnd::TableHead | TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => {
                self.styles.pop();
            }
            TagEnd::Link | TagEnd::Image => self.end_link(),
            TagEnd::TableRow
            | TagEnd::FootnoteDefinition
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::MetadataBlock(_) => {}
        }
    }

    fn link(&mut self, address: &str, is_image: bool) {
        if is_image {
            self.flow.push("[image] ", self.style().patch(self.theme.quiet()));
        }
        self.links.push(Link { address: clean(address).into_owned(), start: self.flow.text().len(), is_image });
        self.patch(self.theme.accent().add_modifier(Modifier::UNDERLINED));
    }

    fn end_link(&mut self) {
        self.styles.pop();
        let Some(link) = self.links.pop() else { return };
        let text = self.flow.text().get(link.start..).unwrap_or_default().trim();
        let address = link.address.strip_prefix("mailto:").unwrap_or(&link.address);
        let is_said = text == address || link.address.is_empty() || (link.is_image && address.starts_with("data:"));
        if !is_said {
            let gap = if text.is_empty() { "" } else { " " };
            self.flow.push(&format!("{gap}({})", link.address), self.style().patch(self.theme.quiet()));
        }
    }

    /// Adds code, whose lines are not joined and whose tabs are wide.
    fn verbatim(&mut self, text: &str) {
        let style = if self.is_verbatim { self.theme.name() } else { self.theme.quiet() };
        for line in text.split_inclusive('\n') {
            let is_whole = line.ends_with('\n');
            let line = line.trim_end_matches(['\n', '\r']).replace('\t', "    ");
            self.flow.push(&clean(&line), style);
            if is_whole && self.flow.is_empty() {
                self.write(&[Line::default()]);
            } else if is_whole {
                self.flush();
            }
        }
    }

    /// Ends the text before a block, and leaves a blank line where one belongs.
    fn begin(&mut self) {
        self.flush();
        if std::mem::take(&mut self.has_gap) && !self.lines.is_empty() {
            self.write(&[Line::default()]);
        }
    }

    fn flush(&mut self) {
        if !self.flow.is_empty() {
            let lines = std::mem::take(&mut self.flow).lines(self.room());
            self.write(&lines);
        }
    }

    /// Returns how many cells are left beside the prefixes, which take half at most.
    fn room(&self) -> usize {
        let taken: usize = self.prefixes.iter().map(|prefix| cells_of(&prefix.rest)).sum();
        self.width - taken.min(self.margin())
    }

    /// Returns how many cells prefixes may take: two are left for the text.
    fn margin(&self) -> usize {
        (self.width / 2).min(self.width.saturating_sub(2))
    }

    fn write(&mut self, lines: &[Line<'static>]) {
        for line in lines {
            let mut left = self.margin();
            let mut spans = Vec::new();
            for prefix in &mut self.prefixes {
                let text = prefix.first.take().unwrap_or_else(|| prefix.rest.clone());
                let text = start(&text, left);
                left -= cells_of(text).min(left);
                spans.push(Span::styled(text.to_owned(), prefix.style));
            }
            spans.extend(line.spans.iter().cloned());
            if line.spans.is_empty() {
                trim(&mut spans);
            }
            self.lines.push(Line::from(spans));
        }
    }
}

/// Takes the spaces away that end a line of nothing but prefixes.
fn trim(spans: &mut Vec<Span<'static>>) {
    while let Some(last) = spans.last_mut() {
        let kept = last.content.trim_end().len();
        if kept > 0 {
            last.content.to_mut().truncate(kept);
            return;
        }
        spans.pop();
    }
}

const fn depth(level: HeadingLevel) -> usize {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
