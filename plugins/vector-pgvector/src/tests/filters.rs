//! Random filters on random metadata: SQL finds what the evaluator says.

use fastrand::Rng;
use hotbay_plugin::testing::random_filters;

use super::database::Bed;
use crate::{pushdown::Condition, statement::Statement};

#[test]
fn random_filters_find_what_the_evaluator_matches() {
    let (bed, mut numbers) = (Bed::new(), Rng::with_seed(11));
    let (_plugin, store) = bed.open();
    let mut random = |below| numbers.usize(..below);
    let is_exact = |filter: &_| Condition::of(filter, &mut Statement::default()).unwrap().is_exact;
    random_filters::check(&store, 1500, &mut random, is_exact);
}
