//! What keys do: orders that are given, refused, taken back; what is followed and what stays.

use serde_json::{Value, json};

use super::fixture::{Answers, Console, NOW, SUSPENDED};
use crate::{
    action::{Action, Ask, Effect, News},
    config::Server,
    live::LiveEvent,
    order::{Order, PluginOrder},
    screens::ScreenKind,
    store::Failure,
    want::Want,
};

fn plugin(name: &str, order: PluginOrder) -> Order {
    Order::Plugin { name: name.into(), order }
}

fn at(keys: &str) -> Console {
    let mut console = Console::new(Answers::Full);
    console.press(keys);
    console
}

#[track_caller]
fn check_seen(console: &Console, text: &str) {
    assert!(console.frame().contains(text), "`{text}` is not in\n{}", console.frame());
}

/// To the run that waits.
const TO_SUSPENDED: &str = "4 j j j j j j j j j j j enter";

#[test]
fn a_reload_and_a_rollback_are_given_after_a_yes() {
    let mut console = at("2 j r");
    check_seen(&console, "Shall I reload plugin hotbay-test-reference?");
    assert_eq!(console.orders(), []);
    console.press("y");
    assert_eq!(console.orders(), [plugin("hotbay-test-reference", PluginOrder::Reload)]);
    console.press("b");
    check_seen(&console, "Shall I roll back plugin hotbay-test-reference?");
    console.press("n");
    assert_eq!(console.orders(), []);
    console.press("b y");
    assert_eq!(console.orders(), [plugin("hotbay-test-reference", PluginOrder::Rollback)]);
}

#[test]
fn an_order_is_about_what_was_chosen_when_it_was_asked() {
    let mut console = at("2 j b");
    console.other.push((Want::Plugins, Ok(json!({"plugins": [{"name": "another", "state": "serving"}]}))));
    console.events(&[("plugin", json!({"type": "removed"}))]);
    console.wait(1_000);
    check_seen(&console, "another");
    console.press("y");
    assert_eq!(console.orders(), [plugin("hotbay-test-reference", PluginOrder::Rollback)]);
}

#[test]
fn whoever_may_not_is_told_so_and_nothing_is_asked() {
    for role in ["viewer", "operator"] {
        let mut console = Console::new(Answers::Full);
        console.other.push((Want::Me, Ok(json!({"id": "a", "name": "ana", "role": role}))));
        console.news(News::Connected);
        console.wait(1_000);
        console.press("2 j r b");
        assert_eq!(console.orders(), [], "{role}");
        check_seen(&console, "that takes the role admin: your role does not allow it");
        check_seen(&console, role);
        console.press("4 x");
        assert_eq!(console.state.popups.len(), usize::from(role == "operator"), "{role}");
    }
}

#[test]
fn a_server_that_is_only_watched_is_not_changed() {
    let mut console = Console::new(Answers::Full);
    console.state.server = Server { is_read_only: true, ..console.state.server.clone() };
    console.press("2 j d");
    assert!(console.state.popups.is_empty());
    check_seen(&console, "this server is watched only");
}

#[test]
fn a_run_that_waits_is_answered_by_its_form() {
    let mut console = at(TO_SUSPENDED);
    console.press("R");
    check_seen(&console, "Resume ask-approval: Approve \"A\"?");
    console.press("C-s");
    check_seen(&console, "! approved");
    assert_eq!(console.orders(), []);
    console.press("space C-s");
    let order = Order::ResumeRun {
        workflow: "suspend-workflow".into(),
        run: SUSPENDED.into(),
        step: vec!["ask-approval".into()],
        data: json!({"approved": true}),
    };
    assert_eq!(console.orders(), std::slice::from_ref(&order));
    check_seen(&console, "under way");
    // What the server does not like is said at its field, and what was filled in is still there.
    let failure = Failure {
        status: Some(400),
        message: "Invalid resume data".into(),
        issues: vec![("approved".into(), "only on weekdays".into())],
    };
    console.news(News::Done { order: Box::new(order.clone()), answer: Err(failure) });
    check_seen(&console, "only on weekdays");
    console.press("C-s");
    assert_eq!(console.orders().len(), 1);
    console.news(News::Done { order: Box::new(order), answer: Ok(json!({"status": "success"})) });
    assert!(console.state.popups.is_empty());
}

#[test]
fn what_was_filled_in_is_not_lost_by_one_key() {
    let mut console = at(TO_SUSPENDED);
    console.press("R space esc");
    assert_eq!(console.state.popups.len(), 1);
    console.press("esc");
    assert!(console.state.popups.is_empty());
    assert_eq!(console.orders(), []);
}

