//! What screens are made of. Each part is plain data with a function that draws it, knows nothing
//! of the server or of the screens, and takes its text from anybody.

pub(crate) mod chart;
pub(crate) mod cursor;
pub(crate) mod filter;
pub(crate) mod form;
pub(crate) mod frame;
pub(crate) mod graph;
pub(crate) mod markdown;
pub(crate) mod pane;
pub(crate) mod scrollbar;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod transcript;
pub(crate) mod tree;
pub(crate) mod waterfall;
