//! The macros of `hotbay-plugin`. Authors get them from there; nothing here is public
//! by itself.
//!
//! `options` reads what stands in an attribute's brackets, `function` what it stands on;
//! `capability` writes tools, steps, agents, models, embedders, memory processors and workflows, `plugin`
//! writes the whole.

mod capability;
mod function;
mod options;
mod plugin;

use proc_macro::TokenStream;

/// Makes a tool of a function; see the crate's documentation.
#[proc_macro_attribute]
pub fn tool(options: TokenStream, item: TokenStream) -> TokenStream {
    finish(capability::tool(options.into(), item.into()))
}

/// Makes a workflow step of a function; see the crate's documentation.
#[proc_macro_attribute]
pub fn step(options: TokenStream, item: TokenStream) -> TokenStream {
    finish(capability::step(options.into(), item.into()))
}

/// Makes an agent of a function; see the crate's documentation.
#[proc_macro_attribute]
pub fn agent(options: TokenStream, item: TokenStream) -> TokenStream {
    finish(capability::agent(options.into(), item.into()))
}

/// Makes a chat model of a function; see the crate's documentation.
#[proc_macro_attribute]
pub fn model(options: TokenStream, item: TokenStream) -> TokenStream {
    finish(capability::model(options.into(), item.into()))
}

/// Makes an embedder of a function; see the crate's documentation.
#[proc_macro_attribute]
pub fn embedder(options: TokenStream, item: TokenStream) -> TokenStream {
    finish(capability::embedder(options.into(), item.into()))
}

/// Makes a memory processor of a function; see the crate's documentation.
#[proc_macro_attribute]
pub fn memory_processor(options: TokenStream, item: TokenStream) -> TokenStream {
    finish(capability::memory_processor(options.into(), item.into()))
}

/// Makes a workflow of a function that returns one; see the crate's documentation.
#[proc_macro_attribute]
pub fn workflow(options: TokenStream, item: TokenStream) -> TokenStream {
    finish(capability::workflow(options.into(), item.into()))
}

/// Exports a plugin; see the crate's documentation.
#[proc_macro]
pub fn plugin(input: TokenStream) -> TokenStream {
    finish(plugin::expand(input.into()))
}

fn finish(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(syn::Error::into_compile_error).into()
}
