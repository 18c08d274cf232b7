//! Random filters on random metadata: conditions find what the evaluator says.

use fastrand::Rng;
use hotbay_plugin::testing::random_filters;

use super::Bed;
use crate::conditions::Conditions;

#[test]
fn random_filters_find_what_the_evaluator_matches() {
    let (bed, mut numbers) = (Bed::new(), Rng::with_seed(11));
    let mut random = |below| numbers.usize(..below);
    random_filters::check(&bed.store, 800, &mut random, |filter| Conditions::of(filter).is_exact);
}
