//! One node after another: steps, a wait, a mapping.

use std::time::Duration;

use hotbay_plugin::prelude::*;

use super::steps::{Msg, exclaim, upper};
use crate::number::plain_number;

/// Two steps in order
#[workflow]
pub(crate) fn linear() -> Workflow {
    Workflow::new("linear-workflow").input::<Msg>().output::<Msg>().then(upper).then(exclaim)
}

pub(crate) fn sleep() -> Workflow {
    Workflow::new("sleep-workflow")
        .input::<Msg>()
        .output::<Msg>()
        .then(upper)
        .sleep(Duration::from_millis(50))
        .then(exclaim)
}

#[derive(Serialize, JsonSchema)]
struct Length {
    #[serde(serialize_with = "plain_number")]
    length: f64,
}

pub(crate) fn map() -> Workflow {
    Workflow::new("map-workflow").input::<Msg>().output::<Length>().then(upper).map(|msg: Msg| {
        // JavaScript's length of a text: units of UTF-16.
        Ok(Length { length: msg.message.encode_utf16().count() as f64 })
    })
}
