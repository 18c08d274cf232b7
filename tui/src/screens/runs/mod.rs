//! Runs of workflows: the list, and one run with its graph and its steps.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Position, Rect},
};
use serde_json::Value;

use self::open::{OpenRun, asked};
use super::{
    Deed, Look, Place, Screen,
    paged::{Paged, Source},
    plugins::open_record,
};
use crate::{
    json::{self, Json},
    keymap::{Command, Scope},
    order::Order,
    parts::{
        cursor::{Cursor, Move},
        filter::Filter,
        pane::Pane,
    },
    popups::{Filled, Forms, Popup},
    want::{Query, Want, moment},
};

mod draw;
mod events;
mod open;

/// What runs can be narrowed to, by `L`.
const STATES: [&str; 7] = ["", "running", "suspended", "failed", "success", "canceled", "pending"];

/// The screen.
#[derive(Debug)]
pub(crate) struct Runs {
    list: Paged,
    filter: String,
    state: &'static str,
    open: Option<OpenRun>,
    /// Whether the keys are the graph's, or the step's, instead of the list's.
    pane: PaneKind,
    is_zoomed: bool,
}

/// The part that takes the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PaneKind {
    List,
    Graph,
    Step,
}

impl Default for Runs {
    fn default() -> Self {
        Self {
            list: Paged::new(Source::Runs),
            filter: String::new(),
            state: "",
            open: None,
            pane: PaneKind::List,
            is_zoomed: false,
        }
    }
}

/// The parts of the screen; those without height are not shown.
struct Panes {
    list: Rect,
    graph: Rect,
    step: Rect,
}

impl Runs {
    fn panes(&self, area: Rect) -> Panes {
        let none = Rect { height: 0, ..area };
        if self.open.is_none() {
            return Panes { list: area, graph: none, step: none };
        }
        if self.is_zoomed {
            return match self.pane {
                PaneKind::List => Panes { list: area, graph: none, step: none },
                PaneKind::Graph => Panes { list: none, graph: area, step: none },
                PaneKind::Step => Panes { list: none, graph: none, step: area },
            };
        }
        let split = |area: Rect| -> [Rect; 2] {
            Layout::vertical([Constraint::Percentage(55), Constraint::Fill(1)]).areas(area)
        };
        if area.width < 100 {
            // One thing at a time: the run is a page of its own.
            let [graph, step] = split(area);
            return Panes { list: none, graph, step };
        }
        let width = (area.width / 3).clamp(38, 60);
        let [list, detail] = Layout::horizontal([Constraint::Length(width), Constraint::Fill(1)]).areas(area);
        let [graph, step] = split(detail);
        Panes { list, graph, step }
    }

