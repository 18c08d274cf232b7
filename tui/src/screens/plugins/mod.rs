//! Plugins: which builds serve, how they do, and what can be done about it.

use std::cmp::Ordering;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Position, Rect},
};
use serde_json::{Value, json};

use super::{Deed, Look, Place, Screen};
use crate::{
    json::Json,
    keymap::{Command, Scope},
    order::{Order, PluginOrder},
    parts::{
        cursor::{Cursor, Move},
        pane::Pane,
        table::{self, Sort},
    },
    popups::{Filled, Forms, Popup},
    want::Want,
};

mod draw;

/// Columns that can be sorted by.
const SORTS: usize = 8;

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Plugins {
    cursor: Cursor,
    /// The name of what is chosen.
    chosen: Option<String>,
    filter: String,
    sort: Option<Sort>,
    is_zoomed: bool,
}

/// What is shown of one plugin, summed over its builds: a swap must not make calls vanish.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    calls: u64,
    errors: u64,
    in_flight: u64,
}

fn sums(plugin: &Value) -> Sums {
    let builds = plugin.list("generations").iter();
    builds.fold(Sums::default(), |sums, build| Sums {
        calls: sums.calls.saturating_add(build.whole("calls").unwrap_or(0)),
        errors: sums.errors.saturating_add(build.whole("errors").unwrap_or(0)),
        in_flight: sums.in_flight.saturating_add(build.whole("inFlight").unwrap_or(0)),
    })
}

/// Returns the build that serves.
fn serving(plugin: &Value) -> &Value {
    let number = plugin.whole("generation");
    let found = plugin.list("generations").iter().find(|build| number.is_some() && build.whole("number") == number);
    found.unwrap_or(&Value::Null)
}

impl Plugins {
    fn rows<'a>(&self, look: &Look<'a>) -> Vec<&'a Value> {
        let all = look.store.value(&Want::Plugins).list("plugins").iter();
        let typed = self.filter.to_lowercase();
        let mut rows: Vec<&Value> = all
            .filter(|plugin| {
                let text = format!("{} {} {}", plugin.text("name"), plugin.text("state"), plugin.text("version"));
                typed.split_whitespace().all(|word| text.to_lowercase().contains(word))
            })
            .collect();
        if let Some(sort) = self.sort {
            rows.sort_by(|one, other| {
                let order = compare(one, other, sort.column);
                if sort.is_descending { order.reverse() } else { order }
            });
        }
        rows
    }

    fn selected<'a>(&self, look: &Look<'a>) -> Option<&'a Value> {
        self.rows(look).get(self.cursor.selected).copied()
    }

    /// Returns the list's and the details' parts of the screen.
    fn panes(&self, area: Rect, rows: usize) -> [Rect; 2] {
        if self.is_zoomed {
            return [area, Rect { height: 0, ..area }];
        }
        let list = u16::try_from(rows + 3).unwrap_or(u16::MAX).max(6).min(area.height / 2);
        Layout::vertical([Constraint::Length(list), Constraint::Min(0)]).areas(area)
    }

    fn height(&self, look: &Look<'_>) -> usize {
        let [list, _] = self.panes(look.area, self.rows(look).len());
        table::height(Pane::inner(list))
    }

    fn order(&self, order: PluginOrder, look: &Look<'_>) -> Vec<Deed> {
        match self.selected(look) {
            Some(plugin) => {
                let name = plugin.text("name").to_owned();
                vec![Deed::Ask(Order::Plugin { name, order })]
            }
            None => vec![Deed::Complain("no plugin is chosen".into())],
        }
    }

    fn canary(&self, look: &Look<'_>) -> Vec<Deed> {
        let Some(plugin) = self.selected(look) else { return vec![Deed::Complain("no plugin is chosen".into())] };
        let name = plugin.text("name").to_owned();
        let schema = json!({
            "type": "object",
            "properties": {
                "percent": {"type": "number", "exclusiveMinimum": 0, "maximum": 100, "default": 10,
                    "description": "The share of calls the build gets"},
                "for": {"type": "string", "default": "5m", "description": "How long it is tried: 90s, 5m, 2h"},
                "minCalls": {"type": "integer", "minimum": 1, "default": 20, "description": "Calls needed to judge it"},
                "build": {"type": "string",
                    "description": "How the hash of a build begins; none: the file's if another serves, else the next one"},
            },
            "required": ["percent", "for"],
        });
        let title = format!("Try a build of {name}");
        let form = Forms::new(title, &schema, None, Filled::Canary { name });
        vec![Deed::Open(Box::new(Popup::Form(Box::new(form))))]
    }
}

fn compare(one: &Value, other: &Value, column: usize) -> Ordering {
    let text = |name: &str| one.text(name).cmp(other.text(name));
    let latency = |name: &str| {
        let of = |plugin: &Value| serving(plugin).number(name).unwrap_or_default();
        of(one).total_cmp(&of(other))
    };
    match column {
        0 => text("name"),
        1 => text("state"),
        2 => one.whole("generation").cmp(&other.whole("generation")),
        3 => text("version"),
        4 => sums(one).calls.cmp(&sums(other).calls),
        5 => sums(one).errors.cmp(&sums(other).errors),
        6 => latency("latencyMs.p50"),
        _ => latency("latencyMs.p99"),
    }
}

