//! What the server offers: agents to talk to, tools to execute, workflows to start.

use std::collections::HashMap;

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Constraint, Layout, Position, Rect},
};
use serde_json::{Value, json};

use super::{Deed, Look, Place, Screen, plugins::next_sort};
use crate::{
    json::{self, Json},
    keymap::{Command, Scope},
    parts::{
        cursor::Cursor,
        pane::{Pane, say},
        table::{self, Cell, Column, Sort, Table, position},
        tree::Tree,
    },
    popups::{Filled, Forms, Popup},
    store::Known,
    want::Want,
};

/// The screen.
#[derive(Debug)]
pub(crate) struct Agents {
    cursor: Cursor,
    /// What is chosen, so that it stays chosen.
    chosen: Option<Id>,
    filter: String,
    sort: Option<Sort>,
    /// What is known of it.
    value: Value,
    tree: Tree,
    is_in_tree: bool,
    versions: [u64; 3],
}

/// One of what is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Id {
    kind: Kind,
    id: String,
}

/// What can be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Agent,
    Tool,
    Workflow,
}

impl Kind {
    const ALL: [(Self, Want); 3] =
        [(Self::Agent, Want::Agents), (Self::Tool, Want::Tools), (Self::Workflow, Want::Workflows)];

    const fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Tool => "tool",
            Self::Workflow => "workflow",
        }
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            cursor: Cursor::default(),
            chosen: None,
            filter: String::new(),
            sort: None,
            value: Value::Null,
            tree: Tree::new(&Value::Null),
            is_in_tree: false,
            versions: [0; 3],
        }
    }
}

/// Columns that can be sorted by.
const SORTS: usize = 4;

/// One row.
struct Row<'a> {
    kind: Kind,
    id: &'a str,
    value: &'a Value,
}

const COLUMNS: &[Column] = &[
    Column::of("KIND", 8),
    Column::wide("ID"),
    Column::of("MODEL", 26).from(64),
    Column::wide("DESCRIPTION").from(80),
    Column::right("RUNS", 10).from(96),
];

impl Agents {
    fn rows<'a>(&self, look: &Look<'a>) -> Vec<Row<'a>> {
        let typed = self.filter.to_lowercase();
        let mut rows = Vec::new();
        for (kind, want) in Kind::ALL {
            for (id, value) in look.store.value(&want).members("") {
                let text = format!("{} {id} {}", kind.word(), value.text("description")).to_lowercase();
                if typed.split_whitespace().all(|word| text.contains(word)) {
                    rows.push(Row { kind, id, value });
                }
            }
        }
        if let Some(sort) = self.sort {
            rows.sort_by(|one, other| {
                let order = match sort.column {
                    0 => one.kind.word().cmp(other.kind.word()),
                    1 => one.id.cmp(other.id),
                    2 => one.value.text("modelId").cmp(other.value.text("modelId")),
                    _ => one.value.text("description").cmp(other.value.text("description")),
                };
                if sort.is_descending { order.reverse() } else { order }
            });
        }
        rows
    }

    fn panes(area: Rect) -> [Rect; 2] {
        if area.width >= 100 {
            Layout::horizontal([Constraint::Percentage(60), Constraint::Fill(1)]).areas(area)
        } else {
            Layout::vertical([Constraint::Percentage(60), Constraint::Fill(1)]).areas(area)
        }
    }

    fn height(look: &Look<'_>) -> usize {
        let [list, _] = Self::panes(look.area);
        table::height(Pane::inner(list))
    }

    fn note(&mut self, look: &Look<'_>) {
        let rows = self.rows(look);
        let chosen = rows.get(self.cursor.selected).map(|row| Id { kind: row.kind, id: row.id.to_owned() });
        let versions = Kind::ALL.map(|(_, want)| look.store.version(&want));
        if chosen != self.chosen || versions != self.versions {
            let value = rows.get(self.cursor.selected).map(|row| readable(row.value)).unwrap_or_default();
            if chosen == self.chosen {
                self.value = value;
                self.tree.renew(&self.value);
            } else {
                self.tree = Tree::new(&value);
                self.value = value;
            }
            self.chosen = chosen;
            self.versions = versions;
        }
    }

    /// Does what one does with what is chosen.
    fn use_it(&self, look: &Look<'_>) -> Vec<Deed> {
        let rows = self.rows(look);
        let Some(row) = rows.get(self.cursor.selected) else { return vec![Deed::Complain("nothing is chosen".into())] };
        let id = row.id.to_owned();
        let (title, filled) = match row.kind {
            Kind::Agent => return vec![Deed::Go(Place::Chat { agent: id })],
            Kind::Tool => (format!("Execute {id}"), Filled::Execute { tool: id }),
            Kind::Workflow => (format!("Start {id}"), Filled::Start { workflow: id }),
        };
        let schema = json::schema(row.value.at("inputSchema"));
        vec![Deed::Open(Box::new(Popup::Form(Box::new(Forms::new(title, &schema, None, filled)))))]
    }
}

