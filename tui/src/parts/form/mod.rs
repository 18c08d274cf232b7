//! A form made from a JSON schema: what a workflow waits for, what a tool is called with.
//!
//! What has a field of its own is entered there, anything else as JSON; and all of it can be edited
//! as JSON and back. What the schema refuses never leaves the form, and what the server refuses
//! comes back to the fields it names.

mod draw;
mod field;
mod problems;
mod schema;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use jsonschema::Validator;
use serde_json::{Map, Value};

use self::{
    field::{Editor, Entry, Field},
    problems::Problem,
};

/// What comes of a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FormOutcome {
    Stay,
    /// The schema has nothing against it.
    Submit(Value),
    Cancel,
}

/// A form, and what was entered into it.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    title: String,
    fields: Vec<Field>,
    /// Whether the fields are those of an object.
    is_object: bool,
    /// What the fields do not show is kept from here.
    base: Option<Value>,
    /// What is wrong with the schema if it cannot be used.
    validator: Result<Validator, String>,
    /// All of it as text while it is edited so.
    text: Option<Editor>,
    focus: Focus,
    /// What had the focus before there was a text.
    focus_before: Focus,
    is_touched: bool,
    /// What is wrong with no field in particular.
    remarks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Focus {
    /// The field with that number; the text while there is one.
    Field(usize),
    Submit,
    Switch,
}

impl Form {
    /// Makes a form for what a schema describes, filled with what there is already or with the schema's defaults.
    pub(crate) fn new(schema: &Value, title: String, start: Option<&Value>) -> Self {
        let fields = schema::fields(schema);
        let is_object = fields.first().is_some_and(|field| !field.path.is_empty());
        let mut form = Self {
            title,
            fields,
            is_object,
            base: start.filter(|start| !is_object || start.is_object()).cloned(),
            validator: problems::validator(schema),
            text: None,
            focus: Focus::Submit,
            focus_before: Focus::Submit,
            is_touched: false,
            remarks: Vec::new(),
        };
        for field in &mut form.fields {
            let default = field.default.clone();
            let existing = form.base.as_ref().and_then(|base| get(base, &field.path));
            field.fill(existing.or(default.as_ref()));
        }
        form.focus = form.stops().first().copied().unwrap_or(Focus::Submit);
        if let Err(reason) = &form.validator {
            form.remarks.push(format!("the schema cannot be used, so nothing is checked here: {reason}"));
        }
        form
    }

    /// Tells whether something was changed.
    pub(crate) const fn is_touched(&self) -> bool {
        self.is_touched
    }

    /// Gives a key to the form.
    pub(crate) fn key(&mut self, key: KeyEvent) -> FormOutcome {
        if key.kind == KeyEventKind::Release {
            return FormOutcome::Stay;
        }
        match key.code {
            KeyCode::Esc => return FormOutcome::Cancel,
            KeyCode::Char('s') if key.modifiers == KeyModifiers::CONTROL => return self.submit(),
            KeyCode::Char('e') if key.modifiers == KeyModifiers::CONTROL => self.switch(),
            KeyCode::Tab => self.step(true, true),
            KeyCode::BackTab => self.step(false, true),
            _ => match self.edit(key) {
                Some(is_changed) => self.touch(is_changed),
                None => return self.press(key.code),
            },
        }
        FormOutcome::Stay
    }

    /// Puts a text where the cursor is.
    pub(crate) fn paste(&mut self, text: &str) {
        let Focus::Field(number) = self.focus else { return };
        let is_changed = match (&mut self.text, self.fields.get_mut(number)) {
            (Some(editor), _) => field::paste_into(editor, text, false),
            (None, Some(field)) => field.paste(text),
            (None, None) => false,
        };
        self.touch(is_changed);
    }

    /// Shows what the server refused, at the fields that it names.
    pub(crate) fn server_errors(&mut self, message: &str, issues: &[(String, String)]) {
        self.forget_problems();
        self.remarks.push(message.to_owned());
        for (path, message) in issues {
            let path = self.known_part(problems::names(path));
            self.place(Problem { path, message: message.clone() });
        }
        self.focus_problem();
    }

