mod properties;

use insta::assert_snapshot;
use ratatui::{buffer::Buffer, layout::Rect};
use serde_json::json;

use super::*;
use crate::{
    parts::frame,
    theme::{Depth, Palette, Theme, UNICODE},
};

fn approval() -> Value {
    json!({
        "type": "object",
        "properties": {
            "approved": {"type": "boolean", "description": "Whether the items are published"},
            "channel": {"enum": ["email", "chat", "nowhere"]},
            "max_items": {"type": "integer", "minimum": 1, "maximum": 50, "default": 12},
            "note": {"type": "string", "maxLength": 20, "description": "For those who read it"},
        },
        "required": ["approved", "channel"],
    })
}

fn form(schema: &Value, start: Option<&Value>) -> Form {
    Form::new(schema, "Resume approve".to_owned(), start)
}

fn press(form: &mut Form, code: KeyCode) -> FormOutcome {
    form.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn control(form: &mut Form, letter: char) -> FormOutcome {
    form.key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL))
}

fn type_in(form: &mut Form, text: &str) {
    for character in text.chars() {
        assert_eq!(press(form, KeyCode::Char(character)), FormOutcome::Stay);
    }
}

#[track_caller]
fn submitted(form: &mut Form) -> Value {
    match control(form, 's') {
        FormOutcome::Submit(value) => value,
        other => panic!("{other:?}\n{}", shown(form, 60, 30)),
    }
}

/// The form as text, with the cursor as a block.
fn shown(form: &Form, width: u16, height: u16) -> String {
    let area = Rect::new(0, 0, width, height);
    let mut buf = Buffer::empty(area);
    let theme = Theme::new(Palette::Dark, Depth::Sixteen, &UNICODE);
    if let Some(cursor) = form.draw(theme, area, &mut buf) {
        buf.cell_mut(cursor).unwrap().set_symbol("█");
    }
    frame::text(&buf)
}

