//! Whether a file is whole, by what its kind says of itself.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use serde::Deserialize;
use serde_json::{Map, Value};

/// A table of contents longer than this is not one.
const LONGEST_CONTENTS: u64 = 16 << 20;

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON object.
    Json,
    /// Tensors behind a table of contents.
    Safetensors,
}

/// What is read of a tensor's entry.
#[derive(Deserialize)]
struct Entry {
    data_offsets: [u64; 2],
}

impl Form {
    /// Reads as much as it takes to see that nothing is missing.
    ///
    /// # Errors
    /// One clause: what is wrong.
    pub(super) fn check(self, path: &Path) -> Result<(), String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        match self {
            Self::Json => json(file),
            Self::Safetensors => safetensors(file),
        }
    }
}

fn json(file: File) -> Result<(), String> {
    let object: Result<Map<String, Value>, _> = serde_json::from_reader(BufReader::new(file));
    object.map(|_| ()).map_err(|error| format!("it is not one JSON object ({error})"))
}

/// The length of the table, the table, then the tensors, which end where the file does.
fn safetensors(mut file: File) -> Result<(), String> {
    let found = file.metadata().map_err(|error| error.to_string())?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| "it has no table of contents".to_owned())?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_CONTENTS {
        return Err("it has no table of contents".into());
    }
    let mut contents = Vec::new();
    file.take(length).read_to_end(&mut contents).map_err(|error| error.to_string())?;
    let contents: Map<String, Value> = serde_json::from_slice(&contents)
        .map_err(|error| format!("its table of contents is damaged or not complete ({error})"))?;
    let mut end = 0;
    for (name, entry) in contents.iter().filter(|(name, _)| *name != "__metadata__") {
        let entry = Entry::deserialize(entry).map_err(|error| format!("its entry `{name}` is damaged ({error})"))?;
        end = end.max(entry.data_offsets[1]);
    }
    let expected = end.saturating_add(8 + length);
    if found == expected { Ok(()) } else { Err(format!("it has {found} bytes of {expected}")) }
}
