//! The exact search: how near two vectors are, and the best of all.
//!
//! Stores use this while an index is small, and to weigh what a graph has found. Loops run
//! over chunks of fixed length with a sum for each lane, which compilers turn into SIMD.

use std::{cmp::Ordering, collections::BinaryHeap};

use super::Metric;

/// How many sums run side by side. Two registers of eight, or four of four: enough to hide what an addition takes.
const LANES: usize = 16;

/// Returns the dot product of two vectors of one length.
#[must_use]
#[inline]
pub fn dot(one: &[f32], other: &[f32]) -> f32 {
    lanes(one, other, |a, b| a * b)
}

/// Returns the square of the distance of two vectors of one length.
#[must_use]
#[inline]
pub fn squared_distance(one: &[f32], other: &[f32]) -> f32 {
    lanes(one, other, |a, b| (a - b) * (a - b))
}

#[inline(always)]
fn lanes(one: &[f32], other: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (ones, one_rest) = one.as_chunks::<LANES>();
    let (others, other_rest) = other.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (one, other) in ones.iter().zip(others) {
        for lane in 0..LANES {
            sums[lane] += term(one[lane], other[lane]);
        }
    }
    let rest: f32 = one_rest.iter().zip(other_rest).map(|(one, other)| term(*one, *other)).sum();
    sums.iter().sum::<f32>() + rest
}

impl Metric {
    /// Returns the part of a score one vector decides alone, to be kept with it: 1 / length for
    /// [`Metric::Cosine`], otherwise 1. It is 0 for a vector without direction.
    #[must_use]
    #[inline]
    pub fn scale(self, vector: &[f32]) -> f32 {
        match self {
            Self::Cosine => {
                // In doubles: the square of what a float holds may be more than one holds.
                let square: f64 = vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
                #[expect(clippy::cast_possible_truncation, reason = "scores are floats")]
                let scale = if square > 0.0 { (1.0 / square.sqrt()) as f32 } else { 0.0 };
                if scale.is_finite() { scale } else { 0.0 }
            }
            Self::Euclidean | Self::DotProduct => 1.0,
        }
    }

    /// Returns how near two vectors are, more is nearer; `scale` is the product of both
    /// [`Metric::scale`]s. `None` if that is not defined, or they point in opposite directions.
    ///
    /// Cosine similarity in -1..1, 1 / (1 + distance) in 0..1, or the dot product.
    #[must_use]
    #[inline]
    pub fn score(self, one: &[f32], other: &[f32], scale: f32) -> Option<f32> {
        match self {
            Self::Cosine if scale <= 0.0 => None,
            Self::Cosine => {
                let score = dot(one, other) * scale;
                (score > -1.0).then(|| score.min(1.0))
            }
            Self::Euclidean => Some(1.0 / (1.0 + squared_distance(one, other).sqrt())),
            Self::DotProduct => Some(dot(one, other)).filter(|score| !score.is_nan()),
        }
    }
}

/// The best of what it was shown, by score; of two that score the same the one with the lower key.
#[derive(Debug, Clone)]
pub struct Best<K> {
    limit: usize,
    worst_first: BinaryHeap<Scored<K>>,
}

/// What was found, and how near it is.
#[derive(Debug, Clone, Copy)]
pub struct Scored<K> {
    /// How near.
    pub score: f32,
    /// What.
    pub key: K,
}

impl<K: Ord> Best<K> {
    /// Returns the best `limit` of nothing yet.
    #[must_use]
    pub fn of(limit: usize) -> Self {
        Self { limit, worst_first: BinaryHeap::new() }
    }

    /// Takes it if it is among the best.
    pub fn show(&mut self, score: f32, key: K) {
        let scored = Scored { score, key };
        if self.worst_first.len() < self.limit {
            self.worst_first.push(scored);
        } else if let Some(mut worst) = self.worst_first.peek_mut()
            && scored < *worst
        {
            *worst = scored;
        }
    }

    /// Returns the lowest score that is still among the best, once there are as many as there may be.
    #[must_use]
    pub fn bar(&self) -> Option<f32> {
        let is_full = self.worst_first.len() >= self.limit;
        self.worst_first.peek().filter(|_| is_full).map(|worst| worst.score)
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.worst_first.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.worst_first.is_empty()
    }

    /// Returns them, best first.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Scored<K>> {
        self.worst_first.into_sorted_vec()
    }
}

/// Ordered from the best to the worst.
impl<K: Ord> Ord for Scored<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then_with(|| self.key.cmp(&other.key))
    }
}

impl<K: Ord> PartialOrd for Scored<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord> PartialEq for Scored<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K: Ord> Eq for Scored<K> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(metric: Metric, one: &[f32], other: &[f32]) -> Option<f32> {
        metric.score(one, other, metric.scale(one) * metric.scale(other))
    }

    #[test]
    fn metrics_are_what_they_are_called() {
        assert_eq!(score(Metric::Cosine, &[2.0, 0.0], &[5.0, 0.0]), Some(1.0));
        assert_eq!(score(Metric::Cosine, &[1.0, 0.0], &[0.0, 3.0]), Some(0.0));
        assert_eq!(score(Metric::Euclidean, &[0.0, 0.0], &[3.0, 4.0]), Some(1.0 / 6.0));
        assert_eq!(score(Metric::DotProduct, &[1.0, 2.0], &[3.0, 4.0]), Some(11.0));
    }

    #[test]
    fn cosine_needs_directions() {
        assert_eq!(score(Metric::Cosine, &[0.0, 0.0], &[1.0, 0.0]), None);
        assert_eq!(score(Metric::Cosine, &[1.0, 0.0], &[-1.0, 0.0]), None);
        let huge = [3.0e38_f32; 4];
        assert!(score(Metric::Cosine, &huge, &[1.0; 4]).is_none_or(|score| score.is_finite() || score > 0.0));
    }

    #[test]
    fn chunks_and_rests_are_summed_up() {
        for length in [0, 1, 15, 16, 17, 33, 384] {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let vector: Vec<f32> = (0..length).map(|at| at as f32 * 0.25).collect();
            let plain: f32 = vector.iter().map(|value| value * value).sum();
            assert!((dot(&vector, &vector) - plain).abs() <= plain * 1e-5, "{length}");
            assert_eq!(squared_distance(&vector, &vector), 0.0);
        }
    }

    #[test]
    fn best_are_the_best_in_order() {
        let mut best = Best::of(3);
        for (key, score) in [0.1, 0.9, 0.5, 0.9, -1.0, 0.7].into_iter().enumerate() {
            best.show(score, key);
        }
        assert_eq!(best.bar(), Some(0.7));
        let sorted: Vec<_> = best.into_sorted().into_iter().map(|scored| (scored.key, scored.score)).collect();
        assert_eq!(sorted, [(1, 0.9), (3, 0.9), (5, 0.7)]);
        let mut none = Best::of(0);
        none.show(1.0, 1);
        assert!(none.is_empty());
    }
}
