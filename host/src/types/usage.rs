//! Tokens of a step and of a run.

use hotbay_plugin::chat::Usage;

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
