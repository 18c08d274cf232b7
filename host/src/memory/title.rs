//! Titles of threads, made by a model of what a person said first.

use hotbay_plugin::chat::{self, ChatRequest};

use super::{Memory, options::TitleOptions};
use crate::{
    store::StoreError,
    types::{
        message::{Message, Role},
        spoken,
    },
};

/// What the model is told if the agent's author does not say.
const INSTRUCTIONS: &str = "Give the conversation that begins with the user's message a title. The title sums up what \
the user wants in at most 80 characters, without quotes, colons or a full stop. Answer with the title alone.";
/// Longest title, in characters. A model that talks on is cut off.
const LONGEST: usize = 200;

/// Returns the question a title is the answer to; `None` if nothing was said.
#[must_use]
pub fn asked(options: &TitleOptions, agent_model: &str, said: &[Message]) -> Option<ChatRequest> {
    let first = said.iter().find(|message| message.role == Role::User)?;
    let said = Some(spoken::words(&first.parts)).filter(|said| !said.is_empty())?;
    let instructions = options.instructions.clone().unwrap_or_else(|| INSTRUCTIONS.to_owned());
    Some(ChatRequest {
        model: options.model.clone().unwrap_or_else(|| agent_model.to_owned()),
        messages: vec![chat::Message::System(instructions), chat::Message::user(said)],
        ..ChatRequest::default()
    })
}

impl Memory {
    /// Gives a thread the title a model answered, unless somebody gave it one meanwhile.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn entitle(&self, thread_id: &str, answer: &str) -> Result<(), StoreError> {
        match tidy(answer) {
            Some(title) => self.store.threads().set_first_title(thread_id, &title).await,
            None => Ok(()),
        }
    }
}

/// Returns a model's answer as a title: one line, without the quotes models like.
fn tidy(answer: &str) -> Option<String> {
    let line = answer.lines().map(str::trim).find(|line| !line.is_empty())?;
    let is_around = |character: char| character.is_whitespace() || matches!(character, '"' | '\'' | '*' | '#' | '`');
    let line = line.trim_matches(is_around);
    let title: String = line.chars().take(LONGEST).collect();
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_plain_line() {
        assert_eq!(tidy("\n \"Weather in Paris\"\nmore").as_deref(), Some("Weather in Paris"));
        assert_eq!(tidy("# **Plans**").as_deref(), Some("Plans"));
        assert_eq!(tidy(" \n "), None);
        assert_eq!(tidy(&"x".repeat(500)).map(|title| title.len()), Some(LONGEST));
    }

    #[test]
    fn the_first_words_of_a_person_are_asked_about() {
        let said = [Message::of_text(Role::Assistant, "hi"), Message::of_text(Role::User, "plan a trip")];
        let request = asked(&TitleOptions::default(), "p/m", &said).unwrap();
        assert_eq!(request.model, "p/m");
        assert_eq!(request.messages.last().map(chat::Message::text).as_deref(), Some("plan a trip"));
        assert!(asked(&TitleOptions::default(), "p/m", &said[..1]).is_none());
    }
}
