//! A model of random weights that is small where the real one may differ: few words, narrow layers.

use std::path::Path;

use safetensors::{Dtype, serialize, tensor::TensorView};
use serde_json::{Value, json};

/// What a model is made of; the default is one the plugin takes.
pub(super) struct Tiny {
    pub(super) width: usize,
    pub(super) layers: usize,
    pub(super) words: Vec<&'static str>,
    /// How many words the weights know.
    pub(super) known: usize,
    pub(super) dtype: Dtype,
    /// What every weight is, instead of random.
    pub(super) weight: Option<f32>,
}

impl Default for Tiny {
    fn default() -> Self {
        let words = vec!["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "fox", "runs", "home", "##s"];
        Self { width: 384, layers: 6, known: words.len(), words, dtype: Dtype::F32, weight: None }
    }
}

impl Tiny {
    /// Writes both files.
    pub(super) fn write(&self, directory: &Path) {
        std::fs::write(directory.join("model.safetensors"), self.weights()).unwrap();
        std::fs::write(directory.join("tokenizer.json"), self.tokenizer().to_string()).unwrap();
    }

    pub(super) fn weights(&self) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(1);
        let tensors = self.shapes().into_iter().map(|(name, shape)| {
            let values = (0..shape.iter().product()).flat_map(|_| {
                let value = self.weight.unwrap_or_else(|| random.f32() - 0.5);
                let bytes = value.to_le_bytes();
                bytes.into_iter().take(self.dtype.bitsize() / 8)
            });
            (name, shape, values.collect::<Vec<u8>>())
        });
        let tensors: Vec<_> = tensors.collect();
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| (name, TensorView::new(self.dtype, shape.clone(), bytes).unwrap()));
        serialize(views, None).unwrap()
    }

    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (width, wide) = (self.width, 8);
        let mut shapes = vec![
            ("embeddings.word_embeddings.weight".to_owned(), vec![self.known, width]),
            ("embeddings.position_embeddings.weight".to_owned(), vec![512, width]),
            ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, width]),
        ];
        let mut pair = |name: String, weight: Vec<usize>| {
            shapes.push((format!("{name}.bias"), vec![weight[0]]));
            shapes.push((format!("{name}.weight"), weight));
        };
        pair("embeddings.LayerNorm".into(), vec![width]);
        for layer in 0..self.layers {
            let layer = format!("encoder.layer.{layer}");
            for part in ["self.query", "self.key", "self.value", "output.dense"] {
                pair(format!("{layer}.attention.{part}"), vec![width, width]);
            }
            pair(format!("{layer}.attention.output.LayerNorm"), vec![width]);
            pair(format!("{layer}.intermediate.dense"), vec![wide, width]);
            pair(format!("{layer}.output.dense"), vec![width, wide]);
            pair(format!("{layer}.output.LayerNorm"), vec![width]);
        }
        shapes
    }

    pub(super) fn tokenizer(&self) -> Value {
        let vocabulary: Value =
            self.words.iter().enumerate().map(|(place, word)| ((*word).to_owned(), json!(place))).collect();
        let mark = |name: &str, id: usize| json!({ "id": name, "ids": [id], "tokens": [name] });
        json!({
            "version": "1.0",
            // As the real file has them; the plugin knows better.
            "truncation": { "max_length": 128, "strategy": "LongestFirst", "stride": 0 },
            "padding": {
                "strategy": { "Fixed": 128 }, "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
            },
            "added_tokens": [],
            "normalizer": {
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true,
            },
            "pre_tokenizer": { "type": "BertPreTokenizer" },
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [
                    { "SpecialToken": { "id": "[CLS]", "type_id": 0 } },
                    { "Sequence": { "id": "A", "type_id": 0 } },
                    { "SpecialToken": { "id": "[SEP]", "type_id": 0 } },
                ],
                "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
                "special_tokens": { "[CLS]": mark("[CLS]", 2), "[SEP]": mark("[SEP]", 3) },
            },
            "decoder": null,
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                "vocab": vocabulary,
            },
        })
    }
}
