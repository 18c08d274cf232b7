//! How plugins are drawn.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use serde_json::Value;

use super::{Plugins, serving, sums};
use crate::{
    json::{self, Json},
    parts::{
        pane::{Pane, put, say},
        table::{Cell, Column, Table, position},
        text,
    },
    screens::Look,
    store::Known,
    theme::Theme,
    want::Want,
};

const COLUMNS: &[Column] = &[
    Column::wide("PLUGIN"),
    Column::of("STATE", 11),
    Column::right("GEN", 4),
    Column::of("VERSION", 9),
    Column::right("CALLS", 7),
    Column::right("ERRORS", 6),
    Column::right("P50", 8).from(76),
    Column::right("P99", 8).from(84),
    Column::right("FLIGHT", 6).from(92),
    Column::of("RUNS AS", 8).from(102),
    Column::right("SIZE", 9).from(112),
    Column::of("OFFERS", 30).from(150),
];

pub(super) fn draw(screen: &Plugins, look: &Look<'_>, buf: &mut Buffer) {
    let theme = look.theme;
    let rows = screen.rows(look);
    let [list, details] = screen.panes(look.area, rows.len());
    let pane = Pane::new(&title(screen, &rows)).focused(true).note(&position(screen.cursor, rows.len()));
    let inner = pane.draw(theme, list, buf);
    match look.store.known(&Want::Plugins) {
        Known::Loading => say("asking the server", theme.quiet(), inner, buf),
        Known::Failed(failure) => say(&failure.message, theme.bad(), inner, buf),
        Known::Here(_) if rows.is_empty() && screen.filter.is_empty() => {
            say("no plugins: put one into a plugin directory of the server", theme.quiet(), inner, buf);
        }
        Known::Here(_) if rows.is_empty() => say("none of them is so", theme.quiet(), inner, buf),
        Known::Here(_) => {
            let table = Table {
                columns: COLUMNS,
                total: rows.len(),
                cursor: screen.cursor,
                sort: screen.sort,
                is_focused: true,
            };
            table.draw(theme, inner, buf, |index| rows.get(index).map(|plugin| row(plugin, theme)).unwrap_or_default());
        }
    }
    if let Some(plugin) = screen.selected(look) {
        draw_details(plugin, look, details, buf);
    }
}

fn title(screen: &Plugins, rows: &[&Value]) -> String {
    let narrowed = if screen.filter.is_empty() { String::new() } else { format!("  /{}", screen.filter) };
    format!("Plugins {}{narrowed}", rows.len())
}

fn row(plugin: &Value, theme: Theme) -> Vec<Cell<'_>> {
    let sums = sums(plugin);
    let state = plugin.text("state");
    let (glyph, style) = theme.state(state);
    let build = serving(plugin);
    let latency = |name| {
        let is_used = build.whole("calls").unwrap_or(0) > 0;
        build.number(name).filter(|_| is_used).map_or_else(|| "-".to_owned(), text::duration)
    };
    let canary = if plugin.at("canary").is_null() { "" } else { "+" };
    vec![
        plugin.text("name").into(),
        Cell::styled(format!("{glyph} {state}{canary}"), style),
        plugin.whole("generation").map_or_else(|| "-".to_owned(), |number| number.to_string()).into(),
        plugin.text("version").into(),
        text::count(sums.calls).into(),
        Cell::styled(text::count(sums.errors), if sums.errors > 0 { theme.bad() } else { Style::new() }),
        latency("latencyMs.p50").into(),
        latency("latencyMs.p99").into(),
        sums.in_flight.to_string().into(),
        plugin.text("isolation").into(),
        build.whole("size").map(text::bytes).unwrap_or_default().into(),
        offers(plugin).into(),
    ]
}

fn offers(plugin: &Value) -> String {
    let kinds = plugin.members("capabilities").filter_map(|(kind, names)| {
        let count = names.as_array().map_or(0, Vec::len);
        (count > 0).then(|| format!("{count} {kind}"))
    });
    kinds.collect::<Vec<_>>().join(", ")
}

fn draw_details(plugin: &Value, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    if area.height < 3 {
        return;
    }
    let (left, right) = if look.is_wide() {
        let half = area.width / 2;
        (Rect { width: half, ..area }, Rect { x: area.x + half, width: area.width - half, ..area })
    } else {
        let wanted = u16::try_from(facts(plugin, look).len() + 2).unwrap_or(u16::MAX);
        let height = wanted.min(area.height.saturating_sub(4));
        (Rect { height, ..area }, Rect { y: area.y + height, height: area.height - height, ..area })
    };
    let inner = Pane::new(plugin.text("name")).draw(theme, left, buf);
    let mut line = 0;
    for (name, words, style) in facts(plugin, look) {
        put(buf, inner, 1, line, name, theme.name());
        let column = 12;
        let room = usize::from(inner.width.saturating_sub(column));
        for text in text::wrap(&text::clean(&words), room.max(8)) {
            put(buf, inner, column, line, &text, style);
            line += 1;
        }
    }
    draw_builds(plugin, theme, right, buf);
}