    fn selected<'a>(&self, look: &Look<'a>) -> Option<&'a Value> {
        self.list.selected(look.store)
    }

    /// Returns workflow and id of the run that is meant.
    fn meant(&self, look: &Look<'_>) -> Option<(String, String)> {
        match &self.open {
            Some(open) if self.pane != PaneKind::List => Some((open.workflow.clone(), open.run.clone())),
            _ => {
                let row = self.selected(look)?;
                Some((row.text("workflowId").to_owned(), row.text("runId").to_owned()))
            }
        }
    }

    fn open(&mut self, workflow: String, run: String, look: &Look<'_>) {
        if self.open.as_ref().is_none_or(|open| open.run != run) {
            self.open = Some(OpenRun::new(workflow, run));
        }
        self.settle(look);
    }

    fn ask(&self, look: &Look<'_>, order: impl FnOnce(String, String) -> Order) -> Vec<Deed> {
        match self.meant(look) {
            Some((workflow, run)) => vec![Deed::Ask(order(workflow, run))],
            None => vec![Deed::Complain("no run is chosen".into())],
        }
    }

    /// Asks for what the step that waits wants to be told.
    fn resume(&mut self, look: &Look<'_>) -> Vec<Deed> {
        let Some((workflow, run)) = self.meant(look) else {
            return vec![Deed::Complain("no run is chosen".into())];
        };
        self.open(workflow.clone(), run.clone(), look);
        self.pane = PaneKind::Graph;
        let Some(open) = &self.open else { return Vec::new() };
        if look.store.known(&open.want()).value().is_none() || look.store.known(&open.of_workflow()).value().is_none() {
            return vec![Deed::Say("the run is not here yet: once more, please".into())];
        }
        let waiting = open.waiting(look.store);
        let chosen = open.place.selected.clone().filter(|id| waiting.contains(id));
        // The innermost: it is the one that asks.
        let innermost = waiting.iter().max_by_key(|id| id.matches('.').count()).cloned();
        let Some(step) = chosen.or(innermost) else {
            return vec![Deed::Complain("this run does not wait for anybody".into())];
        };
        let schema = open.resume_schema(look.store, &step);
        let record = look.store.value(&open.want()).at("steps").get(&step).cloned().unwrap_or_default();
        let prompt = asked(record.at("suspendPayload"));
        let title = if prompt.is_empty() { format!("Resume {step}") } else { format!("Resume {step}: {prompt}") };
        let filled = Filled::Resume { workflow, run, step: step.split('.').map(str::to_owned).collect() };
        let form = Forms::new(title, &schema, None, filled);
        vec![Deed::Open(Box::new(Popup::Form(Box::new(form))))]
    }

    fn start(&self, look: &Look<'_>) -> Vec<Deed> {
        let Some((workflow, _)) = self.meant(look) else {
            return vec![Deed::Complain("no run is chosen: workflows are on the screen Agents".into())];
        };
        let schema = json::schema(look.store.value(&Want::Workflow(workflow.clone())).at("inputSchema"));
        let form = Forms::new(format!("Start {workflow}"), &schema, None, Filled::Start { workflow });
        vec![Deed::Open(Box::new(Popup::Form(Box::new(form))))]
    }

    fn go_on(&mut self, to: Move, look: &Look<'_>) {
        let panes = self.panes(look.area);
        match (self.pane, &mut self.open) {
            (PaneKind::Graph, Some(open)) => {
                let size = Pane::inner(panes.graph).as_size();
                let total = events::of(open, look.store).len();
                match &mut open.events {
                    Some(cursor) => cursor.go(to, total, usize::from(size.height)),
                    None => open.graph.go(&mut open.place, to, size),
                }
            }
            (PaneKind::Step, Some(open)) => {
                open.tree.go(&open.step, to, usize::from(Pane::inner(panes.step).height));
            }
            _ => {
                self.list.go(to, look.store, Pane::inner(panes.list));
                self.follow(look);
            }
        }
        self.settle(look);
    }

    /// Shows the run that is chosen beside the list.
    fn follow(&mut self, look: &Look<'_>) {
        if self.open.is_some()
            && let Some(row) = self.selected(look)
        {
            let (workflow, run) = (row.text("workflowId").to_owned(), row.text("runId").to_owned());
            self.open(workflow, run, look);
        }
    }

    /// Returns what the filter asks the server for.
    fn query(&self, now: i64) -> Result<Query, String> {
        let mut query = Query::default().with("status", self.state);
        let mut times = String::new();
        for word in self.filter.split_whitespace() {
            match word.split_once(':') {
                Some(("workflow", id)) => query = query.with("workflowId", id),
                Some(("state" | "status", state)) if STATES.contains(&state) => query = query.with("status", state),
                Some(("state" | "status", _)) => return Err(format!("states are {}", STATES[1..].join(", "))),
                Some(("resource", id)) => query = query.with("resourceId", id),
                Some(("since" | "from" | "to", _)) => times = format!("{times} {word}"),
                // What is typed alone is most often a workflow's name.
                None => query = query.with("workflowId", word),
                Some((name, _)) => {
                    return Err(format!(
                        "there is no `{name}:` here; there are workflow, state, resource, since, from, to"
                    ));
                }
            }
        }
        let filter = Filter::parse(&times, now).map_err(|error| error.message)?;
        let (from, to) = filter.times();
        Ok(query
            .with("fromDate", from.map(moment).unwrap_or_default())
            .with("toDate", to.map(moment).unwrap_or_default()))
    }
}

impl Screen for Runs {
    fn crumbs(&self, _look: &Look<'_>) -> Vec<String> {
        let Some(open) = &self.open else { return Vec::new() };
        let mut crumbs = vec![open.workflow.clone(), open.run.clone()];
        crumbs.extend(open.place.selected.clone());
        crumbs
    }

    fn scopes(&self) -> Vec<Scope> {
        match self.pane {
            PaneKind::List => vec![Scope::Runs, Scope::List],
            PaneKind::Graph => vec![Scope::Run, Scope::Runs],
            PaneKind::Step => vec![Scope::Run, Scope::Tree, Scope::Runs, Scope::List],
        }
    }

