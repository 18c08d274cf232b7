use proptest::prelude::*;

use super::*;

/// 2026-11-26 12:00:00 UTC.
const NOW: i64 = 1_795_694_400_000;

#[derive(Default)]
struct Row {
    fields: Vec<(&'static str, &'static str)>,
    text: &'static str,
    time: Option<i64>,
}

impl Fields for Row {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| Cow::Borrowed(*value))
    }

    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.text)
    }

    fn time(&self) -> Option<i64> {
        self.time
    }
}

fn row() -> Row {
    Row {
        fields: vec![
            ("level", "WARN"),
            ("plugin", "web-search"),
            ("tokens", "1500"),
            ("took", "900.5"),
            ("state", "failed"),
            ("runid", "01J9F3"),
        ],
        text: "Upstream closed GET /api/agents (attempt 3) – Größe",
        time: Some(NOW - 10 * 60_000),
    }
}

#[track_caller]
fn check(filter: &str, is_through: bool) {
    let parsed = Filter::parse(filter, NOW).unwrap_or_else(|error| panic!("{filter}: {error:?}"));
    assert_eq!(parsed.matches(&row()), is_through, "{filter}: {parsed:?}");
}

#[track_caller]
fn refuse(filter: &str, column: usize, message: &str) {
    let error = Filter::parse(filter, NOW).unwrap_err();
    assert_eq!((error.column, error.message.as_str()), (column, message), "{filter}");
}

#[test]
fn words_are_all_there_in_any_case() {
    check("upstream GET", true);
    check("upstream POST", false);
    check("GRÖSSE", false);
    check("GRÖßE", true);
    check("\"closed get\"", true);
    check("\"get closed\"", false);
    check("-post -\"get closed\"", true);
    check("-upstream", false);
    check("--upstream", true);
    check("a.p", false);
}

#[test]
fn one_of_them_binds_less_than_both() {
    check("post | upstream", true);
    check("post|get", true);
    check("post closed | put", false);
    check("closed (post | get)", true);
    check("post (closed | get)", false);
    check("-(post | put) -(a p)", false);
    check("-(post | put)", true);
}

#[test]
fn expressions_are_between_slashes_and_paths_are_not() {
    check("/clo.ed/", true);
    check("/CLOSED get/", true);
    check("/^closed/", false);
    check("/api/agents", true);
    check("/api/agents /api/runs", false);
    check("/api\\/agents/", true);
    check("-/post|put/", true);
    check("/(post|get)/ closed", true);
}

#[test]
fn fields_have_in_them_are_exactly_or_are_there() {
    check("plugin:search", true);
    check("PLUGIN:Web", true);
    check("runId:01j9", true);
    check("plugin=search", false);
    check("plugin=web-search", true);
    check("plugin:/^web/", true);
    check("plugin:\"web s\"", false);
    check("-plugin:rss", true);
    check("thread:*", false);
    check("plugin:*", true);
    check("thread:x | plugin:web", true);
    check("tokens:15", false);
    check("tokens:1500.0", true);
}

#[test]
fn numbers_are_compared_with_their_units() {
    check("tokens>1499", true);
    check("tokens>1500", false);
    check("tokens>=1.5k", true);
    check("tokens<1.5k", false);
    check("tokens<=1.5k", true);
    check("took<1s", true);
    check("took>=2m", false);
    check("state>1", false);
    check("absent<1", false);
}

#[test]
fn levels_are_compared_by_how_bad_they_are() {
    check("level>=warn", true);
    check("level>=info", true);
    check("level>warning", false);
    check("level<error", true);
    check("level:warn", true);
    check("level=WARNING", true);
    check("level:error", false);
}

#[test]
fn times_are_since_from_and_until() {
    check("since:15m", true);
    check("since:9m", false);
    check("since:1h30m", true);
    check("to:15m", false);
    check("from:2026-11-26T11:00", true);
    check("from:2026-11-26T11:55", false);
    check("from:2026-11-26T11:00:00+02:00", true);
    check("from:2026-11-26T14:00+01:00", false);
    check("from:11:00 to:11:51", true);
    check("to:2026-11-26", true);
    check("to:2026-11-25", false);
    check("from:\"2026-11-26 11:00\"", true);
    check("-since:9m", true);
    let timeless = Row { text: "a", ..Row::default() };
    assert!(!Filter::parse("since:1h", NOW).unwrap().matches(&timeless));
}

#[test]
fn what_to_ask_a_server_for_is_only_what_holds_for_all() {
    let times = |filter: &str| Filter::parse(filter, NOW).unwrap().times();
    assert_eq!(times("since:15m error"), (Some(NOW - 900_000), None));
    assert_eq!(times("since:15m since:5m to:1m (to:2m)"), (Some(NOW - 300_000), Some(NOW - 120_000)));
    assert_eq!(times("since:15m | error"), (None, None));
    assert_eq!(times("-since:15m"), (None, None));
    assert_eq!(times("to:2026-11-25"), (None, Some(NOW - 43_200_000)));
}

#[test]
fn addresses_times_and_paths_of_code_are_words() {
    for text in ["http://127.0.0.1:4111", "12:03:04", "hotbay::plugin", "-", "a-b", "--", "=x", ":x"] {
        let parsed = Filter::parse(text, NOW).unwrap();
        let own = Row { text: Box::leak(text.to_owned().into_boxed_str()), ..Row::default() };
        assert!(text.starts_with("--") || parsed.matches(&own), "{text} {parsed:?}");
    }
}

#[test]
fn nothing_said_lets_everything_through() {
    for text in ["", "   "] {
        let filter = Filter::parse(text, NOW).unwrap();
        assert!(filter.is_empty() && filter.matches(&Row::default()));
    }
    assert!(!Filter::parse("a", NOW).unwrap().is_empty());
}

#[test]
fn mistakes_are_said_at_their_column() {
    refuse("ä (b", 2, "`(` is not closed");
    refuse("a)", 1, "nothing is open that `)` closes; quote it to search for it");
    refuse("a ()", 2, "nothing is in the parentheses");
    refuse("a |", 3, "`|` needs something after it");
    refuse("| a", 0, "`|` needs something before it");
    refuse("ü \"b", 2, "`\"` is not closed");
    refuse("state:", 6, "`state:` needs a value");
    refuse("took>=", 6, "`took>=` needs a value");
    refuse("a took>soon", 7, "`soon` is no number to compare with: 12, 1.5k, 250ms, 2h");
    refuse("level>=bad", 7, "`bad` is no level: trace, debug, info, warn, error, fatal");
    refuse("since:soon", 6, "`soon` is no time: 15m, 24h, 10:30, 2026-11-26, 2026-11-26T10:00");
    refuse("x /(/", 2, "the expression is not valid: unclosed group");
    refuse(&"(".repeat(100), 32, "more than 32 parentheses are in each other");
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_a_mistake_within_it(
        text in prop_oneof![any::<String>(), "[-a-c:/|()<>=\"\\\\ *.0-9mT]{0,30}", "(since|from|to|level)[:=<>]{1,2}[-+0-9a-zT:]{0,12}"],
        now in any::<i64>(),
    ) {
        match Filter::parse(&text, now) {
            Ok(filter) => {
                let _ = (filter.matches(&row()), filter.times());
            }
            Err(error) => prop_assert!(error.column <= text.chars().count() && !error.message.is_empty()),
        }
    }
}