/// Returns what is to be known of a plugin: names, words, and how they look.
fn facts(plugin: &Value, look: &Look<'_>) -> Vec<(&'static str, String, Style)> {
    let theme = look.theme;
    let plain = Style::new();
    let mut facts = Vec::new();
    let error = plugin.at("lastError");
    if !error.is_null() {
        let when = error.moment("at").map(json::date).unwrap_or_default();
        facts.push(("refused", format!("{}: {} ({when})", error.text("code"), error.text("message")), theme.bad()));
    }
    let canary = plugin.at("canary");
    if !canary.is_null() {
        facts.push(("canary", canary_words(canary, look.now), theme.warning()));
    }
    let process = plugin.at("process");
    if !process.is_null() {
        facts.push(("process", brief(process), plain));
    }
    facts.push(("file", plugin.text("file").to_owned(), plain));
    let build = serving(plugin);
    if !build.is_null() {
        facts.push(("hash", build.text("hash").to_owned(), theme.quiet()));
        let words = [("sdk ", "build.sdk"), ("", "build.rustc"), ("", "build.profile")].into_iter();
        let words = words.filter(|(_, name)| !build.text(name).is_empty());
        let words: Vec<String> = words.map(|(word, name)| format!("{word}{}", build.text(name))).collect();
        facts.push(("built", words.join(", "), theme.quiet()));
    }
    if let Some(at) = build.moment("loadedAt") {
        let age = text::age(look.now.saturating_sub(at).max(0).cast_unsigned());
        facts.push(("loaded", format!("{} ({age} ago)", json::date(at)), plain));
    }
    let trust = plugin.list("generations").first().map_or("", |build| build.text("trust"));
    if !trust.is_empty() {
        facts.push(("trust", trust.to_owned(), plain));
    }
    for (kind, names) in plugin.members("capabilities") {
        let names: Vec<&str> = names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !names.is_empty() {
            facts.push((kind_word(kind), names.join("  "), plain));
        }
    }
    facts
}

/// Returns the word before what a plugin offers.
fn kind_word(kind: &str) -> &'static str {
    match kind {
        "tools" => "tools",
        "agents" => "agents",
        "workflows" => "workflows",
        "vectorStores" => "vectors",
        "models" => "models",
        "embedders" => "embedders",
        "mcpServers" => "mcp",
        _ => "offers",
    }
}

fn canary_words(canary: &Value, now: i64) -> String {
    let mut words = vec![canary.text("state").to_owned()];
    if let Some(generation) = canary.whole("generation") {
        words.push(format!("build {generation}"));
    }
    if let Some(percent) = canary.number("percent") {
        words.push(format!("{percent} % of the calls"));
    }
    if let Some(ends) = canary.moment("endsAt").or_else(|| canary.moment("until")) {
        words.push(format!("judged in {}", text::age(ends.saturating_sub(now).max(0).cast_unsigned())));
    }
    let reason = canary.text("reason");
    if !reason.is_empty() {
        words.push(reason.to_owned());
    }
    words.retain(|word| !word.is_empty());
    words.join(", ")
}

fn brief(value: &Value) -> String {
    let words = value.members("").map(|(name, value)| format!("{name} {}", json::brief(value)));
    words.collect::<Vec<_>>().join(", ")
}

const BUILDS: &[Column] = &[
    Column::right("GEN", 3),
    Column::of("STATE", 10),
    Column::of("HASH", 8),
    Column::right("CALLS", 6),
    Column::right("ERR%", 5),
    Column::right("P99", 7),
    Column::right("FLIGHT", 6).from(56),
    Column::of("LOADED", 19).from(80),
];

fn draw_builds(plugin: &Value, theme: Theme, area: Rect, buf: &mut Buffer) {
    if area.height < 3 {
        return;
    }
    let builds = plugin.list("generations");
    let inner = Pane::new(&format!("Builds {}", builds.len())).draw(theme, area, buf);
    let number = plugin.whole("generation");
    let serving = builds.iter().position(|build| number.is_some() && build.whole("number") == number);
    let mut cursor = crate::parts::cursor::Cursor::default();
    cursor.select(serving.unwrap_or(0), builds.len(), usize::from(inner.height));
    let table = Table { columns: BUILDS, total: builds.len(), cursor, sort: None, is_focused: false };
    table.draw(theme, inner, buf, |index| {
        let Some(build) = builds.get(index) else { return Vec::new() };
        let (calls, errors) = (build.whole("calls").unwrap_or(0), build.whole("errors").unwrap_or(0));
        let (glyph, style) = theme.state(build.text("state"));
        vec![
            build.whole("number").unwrap_or(0).to_string().into(),
            Cell::styled(format!("{glyph} {}", build.text("state")), style),
            text::start(build.text("hash"), 8).into(),
            text::count(calls).into(),
            share(errors, calls).into(),
            build.number("latencyMs.p99").filter(|_| calls > 0).map_or_else(|| "-".into(), text::duration).into(),
            build.whole("inFlight").unwrap_or(0).to_string().into(),
            build.moment("loadedAt").map(json::date).unwrap_or_default().into(),
        ]
    });
}

/// Returns a share in percent.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
fn share(part: u64, all: u64) -> String {
    if all == 0 { "-".to_owned() } else { format!("{:.1}", part as f64 * 100.0 / all as f64) }
}
