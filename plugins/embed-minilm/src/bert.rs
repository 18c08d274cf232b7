//! The network: token numbers in, one vector a text out.
//!
//! BERT as all-MiniLM-L6-v2 has it: 6 layers of 12 heads, the mean over a text's tokens at the end.
//! Texts are laid end to end and nothing is padded: the products that cost most see one long list
//! of tokens, and only attention goes text by text. So there is no mask, and a text's vector does
//! not depend on which others it came with.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayBase, ArrayViewMut2, Axis, Data, Ix2, linalg::general_mat_mul, s};

use crate::weights::{Damage, Weights};

/// The values of a vector, also of one token inside.
pub(crate) const WIDTH: usize = 384;
const HEADS: usize = 12;
const HEAD: usize = WIDTH / HEADS;
const LAYERS: usize = 6;
/// What variance is never less than.
const EPSILON: f32 = 1e-12;

/// The network with its weights.
pub(crate) struct Bert {
    words: Array2<f32>,
    positions: Array2<f32>,
    /// The same for every token: a text is always the first of its pair.
    kind: Array1<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Layer {
    /// Query, key and value in one product.
    attention: Linear,
    mixed: Linear,
    attention_norm: Norm,
    widened: Linear,
    narrowed: Linear,
    norm: Norm,
}

impl Bert {
    /// Takes the network out of a file.
    ///
    /// # Errors
    /// What the file lacks, or has in another shape.
    pub(crate) fn of(weights: &Weights<'_>) -> Result<Self, Damage> {
        let words = weights.matrix("embeddings.word_embeddings.weight", WIDTH)?;
        let layers = (0..LAYERS).map(|layer| Layer::of(weights, &format!("encoder.layer.{layer}"))).collect();
        if weights.has(&format!("encoder.layer.{LAYERS}.output.dense.weight")) {
            return Err(Damage(format!("it has more than {LAYERS} layers")));
        }
        Ok(Self {
            words,
            positions: weights.matrix("embeddings.position_embeddings.weight", WIDTH)?,
            kind: weights.matrix("embeddings.token_type_embeddings.weight", WIDTH)?.row(0).to_owned(),
            norm: Norm::of(weights, "embeddings.LayerNorm")?,
            layers: Result::from_iter::<Vec<_>>(layers)?,
        })
    }

    /// Returns how many different tokens it knows.
    pub(crate) fn vocabulary(&self) -> usize {
        self.words.nrows()
    }

    /// Returns how many tokens of a text it can tell apart by their place.
    pub(crate) fn longest(&self) -> usize {
        self.positions.nrows()
    }

    /// Returns a vector of length 1 for each text, given as its tokens.
    ///
    /// Every token is below [`Bert::vocabulary`], no text is empty or longer than [`Bert::longest`].
    pub(crate) fn embed(&self, texts: &[Vec<u32>]) -> Vec<Vec<f32>> {
        let spans = spans(texts);
        let total = spans.last().map_or(0, |last| last.end);
        let mut tokens = self.looked_up(texts, total);
        let mut scratch = Scratch::new(total, texts.iter().map(Vec::len).max().unwrap_or(0));
        for layer in &self.layers {
            layer.apply(&mut tokens, &spans, &mut scratch);
        }
        spans.into_iter().map(|span| pooled(&tokens, span)).collect()
    }

