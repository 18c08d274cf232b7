//! Embeds text on this machine with [all-MiniLM-L6-v2](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2),
//! as the embedder `local/all-minilm-l6-v2`: vectors of 384 dimensions and of length 1.
//!
//! A text is cut into word pieces of which the first 256 count; the vector is the mean over all of
//! them. `model` reads the files and cuts texts, `weights` is the file of weights, `bert` the network,
//! `engine` who runs it when.
//!
//! # The files
//!
//! `model.safetensors` and `tokenizer.json` are not part of the plugin: `hotbay model pull all-minilm-l6-v2`
//! puts them into `models/all-minilm-l6-v2` of the host's data directory, where the plugin looks unless its
//! settings name another directory. It loads without them, and each call fails with a sentence that names
//! the command. The first call that finds them reads them, once a generation; the memory is given back with it.
//!
//! # Why this engine
//!
//! | engine | crates | cold dev build, CPU | texts of 20, of 200 tokens a second, one thread | memory |
//! |---|---|---|---|---|
//! | `candle-core` and `candle-nn` 0.11, with `tokenizers` | 160 | 218 s | 56, 5 | 151 MB |
//! | `ndarray` 0.17 (`matrixmultiply`), `safetensors` 0.8, with `tokenizers` | 103 | 99 s | 103, 8.5 | 97 MB |
//!
//! Measured alike, one after the other on a busy machine of 2 cores in wall time, with the crates that
//! compute at `opt-level = 3`. With either the network is written out by hand, so the small one it is: to a
//! build of the whole workspace it adds 17 crates and 34 s of CPU. And `candle` computes on threads of its
//! own pool, which a plugin that is to use few would have to make its own.
//!
//! # What it does
//!
//! In CPU time of one thread, in a release build on a busy machine of 2 cores, by
//! `HOTBAY_TEST_MINILM=DIRECTORY cargo test --release -p hotbay-embed-minilm speed -- --nocapture`:
//!
//! | | |
//! |---|---|
//! | texts of 3 tokens | 830 a second |
//! | texts of 20 tokens | 129 a second |
//! | texts of 200 tokens | 10 a second |
//! | loading, and the first text | 0.21 s |
//! | memory: once loaded, the most while it loads | 101 MB, 177 MB |
//!
//! A batch of 1,024 tokens takes some 15 MB more on each thread that is at work.

mod bert;
mod engine;
mod model;
#[cfg(test)]
mod tests;
mod weights;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread::available_parallelism,
};

use hotbay_plugin::prelude::*;

use engine::Engine;

/// The name of the model in `hotbay model pull`, and of its directory.
const NAME: &str = "all-minilm-l6-v2";

/// The plugin's settings: the table `[plugins.hotbay-embed-minilm.config]` of `hotbay.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The directory of `model.safetensors` and `tokenizer.json`; where `hotbay model pull` puts them if absent
    model: Option<PathBuf>,
    /// How many threads compute; half of the machine's cores if absent
    threads: Option<NonZeroUsize>,
}

async fn open(ctx: &Ctx, config: &Config) -> Result<Engine> {
    let (directory, remedy) = match &config.model {
        Some(directory) => {
            let remedy = format!(
                "put model.safetensors and tokenizer.json there, or leave `model` out of the plugin's settings and \
                 run `hotbay model pull {NAME}`"
            );
            (directory.clone(), remedy)
        }
        None => pulled(&ctx.data_directory().await?)?,
    };
    let half = available_parallelism().map_or(1, NonZeroUsize::get) / 2;
    let threads = config.threads.or(NonZeroUsize::new(half)).unwrap_or(NonZeroUsize::MIN);
    Ok(Engine::new(directory, remedy, threads))
}

/// Returns where `hotbay model pull` puts the model, and how it is called. A plugin's own directory is
/// `plugin-data/NAME` in the host's data directory, whose models are beside `plugin-data`.
fn pulled(own: &Path) -> Result<(PathBuf, String)> {
    let data = own.ancestors().nth(2).ok_or_else(|| Error::new("the plugin's directory is not in a data directory"))?;
    let remedy = format!("run `hotbay model pull {NAME} --data {}`", data.display());
    Ok((data.join("models").join(NAME), remedy))
}

/// Embeds texts with all-MiniLM-L6-v2.
#[embedder(id = "local/all-minilm-l6-v2", dimension = 384)]
async fn minilm(ctx: &Ctx, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
    ctx.state::<Engine>().embed(ctx, texts).await
}

plugin!(description: "Embeds text on this machine", config: Config, embedders: [minilm], open: open);
