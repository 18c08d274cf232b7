//! What earlier messages go through.

use hotbay_plugin::prelude::*;

/// How much is remembered if the agent does not say.
const TOKENS: u64 = 1000;

/// Keeps the last messages that have no more words than the agent's `tokens` together.
#[memory_processor(name = "token-limit")]
pub(crate) async fn token_limit(remembered: Remembered) -> Result<Vec<MemoryMessage>> {
    let limit = remembered.options.get("tokens").and_then(Value::as_u64).unwrap_or(TOKENS);
    let mut left = limit;
    let mut kept: Vec<MemoryMessage> = remembered
        .messages
        .into_iter()
        .rev()
        .map_while(|message| {
            left = left.checked_sub(words(&message))?;
            Some(message)
        })
        .collect();
    kept.reverse();
    Ok(kept)
}

/// Hides what stands behind `secret:`.
#[memory_processor]
pub(crate) async fn mask(remembered: Remembered) -> Result<Vec<MemoryMessage>> {
    let mut messages = remembered.messages;
    for part in messages.iter_mut().flat_map(|message| &mut message.content) {
        if let Part::Text { text } = part
            && let Some((before, _)) = text.split_once("secret:")
        {
            *text = format!("{before}secret: ***");
        }
    }
    Ok(messages)
}

/// Words stand in for tokens: every model counts those in its own way.
fn words(message: &MemoryMessage) -> u64 {
    message.text().split_whitespace().count() as u64
}

#[cfg(test)]
mod tests {
    use hotbay_plugin::processor::Speaker;

    use super::*;

    fn remembered(texts: &[&str], tokens: u64) -> Remembered {
        let messages = texts.iter().map(|text| MemoryMessage::new(Speaker::User, *text)).collect();
        let mut remembered = Remembered::new(messages);
        remembered.options.insert("tokens".to_owned(), tokens.into());
        remembered
    }

    fn texts(messages: &[MemoryMessage]) -> Vec<String> {
        messages.iter().map(MemoryMessage::text).collect()
    }

    #[tokio::test]
    async fn the_last_messages_that_fit_are_kept() {
        let kept = token_limit::run(remembered(&["one two", "three", "four five"], 3)).await.unwrap();
        assert_eq!(texts(&kept), ["three", "four five"]);
        assert!(token_limit::run(remembered(&["one two"], 1)).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn secrets_are_hidden() {
        let masked = mask::run(remembered(&["my secret: 42", "fine"], 0)).await.unwrap();
        assert_eq!(texts(&masked), ["my secret: ***", "fine"]);
    }
}
