//! `plugin!`: the whole plugin and the symbol a host looks for.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Error, Expr, Ident, Path, Result, Token, Type, bracketed,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

const KEYS: &str = "`tools`, `agents`, `models`, `embedders`, `workflows`, `vector_stores`, `memory_processors`, \
                    `mcp_servers`, `config`, `description`, `open`, `shutdown`";

/// What stands in the macro's brackets, as calls of the builder.
struct Parts(Vec<TokenStream>);

pub(crate) fn expand(input: TokenStream) -> Result<TokenStream> {
    let Parts(calls) = syn::parse2(input)?;
    Ok(quote! {
        /// Returns the plugin, so that its tests can open it in process.
        #[allow(dead_code, reason = "used by tests only")]
        pub(crate) fn plugin() -> ::hotbay_plugin::Plugin {
            ::hotbay_plugin::Plugin::new(::core::env!("CARGO_PKG_NAME"), ::core::env!("CARGO_PKG_VERSION"))
                .built(
                    if ::core::cfg!(debug_assertions) { "debug" } else { "release" },
                    if ::core::cfg!(panic = "unwind") { "unwind" } else { "abort" },
                )
                #(#calls)*
        }

        const _: () = {
            use ::hotbay_plugin::export;

            extern "C" fn manifest() -> export::RVec<u8> {
                export::manifest(plugin)
            }

            extern "C" fn open(host: export::HostArc, config: export::RVec<u8>) -> export::AbiResult<export::PluginBox> {
                export::open(plugin, host, config)
            }

            fn root() -> export::RootRef {
                export::root(manifest, open)
            }

            extern "C" fn load() -> export::Loaded {
                export::load(root)
            }

            // SAFETY: the name is the one the host's loader looks for, and the header under it
            // is made for the root module that `load` returns. Only `plugin!` defines it.
            #[allow(unsafe_code, reason = "the symbol must be born in the plugin's own crate")]
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            static HEADER: export::LibHeader =
                unsafe { export::LibHeader::from_constructor::<export::RootRef>(load, export::CheckTypeLayout::Yes) };
        };
    })
}

impl Parse for Parts {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut calls = Vec::new();
        let mut seen: Vec<Ident> = Vec::new();
        let mut has_config = None;
        let mut open = None;
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            if seen.contains(&key) {
                return Err(Error::new(key.span(), format!("`{key}` is given twice: put all into one list")));
            }
            input.parse::<Token![:]>()?;
            match key.to_string().as_str() {
                "tools" => calls.extend(functions(input, "tool")?),
                "agents" => calls.extend(functions(input, "agent")?),
                "models" => calls.extend(functions(input, "model")?),
                "embedders" => calls.extend(functions(input, "embedder")?),
                "workflows" => calls.extend(functions(input, "workflow")?),
                "memory_processors" => calls.extend(functions(input, "memory_processor")?),
                "mcp_servers" => calls.extend(functions(input, "mcp_server")?),
                "vector_stores" => {
                    calls.extend(list::<Type>(input)?.into_iter().map(|ty| quote!(.vector_store::<#ty>())));
                }
                "config" => {
                    let ty: Type = input.parse()?;
                    calls.push(quote!(.config::<#ty>()));
                    has_config = Some(ty);
                }
                "description" => {
                    let text: Expr = input.parse()?;
                    calls.push(quote!(.description(#text)));
                }
                "open" => open = Some(input.parse::<Path>()?),
                "shutdown" => {
                    let code: Path = input.parse()?;
                    calls.push(quote!(.shutdown(|ctx| async move {
                        ::hotbay_plugin::export::plain_result(#code(&ctx).await)
                    })));
                }
                _ => return Err(Error::new(key.span(), format!("a plugin has no `{key}`; it has {KEYS}"))),
            }
            seen.push(key);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        // `open` takes the configuration if there is one, wherever it stands in the list.
        if let Some(code) = open {
            let config = has_config.map(|ty| quote!(, ctx.config::<#ty>()));
            calls.push(quote!(.open(|ctx| async move {
                ::hotbay_plugin::export::plain_result(#code(&ctx #config).await)
            })));
        }
        Ok(Self(calls))
    }
}

fn functions(input: ParseStream<'_>, method: &str) -> Result<Vec<TokenStream>> {
    let paths = list::<Path>(input)?;
    let method = Ident::new(method, input.span());
    Ok(paths.into_iter().map(|path| quote!(.#method(#path))).collect())
}

fn list<T: Parse>(input: ParseStream<'_>) -> Result<Vec<T>> {
    let content;
    bracketed!(content in input);
    Ok(Punctuated::<T, Token![,]>::parse_terminated(&content)?.into_iter().collect())
}