    /// Gives a key to what has the focus.
    fn edit(&mut self, key: KeyEvent) -> Option<bool> {
        let Focus::Field(number) = self.focus else { return None };
        match &mut self.text {
            Some(editor) => field::edit(editor, key, false, true),
            None => self.fields.get_mut(number).and_then(|field| field.key(key)),
        }
    }

    /// What a key does that is for nothing in particular.
    fn press(&mut self, code: KeyCode) -> FormOutcome {
        match (code, self.focus) {
            (KeyCode::Enter | KeyCode::Char(' '), Focus::Submit) => return self.submit(),
            (KeyCode::Enter | KeyCode::Char(' '), Focus::Switch) => self.switch(),
            (KeyCode::Right, Focus::Submit) => self.focus = Focus::Switch,
            (KeyCode::Left, Focus::Switch) => self.focus = Focus::Submit,
            (KeyCode::Up, _) => self.step(false, false),
            (KeyCode::Enter | KeyCode::Down, _) => self.step(true, false),
            _ => {}
        }
        FormOutcome::Stay
    }

    fn touch(&mut self, is_changed: bool) {
        if !is_changed {
            return;
        }
        self.is_touched = true;
        self.remarks.clear();
        if let Focus::Field(number) = self.focus
            && let Some(field) = self.fields.get_mut(number)
        {
            field.problem = None;
        }
    }

    /// Everything that can have the focus.
    fn stops(&self) -> Vec<Focus> {
        let fields = self.fields.iter().enumerate().filter(|(_, field)| field.is_focusable());
        let mut stops: Vec<Focus> = match self.text {
            Some(_) => vec![Focus::Field(0)],
            None => fields.map(|(number, _)| Focus::Field(number)).collect(),
        };
        stops.extend([Focus::Submit, Focus::Switch]);
        stops
    }

    fn step(&mut self, is_forward: bool, goes_round: bool) {
        let stops = self.stops();
        let last = stops.len() - 1;
        let at = stops.iter().position(|stop| *stop == self.focus).unwrap_or(0);
        let next = match (is_forward, at) {
            (true, at) if at < last => at + 1,
            (false, at) if at > 0 => at - 1,
            (is_forward, at) => match (goes_round, is_forward) {
                (true, true) => 0,
                (true, false) => last,
                (false, _) => at,
            },
        };
        self.focus = stops.get(next).copied().unwrap_or(Focus::Submit);
    }

    /// Goes from the fields to the text or back, with all that was entered.
    fn switch(&mut self) {
        let Some(editor) = &self.text else {
            self.text = Some(field::editor(&format!("{:#}", self.value())));
            (self.focus_before, self.focus) = (self.focus, Focus::Field(0));
            self.forget_problems();
            return;
        };
        self.remarks.clear();
        match serde_json::from_str::<Value>(&field::text_of(editor)) {
            Err(error) => self.remarks.push(format!("must be JSON: {error}")),
            Ok(value) => {
                let mut fields = self.fields.clone();
                for field in &mut fields {
                    // What is in something that is not there starts as it did.
                    let (_, parent) = field.path.split_last().unwrap_or((&String::new(), &[]));
                    let is_within = parent.is_empty() || get(&value, parent).is_some_and(Value::is_object);
                    let default = if is_within { None } else { field.default.clone() };
                    field.fill(get(&value, &field.path).or(default.as_ref()));
                }
                let lost =
                    fields.iter().find(|field| get(&value, &field.path).is_some_and(|value| !field.holds(value)));
                if let Some(field) = lost {
                    let remark = "the field cannot hold this, it stays JSON".to_owned();
                    self.remarks.push(format!("{}: {remark}", problems::written(&field.path)));
                } else if self.is_object && !value.is_object() {
                    self.remarks.push("must be an object to be shown as fields".to_owned());
                } else {
                    (self.fields, self.base, self.text) = (fields, Some(value), None);
                    self.focus = self.focus_before;
                }
            }
        }
    }