#[test]
fn a_tool_is_executed_by_its_form_and_its_answer_shown() {
    let mut console = at("3 / 'calculator' enter i right tab '4' tab '5' C-s");
    let order = Order::ExecuteTool { tool: "calculator".into(), input: json!({"op": "add", "a": 4, "b": 5}) };
    assert_eq!(console.orders(), std::slice::from_ref(&order));
    console.news(News::Done { order: Box::new(order), answer: Ok(json!({"result": 9})) });
    check_seen(&console, "calculator answered");
    check_seen(&console, "result 9");
}

#[test]
fn a_run_that_was_started_is_shown() {
    let mut console = at("3 / 'parallel-workflow' enter i '3' C-s");
    let order = Order::StartRun { workflow: "parallel-workflow".into(), input: json!({"value": 3}) };
    assert_eq!(console.orders(), std::slice::from_ref(&order));
    console.news(News::Done { order: Box::new(order), answer: Ok(json!({"runId": "r-1", "status": "success"})) });
    assert_eq!(console.state.current, ScreenKind::Runs);
    check_seen(&console, "Runs > parallel-workflow > r-1");
}

#[test]
fn runs_are_cancelled_restarted_and_deleted_after_a_yes() {
    let mut console = at(TO_SUSPENDED);
    console.press("x y a y D y");
    let (workflow, run) = (|| "suspend-workflow".to_owned(), || SUSPENDED.to_owned());
    let expected = [
        Order::CancelRun { workflow: workflow(), run: run() },
        Order::RestartRun { workflow: workflow(), run: run() },
        Order::DeleteRun { workflow: workflow(), run: run() },
    ];
    assert_eq!(console.orders(), expected);
}

#[test]
fn threads_are_made_named_copied_and_deleted() {
    let mut console = at("6 + 'Plans' enter");
    assert_eq!(console.orders(), [Order::CreateThread { resource: "console".into(), title: "Plans".into() }]);
    let mut console = at("6 j j c 'Copy' enter t 'New' enter D y");
    let thread = || "t1".to_owned();
    let expected = [
        Order::CloneThread { thread: thread(), title: "Copy".into() },
        Order::RenameThread { thread: thread(), title: "New".into() },
        Order::DeleteThread { thread: thread() },
    ];
    assert_eq!(console.orders(), expected);
}

#[test]
fn a_message_goes_to_the_chosen_agent_and_its_answer_can_be_stopped() {
    let mut console = at("6 j j enter i");
    // Whose thread it is, nobody stored: one is asked.
    console.press("'weather' enter 'hello' enter");
    let Some(Effect::Chat { chat, agent, ask: Ask::Message { thread, resource, text } }) = console.effects.pop() else {
        panic!("nobody was asked");
    };
    assert_eq!((thread.as_str(), resource.as_str(), text.as_str()), ("t1", "ana", "hello"));
    assert!(agent.contains("weather"), "{agent}");
    console.press("'more' enter");
    check_seen(&console, "the answer is still coming");
    console.press("C-c");
    assert_eq!(console.effects.pop(), Some(Effect::StopChat(chat)));
    // What comes after it was stopped is another's.
    console
        .news(News::Chunk { chat, chunk: json!({"type": "text-delta", "payload": {"id": "t", "text": "too late"}}) });
    assert!(!console.frame().contains("too late"));
}

#[test]
fn a_thread_that_is_led_to_is_written_into_as_its_owner() {
    let mut console = Console::new(Answers::Full);
    console.other.push((Want::Messages { thread: "t1".into(), page: 0 }, Ok(json!({"messages": [], "total": 0}))));
    console.press("6 1");
    console.events(&[("message", json!({"type": "stored", "threadId": "t1"}))]);
    console.press("tab tab enter i");
    console.press("'weather' enter 'hello' enter");
    let Some(Effect::Chat { ask: Ask::Message { thread, resource, .. }, .. }) = console.effects.pop() else {
        panic!("nobody was asked");
    };
    assert_eq!((thread.as_str(), resource.as_str()), ("t1", "ana"));
}

#[test]
fn a_tool_call_that_waits_is_approved_or_answered() {
    let begin = |kind: &str, payload: Value| {
        let mut console = at("3 j j i 'go' enter");
        let Some(Effect::Chat { chat, .. }) = console.effects.pop() else { panic!("nobody was asked") };
        console.news(News::Chunk { chat, chunk: json!({"type": kind, "runId": "r", "payload": payload}) });
        console.news(News::ChatEnded { chat, failure: None });
        console
    };
    let mut console = begin("tool-call-approval", json!({"toolCallId": "c", "toolName": "rm", "args": {"path": "/x"}}));
    check_seen(&console, "rm waits");
    check_seen(&console, "{\"path\":\"/x\"}");
    console.press("Y");
    let verdict = Ask::Verdict { run: "r".into(), call: "c".into(), is_approved: true };
    assert!(matches!(console.effects.pop(), Some(Effect::Chat { ask, .. }) if ask == verdict));
    let schema = json!({"json": {"type": "object", "properties": {"answer": {"type": "string"}}}}).to_string();
    let payload = json!({"toolCallId": "c", "toolName": "ask", "resumeSchema": schema, "suspendPayload": {}});
    let mut console = begin("tool-call-suspended", payload);
    console.press("Y 'blue' C-s");
    let answer = Ask::Resume { run: "r".into(), call: "c".into(), data: json!({"answer": "blue"}) };
    assert!(matches!(console.effects.pop(), Some(Effect::Chat { ask, .. }) if ask == answer));
}

