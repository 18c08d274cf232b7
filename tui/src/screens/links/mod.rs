//! What the server is linked to: vector stores and their indexes, embedders, MCP servers and
//! sources, schedules.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Position, Rect},
};
use serde_json::{Value, json};

use super::{Deed, Look, Screen, plugins::open_record};
use crate::{
    json::Json,
    keymap::{Command, Scope},
    parts::{
        cursor::Cursor,
        pane::{Pane, say},
        table::{self, Cell, Column, Table, position},
        text,
    },
    store::{Known, Store},
    want::Want,
};

/// Stores whose indexes are looked into: more do not fit on a screen.
const STORES: usize = 20;
const INDEXES: usize = 50;

/// The screen: three tables.
#[derive(Debug, Default)]
pub(crate) struct Links {
    cursors: [Cursor; 3],
    focus: usize,
    filter: String,
}

/// One row of a table.
struct Row<'a> {
    cells: Vec<String>,
    value: &'a Value,
}

struct Kind {
    title: &'static str,
    columns: &'static [Column],
    want: Want,
    none: &'static str,
}

const VECTORS: &[Column] = &[
    Column::wide("STORE"),
    Column::wide("INDEX"),
    Column::right("VECTORS", 9),
    Column::right("DIM", 5),
    Column::of("METRIC", 11),
];
const MCP: &[Column] = &[
    Column::of("KIND", 8),
    Column::wide("ID"),
    Column::wide("NAME"),
    Column::of("STATE", 12),
    Column::right("TOOLS", 6),
];
const SCHEDULES: &[Column] = &[
    Column::wide("ID"),
    Column::of("STATE", 9),
    Column::wide("WORKFLOW"),
    Column::of("WHEN", 16),
    Column::of("NEXT", 20).from(90),
];

fn kinds() -> [Kind; 3] {
    [
        Kind { title: "Vectors", columns: VECTORS, want: Want::VectorStores, none: "no plugin brings a vector store" },
        Kind { title: "MCP", columns: MCP, want: Want::McpServers, none: "no MCP servers" },
        Kind { title: "Schedules", columns: SCHEDULES, want: Want::Schedules, none: "no workflow runs by itself" },
    ]
}

fn stores(store: &Store) -> impl Iterator<Item = &str> {
    store.value(&Want::VectorStores).list("vectors").iter().take(STORES).map(|vector| vector.text("name"))
}

/// Returns the names of a store's indexes: texts, or objects with a name.
fn indexes<'a>(store: &'a Store, name: &str) -> Vec<&'a str> {
    let answer = store.value(&Want::Indexes(name.to_owned()));
    let list = if answer.is_array() { answer.list("") } else { answer.list("indexes") };
    let names = list.iter().map(|index| index.as_str().unwrap_or_else(|| index.text("name")));
    names.take(INDEXES).collect()
}

impl Links {
    fn rows<'a>(&self, which: usize, store: &'a Store) -> Vec<Row<'a>> {
        let mut rows = match which {
            0 => vectors(store),
            1 => mcp(store),
            _ => schedules(store),
        };
        let typed = self.filter.to_lowercase();
        rows.retain(|row| {
            let text = row.cells.join(" ").to_lowercase();
            typed.split_whitespace().all(|word| text.contains(word))
        });
        rows
    }

    fn panes(area: Rect) -> [Rect; 3] {
        Layout::vertical([Constraint::Fill(1), Constraint::Fill(1), Constraint::Fill(1)]).areas(area)
    }

    fn selected<'a>(&self, look: &Look<'a>) -> Option<&'a Value> {
        let cursor = self.cursors.get(self.focus)?;
        self.rows(self.focus, look.store).get(cursor.selected).map(|row| row.value)
    }
}

