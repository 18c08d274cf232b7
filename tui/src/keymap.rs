//! Which key means what.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::action::Action;

/// The keys, as the last line of the screen names them.
pub(crate) const HELP: &str = "j/k select   r reload   b roll back   q quit";

/// Returns what a key means; while something is asked, the keys answer that.
pub(crate) fn action(key: KeyEvent, is_asking: bool) -> Option<Action> {
    // Some terminals report releases as well.
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Action::Quit);
    }
    match key.code {
        KeyCode::Char('y') if is_asking => Some(Action::Confirm),
        KeyCode::Char('n' | 'q') | KeyCode::Esc if is_asking => Some(Action::Dismiss),
        _ if is_asking => None,
        KeyCode::Char('q') | KeyCode::Esc => Some(Action::Quit),
        KeyCode::Char('j') | KeyCode::Down => Some(Action::SelectNext),
        KeyCode::Char('k') | KeyCode::Up => Some(Action::SelectPrevious),
        KeyCode::Char('r') => Some(Action::Reload),
        KeyCode::Char('b') => Some(Action::AskRollback),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: KeyCode, is_asking: bool, expected: Option<Action>) {
        assert_eq!(action(KeyEvent::from(code), is_asking), expected);
    }

    #[test]
    fn keys_select_and_order() {
        check(KeyCode::Char('j'), false, Some(Action::SelectNext));
        check(KeyCode::Up, false, Some(Action::SelectPrevious));
        check(KeyCode::Char('r'), false, Some(Action::Reload));
        check(KeyCode::Char('b'), false, Some(Action::AskRollback));
        check(KeyCode::Char('x'), false, None);
    }

    #[test]
    fn a_question_takes_the_keys() {
        check(KeyCode::Char('y'), true, Some(Action::Confirm));
        check(KeyCode::Esc, true, Some(Action::Dismiss));
        check(KeyCode::Char('r'), true, None);
        check(KeyCode::Char('y'), false, None);
    }

    #[test]
    fn control_c_always_leaves() {
        for is_asking in [true, false] {
            let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
            assert_eq!(action(key, is_asking), Some(Action::Quit));
        }
        let key = KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL);
        assert_eq!(action(key, false), None);
    }
}