/// Returns what is offered with its schemas as values instead of texts.
fn readable(value: &Value) -> Value {
    let members = value.members("").filter(|(_, value)| !value.is_null()).map(|(name, value)| {
        let value = match value {
            Value::String(_) if name.ends_with("Schema") => json::schema(value),
            Value::Object(_) => readable(value),
            other => other.clone(),
        };
        (name.to_owned(), value)
    });
    Value::Object(members.collect())
}

impl Screen for Agents {
    fn crumbs(&self, _look: &Look<'_>) -> Vec<String> {
        self.chosen.iter().map(|chosen| format!("{} {}", chosen.kind.word(), chosen.id)).collect()
    }

    fn scopes(&self) -> Vec<Scope> {
        if self.is_in_tree { vec![Scope::Tree] } else { vec![Scope::Agents, Scope::List] }
    }

    fn wants(&self, _look: &Look<'_>) -> Vec<Want> {
        vec![Want::Agents, Want::Tools, Want::Workflows, Want::RunCounts]
    }

    fn command(&mut self, command: Command, look: &Look<'_>) -> Vec<Deed> {
        let [_, detail] = Self::panes(look.area);
        match command {
            Command::Go(to) if self.is_in_tree => {
                self.tree.go(&self.value, to, usize::from(Pane::inner(detail).height));
            }
            Command::Go(to) => {
                self.cursor.go(to, self.rows(look).len(), Self::height(look));
                self.note(look);
            }
            Command::NextPane | Command::PreviousPane => self.is_in_tree = !self.is_in_tree,
            Command::Fold | Command::Open if self.is_in_tree => self.tree.toggle(&self.value),
            Command::FoldAll if self.tree.is_folded() => self.tree.unfold_all(&self.value),
            Command::FoldAll => self.tree.fold_all(&self.value),
            Command::Use | Command::Open => return self.use_it(look),
            Command::Sort | Command::Reverse => self.sort = next_sort(self.sort, command, SORTS),
            Command::ToLogs => {
                let id = self.chosen.as_ref().map(|chosen| chosen.id.clone());
                return id.map(|id| Deed::Go(Place::Logs(id))).into_iter().collect();
            }
            _ => {}
        }
        Vec::new()
    }

    fn settle(&mut self, look: &Look<'_>) {
        let rows = self.rows(look);
        let kept = rows
            .iter()
            .position(|row| self.chosen.as_ref().is_some_and(|chosen| chosen.kind == row.kind && chosen.id == row.id));
        if let Some(index) = kept {
            self.cursor.selected = index;
        }
        self.cursor.settle(rows.len(), Self::height(look));
        self.note(look);
    }

    fn filter(&mut self, text: &str, look: &Look<'_>) -> Result<(), String> {
        text.clone_into(&mut self.filter);
        self.settle(look);
        Ok(())
    }

    fn filter_text(&self) -> &str {
        &self.filter
    }

    fn go(&mut self, place: &Place, look: &Look<'_>) -> Vec<Deed> {
        if let Place::Offer(id) = place {
            self.filter.clear();
            let index = self.rows(look).iter().position(|row| row.id == id);
            self.cursor.select(index.unwrap_or(0), self.rows(look).len(), Self::height(look));
            self.note(look);
        }
        Vec::new()
    }

    fn back(&mut self) -> bool {
        let was_inside = self.is_in_tree || !self.filter.is_empty();
        self.is_in_tree = false;
        self.filter.clear();
        was_inside
    }