fn vectors(store: &Store) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let all = store.value(&Want::VectorStores).list("vectors");
    for vector in all {
        let name = vector.text("name");
        let found = indexes(store, name);
        if found.is_empty() {
            rows.push(Row { cells: vec![name.to_owned(), "-".to_owned()], value: vector });
        }
        for index in found {
            let value = store.value(&Want::Index { store: name.to_owned(), index: index.to_owned() });
            let count = value.whole("count").map(text::count).unwrap_or_default();
            let dimension = value.whole("dimension").map(|number| number.to_string()).unwrap_or_default();
            let cells = vec![name.to_owned(), index.to_owned(), count, dimension, value.text("metric").to_owned()];
            rows.push(Row { cells, value });
        }
    }
    let embedders = store.value(&Want::Embedders).list("embedders").iter();
    // Those of plugins and of this machine; the others are a list of what could be had.
    for embedder in
        embedders.filter(|embedder| !embedder.text("plugin").is_empty() || !embedder.text("pluginName").is_empty())
    {
        let dimension = embedder.whole("dimensions").map(|number| number.to_string()).unwrap_or_default();
        let cells = vec!["embedder".to_owned(), embedder.text("id").to_owned(), String::new(), dimension];
        rows.push(Row { cells, value: embedder });
    }
    rows
}

fn mcp(store: &Store) -> Vec<Row<'_>> {
    let servers = store.value(&Want::McpServers).list("servers").iter().map(|server| {
        let id = server.text("id");
        let tools = store.known(&Want::McpTools(id.to_owned())).value();
        let tools = tools.map(|tools| tools.list("tools").len().to_string()).unwrap_or_default();
        let cells = vec!["server".into(), id.to_owned(), server.text("name").to_owned(), "offered".into(), tools];
        Row { cells, value: server }
    });
    let sources = store.value(&Want::McpSources).list("sources").iter().map(|source| {
        let tools = source.whole("tools").map(|number| number.to_string());
        let tools = tools.unwrap_or_else(|| source.list("tools").len().to_string());
        let name = source.text("name");
        let id = if source.text("id").is_empty() { name } else { source.text("id") };
        let cells = vec!["source".into(), id.to_owned(), name.to_owned(), source.text("state").to_owned(), tools];
        Row { cells, value: source }
    });
    servers.chain(sources).collect()
}

fn schedules(store: &Store) -> Vec<Row<'_>> {
    let rows = store.value(&Want::Schedules).list("schedules").iter().map(|schedule| {
        let first = |names: &[&str]| {
            names.iter().map(|name| schedule.text(name)).find(|text| !text.is_empty()).unwrap_or_default().to_owned()
        };
        let next = schedule.moment("nextFireAt").map(crate::json::date).unwrap_or_else(|| first(&["nextFireAt"]));
        let cells = vec![
            first(&["id", "scheduleId"]),
            first(&["status", "state"]),
            first(&["workflowId", "target.workflowId"]),
            first(&["cron", "expression"]),
            next,
        ];
        Row { cells, value: schedule }
    });
    rows.collect()
}

