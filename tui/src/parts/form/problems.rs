//! What a schema refuses, in words for people and at the place it is about.

use jsonschema::{
    ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
};
use serde_json::Value;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The names and numbers that lead there.
    pub(super) path: Vec<String>,
    pub(super) message: String,
}

/// Makes what checks values; formats are checked as well.
pub(super) fn validator(schema: &Value) -> Result<Validator, String> {
    let options = jsonschema::options().should_validate_formats(true);
    options.build(schema).map_err(|error| error.masked().to_string())
}

/// Returns what is wrong with a value.
pub(super) fn of(validator: &Validator, value: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    for error in validator.iter_errors(value) {
        add(&error, &mut problems);
    }
    problems.dedup();
    problems
}

fn add(error: &ValidationError<'_>, problems: &mut Vec<Problem>) {
    let mut path = segments(error.instance_path().as_str());
    let message = match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            // The choice that has the right type is the one that was meant.
            let here = error.instance_path().as_str();
            let mut meant = context.iter().filter(|errors| !errors.iter().any(|error| is_type_of(error, here)));
            if let (Some(errors), None) = (meant.next(), meant.next()) {
                return errors.iter().for_each(|error| add(error, problems));
            }
            "is none of what may be here".to_owned()
        }
        ValidationErrorKind::Required { property } => {
            path.push(property.as_str().unwrap_or_default().to_owned());
            "is required".to_owned()
        }
        ValidationErrorKind::Type { kind } => format!("must be {}", type_name(kind)),
        ValidationErrorKind::Minimum { limit } => format!("must be >= {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("must be <= {limit}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be > {limit}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("must be < {limit}"),
        ValidationErrorKind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        ValidationErrorKind::MinLength { limit } => format!("must have at least {}", counted(*limit, "character")),
        ValidationErrorKind::MaxLength { limit } => format!("must have at most {}", counted(*limit, "character")),
        ValidationErrorKind::MinItems { limit } => format!("must have at least {}", counted(*limit, "item")),
        ValidationErrorKind::MaxItems { limit } => format!("must have at most {}", counted(*limit, "item")),
        ValidationErrorKind::UniqueItems => "must not have an item twice".to_owned(),
        ValidationErrorKind::Pattern { pattern } => format!("must match {pattern}"),
        ValidationErrorKind::Format { format } => format!("must be a {format}"),
        ValidationErrorKind::Constant { expected_value } => format!("must be {expected_value}"),
        ValidationErrorKind::Enum { options } => format!("must be one of {}", listed(options)),
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            format!("must not have {}", unexpected.join(", "))
        }
        _ => error.masked().to_string(),
    };
    problems.push(Problem { path, message });
}

fn is_type_of(error: &ValidationError<'_>, place: &str) -> bool {
    matches!(error.kind(), ValidationErrorKind::Type { .. }) && error.instance_path().as_str() == place
}

fn type_name(kind: &TypeKind) -> String {
    let names: Vec<String> = match kind {
        TypeKind::Single(name) => vec![name.to_string()],
        TypeKind::Multiple(names) => names.iter().map(|name| name.to_string()).collect(),
    };
    let with_article = |name: &String| match name.as_str() {
        "null" => "null".to_owned(),
        "integer" => "a whole number".to_owned(),
        "array" => "a list".to_owned(),
        "object" => "an object".to_owned(),
        _ => format!("a {name}"),
    };
    names.iter().map(with_article).collect::<Vec<_>>().join(" or ")
}

fn listed(options: &Value) -> String {
    let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
    options.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn counted(number: u64, what: &str) -> String {
    let many = if number == 1 { "" } else { "s" };
    format!("{number} {what}{many}")
}

/// The names in a JSON pointer.
fn segments(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
}

/// The names in a path as a server writes it: `resumeData.items[0]`, `/items/0`, `$.items`.
pub(super) fn names(path: &str) -> Vec<String> {
    if path.starts_with('/') {
        return segments(path);
    }
    let names = path.split(['.', '[', ']', '/']).map(|name| name.trim_matches(['"', '\'']));
    names.filter(|name| !name.is_empty() && *name != "$").map(str::to_owned).collect()
}

/// A path as people write it.
pub(super) fn written(path: &[String]) -> String {
    let mut text = String::new();
    for name in path {
        match name.parse::<usize>() {
            Ok(index) => text.push_str(&format!("[{index}]")),
            Err(_) if text.is_empty() => text.push_str(name),
            Err(_) => text.push_str(&format!(".{name}")),
        }
    }
    text
}