    fn looked_up(&self, texts: &[Vec<u32>], total: usize) -> Array2<f32> {
        let mut tokens = Array2::zeros((total, WIDTH));
        let places = texts.iter().flat_map(|text| text.iter().enumerate());
        for (mut row, (place, token)) in tokens.rows_mut().into_iter().zip(places) {
            row += &self.words.row(*token as usize);
            row += &self.positions.row(place);
            row += &self.kind;
        }
        self.norm.apply(&mut tokens);
        tokens
    }
}

/// Where each text's tokens are when all are laid end to end.
fn spans(texts: &[Vec<u32>]) -> Vec<Range<usize>> {
    let mut end = 0;
    let each = texts.iter().map(|text| {
        let start = end;
        end += text.len();
        start..end
    });
    each.collect()
}

fn pooled(tokens: &Array2<f32>, span: Range<usize>) -> Vec<f32> {
    let mut sum = tokens.slice(s![span, ..]).sum_axis(Axis(0));
    // The mean has the same direction as the sum, and only that is kept.
    let length = sum.dot(&sum).sqrt().max(f32::MIN_POSITIVE);
    sum /= length;
    sum.to_vec()
}

/// Room for what a layer computes on its way, used again by the next.
struct Scratch {
    attention: Array2<f32>,
    scores: Array2<f32>,
    seen: Array2<f32>,
    wide: Array2<f32>,
    added: Array2<f32>,
}

impl Scratch {
    fn new(total: usize, longest: usize) -> Self {
        Self {
            attention: Array2::zeros((total, 3 * WIDTH)),
            scores: Array2::zeros((longest, longest)),
            seen: Array2::zeros((total, WIDTH)),
            wide: Array2::default((total, 0)),
            added: Array2::zeros((total, WIDTH)),
        }
    }
}

impl Layer {
    fn of(weights: &Weights<'_>, name: &str) -> Result<Self, Damage> {
        let part = |part: &str| Linear::of(weights, &format!("{name}.attention.self.{part}"), WIDTH, Some(WIDTH));
        let attention = Linear::stacked([part("query")?, part("key")?, part("value")?]);
        let widened = Linear::of(weights, &format!("{name}.intermediate.dense"), WIDTH, None)?;
        let narrowed = Linear::of(weights, &format!("{name}.output.dense"), widened.outputs(), Some(WIDTH))?;
        Ok(Self {
            attention,
            mixed: Linear::of(weights, &format!("{name}.attention.output.dense"), WIDTH, Some(WIDTH))?,
            attention_norm: Norm::of(weights, &format!("{name}.attention.output.LayerNorm"))?,
            widened,
            narrowed,
            norm: Norm::of(weights, &format!("{name}.output.LayerNorm"))?,
        })
    }

    fn apply(&self, tokens: &mut Array2<f32>, spans: &[Range<usize>], scratch: &mut Scratch) {
        self.attention.apply(tokens, &mut scratch.attention);
        for span in spans {
            for head in 0..HEADS {
                attend(&scratch.attention, span, head, &mut scratch.scores, &mut scratch.seen);
            }
        }
        self.mixed.apply(&scratch.seen, &mut scratch.added);
        *tokens += &scratch.added;
        self.attention_norm.apply(tokens);

        let wide = (tokens.nrows(), self.widened.outputs());
        if scratch.wide.dim() != wide {
            scratch.wide = Array2::zeros(wide);
        }
        self.widened.apply(tokens, &mut scratch.wide);
        scratch.wide.mapv_inplace(gelu);
        self.narrowed.apply(&scratch.wide, &mut scratch.added);
        *tokens += &scratch.added;
        self.norm.apply(tokens);
    }
}

/// What one head of one text sees: every token's values, weighed by how well its key fits the query.
fn attend(attention: &Array2<f32>, span: &Range<usize>, head: usize, scores: &mut Array2<f32>, seen: &mut Array2<f32>) {
    let length = span.len();
    let columns = |part: usize| part * WIDTH + head * HEAD..part * WIDTH + (head + 1) * HEAD;
    let [query, key, value] = [0, 1, 2].map(|part| attention.slice(s![span.clone(), columns(part)]));
    let mut scores = scores.slice_mut(s![..length, ..length]);
    general_mat_mul((HEAD as f32).sqrt().recip(), &query, &key.t(), 0.0, &mut scores);
    soften(&mut scores);
    let mut seen = seen.slice_mut(s![span.clone(), columns(0)]);
    general_mat_mul(1.0, &scores, &value, 0.0, &mut seen);
}

/// Makes the scores of each row positive with a sum of 1.
fn soften(scores: &mut ArrayViewMut2<'_, f32>) {
    for mut row in scores.rows_mut() {
        let largest = row.fold(f32::NEG_INFINITY, |largest, score| largest.max(*score));
        row.mapv_inplace(|score| exp(score - largest));
        let sum = row.sum();
        row /= sum;
    }
}

/// A matrix, as it is in the file: one row for each output.
struct Linear {
    weight: Array2<f32>,
    bias: Array1<f32>,
}

impl Linear {
    fn of(weights: &Weights<'_>, name: &str, inputs: usize, outputs: Option<usize>) -> Result<Self, Damage> {
        let weight = weights.matrix(&format!("{name}.weight"), inputs)?;
        let bias = weights.vector(&format!("{name}.bias"), weight.nrows())?;
        match outputs {
            Some(outputs) if outputs != weight.nrows() => {
                Err(Damage(format!("`{name}.weight` has {} rows instead of {outputs}", weight.nrows())))
            }
            Some(_) | None => Ok(Self { weight, bias }),
        }
    }

