//! What screens are made of. Each part is plain data with a function that draws it, knows nothing
//! of the server, of the other parts or of the screens, and takes its text from anybody.

pub(crate) mod cursor;
pub(crate) mod graph;
pub(crate) mod markdown;
pub(crate) mod text;
pub(crate) mod transcript;
pub(crate) mod waterfall;
