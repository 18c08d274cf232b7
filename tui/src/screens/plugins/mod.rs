//! The one screen: the server, its plugins, the selected plugin's last error.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Cell, Clear, Paragraph, Row, Table, TableState, Wrap},
};

use crate::{
    api::{Overview, Plugin},
    app::{Link, Notice, Popup, State},
    keymap,
    theme::Theme,
};

/// The columns that do not stretch; they leave the name 20 of 80 cells.
const WIDTHS: [u16; 8] = [8, 3, 8, 7, 6, 6, 7, 7];
const HEADINGS: [&str; 9] = ["PLUGIN", "STATE", "GEN", "VERSION", "CALLS", "ERRORS", "FLIGHT", "P50 ms", "P99 ms"];

/// Draws the state.
pub(crate) fn draw(state: &State, theme: Theme, frame: &mut Frame<'_>) {
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(5),
        Constraint::Length(1),
        Constraint::Length(1),
    ];
    let [title, counts, table, details, notice, keys] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(title_line(state, theme), title);
    if let Some(overview) = &state.overview {
        frame.render_widget(counts_line(overview), counts);
    }
    draw_table(state, theme, frame, table);
    frame.render_widget(details_of(state, theme), details);
    frame.render_widget(notice_line(state, theme), notice);
    frame.render_widget(Line::styled(keymap::HELP, Theme::quiet()), keys);
    if let Some(Popup::Confirm(request)) = state.popups.last() {
        let text = format!("{} `{}`? y/n", request.order.word(), request.plugin);
        draw_popup(&text, frame);
    }
}

fn title_line(state: &State, theme: Theme) -> Line<'_> {
    let (text, style) = match (&state.link, &state.last_seen) {
        (Link::Connecting, _) => ("connecting".to_owned(), theme.warning()),
        (Link::Connected, _) => ("connected".to_owned(), theme.good()),
        (Link::Away(_), Some(at)) => (format!("reconnecting, last seen {at}"), theme.bad()),
        (Link::Away(_), None) => ("reconnecting, never seen".to_owned(), theme.bad()),
    };
    Line::from(vec![
        Span::styled("hotbay ", Theme::heading()),
        Span::raw(state.url.as_str()),
        Span::raw("  "),
        Span::styled(text, style),
    ])
}

fn counts_line(overview: &Overview) -> Line<'static> {
    Line::raw(format!("{} plugins, {} agents, {} tools", overview.plugins.len(), overview.agents, overview.tools))
}

fn draw_table(state: &State, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let plugins = state.plugins();
    if plugins.is_empty() {
        let text = match state.link {
            Link::Connected => "no plugins: put one into a plugin directory of the server",
            Link::Connecting | Link::Away(_) => "",
        };
        frame.render_widget(Line::raw(text), area);
        return;
    }
    let widths = std::iter::once(Constraint::Fill(1)).chain(WIDTHS.map(Constraint::Length));
    let table = Table::new(plugins.iter().map(|plugin| row(plugin, theme)), widths)
        .header(Row::new(HEADINGS).style(Theme::heading()))
        .row_highlight_style(Theme::selected());
    // Only the drawing needs it: it scrolls the selection into view.
    let mut position = TableState::new().with_selected(Some(state.selected));
    frame.render_stateful_widget(table, area, &mut position);
}

fn row(plugin: &Plugin, theme: Theme) -> Row<'_> {
    let errors = plugin.errors();
    let latency = |value: fn(crate::api::Latency) -> f64| {
        plugin.latency().map_or_else(|| "-".to_owned(), |latency| format!("{:.2}", value(latency)))
    };
    Row::new([
        Cell::from(plugin.name.as_str()),
        Cell::from(plugin.state.as_str()).style(theme.state(&plugin.state)),
        Cell::from(plugin.generation.map_or_else(|| "-".to_owned(), |number| number.to_string())),
        Cell::from(plugin.version.as_str()),
        Cell::from(plugin.calls().to_string()),
        Cell::from(errors.to_string()).style(if errors > 0 { theme.bad() } else { Style::new() }),
        Cell::from(plugin.in_flight().to_string()),
        Cell::from(latency(|latency| latency.p50)),
        Cell::from(latency(|latency| latency.p99)),
    ])
}

fn details_of(state: &State, theme: Theme) -> Paragraph<'_> {
    let mut lines = Vec::new();
    if let Some(plugin) = state.selected_plugin() {
        lines.push(Line::styled(plugin.file.as_str(), Theme::quiet()));
        if let Some(failure) = &plugin.last_error {
            lines.push(Line::styled(format!("{}: {}", failure.code, failure.message), theme.bad()));
        }
    }
    Paragraph::new(lines).wrap(Wrap { trim: false })
}

/// What was done last; while the server is away, why.
fn notice_line(state: &State, theme: Theme) -> Line<'_> {
    match (&state.link, &state.notice) {
        (Link::Away(reason), _) => Line::styled(reason.as_str(), theme.bad()),
        (_, Some(Notice::Good(text))) => Line::styled(text.as_str(), theme.good()),
        (_, Some(Notice::Bad(text))) => Line::styled(text.as_str(), theme.bad()),
        (_, None) => Line::default(),
    }
}

fn draw_popup(text: &str, frame: &mut Frame<'_>) {
    let line = Line::raw(text);
    let width = u16::try_from(line.width()).unwrap_or(u16::MAX).saturating_add(4);
    let area = frame.area().centered(Constraint::Max(width), Constraint::Max(3));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(line).centered().block(Block::bordered()), area);
}

#[cfg(test)]
mod tests;