    fn wants(&self, look: &Look<'_>) -> Vec<Want> {
        let mut wants = self.list.wants(Pane::inner(self.panes(look.area).list));
        if let Some(open) = &self.open {
            wants.extend([open.want(), open.of_workflow()]);
            wants.extend(open.events.map(|_| open.of_log()));
        } else if let Some(row) = self.selected(look) {
            // To start another of it.
            wants.push(Want::Workflow(row.text("workflowId").to_owned()));
        }
        wants
    }

    fn command(&mut self, command: Command, look: &Look<'_>) -> Vec<Deed> {
        match command {
            Command::Go(to) => self.go_on(to, look),
            Command::Open => match (self.pane, &self.open) {
                (PaneKind::List, _) => {
                    if let Some((workflow, run)) = self.meant(look) {
                        self.open(workflow, run, look);
                        self.pane = PaneKind::Graph;
                    }
                }
                (PaneKind::Graph, Some(_)) => self.pane = PaneKind::Step,
                (PaneKind::Step, Some(open)) => return open_record(Some(&open.step), "status"),
                (PaneKind::Graph | PaneKind::Step, None) => {}
            },
            Command::NextPane | Command::PreviousPane if self.open.is_some() => {
                let all = [PaneKind::List, PaneKind::Graph, PaneKind::Step];
                let at = all.iter().position(|pane| *pane == self.pane).unwrap_or(0);
                let by = if command == Command::NextPane { 1 } else { 2 };
                let is_narrow = look.area.width < 100;
                let next = all.get((at + by) % all.len()).copied().unwrap_or(PaneKind::List);
                self.pane = if is_narrow && next == PaneKind::List { PaneKind::Graph } else { next };
            }
            Command::Sort | Command::Reverse => {
                return vec![Deed::Say("the newest runs come first; L and / narrow them".into())];
            }
            Command::Zoom => self.is_zoomed = !self.is_zoomed && self.open.is_some(),
            Command::View => {
                if let Some(open) = &mut self.open {
                    // Graph, list, events.
                    match (open.place.is_list, open.events) {
                        (_, Some(_)) => open.events = None,
                        (false, None) => open.place.is_list = true,
                        (true, None) => (open.place.is_list, open.events) = (false, Some(Cursor::default())),
                    }
                }
                self.settle(look);
            }
            Command::Fold => {
                if let Some(open) = &mut self.open {
                    open.tree.toggle(&open.step);
                }
            }
            Command::NextHit | Command::PreviousHit => {
                if let Some(open) = &mut self.open {
                    match command {
                        Command::NextHit => open.tree.next_hit(&open.step),
                        _ => open.tree.previous_hit(&open.step),
                    }
                }
            }
            Command::FoldAll => {
                if let Some(open) = &mut self.open {
                    if open.tree.is_folded() {
                        open.tree.unfold_all(&open.step);
                    } else {
                        open.tree.fold_all(&open.step);
                    }
                }
            }
            Command::Level => {
                let at = STATES.iter().position(|state| *state == self.state).unwrap_or(0);
                self.state = STATES.get((at + 1) % STATES.len()).copied().unwrap_or_default();
                if let Ok(query) = self.query(look.now) {
                    self.list.narrow(query);
                }
            }
            Command::Resume => return self.resume(look),
            Command::Use => return self.start(look),
            Command::Cancel => return self.ask(look, |workflow, run| Order::CancelRun { workflow, run }),
            Command::Restart => return self.ask(look, |workflow, run| Order::RestartRun { workflow, run }),
            Command::Delete => return self.ask(look, |workflow, run| Order::DeleteRun { workflow, run }),
            Command::ToLogs => {
                return self
                    .meant(look)
                    .map(|(_, run)| Deed::Go(Place::Logs(format!("run:{run}"))))
                    .into_iter()
                    .collect();
            }
            Command::ToTrace => {
                let trace = self.open.as_ref().map(|open| look.store.value(&open.want()).text("traceId").to_owned());
                return match (trace.filter(|id| !id.is_empty()), self.meant(look)) {
                    (Some(id), _) => vec![Deed::Go(Place::Trace(id))],
                    (None, Some((_, run))) => vec![Deed::Go(Place::Trace(format!("run:{run}")))],
                    (None, None) => Vec::new(),
                };
            }
            _ => {}
        }
        Vec::new()
    }

    fn settle(&mut self, look: &Look<'_>) {
        let panes = self.panes(look.area);
        self.list.settle(look.store, Pane::inner(panes.list));
        let size = Pane::inner(panes.graph).as_size();
        if let Some(open) = &mut self.open {
            open.settle(look.store, size);
        }
    }