    /// Puts the outputs of three side by side.
    fn stacked(parts: [Self; 3]) -> Self {
        let mut weight = Array2::zeros((3 * WIDTH, WIDTH));
        let mut bias = Array1::zeros(3 * WIDTH);
        for (part, linear) in parts.iter().enumerate() {
            let rows = part * WIDTH..(part + 1) * WIDTH;
            weight.slice_mut(s![rows.clone(), ..]).assign(&linear.weight);
            bias.slice_mut(s![rows]).assign(&linear.bias);
        }
        Self { weight, bias }
    }

    fn outputs(&self) -> usize {
        self.weight.nrows()
    }

    fn apply(&self, inputs: &ArrayBase<impl Data<Elem = f32>, Ix2>, outputs: &mut Array2<f32>) {
        for mut row in outputs.rows_mut() {
            row.assign(&self.bias);
        }
        general_mat_mul(1.0, inputs, &self.weight.t(), 1.0, outputs);
    }
}

/// Brings each token's values to mean 0 and variance 1, then to what was learned.
struct Norm {
    weight: Array1<f32>,
    bias: Array1<f32>,
}

impl Norm {
    fn of(weights: &Weights<'_>, name: &str) -> Result<Self, Damage> {
        Ok(Self {
            weight: weights.vector(&format!("{name}.weight"), WIDTH)?,
            bias: weights.vector(&format!("{name}.bias"), WIDTH)?,
        })
    }

    fn apply(&self, tokens: &mut Array2<f32>) {
        for mut row in tokens.rows_mut() {
            let mean = row.sum() / WIDTH as f32;
            row -= mean;
            let variance = row.dot(&row) / WIDTH as f32;
            row *= (variance + EPSILON).sqrt().recip();
            row *= &self.weight;
            row += &self.bias;
        }
    }
}

/// The activation, by Abramowitz and Stegun 7.1.26: off by less than 2e-7.
///
/// The exact one calls a function of the C library for each value; this is made of what a
/// processor does eight of at once.
fn gelu(value: f32) -> f32 {
    const COEFFICIENTS: [f32; 5] = [1.061_405_4, -1.453_152, 1.421_413_8, -0.284_496_74, 0.254_829_6];
    let scaled = value.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let near = (1.0 + 0.327_591_1 * scaled).recip();
    let sum = COEFFICIENTS.into_iter().fold(0.0, |sum, coefficient| sum * near + coefficient) * near;
    let erf = (1.0 - sum * exp(-scaled * scaled)).copysign(value);
    0.5 * value * (1.0 + erf)
}

/// Returns e to a power that is not positive, off by less than 3e-7; see [`gelu`] for why.
fn exp(power: f32) -> f32 {
    // ln 2 in two parts, the first of which has few enough digits that its multiples are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const COEFFICIENTS: [f32; 6] = [1.987_569e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1];
    // Less would be no ordinary number any more.
    let power = power.max(-87.0);
    let twos = (power * std::f32::consts::LOG2_E).round_ties_even();
    let rest = power - twos * LN_2[0] - twos * LN_2[1];
    let sum = COEFFICIENTS.into_iter().fold(0.0, |sum, coefficient| sum * rest + coefficient);
    let fraction = sum * rest * rest + rest + 1.0;
    f32::from_bits(fraction.to_bits().wrapping_add_signed((twos as i32) << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_the_librarys() {
        for step in 0..=8_700 {
            let power = step as f32 / -100.0;
            let (ours, exact) = (f64::from(exp(power)), f64::from(power).exp());
            assert!((ours / exact - 1.0).abs() < 3e-7, "{power}: {ours} instead of {exact}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn gelu_is_that_of_the_paper() {
        // Values of 0.5 x (1 + erf(x / sqrt(2))) by Python's math.erf.
        let known = [
            (-5.0, -1.433_257_9e-6),
            (-1.5, -1.002_108e-1),
            (-0.1, -4.601_721_6e-2),
            (0.0, 0.0),
            (0.3, 1.853_734_3e-1),
            (1.0, 8.413_448e-1),
            (4.0, 3.999_873_3),
        ];
        for (value, expected) in known {
            assert!((gelu(value) - expected).abs() < 5e-7, "{value}: {} instead of {expected}", gelu(value));
        }
    }
}
