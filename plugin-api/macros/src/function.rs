//! The function an attribute stands on: which argument is what.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, FnArg, Ident, ItemFn, Result, ReturnType, Type, spanned::Spanned};

use crate::options::doc;

/// A function whose arguments are known by their form: `&Ctx`, the input by value, `&mut Answer`.
pub(crate) struct Function {
    pub(crate) item: ItemFn,
    pub(crate) doc: String,
    has_ctx: bool,
    pub(crate) input: Option<Type>,
    pub(crate) has_answer: bool,
}

impl Function {
    pub(crate) fn parse(attribute: &str, item: TokenStream) -> Result<Self> {
        let item: ItemFn = syn::parse2(item)
            .map_err(|error| Error::new(error.span(), format!("`#[{attribute}]` stands on a function: {error}")))?;
        if let Some(parameter) = item.sig.generics.params.first() {
            let message = format!("`#[{attribute}]` functions have no type parameters: the host calls them by name");
            return Err(Error::new(parameter.span(), message));
        }
        let doc = doc(&item.attrs);
        let mut function = Self { doc, has_ctx: false, input: None, has_answer: false, item };
        function.sort_arguments(attribute)?;
        Ok(function)
    }

    fn sort_arguments(&mut self, attribute: &str) -> Result<()> {
        let order = "the arguments are `ctx: &Ctx` first, then the input by value; each may be left out";
        for argument in &self.item.sig.inputs {
            let FnArg::Typed(argument) = argument else {
                return Err(Error::new(argument.span(), format!("`#[{attribute}]` functions take no `self`")));
            };
            let is_first = !self.has_ctx && self.input.is_none() && !self.has_answer;
            match &*argument.ty {
                Type::Reference(reference)
                    if reference.mutability.is_some() && attribute == "model" && !self.has_answer =>
                {
                    self.has_answer = true;
                }
                Type::Reference(reference) if reference.mutability.is_none() && is_first => self.has_ctx = true,
                Type::Reference(_) if attribute == "model" && !self.has_answer => {
                    return Err(Error::new(
                        argument.span(),
                        "a model writes its answer: make this `answer: &mut Answer`",
                    ));
                }
                Type::Reference(_) => return Err(Error::new(argument.span(), order)),
                ty if self.input.is_none() && !self.has_answer => self.input = Some(ty.clone()),
                _ => return Err(Error::new(argument.span(), order)),
            }
        }
        Ok(())
    }

    pub(crate) fn name(&self) -> &Ident {
        &self.item.sig.ident
    }

    pub(crate) fn output(&self, attribute: &str) -> Result<&Type> {
        match &self.item.sig.output {
            ReturnType::Type(_, ty) => Ok(ty),
            ReturnType::Default => {
                let message = format!("`#[{attribute}]` functions return `Result<..>`: add `-> Result<Output>`");
                Err(Error::new(self.item.sig.span(), message))
            }
        }
    }

    /// Writes the call of the author's code, with `ctx`, `input` and `answer` in scope.
    pub(crate) fn call(&self) -> TokenStream {
        let name = self.name();
        let ctx = self.has_ctx.then(|| quote!(&ctx,));
        let input = self.input.as_ref().map(|_| quote!(input,));
        let answer = self.has_answer.then(|| quote!(&mut answer,));
        let wait = self.item.sig.asyncness.map(|_| quote!(.await));
        quote!(#name::run(#ctx #input #answer) #wait)
    }

    /// Writes the type that keeps the author's code as `name::run`.
    ///
    /// A type without a value of the same name: a `let` of that name stays possible.
    pub(crate) fn code(&self) -> TokenStream {
        let (name, vis) = (self.name(), &self.item.vis);
        let mut run = self.item.clone();
        run.sig.ident = Ident::new("run", name.span());
        let cfg = self.conditions();
        let docs: Vec<&Attribute> =
            self.item.attrs.iter().filter(|attribute| attribute.path().is_ident("doc")).collect();
        quote! {
            #(#cfg)*
            #(#docs)*
            #[allow(non_camel_case_types, dead_code, reason = "named like the function it was written as")]
            #vis struct #name {}
            #(#cfg)*
            impl #name {
                #run
            }
        }
    }

    /// Returns the `#[cfg(..)]` attributes: what is written beside the function needs them too.
    pub(crate) fn conditions(&self) -> Vec<&Attribute> {
        self.item.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect()
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[track_caller]
    fn check(attribute: &str, item: TokenStream, expected: &str) {
        let function = Function::parse(attribute, item);
        let error = function.and_then(|function| function.output(attribute).map(|_| ())).err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn wrong_signatures_are_told_what_to_write() {
        check(
            "tool",
            quote!(
                struct Tool;
            ),
            "`#[tool]` stands on a function",
        );
        check(
            "tool",
            quote!(
                fn f<T>(input: T) -> Result<T> {}
            ),
            "no type parameters",
        );
        check(
            "tool",
            quote!(
                fn f(&self) -> Result<u8> {}
            ),
            "take no `self`",
        );
        check(
            "tool",
            quote!(
                fn f(input: In, ctx: &Ctx) -> Result<u8> {}
            ),
            "`ctx: &Ctx` first",
        );
        check(
            "tool",
            quote!(
                fn f(a: A, b: B) -> Result<u8> {}
            ),
            "`ctx: &Ctx` first",
        );
        check(
            "tool",
            quote!(
                fn f(ctx: &Ctx) {}
            ),
            "add `-> Result<Output>`",
        );
        check(
            "model",
            quote!(
                fn f(ctx: &Ctx, r: ChatRequest, a: &Answer) -> Result<()> {}
            ),
            "`answer: &mut Answer`",
        );
    }

    #[test]
    fn arguments_are_known_by_their_form() {
        let function = quote!(
            async fn f(ctx: &Ctx, request: ChatRequest, answer: &mut Answer) -> Result<()> {}
        );
        let function = Function::parse("model", function).unwrap();
        assert!(function.has_ctx && function.has_answer);
        assert_eq!(function.call().to_string(), quote!(f::run(&ctx, input, &mut answer,).await).to_string());
        let function = Function::parse(
            "tool",
            quote!(
                fn f() -> Result<()> {}
            ),
        )
        .unwrap();
        assert_eq!(function.call().to_string(), quote!(f::run()).to_string());
    }
}
