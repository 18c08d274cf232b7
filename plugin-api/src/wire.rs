//! JSON documents in and out of typed values, with errors that name the field.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Error, Result,
    abi::{Reply, abi_stable::std_types::RVec, reply_kind},
    error::control,
};

/// Parses `bytes`; the error says which field of `what` does not fit.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    // The fast way first: keeping track of the path costs, and most documents fit.
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| misfit(&error, what))?;
    deserializer.end().map_err(|error| Error::input(format!("{what} is not one JSON document: {error}")))?;
    Ok(value)
}

/// As [`from_slice`], from a parsed document.
pub(crate) fn from_value<T: DeserializeOwned>(value: Value, what: &str) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|error| misfit(&error, what))
}

/// Turns what a tool or step returned into a reply, honouring suspension and bailing out.
pub(crate) fn reply<T: Serialize>(result: Result<T>) -> Result<Reply> {
    match result {
        Ok(value) => Ok(Reply {
            kind: reply_kind::VALUE,
            flags: 0,
            body: serde_json::to_vec(&value)?.into(),
            meta_json: RVec::new(),
        }),
        Err(error) => control_reply(error),
    }
}

/// Turns the errors that are none into replies.
pub(crate) fn control_reply(error: Error) -> Result<Reply> {
    let (kind, labels) = match error.code {
        control::SUSPENDED => (reply_kind::SUSPENDED, None),
        control::LABELLED => (reply_kind::SUSPENDED, Some(error.detail["labels"].clone())),
        control::BAILED => (reply_kind::BAILED, None),
        control::TRIPPED => (reply_kind::TRIPWIRE, None),
        _ => return Err(error),
    };
    let body = match labels {
        None => error.detail.to_string(),
        Some(_) => error.detail["payload"].to_string(),
    };
    let meta = labels.map(|labels| serde_json::json!({ "resumeLabels": labels }).to_string()).unwrap_or_default();
    Ok(Reply { kind, flags: 0, body: body.into_bytes().into(), meta_json: meta.into_bytes().into() })
}

fn misfit(error: &serde_path_to_error::Error<serde_json::Error>, what: &str) -> Error {
    let path = error.path().to_string();
    let cause = error.inner();
    if path == "." {
        return Error::input(format!("{what} does not fit: {cause}"));
    }
    Error::input(format!("{what}: field `{path}` does not fit: {cause}"))
        .detail(serde_json::json!({ "field": path, "message": cause.to_string() }))
}
