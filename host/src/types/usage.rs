//! Tokens of a step and of a run.

use hotbay_plugin::chat::Usage;
use serde_json::{Map, Value};

/// Adds what a step used to what the run has used. What a provider leaves out counts as nothing.
pub fn add(total: &mut Usage, step: &Usage) {
    fn plus(total: &mut Option<u64>, step: Option<u64>) {
        if let Some(step) = step {
            *total = Some(total.unwrap_or(0).saturating_add(step));
        }
    }
    plus(&mut total.input_tokens, step.input_tokens);
    plus(&mut total.output_tokens, step.output_tokens);
    plus(&mut total.total_tokens, step.total_tokens);
    plus(&mut total.reasoning_tokens, step.reasoning_tokens);
    plus(&mut total.cached_input_tokens, step.cached_input_tokens);
}

/// Returns them as spans have them: in all, and of what kind.
#[must_use]
pub fn document(usage: &Usage) -> Value {
    let mut document = Map::new();
    let sides = [
        ("inputTokens", "inputDetails", usage.input_tokens, ("cacheRead", usage.cached_input_tokens)),
        ("outputTokens", "outputDetails", usage.output_tokens, ("reasoning", usage.reasoning_tokens)),
    ];
    for (name, details, total, (part, some)) in sides {
        let Some(total) = total else { continue };
        document.insert(name.to_owned(), total.into());
        let mut kinds = Map::new();
        kinds.insert("text".to_owned(), total.saturating_sub(some.unwrap_or(0)).into());
        if let Some(some) = some {
            kinds.insert(part.to_owned(), some.into());
        }
        document.insert(details.to_owned(), kinds.into());
    }
    document.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_counts_stay_absent_until_a_step_has_them() {
        let mut total = Usage::default();
        add(&mut total, &Usage { input_tokens: Some(3), ..Usage::default() });
        add(&mut total, &Usage { input_tokens: Some(4), output_tokens: Some(1), ..Usage::default() });
        assert_eq!(total, Usage { input_tokens: Some(7), output_tokens: Some(1), ..Usage::default() });
    }
}