impl Screen for Plugins {
    fn crumbs(&self, _look: &Look<'_>) -> Vec<String> {
        self.chosen.iter().cloned().collect()
    }

    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::Plugins, Scope::List]
    }

    fn wants(&self, _look: &Look<'_>) -> Vec<Want> {
        vec![Want::Plugins]
    }

    fn command(&mut self, command: Command, look: &Look<'_>) -> Vec<Deed> {
        let (total, height) = (self.rows(look).len(), self.height(look));
        match command {
            Command::Go(to) => {
                self.cursor.go(to, total, height);
                self.chosen = self.selected(look).map(|plugin| plugin.text("name").to_owned());
            }
            Command::Reload => return self.order(PluginOrder::Reload, look),
            Command::Rollback => return self.order(PluginOrder::Rollback, look),
            Command::Promote => return self.order(PluginOrder::Promote, look),
            Command::Abort => return self.order(PluginOrder::Abort, look),
            Command::Toggle => {
                let is_off = self.selected(look).is_some_and(|plugin| plugin.text("state") == "disabled");
                return self.order(if is_off { PluginOrder::Enable } else { PluginOrder::Disable }, look);
            }
            Command::Canary => return self.canary(look),
            Command::ToLogs => {
                let name = self.chosen.clone();
                return name.map(|name| Deed::Go(Place::Logs(format!("source:{name}")))).into_iter().collect();
            }
            Command::Open => return open_record(self.selected(look), "name"),
            Command::Zoom => self.is_zoomed = !self.is_zoomed,
            Command::Sort | Command::Reverse => self.sort = next_sort(self.sort, command, SORTS),
            _ => {}
        }
        Vec::new()
    }

    fn settle(&mut self, look: &Look<'_>) {
        let rows = self.rows(look);
        let kept = rows.iter().position(|plugin| Some(plugin.text("name")) == self.chosen.as_deref());
        if let Some(index) = kept {
            self.cursor.selected = index;
        }
        self.cursor.settle(rows.len(), self.height(look));
        self.chosen = self.selected(look).map(|plugin| plugin.text("name").to_owned());
    }

    fn filter(&mut self, text: &str, _look: &Look<'_>) -> Result<(), String> {
        text.clone_into(&mut self.filter);
        Ok(())
    }

    fn filter_text(&self) -> &str {
        &self.filter
    }

    fn go(&mut self, place: &Place, look: &Look<'_>) -> Vec<Deed> {
        if let Place::Plugin(name) = place {
            self.filter.clear();
            self.chosen = Some(name.clone());
            self.settle(look);
        }
        Vec::new()
    }

    fn back(&mut self) -> bool {
        let was_narrow = self.is_zoomed || !self.filter.is_empty();
        self.is_zoomed = false;
        self.filter.clear();
        was_narrow
    }

    fn click(&mut self, at: Position, look: &Look<'_>) -> Vec<Deed> {
        let rows = self.rows(look);
        let [list, _] = self.panes(look.area, rows.len());
        let inner = Pane::inner(list);
        if inner.contains(at)
            && let Some(line) = usize::from(at.y - inner.y).checked_sub(1)
            && let Some(row) = self.cursor.row_at(line, rows.len(), table::height(inner))
        {
            self.cursor.select(row, rows.len(), table::height(inner));
            self.chosen = self.selected(look).map(|plugin| plugin.text("name").to_owned());
        }
        Vec::new()
    }

    fn wheel(&mut self, _at: Position, rows: isize, look: &Look<'_>) {
        self.cursor.scroll(rows, self.rows(look).len(), self.height(look));
        self.chosen = self.selected(look).map(|plugin| plugin.text("name").to_owned());
    }

    fn chosen(&self, look: &Look<'_>) -> Option<(String, Value)> {
        self.selected(look).map(|plugin| (plugin.text("name").to_owned(), plugin.clone()))
    }

    fn export(&self, look: &Look<'_>) -> Value {
        json!({"plugins": self.rows(look)})
    }

    fn draw(&self, look: &Look<'_>, frame: &mut Frame<'_>) {
        draw::draw(self, look, frame.buffer_mut());
    }
}

/// Returns the next column to sort by, or the same the other way round.
pub(super) fn next_sort(sort: Option<Sort>, command: Command, columns: usize) -> Option<Sort> {
    match (sort, command) {
        (Some(sort), Command::Reverse) => Some(Sort { is_descending: !sort.is_descending, ..sort }),
        (None, Command::Reverse) => Some(Sort { column: 0, is_descending: true }),
        (None, _) => Some(Sort { column: 0, is_descending: false }),
        // After the last one as the server has it.
        (Some(sort), _) if sort.column + 1 >= columns => None,
        (Some(sort), _) => Some(Sort { column: sort.column + 1, ..sort }),
    }
}

/// Opens a value as a tree.
pub(super) fn open_record(value: Option<&Value>, name: &str) -> Vec<Deed> {
    let record = value.map(|value| crate::popups::Record::new(value.text(name).to_owned(), value.clone()));
    record.map(|record| Deed::Open(Box::new(Popup::Record(Box::new(record))))).into_iter().collect()
}

/// Returns whether a move is along a list, not across panes.
pub(super) const fn is_vertical(to: Move) -> bool {
    !matches!(to, Move::Left | Move::Right)
}
