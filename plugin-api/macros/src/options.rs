//! What stands in an attribute's brackets: `name`, `name = "text"`, `name = Type`.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use syn::{
    Error, Expr, Ident, Lit, Result, Token, Type,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
};

/// The options of one attribute, each to be taken once.
pub(crate) struct Options(Vec<(Ident, Given)>);

enum Given {
    Flag,
    Literal(Lit),
    Type(Box<Type>),
}

struct Entry(Ident, Given);

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name: Ident = input.parse()?;
        if !input.peek(Token![=]) {
            return Ok(Self(name, Given::Flag));
        }
        input.parse::<Token![=]>()?;
        if input.peek(Lit) {
            return Ok(Self(name, Given::Literal(input.parse()?)));
        }
        Ok(Self(name, Given::Type(input.parse()?)))
    }
}

impl Options {
    /// Reads the brackets of `#[attribute(..)]`; only `known` names may stand there.
    pub(crate) fn parse(attribute: &str, known: &[&str], tokens: TokenStream) -> Result<Self> {
        let entries = Punctuated::<Entry, Token![,]>::parse_terminated.parse2(tokens)?;
        let mut options = Vec::new();
        for Entry(name, given) in entries {
            if !known.iter().any(|known| name == known) {
                let known = known.join("`, `");
                let message = format!("`#[{attribute}]` has no option `{name}`; it has `{known}`");
                return Err(Error::new(name.span(), message));
            }
            if options.iter().any(|(earlier, _)| *earlier == name) {
                return Err(Error::new(name.span(), format!("option `{name}` is given twice")));
            }
            options.push((name, given));
        }
        Ok(Self(options))
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<bool> {
        match self.take(name) {
            None => Ok(false),
            Some((_, Given::Flag)) => Ok(true),
            Some((at, _)) => Err(Error::new(at.span(), format!("option `{name}` takes no value"))),
        }
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some((_, Given::Literal(Lit::Str(text)))) => Ok(Some(text.value())),
            Some((at, _)) => Err(Error::new(at.span(), format!("write `{name} = \"...\"`"))),
        }
    }

    pub(crate) fn number(&mut self, name: &str) -> Result<Option<u32>> {
        match self.take(name) {
            None => Ok(None),
            Some((_, Given::Literal(Lit::Int(number)))) => number.base10_parse().map(Some),
            Some((at, _)) => Err(Error::new(at.span(), format!("write `{name} = 3`"))),
        }
    }

    pub(crate) fn duration(&mut self, name: &str) -> Result<Option<Duration>> {
        let at = self.0.iter().find(|(given, _)| given == name).map_or_else(Span::call_site, |(at, _)| at.span());
        let Some(text) = self.text(name)? else { return Ok(None) };
        match parse_duration(&text) {
            Some(duration) => Ok(Some(duration)),
            None => Err(Error::new(at, format!("write `{name}` like \"500ms\", \"5s\" or \"2m\""))),
        }
    }

    pub(crate) fn ty(&mut self, name: &str) -> Result<Option<Type>> {
        match self.take(name) {
            None => Ok(None),
            Some((_, Given::Type(ty))) => Ok(Some(*ty)),
            Some((at, _)) => Err(Error::new(at.span(), format!("write `{name} = Type`"))),
        }
    }

    fn take(&mut self, name: &str) -> Option<(Ident, Given)> {
        let index = self.0.iter().position(|(given, _)| given == name)?;
        Some(self.0.swap_remove(index))
    }
}

/// Returns the doc comment among `attributes`, paragraphs kept, each joined to one line.
pub(crate) fn doc(attributes: &[syn::Attribute]) -> String {
    let mut paragraphs = vec![String::new()];
    for attribute in attributes {
        let syn::Meta::NameValue(pair) = &attribute.meta else { continue };
        let Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) = &pair.value else { continue };
        if !pair.path.is_ident("doc") {
            continue;
        }
        for line in text.value().split('\n').map(str::trim) {
            let last = paragraphs.len() - 1;
            if line.is_empty() {
                if !paragraphs[last].is_empty() {
                    paragraphs.push(String::new());
                }
            } else {
                if !paragraphs[last].is_empty() {
                    paragraphs[last].push(' ');
                }
                paragraphs[last].push_str(line);
            }
        }
    }
    paragraphs.join("\n\n").trim().to_owned()
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (number, millis) = if let Some(number) = text.strip_suffix("ms") {
        (number, 1)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1000)
    } else if let Some(number) = text.strip_suffix('m') {
        (number, 60_000)
    } else {
        return None;
    };
    let number: u64 = number.trim().parse().ok()?;
    number.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse_duration("250 ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parse_duration("5"), None);
        assert_eq!(parse_duration("soon"), None);
    }

    #[test]
    fn unknown_option_is_named_together_with_the_known_ones() {
        let tokens = "timout = \"5s\"".parse().unwrap();
        let error = Options::parse("tool", &["id", "timeout"], tokens).err().unwrap();
        assert_eq!(error.to_string(), "`#[tool]` has no option `timout`; it has `id`, `timeout`");
    }

    #[test]
    fn lines_of_a_doc_comment_are_joined_by_paragraph() {
        let function: syn::ItemFn = syn::parse_quote! {
            /// Looks a city
            /// up.
            ///
            /// Slowly.
            fn f() {}
        };
        assert_eq!(doc(&function.attrs), "Looks a city up.\n\nSlowly.");
    }
}
