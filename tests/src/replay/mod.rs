//! Replays recorded sessions of the wire contract against a running server.
//!
//! A session is an ordered list of requests with the answers that the recorded
//! server gave; it works on an empty data directory. Statuses, headers, content
//! types, raw JSON and the frames of streams are compared.
//!
//! [`session`] is the files' format, [`player`] plays the steps over [`client`],
//! [`judge`] compares an answer by means of [`matcher`], [`differences`] says
//! where we differ on purpose, and [`report`] is the outcome.

pub mod answer;
pub mod bindings;
pub mod client;
pub mod differences;
pub mod judge;
pub mod matcher;
pub mod mismatch;
pub mod path;
pub mod player;
pub mod report;
pub mod session;

pub use differences::Differences;
pub use report::{Case, Report, Verdict};
pub use session::Session;

use crate::http::Address;
use judge::Judgement;
use player::Player;

/// Plays a whole session against the server at `base` and weighs it against the differences.
///
/// # Errors
///
/// When `base` is not an `http://` URL. A server that does not answer fails the steps.
pub async fn replay(base: &str, session: &Session, differences: &Differences) -> anyhow::Result<Report> {
    let mut player = Player::new(Address::parse(base)?);
    let mut cases = Vec::new();
    for step in &session.steps {
        cases.extend(play(&mut player, step, differences).await);
    }
    let steps = session.steps.iter().map(|step| step.name.as_str());
    Ok(Report { area: session.area.clone(), cases, unmatched: differences.unmatched(&session.area, steps) })
}

/// Plays one step; `None` when its answer is for a later step to judge.
pub async fn play(player: &mut Player, step: &session::Step, differences: &Differences) -> Option<Case> {
    let listing = differences.listing(&step.name);
    let played = player.play(step, listing.and_then(|listing| listing.expect.as_ref())).await?;
    let is_as_listed = played.instead.as_ref().is_some_and(Judgement::is_match);
    if let Some(undo) = listing.and_then(|listing| listing.undo.as_ref())
        && is_as_listed
        && let Err(error) = player.undo(undo).await
    {
        return Some(Case::not_undone(&step.name, &error));
    }
    Some(Case::new(&step.name, played, listing))
}

#[cfg(test)]
mod tests;