    fn click(&mut self, at: Position, look: &Look<'_>) -> Vec<Deed> {
        let [list, detail] = Self::panes(look.area).map(Pane::inner);
        if list.contains(at) {
            self.is_in_tree = false;
            let total = self.rows(look).len();
            let line = usize::from(at.y - list.y).checked_sub(1);
            if let Some(row) = line.and_then(|line| self.cursor.row_at(line, total, table::height(list))) {
                self.cursor.select(row, total, table::height(list));
                self.note(look);
            }
        } else if detail.contains(at) {
            self.is_in_tree = true;
            self.tree.click(&self.value, usize::from(at.y - detail.y), usize::from(detail.height));
        }
        Vec::new()
    }

    fn wheel(&mut self, at: Position, rows: isize, look: &Look<'_>) {
        let [_, detail] = Self::panes(look.area);
        if detail.contains(at) {
            self.tree.scroll(rows, usize::from(Pane::inner(detail).height));
        } else {
            self.cursor.scroll(rows, self.rows(look).len(), Self::height(look));
            self.note(look);
        }
    }

    fn chosen(&self, _look: &Look<'_>) -> Option<(String, Value)> {
        if self.is_in_tree {
            return self.tree.chosen(&self.value).map(|(_, value)| (json::brief(value), self.value.clone()));
        }
        self.chosen.as_ref().map(|chosen| (chosen.id.clone(), self.value.clone()))
    }

    fn export(&self, look: &Look<'_>) -> Value {
        json!({
            "agents": look.store.value(&Want::Agents),
            "tools": look.store.value(&Want::Tools),
            "workflows": look.store.value(&Want::Workflows),
        })
    }

    fn draw(&self, look: &Look<'_>, frame: &mut Frame<'_>) {
        let buf = frame.buffer_mut();
        let [list, detail] = Self::panes(look.area);
        self.draw_list(look, list, buf);
        let theme = look.theme;
        let title = self.chosen.as_ref().map_or("", |chosen| chosen.id.as_str());
        let (at, all) = self.tree.position();
        let note = if self.chosen.is_some() { format!("{at}/{all}") } else { String::new() };
        let inner = Pane::new(title).focused(self.is_in_tree).note(&note).draw(theme, detail, buf);
        if self.chosen.is_some() {
            self.tree.draw(&self.value, theme, inner, buf, self.is_in_tree);
        }
    }
}

impl Agents {
    fn draw_list(&self, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
        let theme = look.theme;
        let rows = self.rows(look);
        let narrowed = if self.filter.is_empty() { String::new() } else { format!("  /{}", self.filter) };
        let title = format!("Agents, tools, workflows {}{narrowed}", rows.len());
        let pane = Pane::new(&title).focused(!self.is_in_tree).note(&position(self.cursor, rows.len()));
        let inner = pane.draw(theme, area, buf);
        if rows.is_empty() {
            let (words, style) = match look.store.known(&Want::Agents) {
                Known::Loading => ("asking the server", theme.quiet()),
                Known::Failed(failure) => (failure.message.as_str(), theme.bad()),
                Known::Here(_) if self.filter.is_empty() => ("no plugin offers anything", theme.quiet()),
                Known::Here(_) => ("none of them is so", theme.quiet()),
            };
            return say(words, style, inner, buf);
        }
        let counts: HashMap<&str, &Value> = look.store.value(&Want::RunCounts).members("").collect();
        let table = Table {
            columns: COLUMNS,
            total: rows.len(),
            cursor: self.cursor,
            sort: self.sort,
            is_focused: !self.is_in_tree,
        };
        table.draw(theme, inner, buf, |index| {
            let Some(row) = rows.get(index) else { return Vec::new() };
            let model = match row.kind {
                Kind::Agent => format!("{}/{}", row.value.text("provider"), row.value.text("modelId")),
                Kind::Tool | Kind::Workflow => String::new(),
            };
            let count = counts.get(row.id).filter(|_| row.kind == Kind::Workflow);
            let going = count.map(|count| {
                let (running, suspended) = (count.whole("running").unwrap_or(0), count.whole("suspended").unwrap_or(0));
                let glyphs = theme.glyphs();
                let part =
                    |number: u64, glyph: &str| if number > 0 { format!("{glyph}{number} ") } else { String::new() };
                format!("{}{}", part(running, glyphs.running), part(suspended, glyphs.suspended))
            });
            vec![
                Cell::styled(row.kind.word(), theme.name()),
                row.id.into(),
                Cell::styled(model, theme.quiet()),
                Cell::styled(row.value.text("description"), theme.quiet()),
                Cell::styled(going.unwrap_or_default().trim_end().to_owned(), theme.accent()),
            ]
        });
    }
}