    fn submit(&mut self) -> FormOutcome {
        self.forget_problems();
        let value = match &self.text {
            Some(editor) => match serde_json::from_str(&field::text_of(editor)) {
                Ok(value) => value,
                Err(error) => {
                    self.remarks.push(format!("must be JSON: {error}"));
                    self.focus = Focus::Field(0);
                    return FormOutcome::Stay;
                }
            },
            None => {
                for field in &mut self.fields {
                    field.problem = field.read().err();
                }
                self.value()
            }
        };
        if self.text.is_some() || self.fields.iter().all(|field| field.problem.is_none()) {
            let found = self.validator.as_ref().map(|validator| problems::of(validator, &value)).unwrap_or_default();
            if found.is_empty() {
                return FormOutcome::Submit(value);
            }
            for problem in found {
                self.place(problem);
            }
        }
        self.focus_problem();
        FormOutcome::Stay
    }

    /// Returns what was entered; what cannot be read is a text in it.
    fn value(&self) -> Value {
        if self.is_object {
            return Value::Object(object(&self.fields, 0, self.base.as_ref().and_then(Value::as_object)).0);
        }
        self.fields.first().and_then(Field::read_anyhow).unwrap_or(Value::Null)
    }

    fn forget_problems(&mut self) {
        self.remarks.clear();
        for field in &mut self.fields {
            field.problem = None;
        }
    }

    /// Puts a problem at the field it is about, or that what it is about is in; else among the remarks.
    fn place(&mut self, problem: Problem) {
        let Problem { path, message } = problem;
        let is_about = |field: &&mut Field| path.starts_with(&field.path);
        let nearest = if self.text.is_some() { None } else { self.fields.iter_mut().rfind(is_about) };
        match nearest {
            Some(field) => {
                let inside = problems::written(path.get(field.path.len()..).unwrap_or_default());
                let said = if inside.is_empty() { message } else { format!("{inside} {message}") };
                field.problem.get_or_insert(said);
            }
            None if path.is_empty() => self.remarks.push(message),
            None => self.remarks.push(format!("{}: {message}", problems::written(&path))),
        }
    }

    /// The path without what the server calls the whole, if the first thing in it that is known comes later or never.
    fn known_part(&self, path: Vec<String>) -> Vec<String> {
        let is_known = |path: &[String]| {
            path.first().is_some_and(|name| self.fields.iter().any(|field| field.path.first() == Some(name)))
        };
        match path.get(1..) {
            Some([]) if !is_known(&path) && path.first().is_some_and(|name| name == "root") => Vec::new(),
            Some(rest) if !is_known(&path) && is_known(rest) => rest.to_vec(),
            _ => path,
        }
    }

    /// Goes to the first field with a problem, or to the first in a group with one.
    fn focus_problem(&mut self) {
        if self.text.is_some() {
            self.focus = Focus::Field(0);
        } else if let Some(at) = self.fields.iter().position(|field| field.problem.is_some()) {
            let focusable = self.fields.iter().enumerate().skip(at).find(|(_, field)| field.is_focusable());
            self.focus = focusable.map_or(self.focus, |(number, _)| Focus::Field(number));
        }
    }
}

/// The value at a path of names.
fn get<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.as_object()?.get(name))
}

/// Puts together an object whose fields these are, and tells whether there is more in it than it started with.
///
/// An object that may be left out is, unless something was entered in it.
fn object(fields: &[Field], depth: usize, base: Option<&Map<String, Value>>) -> (Map<String, Value>, bool) {
    let mut map = base.cloned().unwrap_or_default();
    let mut is_filled = false;
    let mut rest = fields;
    while let Some((field, after)) = rest.split_first() {
        let inside = after.iter().take_while(|field| field.path.len() > depth + 1).count();
        let (inside, after) = after.split_at(inside);
        rest = after;
        let existing = base.and_then(|base| base.get(field.name()));
        let value = if matches!(field.entry, Entry::Group) {
            let (map, is_entered) = object(inside, depth + 1, existing.and_then(Value::as_object));
            is_filled |= is_entered;
            (field.is_required && !field.is_nullable || is_entered || existing.is_some_and(Value::is_object))
                .then_some(Value::Object(map))
                .or_else(|| field.read_anyhow())
        } else {
            let value = field.read_anyhow();
            let is_own = matches!(field.entry, Entry::Const(_)) || value == field.default || value == Some(Value::Null);
            is_filled |= value.is_some() && !is_own;
            value
        };
        match value {
            Some(value) => drop(map.insert(field.name().to_owned(), value)),
            None => drop(map.shift_remove(field.name())),
        }
    }
    (map, is_filled)
}

#[cfg(test)]
mod tests;