#[test]
fn a_form_is_made_of_a_schema() {
    let form = form(&approval(), None);
    assert_snapshot!(shown(&form, 60, 12), @r"
    ┌─ Resume approve ─────────────────────────────────────────┐
    │▶ approved *  ( ) yes  ( ) no                             │
    │  channel *   [         ▾ ]  0/3                          │
    │  max_items   [ 12____________ ]  1..50                   │
    │  note        [ _______________________________________ ] │
    │                                                          │
    │                                                          │
    │                                                          │
    │                                                          │
    │Whether the items are published  (Space changes it)       │
    │[ Submit ] [ Edit as JSON ]                               │
    └──────────────────────────────────────────────────────────┘
    ");
}

#[test]
fn what_is_refused_is_said_at_its_field_and_the_first_is_gone_to() {
    let mut form = form(&approval(), None);
    press(&mut form, KeyCode::Char(' '));
    press(&mut form, KeyCode::Tab);
    press(&mut form, KeyCode::Right);
    press(&mut form, KeyCode::Right);
    press(&mut form, KeyCode::Tab);
    type_in(&mut form, "0");
    press(&mut form, KeyCode::Tab);
    type_in(&mut form, "far more than is allowed");
    assert_eq!(control(&mut form, 's'), FormOutcome::Stay);
    assert_snapshot!(shown(&form, 60, 12), @r"
    ┌─ Resume approve ─────────────────────────────────────────┐
    │  approved *  (●) yes  ( ) no                             │
    │  channel *   [ chat    ▾ ]  2/3                          │
    │▶ max_items   [ 120█__________ ]  1..50                   │
    │  ! max_items: must be <= 50                              │
    │  note        [ far more than is allowed_______________ ] │
    │  ! note: must have at most 20 characters                 │
    │                                                          │
    │                                                          │
    │(1..50)                                                   │
    │[ Submit ] [ Edit as JSON ]                               │
    └──────────────────────────────────────────────────────────┘
    ");
    press(&mut form, KeyCode::Backspace);
    assert_eq!(form.fields[2].problem, None);
    press(&mut form, KeyCode::Tab);
    for _ in 0..4 {
        press(&mut form, KeyCode::Backspace);
    }
    let value = submitted(&mut form);
    assert_eq!(value, json!({"approved": true, "channel": "chat", "max_items": 12, "note": "far more than is all"}));
}

#[test]
fn everything_is_reached_at_thirty_by_eight() {
    let mut form = form(&approval(), None);
    press(&mut form, KeyCode::Char('n'));
    for _ in 0..3 {
        press(&mut form, KeyCode::Down);
    }
    type_in(&mut form, "long text, longer than 1");
    assert_snapshot!(shown(&form, 30, 8), @r"
    ┌─ Resume approve ───────────┐
    │  approved *  ( )yes (●)no  │
    │  channel *   [         ▾ ] │
    │  max_items   [ 12_______ ] │
    │▶ note        [ r than 1█ ] │
    │For those who read it  (24 …│
    │[ Submit ] [ Edit as JSON ] │
    └────────────────────────────┘
    ");
    control(&mut form, 's');
    assert_snapshot!(shown(&form, 30, 8), @r"
    ┌─ Resume approve ───────────┐
    │  approved *  ( )yes (●)no █│
    │▶ channel *   [         ▾ ]█│
    │  ! channel: is required   ││
    │  max_items   [ 12_______ ]││
    │(Left and Right choose)     │
    │[ Submit ] [ Edit as JSON ] │
    └────────────────────────────┘
    ");
}

#[test]
fn required_fields_that_are_empty_are_said_to_be() {
    let mut form = form(&approval(), None);
    assert_eq!(control(&mut form, 's'), FormOutcome::Stay);
    assert_eq!(form.fields[0].problem.as_deref(), Some("is required"));
    assert_eq!(form.fields[1].problem.as_deref(), Some("is required"));
    assert_eq!(form.focus, Focus::Field(0));
    assert!(!form.is_touched());
}

#[test]
fn what_cannot_be_read_is_said_before_anything_is_checked() {
    let schema =
        json!({"properties": {"n": {"type": "number"}, "list": {"type": "array", "items": {"type": "integer"}}}});
    let mut form = form(&schema, None);
    type_in(&mut form, "1x");
    press(&mut form, KeyCode::Tab);
    type_in(&mut form, "[1, ");
    assert_eq!(control(&mut form, 's'), FormOutcome::Stay);
    assert_eq!(form.fields[0].problem.as_deref(), Some("must be a number"));
    assert!(form.fields[1].problem.as_deref().unwrap().starts_with("must be JSON: EOF"));
    press(&mut form, KeyCode::Backspace);
    press(&mut form, KeyCode::Down);
    type_in(&mut form, "\"a\"]");
    assert_eq!(control(&mut form, 's'), FormOutcome::Stay);
    assert_eq!(form.fields[1].problem.as_deref(), Some("[1] must be a whole number"));
    for _ in 0..4 {
        press(&mut form, KeyCode::Backspace);
    }
    type_in(&mut form, "2]");
    assert_eq!(submitted(&mut form), json!({"n": 1, "list": [1, 2]}));
}

fn nested() -> Value {
    json!({
        "type": "object",
        "properties": {
            "kind": {"const": "mail"},
            "to": {"$ref": "#/$defs/person", "description": "Who gets it"},
            "copy": {"anyOf": [{"$ref": "#/$defs/person"}, {"type": "null"}]},
            "body": {"type": "string", "maxLength": 5000},
            "at": {"type": ["string", "null"], "format": "date-time"},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
            "size": {"anyOf": [{"type": "number", "maximum": 3}, {"type": "null"}]},
            "mode": {"anyOf": [{"const": "fast"}, {"const": 2}]},
            "more": {},
        },
        "required": ["kind", "to", "at"],
        "$defs": {
            "person": {
                "type": "object",
                "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer", "default": 30}},
                "required": ["name"],
            },
        },
    })
}

#[test]
fn what_is_nested_is_indented_and_what_has_no_field_is_json() {
    let mut form = form(&nested(), Some(&json!({"body": "two\nlines", "tags": ["a"], "extra": 1})));
    press(&mut form, KeyCode::Char('漢'));
    assert_snapshot!(shown(&form, 64, 24), @r#"
    ┌─ Resume approve ─────────────────────────────────────────────┐
    │  kind *    mail                                              │
    │  to *      Who gets it                                       │
    │▶   name *  [ 漢█__________________________________________ ] │
    │    age     [ 30____________ ]                                │
    │  copy                                                        │
    │    name *  [ _____________________________________________ ] │
    │    age     [ 30____________ ]                                │
    │  body      │ two                                             │
    │            │ lines                                           │
    │  at *      [ _____________________________________________ ] │
    │  tags      │ ["a"]                                           │
    │  size      [ ______________ ]  <= 3                          │
    │  mode      [      ▾ ]  0/2                                   │
    │  more      │                                                 │
    │                                                              │
    │                                                              │
    │                                                              │
    │                                                              │
    │                                                              │
    │                                                              │
    │(1 of at least 1 characters)                                  │
    │[ Submit ] [ Edit as JSON ]                                   │
    └──────────────────────────────────────────────────────────────┘
    "#);
    let expected = json!({"kind": "mail", "to": {"name": "漢", "age": 30}, "at": null, "body": "two\nlines", "tags": ["a"], "extra": 1});
    assert_eq!(submitted(&mut form), expected);
}

#[test]
fn what_was_meant_of_two_things_is_what_is_complained_about() {
    let mut form = form(&nested(), Some(&json!({"to": {"name": "a"}, "copy": {"name": ""}, "size": 4, "at": "soon"})));
    assert_eq!(control(&mut form, 's'), FormOutcome::Stay);
    let problems: Vec<_> =
        form.fields.iter().filter_map(|field| Some((field.path.join("."), field.problem.clone()?))).collect();
    let expected =
        [("copy.name", "must have at least 1 character"), ("at", "must be a date-time"), ("size", "must be <= 3")];
    assert_eq!(problems, expected.map(|(path, said)| (path.to_owned(), said.to_owned())));
}

#[test]
fn all_of_it_is_edited_as_json_and_back_with_what_was_entered() {
    let mut form = form(&approval(), None);
    press(&mut form, KeyCode::Char('y'));
    press(&mut form, KeyCode::Tab);
    press(&mut form, KeyCode::Tab);
    type_in(&mut form, "x");
    control(&mut form, 'e');
    assert_snapshot!(shown(&form, 40, 9), @r#"
    ┌─ Resume approve ─────────────────────┐
    │{                                     │
    │  "approved": true,                   │
    │  "max_items": "12x"                  │
    │}█                                    │
    │                                      │
    │all of it as JSON                     │
    │[ Submit ] [ Edit as fields ]         │
    └──────────────────────────────────────┘
    "#);
    control(&mut form, 'e');
    assert!(form.text.is_none() && form.focus == Focus::Field(2));
    assert_eq!(form.value(), json!({"approved": true, "max_items": "12x"}));
    control(&mut form, 'e');
    form.text = Some(field::editor("{\"approved\": \"maybe\"}"));
    control(&mut form, 'e');
    assert_eq!(form.remarks, ["approved: the field cannot hold this, it stays JSON"]);
    assert_eq!(control(&mut form, 's'), FormOutcome::Stay);
    assert_eq!(form.remarks, ["channel: is required", "approved: must be a boolean"]);
    form.text = Some(field::editor("{\"approved\": tru"));
    assert_eq!(control(&mut form, 's'), FormOutcome::Stay);
    assert!(form.remarks[0].starts_with("must be JSON: "), "{:?}", form.remarks);
    form.text = Some(field::editor("{\"approved\": false, \"channel\": \"chat\", \"own\": [1]}"));
    control(&mut form, 'e');
    assert_eq!(submitted(&mut form), json!({"approved": false, "channel": "chat", "own": [1]}));
}

#[test]
fn what_the_server_refuses_comes_to_the_fields_it_names() {
    let mut form = form(&approval(), Some(&json!({"approved": true, "channel": "chat"})));
    let issues = [
        ("resumeData.max_items".to_owned(), "too many today".to_owned()),
        ("/note".to_owned(), "is rude".to_owned()),
        ("elsewhere[0]".to_owned(), "is odd".to_owned()),
        ("root".to_owned(), "is too much".to_owned()),
    ];
    form.server_errors("the data was refused", &issues);
    assert_eq!(form.focus, Focus::Field(2));
    assert_snapshot!(shown(&form, 50, 13), @r"
    ┌─ Resume approve ───────────────────────────────┐
    │  approved *  (●) yes  ( ) no                   │
    │  channel *   [ chat    ▾ ]  2/3                │
    │▶ max_items   [ 12█___________ ]  1..50         │
    │  ! max_items: too many today                   │
    │  note        [ _____________________________ ] │
    │  ! note: is rude                               │
    │(1..50)                                         │
    │! the data was refused                          │
    │! elsewhere[0]: is odd                          │
    │! is too much                                   │
    │[ Submit ] [ Edit as JSON ]                     │
    └────────────────────────────────────────────────┘
    ");
    type_in(&mut form, "1");
    assert!(form.remarks.is_empty() && form.fields[2].problem.is_none() && form.fields[3].problem.is_some());
}

#[test]
fn what_is_no_object_has_one_field() {
    let mut text = form(&json!({"type": "string", "minLength": 2}), None);
    type_in(&mut text, "hi");
    assert_eq!(submitted(&mut text), json!("hi"));
    let mut anything = form(&json!(true), None);
    type_in(&mut anything, "[1]");
    assert_eq!(submitted(&mut anything), json!([1]));
    let mut listed = form(&json!({"type": "array"}), Some(&json!([1])));
    assert_eq!(submitted(&mut listed), json!([1]));
    let mut nothing = form(&json!({"type": "object", "properties": {}}), None);
    assert_eq!(submitted(&mut nothing), json!({}));
}

#[test]
fn schemas_that_go_round_or_are_none_still_make_a_form() {
    let round = json!({"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"next": {"$ref": "#/$defs/a"}}}}});
    let deep = form(&round, None);
    assert_eq!(deep.fields.len(), 6);
    let own = form(&json!({"$ref": "#"}), None);
    assert_eq!(own.fields.len(), 1);
    let mut broken = form(&json!({"type": "nonsense", "properties": {"a": {"minimum": "x"}}}), None);
    assert!(broken.remarks[0].starts_with("the schema cannot be used"), "{:?}", broken.remarks);
    type_in(&mut broken, "1");
    assert_eq!(submitted(&mut broken), json!(1));
}

#[test]
fn pasted_lines_and_enter_make_a_text_taller() {
    let mut form = form(&approval(), None);
    for _ in 0..3 {
        press(&mut form, KeyCode::Tab);
    }
    form.paste("one\r\ntwo\u{1b}[31m");
    press(&mut form, KeyCode::Enter);
    type_in(&mut form, "x");
    assert_eq!(form.value()["note"], json!("one\ntwo[31m\nx"));
    press(&mut form, KeyCode::Up);
    press(&mut form, KeyCode::Up);
    assert_eq!(form.focus, Focus::Field(3));
    press(&mut form, KeyCode::Up);
    assert_eq!(form.focus, Focus::Field(2));
    form.paste(" 3\n");
    assert_eq!(form.value()["max_items"], json!(123));
}

#[test]
fn buttons_submit_switch_and_escape_cancels() {
    let schema = json!({"properties": {"a": {"type": "boolean"}}});
    let mut form = form(&schema, None);
    press(&mut form, KeyCode::Enter);
    assert_eq!(press(&mut form, KeyCode::Enter), FormOutcome::Submit(json!({})));
    press(&mut form, KeyCode::Right);
    press(&mut form, KeyCode::Enter);
    assert!(form.text.is_some());
    press(&mut form, KeyCode::BackTab);
    press(&mut form, KeyCode::Char(' '));
    assert!(form.text.is_none() && form.focus == Focus::Switch);
    assert_eq!(press(&mut form, KeyCode::Esc), FormOutcome::Cancel);
}

#[test]
fn choices_are_turned_through_or_found_by_letter() {
    let schema = json!({"properties": {"of": {"enum": ["red", "green", null, 3]}}});
    let mut form = form(&schema, None);
    let mut seen = Vec::new();
    for code in [KeyCode::Right, KeyCode::Char(' '), KeyCode::Right, KeyCode::Right, KeyCode::Left, KeyCode::Char('g')]
    {
        press(&mut form, code);
        seen.push(form.value().get("of").cloned());
    }
    assert_eq!(
        seen,
        [Some(json!("red")), Some(json!("green")), Some(json!(3)), None, Some(json!(3)), Some(json!("green"))]
    );
    press(&mut form, KeyCode::Delete);
    assert_eq!(submitted(&mut form), json!({}));
}

#[test]
fn schemas_that_name_their_draft_are_checked_by_it() {
    for draft in ["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"] {
        let schema = json!({
            "$schema": draft,
            "type": "object",
            "properties": {"op": {"type": "string", "enum": ["add", "sub"]}, "by": {"type": "number"}},
            "required": ["op", "by"],
            "additionalProperties": false,
        });
        let mut form = form(&schema, Some(&json!({"own": 1})));
        press(&mut form, KeyCode::Char('s'));
        press(&mut form, KeyCode::Tab);
        type_in(&mut form, "-1.5e3");
        assert_eq!(control(&mut form, 's'), FormOutcome::Stay);
        assert_eq!(form.remarks, ["must not have own"]);
        control(&mut form, 'e');
        form.text = Some(field::editor("{\"op\": \"sub\", \"by\": -1500.0}"));
        assert_eq!(submitted(&mut form), json!({"op": "sub", "by": -1500.0}));
    }
}
