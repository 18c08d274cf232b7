//! What the server says, taken into the state.

use super::{Link, State, perform};
use crate::{
    action::{Effect, News},
    json::Json,
    order::{Order, Role},
    popups::{self, Popup, Prompt, PromptKind},
    screens::Look,
    store::{Failure, Known},
    view,
    want::Want,
};

pub(super) fn heard(state: &mut State, news: News, effects: &mut Vec<Effect>) {
    match news {
        News::Answer { want, answer } => {
            if answer.is_ok() {
                state.last_seen = Some(state.now);
            }
            let is_me = want == Want::Me;
            state.store.learn(&want, answer, state.now);
            if is_me {
                know_role(state);
            }
        }
        News::Events(events) => {
            state.last_seen = Some(state.now);
            state.store.happened(events);
        }
        News::Connected => {
            if !matches!(state.link, Link::Connecting) {
                state.say("connected again");
            }
            state.link = Link::Live;
            state.last_seen = Some(state.now);
            state.store.doubt(|_| true);
        }
        News::Lost { failure, retry } => {
            let is_closed = failure.status == Some(401);
            let was_open = !matches!(&state.link, Link::Lost { failure, .. } if failure.status == Some(401));
            let retry = state.now.saturating_add_unsigned(retry);
            state.link = Link::Lost { failure, retry };
            let is_asking = state
                .popups
                .iter()
                .any(|popup| matches!(popup, Popup::Prompt(prompt) if prompt.kind == PromptKind::Token));
            if is_closed && was_open && !is_asking {
                state.popups.push(Popup::Prompt(Box::new(Prompt::new(
                    PromptKind::Token,
                    "the server wants a token",
                    "",
                ))));
            }
        }
        News::Done { order, answer } => done(state, *order, answer, effects),
        News::Chunk { chat, chunk } => {
            let look = look!(state);
            state.screens.threads.chunk(chat, &chunk, &look);
        }
        News::ChatEnded { chat, failure } => {
            if let Some(failure) = &failure {
                state.complain(format!("the agent's answer broke off: {}", failure.message));
            }
            let look = look!(state);
            state.screens.threads.ended(chat, failure.as_ref(), &look);
            state.store.doubt(|want| matches!(want, Want::Threads { .. } | Want::Messages { .. }));
        }
        News::Exported(Ok(file)) => state.say(format!("written to {file}")),
        News::Exported(Err(reason)) => state.complain(format!("nothing was written: {reason}")),
    }
}

fn know_role(state: &mut State) {
    match state.store.known(&Want::Me) {
        // Nobody is asked who they are.
        Known::Here(me) if me.is_null() => state.role = Some(Role::Admin),
        Known::Here(me) => state.role = Role::parse(me.text("role")),
        Known::Loading | Known::Failed(_) => {}
    }
}

fn done(state: &mut State, order: Order, answer: Result<serde_json::Value, Failure>, effects: &mut Vec<Effect>) {
    state.store.doubt(|want| order.touches(want));
    // A form that waits for this stays open if the server does not like what is in it.
    let waiting = state.popups.iter().position(|popup| popup.is_waiting_for(&order));
    match answer {
        Ok(value) => {
            if let Some(index) = waiting {
                state.popups.remove(index);
            }
            state.say(format!("{}: done", order.words()));
            let deeds = popups::after(&order, value);
            perform(state, deeds, effects);
        }
        Err(failure) => {
            if let Some(popup) = waiting.and_then(|index| state.popups.get_mut(index)) {
                popup.refused(&failure);
            }
            state.complain(format!("{} failed: {}", order.words(), failure.message));
        }
    }
}
