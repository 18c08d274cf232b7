//! Traces and logs of other services, as protobuf and as JSON.
#![no_main]

use hotbay::{
    config::OtlpProtocol,
    observe::otlp::{
        self,
        bounds::{self, Sent},
        incoming,
        messages::{LogsRequest, TracesRequest},
        outgoing,
    },
    types::id::Millis,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for protocol in [OtlpProtocol::Protobuf, OtlpProtocol::Json] {
        if bounds::check(protocol, bytes, Sent::Spans).is_ok()
            && let Ok(request) = otlp::decode::<TracesRequest>(protocol, bytes)
        {
            for span in incoming::spans(request, Millis(0), true).records {
                drop(outgoing::span(&span));
            }
        }
        if bounds::check(protocol, bytes, Sent::Logs).is_ok()
            && let Ok(request) = otlp::decode::<LogsRequest>(protocol, bytes)
        {
            for log in incoming::logs(request, Millis(0)).records {
                drop(outgoing::log(&log));
            }
        }
    }
});