#[test]
fn a_call_that_waits_still_does_for_who_looked_elsewhere_meanwhile() {
    let mut console = at("6 j j enter i");
    console.press("'weather' enter 'go' enter");
    let Some(Effect::Chat { chat, agent, .. }) = console.effects.pop() else { panic!("nobody was asked") };
    let payload = json!({"toolCallId": "c", "toolName": "rm", "args": {"path": "/x"}});
    console.news(News::Chunk { chat, chunk: json!({"type": "tool-call-approval", "runId": "r", "payload": payload}) });
    console.news(News::ChatEnded { chat, failure: None });
    console.press("esc k enter");
    assert!(!console.frame().contains("rm waits"));
    console.press("esc j enter");
    check_seen(&console, "rm waits");
    console.press("Y");
    assert!(matches!(console.effects.pop(), Some(Effect::Chat { agent: asked, .. }) if asked == agent));
}

#[test]
fn what_is_chosen_stays_chosen_while_rows_come() {
    let mut console = at("4 j j j");
    let chosen = || "e34fce7c";
    assert!(console.frame().lines().any(|line| line.contains('▶') && line.contains(chosen())));
    let mut runs = super::fixture::full(&Want::Runs { query: crate::want::Query::default(), page: 0 }).unwrap();
    let new = json!({"runId": "new-run", "workflowId": "linear-workflow", "status": "running", "createdAt": NOW});
    runs["runs"].as_array_mut().unwrap().insert(0, new);
    runs["total"] = json!(24);
    console.other.push((Want::Runs { query: crate::want::Query::default(), page: 0 }, Ok(runs)));
    console.events(&[("run", json!({"type": "began", "runId": "new-run"}))]);
    console.wait(1_000);
    check_seen(&console, "new-run");
    assert!(console.frame().lines().any(|line| line.contains('▶') && line.contains(chosen())));
}

fn log(number: usize, level: &str) -> LiveEvent {
    let id = format!("log-{number}");
    LiveEvent::of(
        "log",
        &json!({"id": id, "level": level, "message": format!("line {number}"), "time": "2026-11-26T23:20:00Z"}),
    )
}

#[test]
fn the_log_is_followed_until_somebody_looks_up_and_again_from_the_end() {
    let mut console = Console::new(Answers::Empty);
    console.press("7");
    console.news(News::Events((0..100).map(|number| log(number, "info")).collect()));
    check_seen(&console, "line 99");
    check_seen(&console, "FOLLOW");
    console.press("k");
    console.news(News::Events((100..150).map(|number| log(number, "info")).collect()));
    check_seen(&console, "PAUSED +50");
    assert!(!console.frame().contains("line 149") && console.frame().contains("line 98"));
    let before = console.frame();
    console.news(News::Events(vec![log(150, "info")]));
    let lines = |frame: &str| frame.lines().skip(3).take(28).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&before), lines(&console.frame()), "nothing moves while it is read");
    console.press("G");
    check_seen(&console, "line 150");
    check_seen(&console, "FOLLOW");
}

#[test]
fn the_log_is_narrowed_by_level_and_words_and_cleared() {
    let mut console = Console::new(Answers::Empty);
    console.press("7");
    let levels = ["debug", "info", "warn", "error"];
    console.news(News::Events((0..40).map(|number| log(number, levels[number % 4])).collect()));
    console.press("L L L");
    check_seen(&console, "Log 10");
    console.press("L / 'line_3' enter");
    check_seen(&console, "/line 3");
    assert!(!console.frame().contains("line 2 "));
    console.press("esc K");
    check_seen(&console, "Log 0");
    console.news(News::Events(vec![log(99, "info")]));
    check_seen(&console, "Log 1");
}

#[test]
fn a_filter_that_is_none_is_told_and_the_last_one_stays() {
    let mut console = at("4 / 'state:failed' enter");
    check_seen(&console, "Runs 3  /state:failed");
    console.press("/ '_color:red' enter");
    check_seen(&console, "there is no `color:` here");
    console.press("esc");
    check_seen(&console, "Runs 23");
}

