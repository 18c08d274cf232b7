//! What holds for any schema and any keys.

use proptest::prelude::*;

use super::*;

fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!(true)),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": ["integer", "null"], "minimum": 1, "maximum": 30, "default": 3})),
        Just(json!({"type": "number", "exclusiveMinimum": 0})),
        Just(json!({"type": "string", "minLength": 1, "maxLength": 3})),
        Just(json!({"type": "string", "format": "date-time"})),
        Just(json!({"type": "string", "maxLength": 500, "default": "a\nb\u{1b}\t漢"})),
        Just(json!({"enum": ["a", 1, null]})),
        Just(json!({"const": {"a": 1}})),
        Just(json!({"type": "array", "items": {"type": "integer"}})),
        Just(json!({"$ref": "#/$defs/x"})),
        Just(json!({"$ref": "#"})),
        Just(json!({"anyOf": [{"type": "null"}, {"type": "string"}]})),
        Just(json!({"type": 3})),
    ];
    let tree = leaf.prop_recursive(4, 30, 5, |inner| {
        (proptest::collection::vec(("[a-d]{1,2}|[a-z漢]{8,20}", inner), 0..5), any::<bool>(), any::<bool>()).prop_map(
            |(properties, is_required, is_nullable)| {
                let names: Vec<Value> = properties.iter().map(|(name, _)| json!(name)).collect();
                let properties: Map<String, Value> = properties.into_iter().collect();
                let mut schema = json!({"type": "object", "properties": properties});
                if is_required {
                    schema["required"] = json!(names);
                }
                if is_nullable { json!({"anyOf": [schema, {"type": "null"}]}) } else { schema }
            },
        )
    });
    (tree, any::<bool>()).prop_map(|(mut tree, has_definitions)| {
        if let (Some(schema), true) = (tree.as_object_mut(), has_definitions) {
            schema.insert(
                "$defs".to_owned(),
                json!({"x": {"properties": {"y": {"type": "boolean"}, "z": {"$ref": "#"}}}}),
            );
        }
        tree
    })
}

fn keys() -> impl Strategy<Value = KeyEvent> {
    let codes = [
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Enter,
        KeyCode::Backspace,
        KeyCode::Delete,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::PageDown,
        KeyCode::PageUp,
        KeyCode::Char(' '),
    ];
    let modifiers = [KeyModifiers::NONE, KeyModifiers::CONTROL, KeyModifiers::ALT, KeyModifiers::SHIFT];
    prop_oneof![
        4 => proptest::sample::select(codes.to_vec()).prop_map(KeyEvent::from),
        4 => proptest::sample::select("1a2[]{}\",:-.漢é\n".chars().collect::<Vec<_>>())
            .prop_map(|letter| KeyEvent::from(KeyCode::Char(letter))),
        1 => (any::<char>(), proptest::sample::select(modifiers.to_vec()))
            .prop_map(|(letter, modifiers)| KeyEvent::new(KeyCode::Char(letter), modifiers)),
        1 => proptest::sample::select(vec!['e', 's', 'u', 'k', 'j', 'm', 'w', 'y'])
            .prop_map(|letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)),
    ]
}

proptest! {
    #[test]
    fn whatever_is_pressed_only_what_the_schema_allows_is_submitted(
        schema in schemas(),
        keys in proptest::collection::vec(keys(), 0..60),
        pasted in any::<String>(),
        (width, height) in (0_u16..50, 0_u16..14),
    ) {
        let mut form = form(&schema, None);
        let validator = problems::validator(&schema);
        let outer = Rect::new(0, 0, width + 4, height + 4);
        let submit = KeyEvent::new(KeyCode::Char('s'), KeyModifiers::CONTROL);
        for (number, key) in keys.into_iter().chain([submit]).enumerate() {
            if number == 5 {
                form.paste(&pasted);
                form.server_errors(&pasted, &[(pasted.clone(), pasted.clone())]);
            }
            if let FormOutcome::Submit(value) = form.key(key)
                && let Ok(validator) = &validator
            {
                prop_assert!(validator.is_valid(&value), "{schema} {value}");
            }
            let mut buf = Buffer::empty(outer);
            let theme = Theme::new(Palette::Dark, Depth::Full, &UNICODE);
            let inner = Rect::new(2, 2, width, height);
            if let Some(cursor) = form.draw(theme, inner, &mut buf) {
                prop_assert!(inner.contains(cursor.into()), "{cursor:?}");
            }
            prop_assert_eq!(frame::misplaced(&buf, inner), None);
        }
    }

    #[test]
    fn what_was_entered_survives_json_and_back(schema in schemas(), keys in proptest::collection::vec(keys(), 0..40)) {
        let mut form = form(&schema, None);
        for key in keys {
            let is_switch = key.code == KeyCode::Char('e') && key.modifiers == KeyModifiers::CONTROL;
            if !is_switch {
                form.key(key);
            }
        }
        if form.text.is_none() {
            let before = form.value();
            form.switch();
            form.switch();
            if form.text.is_none() {
                prop_assert_eq!(form.value(), before);
            }
        }
    }
}
