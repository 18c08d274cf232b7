//! Writes the declaration of one capability beside its code.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Result, Type, spanned::Spanned};

use crate::{function::Function, options::Options};

pub(crate) fn tool(tokens: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let known = [
        "id",
        "description",
        "require_approval",
        "blocking",
        "idempotent",
        "timeout",
        "suspend",
        "resume",
        "input",
        "untyped_output",
    ];
    let mut options = Options::parse("tool", &known, tokens)?;
    let function = Function::parse("tool", item)?;
    let (name, vis, cfg) = (function.name(), &function.item.vis, function.conditions());
    let id = options.text("id")?.unwrap_or_else(|| name.to_string());
    let description = options.text("description")?.unwrap_or_else(|| function.doc.clone());
    let require_approval = options.flag("require_approval")?;
    let blocking = options.flag("blocking")?;
    let idempotent = options.flag("idempotent")?;
    let timeout = match options.duration("timeout")? {
        None => quote!(::core::option::Option::None),
        Some(timeout) => {
            let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            quote!(::core::option::Option::Some(#millis))
        }
    };
    let schemas = Schemas::of("tool", &mut options, &function)?;
    let Schemas { input, output, suspend, resume, parse } = &schemas;
    let (code, call) = (function.code(), function.call());
    Ok(quote! {
        #code
        #(#cfg)*
        #[doc = #description]
        #[must_use]
        #vis fn #name() -> ::hotbay_plugin::Tool {
            ::hotbay_plugin::Tool::new(
                #id,
                || ::hotbay_plugin::manifest::ToolManifest {
                    id: #id.into(),
                    description: #description.into(),
                    input_schema: #input,
                    output_schema: #output,
                    suspend_schema: #suspend,
                    resume_schema: #resume,
                    require_approval: #require_approval,
                    blocking: #blocking,
                    idempotent: #idempotent,
                    timeout_ms: #timeout,
                },
                |ctx, bytes| async move {
                    #parse
                    ::hotbay_plugin::export::reply(#call)
                },
            )
        }
    })
}

pub(crate) fn step(tokens: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let known =
        ["id", "description", "retries", "timeout", "on_recover", "suspend", "resume", "state", "untyped_output"];
    let mut options = Options::parse("step", &known, tokens)?;
    let function = Function::parse("step", item)?;
    let (name, vis, cfg) = (function.name(), &function.item.vis, function.conditions());
    let id = options.text("id")?.unwrap_or_else(|| name.to_string());
    let description = options.text("description")?.unwrap_or_else(|| function.doc.clone());
    let retries =
        options.number("retries")?.map(|attempts| quote!(.retries(::hotbay_plugin::workflow::Retry::times(#attempts))));
    let timeout = options.duration("timeout")?.map(|timeout| {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        quote!(.timeout(::core::time::Duration::from_millis(#millis)))
    });
    let on_recover = match options.text("on_recover")?.as_deref() {
        None => None,
        Some("retry") => Some(quote!(.on_recover(::hotbay_plugin::workflow::Recover::Retry))),
        Some("fail") => Some(quote!(.on_recover(::hotbay_plugin::workflow::Recover::Fail))),
        Some("suspend") => Some(quote!(.on_recover(::hotbay_plugin::workflow::Recover::Suspend))),
        Some(_) => {
            let message = "`on_recover` is \"retry\", \"fail\" or \"suspend\"";
            return Err(Error::new(function.name().span(), message));
        }
    };
    let state = optional(options.ty("state")?, &|ty| quote!(::hotbay_plugin::schema::input::<#ty>()));
    let schemas = Schemas::of("step", &mut options, &function)?;
    let Schemas { input, suspend, resume, parse, .. } = &schemas;
    let output = schemas.step_output(&function)?;
    let (code, call) = (function.code(), function.call());
    Ok(quote! {
        #code
        #(#cfg)*
        #[doc = #description]
        #vis fn #name() -> ::hotbay_plugin::Step {
            ::hotbay_plugin::Step::assemble(
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
                #id,
                #description,
                ::hotbay_plugin::workflow::StepSchemas {
                    input: #input,
                    output: #output,
                    suspend: #suspend,
                    resume: #resume,
                    state: #state,
                },
                |ctx: ::hotbay_plugin::Ctx, bytes| async move {
                    #parse
                    ::hotbay_plugin::export::reply(#call)
                },
            )
            #retries
            #timeout
            #on_recover
        }
    })
}

pub(crate) fn agent(tokens: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let known = ["id", "name", "description", "instructions", "model", "describe"];
    let mut options = Options::parse("agent", &known, tokens)?;
    let function = Function::parse("agent", item)?;
    if function.item.sig.asyncness.is_none() {
        return Ok(described(function, "or_description"));
    }
    function.output("agent")?;
    let (vis, cfg) = (function.item.vis.clone(), function.conditions());
    let (name, description) = (function.name(), &function.doc);
    let id = options.text("id")?.unwrap_or_else(|| name.to_string());
    let described = match options.ty("describe")? {
        Some(Type::Path(path)) => quote!(#path()),
        Some(other) => {
            return Err(Error::new(other.span(), "write `describe = function`, one that returns an `Agent`"));
        }
        None => quote!(::hotbay_plugin::Agent::new(#id)),
    };
    let settings = ["name", "description", "instructions", "model"].into_iter().map(|setting| {
        let method = syn::Ident::new(setting, name.span());
        Ok(options.text(setting)?.map(|text| quote!(.#method(#text))))
    });
    let settings = settings.collect::<Result<Vec<_>>>()?;
    let parse = parse_input(&function, "agent run");
    let (code, call) = (function.code(), function.call());
    Ok(quote! {
        #code
        #(#cfg)*
        #[doc = #description]
        #vis fn #name() -> ::hotbay_plugin::Agent {
            #described
                #(#settings)*
                .or_description(#description)
                .custom(|ctx, bytes| async move {
                    #parse
                    ::hotbay_plugin::export::reply(#call)
                })
        }
    })
}

pub(crate) fn workflow(tokens: TokenStream, item: TokenStream) -> Result<TokenStream> {
    Options::parse("workflow", &[], tokens)?;
    let function = Function::parse("workflow", item)?;
    if let Some(asyncness) = function.item.sig.asyncness {
        let message = "a workflow is described, not run: write `fn name() -> Workflow` and put the code into steps";
        return Err(Error::new(asyncness.span(), message));
    }
    Ok(described(function, "or_description"))
}

pub(crate) fn model(tokens: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let mut options = Options::parse("model", &["id", "description"], tokens)?;
    let function = Function::parse("model", item)?;
    let (name, vis, cfg) = (function.name(), &function.item.vis, function.conditions());
    let id = model_id("model", &mut options, &function)?;
    let description = options.text("description")?.unwrap_or_else(|| function.doc.clone());
    function.output("model")?;
    if !function.has_answer {
        let message = "a model writes its answer: add the argument `answer: &mut Answer`";
        return Err(Error::new(function.item.sig.span(), message));
    }
    let (code, call) = (function.code(), function.call());
    Ok(quote! {
        #code
        #(#cfg)*
        #[doc = #description]
        #[must_use]
        #vis fn #name() -> ::hotbay_plugin::Model {
            ::hotbay_plugin::Model::new(#id, #description, |ctx, bytes| {
                ::hotbay_plugin::export::answer(ctx.clone(), bytes, move |input, mut answer| async move {
                    let _ = (&ctx, &input);
                    let result = ::hotbay_plugin::export::model_result(#call);
                    (result, answer)
                })
            })
        }
    })
}

pub(crate) fn embedder(tokens: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let mut options = Options::parse("embedder", &["id", "dimension"], tokens)?;
    let function = Function::parse("embedder", item)?;
    let (name, vis, cfg, doc) = (function.name(), &function.item.vis, function.conditions(), &function.doc);
    let id = model_id("embedder", &mut options, &function)?;
    let Some(dimension) = options.number("dimension")? else {
        return Err(Error::new(name.span(), "say how long a vector is: `#[embedder(dimension = 384)]`"));
    };
    function.output("embedder")?;
    if function.input.is_none() {
        let message = "an embedder takes the texts: add the argument `texts: Vec<String>`";
        return Err(Error::new(function.item.sig.span(), message));
    }
    let (code, call) = (function.code(), function.call());
    Ok(quote! {
        #code
        #(#cfg)*
        #[doc = #doc]
        #[must_use]
        #vis fn #name() -> ::hotbay_plugin::Embedder {
            ::hotbay_plugin::Embedder::new(#id, #dimension, |ctx, input| async move {
                let _ = &ctx;
                ::hotbay_plugin::export::plain_result(#call)
            })
        }
    })
}

pub(crate) fn memory_processor(tokens: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let mut options = Options::parse("memory_processor", &["name"], tokens)?;
    let function = Function::parse("memory_processor", item)?;
    let (name, vis, cfg, doc) = (function.name(), &function.item.vis, function.conditions(), &function.doc);
    let known = options.text("name")?.unwrap_or_else(|| name.to_string());
    function.output("memory_processor")?;
    if function.input.is_none() {
        let message = "a memory processor takes what is remembered: add the argument `remembered: Remembered`";
        return Err(Error::new(function.item.sig.span(), message));
    }
    let (code, call) = (function.code(), function.call());
    Ok(quote! {
        #code
        #(#cfg)*
        #[doc = #doc]
        #[must_use]
        #vis fn #name() -> ::hotbay_plugin::MemoryProcessor {
            ::hotbay_plugin::MemoryProcessor::new(#known, |ctx, input| async move {
                let _ = &ctx;
                ::hotbay_plugin::export::plain_result(#call)
            })
        }
    })
}

/// Keeps a function that describes something, with its doc comment as the description.
fn described(function: Function, method: &str) -> TokenStream {
    let doc = function.doc;
    let method = syn::Ident::new(method, function.item.sig.ident.span());
    let syn::ItemFn { attrs, vis, sig, block } = function.item;
    let output = match &sig.output {
        syn::ReturnType::Type(_, ty) => quote!(#ty),
        syn::ReturnType::Default => quote!(()),
    };
    quote! {
        #(#attrs)*
        #vis #sig {
            let described: #output = #block;
            described.#method(#doc)
        }
    }
}

fn model_id(attribute: &str, options: &mut Options, function: &Function) -> Result<String> {
    let Some(id) = options.text("id")? else {
        let message = format!("name it the way agents will: `#[{attribute}(id = \"provider/model\")]`");
        return Err(Error::new(function.name().span(), message));
    };
    if !id.contains('/') {
        let message = format!("`{id}` has no provider: ids of this kind are `provider/model`");
        return Err(Error::new(function.name().span(), message));
    }
    Ok(id)
}

/// What a tool or step takes and gives, as expressions.
struct Schemas {
    input: TokenStream,
    output: TokenStream,
    suspend: TokenStream,
    resume: TokenStream,
    parse: TokenStream,
}

impl Schemas {
    fn of(attribute: &str, options: &mut Options, function: &Function) -> Result<Self> {
        let returned = function.output(attribute)?;
        let is_raw = match options.text("input")?.as_deref() {
            None => false,
            Some("raw") => true,
            Some(_) => {
                let message = "`input` can only be \"raw\": the bytes as they came, as `Vec<u8>`";
                return Err(Error::new(function.name().span(), message));
            }
        };
        let (input, parse) = match &function.input {
            _ if is_raw => (
                quote!(::hotbay_plugin::schema::anything()),
                quote!(let input: ::std::vec::Vec<u8> = bytes.into_vec(); let _ = &ctx;),
            ),
            None => (quote!(::hotbay_plugin::schema::no_input()), parse_input(function, "input")),
            Some(ty) => (quote!(::hotbay_plugin::schema::input::<#ty>()), parse_input(function, "input")),
        };
        let output = if options.flag("untyped_output")? {
            quote!(::core::option::Option::None)
        } else {
            let output = quote!(<#returned as ::hotbay_plugin::export::Returned>::Output);
            quote!(::hotbay_plugin::schema::typed_output::<#output>())
        };
        let suspend = optional(options.ty("suspend")?, &|ty| quote!(::hotbay_plugin::schema::output::<#ty>()));
        let resume = optional(options.ty("resume")?, &|ty| quote!(::hotbay_plugin::schema::input::<#ty>()));
        Ok(Self { input, output, suspend, resume, parse })
    }

    /// A step always has a schema of its result, if only one that takes anything.
    fn step_output(&self, function: &Function) -> Result<TokenStream> {
        function.output("step")?;
        let output = &self.output;
        Ok(quote!(#output.unwrap_or_else(::hotbay_plugin::schema::anything)))
    }
}

/// Writes what may be absent as an `Option`.
fn optional(ty: Option<Type>, write: &dyn Fn(Type) -> TokenStream) -> TokenStream {
    match ty {
        None => quote!(::core::option::Option::None),
        Some(ty) => {
            let schema = write(ty);
            quote!(::core::option::Option::Some(#schema))
        }
    }
}

fn parse_input(function: &Function, what: &str) -> TokenStream {
    match &function.input {
        None => quote!(let _ = (&ctx, &bytes);),
        Some(ty) => quote! {
            let _ = &ctx;
            let input: #ty = ::hotbay_plugin::export::parse(&bytes, #what)?;
            ::core::mem::drop(bytes);
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_names_what_it_may_do_after_a_crash() {
        let item = quote!(
            async fn f() -> Result<u8> {
                Ok(1)
            }
        );
        let error = step(quote!(on_recover = "later"), item.clone()).err().unwrap();
        assert_eq!(error.to_string(), "`on_recover` is \"retry\", \"fail\" or \"suspend\"");
        let written = step(quote!(on_recover = "suspend", state = Count), item).unwrap().to_string();
        assert!(written.contains("Recover :: Suspend") && written.contains("< Count >"), "{written}");
    }
}