impl Screen for Links {
    fn crumbs(&self, _look: &Look<'_>) -> Vec<String> {
        kinds().get(self.focus).map(|kind| kind.title.to_owned()).into_iter().collect()
    }

    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::List]
    }

    fn wants(&self, look: &Look<'_>) -> Vec<Want> {
        let mut wants = vec![Want::VectorStores, Want::Embedders, Want::McpServers, Want::McpSources, Want::Schedules];
        for name in stores(look.store) {
            wants.push(Want::Indexes(name.to_owned()));
            let of = |index: &str| Want::Index { store: name.to_owned(), index: index.to_owned() };
            wants.extend(indexes(look.store, name).into_iter().map(of));
        }
        let servers = look.store.value(&Want::McpServers).list("servers").iter().take(STORES);
        wants.extend(servers.map(|server| Want::McpTools(server.text("id").to_owned())));
        wants
    }

    fn command(&mut self, command: Command, look: &Look<'_>) -> Vec<Deed> {
        let total = self.rows(self.focus, look.store).len();
        let height = table::height(Pane::inner(Self::panes(look.area)[0]));
        match command {
            Command::Go(to) => {
                if let Some(cursor) = self.cursors.get_mut(self.focus) {
                    cursor.go(to, total, height);
                }
            }
            Command::NextPane => self.focus = (self.focus + 1) % 3,
            Command::PreviousPane => self.focus = (self.focus + 2) % 3,
            Command::Open => return open_record(self.selected(look), "name"),
            _ => {}
        }
        Vec::new()
    }

    fn settle(&mut self, look: &Look<'_>) {
        let height = table::height(Pane::inner(Self::panes(look.area)[0]));
        for which in 0..3 {
            let total = self.rows(which, look.store).len();
            if let Some(cursor) = self.cursors.get_mut(which) {
                cursor.settle(total, height);
            }
        }
    }

    fn filter(&mut self, text: &str, look: &Look<'_>) -> Result<(), String> {
        text.clone_into(&mut self.filter);
        self.settle(look);
        Ok(())
    }

    fn filter_text(&self) -> &str {
        &self.filter
    }

    fn back(&mut self) -> bool {
        let was_narrow = !self.filter.is_empty();
        self.filter.clear();
        was_narrow
    }

    fn click(&mut self, at: Position, look: &Look<'_>) -> Vec<Deed> {
        for (which, pane) in Self::panes(look.area).map(Pane::inner).into_iter().enumerate() {
            if pane.contains(at) {
                self.focus = which;
                let total = self.rows(which, look.store).len();
                if let (Some(cursor), Some(line)) =
                    (self.cursors.get_mut(which), usize::from(at.y - pane.y).checked_sub(1))
                    && let Some(row) = cursor.row_at(line, total, table::height(pane))
                {
                    cursor.select(row, total, table::height(pane));
                }
            }
        }
        Vec::new()
    }

    fn wheel(&mut self, at: Position, rows: isize, look: &Look<'_>) {
        for (which, pane) in Self::panes(look.area).into_iter().enumerate() {
            let total = self.rows(which, look.store).len();
            if pane.contains(at)
                && let Some(cursor) = self.cursors.get_mut(which)
            {
                cursor.scroll(rows, total, table::height(Pane::inner(pane)));
            }
        }
    }

    fn chosen(&self, look: &Look<'_>) -> Option<(String, Value)> {
        let cursor = self.cursors.get(self.focus)?;
        let rows = self.rows(self.focus, look.store);
        let row = rows.get(cursor.selected)?;
        Some((row.cells.join(" "), row.value.clone()))
    }

    fn export(&self, look: &Look<'_>) -> Value {
        let indexes = stores(look.store).map(|name| {
            let of =
                |index: &&str| look.store.value(&Want::Index { store: name.to_owned(), index: (*index).to_owned() });
            let found: Vec<Value> =
                indexes(look.store, name).iter().map(|index| json!({"name": index, "stats": of(index)})).collect();
            json!({"store": name, "indexes": found})
        });
        json!({
            "vectors": indexes.collect::<Vec<_>>(),
            "mcpServers": look.store.value(&Want::McpServers).list("servers"),
            "mcpSources": look.store.value(&Want::McpSources).list("sources"),
            "schedules": look.store.value(&Want::Schedules).list("schedules"),
        })
    }

    fn draw(&self, look: &Look<'_>, frame: &mut Frame<'_>) {
        let buf = frame.buffer_mut();
        let theme = look.theme;
        for ((which, kind), area) in kinds().into_iter().enumerate().zip(Self::panes(look.area)) {
            let rows = self.rows(which, look.store);
            let cursor = self.cursors.get(which).copied().unwrap_or_default();
            let is_focused = which == self.focus;
            let narrowed = if self.filter.is_empty() { String::new() } else { format!("  /{}", self.filter) };
            let title = format!("{} {}{narrowed}", kind.title, rows.len());
            let inner =
                Pane::new(&title).focused(is_focused).note(&position(cursor, rows.len())).draw(theme, area, buf);
            match look.store.known(&kind.want) {
                Known::Loading => say("asking the server", theme.quiet(), inner, buf),
                Known::Failed(failure) => say(&failure.message, theme.bad(), inner, buf),
                Known::Here(_) if rows.is_empty() => say(kind.none, theme.quiet(), inner, buf),
                Known::Here(_) => {
                    let table = Table { columns: kind.columns, total: rows.len(), cursor, sort: None, is_focused };
                    table.draw(theme, inner, buf, |index| {
                        let cells = rows.get(index).map(|row| row.cells.iter().map(|cell| Cell::from(cell.clone())));
                        cells.map(Iterator::collect).unwrap_or_default()
                    });
                }
            }
        }
    }
}
