//! The model as it lies in a directory: a tokenizer and the network.

use std::{io::ErrorKind, path::Path};

use hotbay_plugin::{Error, Result, error::code};
use tokenizers::{Tokenizer, TruncationParams};

use crate::{
    bert::Bert,
    weights::{Damage, Weights},
};

/// So many tokens of a text count, as the model's makers say.
const LONGEST_TEXT: usize = 256;

/// So many characters of a text are looked at: the first tokens are in there, unless the text has words
/// without end, which are one unknown token each.
const LONGEST_LOOK: usize = 1 << 16;

/// The real file has 91 MB; another one is not read to its end to say so.
const LARGEST_FILE: u64 = 256 << 20;

/// Texts to tokens to vectors.
pub(crate) struct Model {
    tokenizer: Tokenizer,
    bert: Bert,
}

impl Model {
    /// Reads both files of a directory; `remedy` says how they are had.
    ///
    /// # Errors
    /// [`code::UNAVAILABLE`] with what is missing or damaged, and the remedy.
    pub(crate) fn load(directory: &Path, remedy: &str) -> Result<Self> {
        let weights = read(&directory.join("model.safetensors"), remedy)?;
        let bert = Weights::read(&weights).and_then(|weights| Bert::of(&weights));
        let bert = bert.map_err(|damage| unusable(&directory.join("model.safetensors"), &damage, remedy))?;
        drop(weights);
        let file = read(&directory.join("tokenizer.json"), remedy)?;
        let tokenizer = tokenizer(&file, &bert);
        let tokenizer = tokenizer.map_err(|damage| unusable(&directory.join("tokenizer.json"), &damage, remedy))?;
        Ok(Self { tokenizer, bert })
    }

    /// Returns what a text is made of, its first tokens if it is long.
    ///
    /// # Errors
    /// What the tokenizer fails with.
    pub(crate) fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        let looked_at = text.char_indices().nth(LONGEST_LOOK).and_then(|(end, _)| text.get(..end)).unwrap_or(text);
        let encoding = self.tokenizer.encode_fast(looked_at, true);
        let encoding = encoding.map_err(|error| Error::new(format!("the text cannot be taken apart: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Returns the vectors of texts that [`Model::tokens`] has taken apart.
    ///
    /// # Errors
    /// If the weights lead to something that is no number.
    pub(crate) fn embed(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
        let vectors = self.bert.embed(texts);
        if vectors.iter().flatten().all(|value| value.is_finite()) {
            Ok(vectors)
        } else {
            Err(Error::new("the weights of the model lead to values that are no numbers: they are damaged"))
        }
    }
}

fn read(file: &Path, remedy: &str) -> Result<Vec<u8>> {
    let checked = std::fs::metadata(file).and_then(|found| {
        if found.len() > LARGEST_FILE {
            return Err(std::io::Error::new(ErrorKind::FileTooLarge, "too large for this model"));
        }
        std::fs::read(file)
    });
    checked.map_err(|error| {
        let file = file.display();
        let message = match error.kind() {
            ErrorKind::NotFound => format!("the model is not there, {file} is missing: {remedy}"),
            _ => format!("{file} cannot be read ({error}): {remedy}"),
        };
        Error::with_code(code::UNAVAILABLE, message)
    })
}

fn unusable(file: &Path, damage: &Damage, remedy: &str) -> Error {
    let message = format!("{} is not a file of all-MiniLM-L6-v2, {}: {remedy}", file.display(), damage.0);
    Error::with_code(code::UNAVAILABLE, message)
}

/// Makes a tokenizer all of whose tokens the network knows.
fn tokenizer(file: &[u8], bert: &Bert) -> Result<Tokenizer, Damage> {
    let damage = |error: tokenizers::Error| Damage(format!("it is damaged or not complete: {error}"));
    let mut tokenizer = Tokenizer::from_bytes(file).map_err(damage)?;
    // The file says 128, and pads to it.
    let longest = LONGEST_TEXT.min(bert.longest());
    let truncation = TruncationParams { max_length: longest, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(damage)?;
    tokenizer.with_padding(None);
    let vocabulary = tokenizer.get_vocab(true);
    if let Some((token, number)) = vocabulary.iter().find(|(_, number)| **number as usize >= bert.vocabulary()) {
        let known = bert.vocabulary();
        return Err(Damage(format!("its token `{token}` has number {number}, the weights know {known}")));
    }
    // Of a text without a token there is no mean.
    let empty = tokenizer.encode_fast("", true).map_err(damage)?;
    if empty.get_ids().is_empty() {
        return Err(Damage("it does not mark where a text begins and ends".into()));
    }
    Ok(tokenizer)
}