    fn filter(&mut self, text: &str, look: &Look<'_>) -> Result<(), String> {
        if let (PaneKind::Step, Some(open)) = (self.pane, &mut self.open) {
            text.clone_into(&mut open.search);
            open.tree.search(&open.step, text);
            return Ok(());
        }
        let before = std::mem::replace(&mut self.filter, text.to_owned());
        match self.query(look.now) {
            Ok(query) => {
                self.list.narrow(query);
                Ok(())
            }
            Err(reason) => {
                self.filter = before;
                Err(reason)
            }
        }
    }

    fn filter_text(&self) -> &str {
        match &self.open {
            Some(open) if self.pane == PaneKind::Step => &open.search,
            _ => &self.filter,
        }
    }

    fn go(&mut self, place: &Place, look: &Look<'_>) -> Vec<Deed> {
        match place {
            Place::Run { workflow, run } => {
                self.open(workflow.clone(), run.clone(), look);
                self.pane = PaneKind::Graph;
                let height = crate::parts::table::height(Pane::inner(self.panes(look.area).list));
                self.list.choose(look.store, run, height);
            }
            Place::AnyRun(run) => {
                let known = (0..self.list.total()).take(500).filter_map(|index| self.list.row(look.store, index));
                let found =
                    known.into_iter().find(|row| row.text("runId") == run).map(|row| row.text("workflowId").to_owned());
                return match found {
                    Some(workflow) => self.go(&Place::Run { workflow, run: run.clone() }, look),
                    None => {
                        vec![Deed::Complain(format!("{run} is not among the newest runs: agents' runs are traces"))]
                    }
                };
            }
            _ => {}
        }
        Vec::new()
    }

    fn back(&mut self) -> bool {
        if self.is_zoomed {
            self.is_zoomed = false;
        } else if self.pane == PaneKind::Step {
            self.pane = PaneKind::Graph;
        } else if self.open.is_some() {
            self.open = None;
            self.pane = PaneKind::List;
        } else if !self.filter.is_empty() || !self.state.is_empty() {
            self.filter.clear();
            self.state = "";
            self.list.narrow(Query::default());
        } else {
            return false;
        }
        true
    }

    fn click(&mut self, at: Position, look: &Look<'_>) -> Vec<Deed> {
        let panes = self.panes(look.area);
        let (list, graph, step) = (Pane::inner(panes.list), Pane::inner(panes.graph), Pane::inner(panes.step));
        if list.contains(at) {
            self.pane = PaneKind::List;
            if self.list.click(at.y - list.y, look.store, list) {
                self.follow(look);
            }
        } else if graph.contains(at)
            && let Some(open) = &mut self.open
        {
            self.pane = PaneKind::Graph;
            if let Some(node) = open.graph.at(&open.place, at, graph) {
                open.place.selected = Some(node.id.clone());
            }
        } else if step.contains(at)
            && let Some(open) = &mut self.open
        {
            self.pane = PaneKind::Step;
            open.tree.click(&open.step, usize::from(at.y - step.y), usize::from(step.height));
        }
        self.settle(look);
        Vec::new()
    }

    fn wheel(&mut self, at: Position, rows: isize, look: &Look<'_>) {
        let panes = self.panes(look.area);
        match &mut self.open {
            Some(open) if panes.graph.contains(at) => {
                open.graph.scroll(&mut open.place, rows, Pane::inner(panes.graph).as_size());
            }
            Some(open) if panes.step.contains(at) => {
                open.tree.scroll(rows, usize::from(Pane::inner(panes.step).height));
            }
            _ => {
                self.list.wheel(rows, look.store, Pane::inner(panes.list));
                self.follow(look);
            }
        }
    }

    fn chosen(&self, look: &Look<'_>) -> Option<(String, Value)> {
        match (&self.open, self.pane) {
            (Some(open), PaneKind::Step) => {
                let chosen = open.tree.chosen(&open.step);
                chosen.map(|(_, value)| (json::brief(value), open.step.clone()))
            }
            (Some(open), PaneKind::Graph) => Some((open.run.clone(), look.store.value(&open.want()).clone())),
            _ => self.selected(look).map(|row| (row.text("runId").to_owned(), row.clone())),
        }
    }

    fn export(&self, look: &Look<'_>) -> Value {
        match &self.open {
            Some(open) => look.store.value(&open.want()).clone(),
            None => look.store.value(&self.list.want(0)).clone(),
        }
    }

    fn draw(&self, look: &Look<'_>, frame: &mut Frame<'_>) {
        draw::draw(self, look, frame.buffer_mut());
    }
}
