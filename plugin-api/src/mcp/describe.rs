//! Descriptions of resources and prompts, as lists show them.

use serde_json::{Map, Value, json};

/// A resource.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Resource(Map<String, Value>);

/// Resources whose URIs follow a template (RFC 6570).
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct ResourceTemplate(Map<String, Value>);

/// A prompt.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Prompt(Map<String, Value>);

macro_rules! described {
    ($($name:ident)+) => {$(
        impl $name {
            /// Says what it is.
            pub fn description(self, text: impl Into<String>) -> Self {
                self.with("description", text.into().into())
            }

            /// Sets the title for people.
            pub fn title(self, text: impl Into<String>) -> Self {
                self.with("title", text.into().into())
            }

            fn with(mut self, key: &str, value: Value) -> Self {
                self.0.insert(key.to_owned(), value);
                self
            }

            pub(super) fn into_json(self) -> Value {
                Value::Object(self.0)
            }
        }
    )+};
}
described!(Resource ResourceTemplate Prompt);

impl Resource {
    /// Returns a resource with a URI and a name.
    pub fn new(uri: impl Into<String>, name: impl Into<String>) -> Self {
        Self(Map::new()).with("uri", uri.into().into()).with("name", name.into().into())
    }

    /// Sets its media type.
    pub fn mime_type(self, mime_type: impl Into<String>) -> Self {
        self.with("mimeType", mime_type.into().into())
    }
}

impl ResourceTemplate {
    /// Returns a template with a name.
    pub fn new(template: impl Into<String>, name: impl Into<String>) -> Self {
        Self(Map::new()).with("uriTemplate", template.into().into()).with("name", name.into().into())
    }

    /// Sets the media type of all of them.
    pub fn mime_type(self, mime_type: impl Into<String>) -> Self {
        self.with("mimeType", mime_type.into().into())
    }
}

impl Prompt {
    /// Returns a prompt with a name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(Map::new()).with("name", name.into().into())
    }

    /// Adds an argument that must be given.
    pub fn argument(self, name: impl Into<String>, description: impl Into<String>) -> Self {
        self.takes(&json!({"name": name.into(), "description": description.into(), "required": true}))
    }

    /// Adds an argument that may be left out.
    pub fn optional_argument(self, name: impl Into<String>, description: impl Into<String>) -> Self {
        self.takes(&json!({"name": name.into(), "description": description.into(), "required": false}))
    }

    fn takes(mut self, argument: &Value) -> Self {
        let arguments = self.0.entry("arguments").or_insert_with(|| json!([]));
        if let Value::Array(arguments) = arguments {
            arguments.push(argument.clone());
        }
        self
    }
}