#[test]
fn the_palette_finds_things_and_commands() {
    let mut console = at(": 'ref-plug' esc : 'test-reference' enter");
    assert_eq!(console.state.current, ScreenKind::Plugins);
    check_seen(&console, "Plugins > hotbay-test-reference");
    console.press(": 'log' down");
    assert_eq!(console.state.popups.len(), 1);
    console.press("esc : 'roll_back' enter");
    check_seen(&console, "Shall I roll back");
}

#[test]
fn another_server_is_another_world() {
    let console = at("4 @ down enter");
    let watched = console.effects.iter().find_map(|effect| match effect {
        Effect::Watch { server, .. } => Some(server.name.clone()),
        _ => None,
    });
    assert_eq!(watched.as_deref(), Some("dev"));
    assert_eq!(console.state.server.name, "dev");
    check_seen(&console, "@dev");
    assert_eq!(console.state.store.feed().len(), 0);
}

#[test]
fn what_was_asked_with_another_token_is_asked_again() {
    let mut console = Console::new(Answers::None);
    let failure = Failure { status: Some(401), message: "no".into(), issues: Vec::new() };
    console.news(News::Lost { failure, retry: 1_000 });
    console.press("'secret'");
    console.other.push((Want::Plugins, Ok(json!({"plugins": [{"name": "seen-now", "state": "serving"}]}))));
    console.press("enter 2");
    console.news(News::Connected);
    check_seen(&console, "seen-now");
}

#[test]
fn a_token_that_is_typed_is_shown_to_the_server() {
    let mut console = Console::new(Answers::None);
    let failure = Failure { status: Some(401), message: "no".into(), issues: Vec::new() };
    console.news(News::Lost { failure: failure.clone(), retry: 1_000 });
    console.news(News::Lost { failure, retry: 1_000 });
    assert_eq!(console.state.popups.len(), 1, "one is asked once");
    console.press("'secret' enter");
    let token = console.effects.iter().find_map(|effect| match effect {
        Effect::Watch { token, .. } => token.clone(),
        _ => None,
    });
    assert_eq!(token.as_deref(), Some("secret"));
}

#[test]
fn ids_and_records_are_copied_and_everything_is_exported() {
    let mut console = at("4 j y C-y C-e");
    let mut effects = std::mem::take(&mut console.effects).into_iter();
    assert_eq!(effects.next(), Some(Effect::Copy("01a21a06-ef7d-7410-a83d-f80ede157b43".into())));
    let Some(Effect::Copy(record)) = effects.next() else { panic!("no record") };
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["workflowId"], "branch-workflow");
    let Some(Effect::Export { name, text }) = effects.next() else { panic!("no export") };
    let exported: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((name.as_str(), exported["total"].as_u64()), ("runs", Some(23)));
}

#[test]
fn ids_lead_to_what_they_are_of() {
    let mut console = at("6 j j enter");
    console.press("g t");
    assert_eq!(console.state.current, ScreenKind::Traces);
    check_seen(&console, "34ae427c71634577b1faa669ce74ab3f");
    console.press("g l");
    assert_eq!(console.state.current, ScreenKind::Logs);
    check_seen(&console, "/trace:34ae427c71634577b1faa669ce74ab3f");
    console.press("esc esc");
    assert_eq!(console.state.current, ScreenKind::Traces);
}

#[test]
fn a_trace_that_no_answer_says_is_told_from_answers_that_are_not_there_yet() {
    for (answers, reason) in
        [(Answers::None, "still coming"), (Answers::Empty, "no answer of this thread says its trace")]
    {
        let mut console = at("6 j j");
        console.answers = answers;
        console.press("enter g t");
        assert_eq!(console.state.current, ScreenKind::Threads);
        check_seen(&console, reason);
    }
}

#[test]
fn while_the_server_is_away_nothing_is_asked_and_all_of_it_when_it_is_back() {
    let mut console = at("2");
    console.news(News::Lost { failure: Failure { message: "refused".into(), ..Failure::default() }, retry: 500 });
    console.other.push((Want::Plugins, Ok(json!({"plugins": [{"name": "newer", "state": "serving"}]}))));
    console.wait(60_000);
    assert!(!console.frame().contains("newer"));
    check_seen(&console, "hotbay-test-reference");
    console.news(News::Connected);
    check_seen(&console, "newer");
    check_seen(&console, "live");
}

#[test]
fn leaving_takes_one_key_and_a_popup_is_left_first() {
    let mut console = at("2 ?");
    console.press("esc");
    assert!(!console.state.is_quitting);
    console.act(Action::Paste("q".into()));
    assert!(!console.state.is_quitting);
    console.press("q");
    assert!(console.state.is_quitting);
}
