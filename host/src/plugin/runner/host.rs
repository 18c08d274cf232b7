//! The host as a plugin sees it in a process of its own: everything is said to the real one.

use std::sync::Arc;

use super::{calls::Calls, connection::Request};
use crate::plugin::{
    bridge::Failure,
    frames::{self, Asked, Ended, Kind, MAX_BODY, Span, Spoken},
    services::{MAX_MESSAGE, cut, forward},
};
use bytes::Bytes;
use hotbay_plugin::{
    Error,
    abi::{
        AbiResult, HostApi, HostApi_TO, HostArc, SinkArc,
        abi_stable::{
            sabi_trait::TD_Opaque,
            std_types::{RArc, ROption, RResult, RSlice, RStr, RVec},
        },
        async_ffi::{FfiFuture, FutureExt},
        span_op,
    },
    error::code,
};

#[derive(Clone)]
struct Forwarded(Arc<Calls>);

/// Returns the form in which it crosses into the plugin.
pub(super) fn to_abi(calls: Arc<Calls>) -> HostArc {
    HostApi_TO::from_ptr(RArc::new(Forwarded(calls)), TD_Opaque)
}

fn cut_bytes(bytes: RSlice<'_, u8>) -> Bytes {
    let bytes = bytes.as_slice();
    Bytes::copy_from_slice(bytes.get(..MAX_MESSAGE).unwrap_or(bytes))
}

impl HostApi for Forwarded {
    fn log(&self, call: u64, level: u8, target: RStr<'_>, message: RStr<'_>, fields_json: RSlice<'_, u8>) {
        let (target, message) = (cut(target.as_str()).to_owned(), cut(message.as_str()).to_owned());
        self.0.connection.write(&Spoken { level, target, message, fields: cut_bytes(fields_json) }.frame(call));
    }

    fn span(&self, call: u64, op: u8, span: u64, name: RStr<'_>, fields_json: RSlice<'_, u8>) -> u64 {
        // Numbered here: a plugin does not wait for the host to have an id.
        let opens = if op == span_op::OPEN { self.0.connection.next() } else { 0 };
        let said = Span { op, span, opens, name: cut(name.as_str()).to_owned(), fields: cut_bytes(fields_json) };
        self.0.connection.write(&said.frame(call));
        if op == span_op::OPEN { opens } else { span }
    }

    fn request(
        &self,
        call: u64,
        op: RStr<'_>,
        body: RVec<u8>,
        sink: ROption<SinkArc>,
    ) -> FfiFuture<AbiResult<RVec<u8>>> {
        let sink = sink.into_option();
        let asked = Asked {
            call,
            streams: sink.is_some(),
            op: op.as_str().to_owned(),
            body: Bytes::copy_from_slice(body.as_slice()),
        };
        let calls = Arc::clone(&self.0);
        // As in the host's process: nothing is asked before the first poll.
        async move {
            match ask(&calls, asked, sink).await {
                Ok(answer) => RResult::ROk(answer.into()),
                Err(error) => RResult::RErr(error.into()),
            }
        }
        .into_ffi()
    }
}

async fn ask(calls: &Arc<Calls>, asked: Asked, sink: Option<SinkArc>) -> Result<Vec<u8>, Error> {
    let (mut request, chunks) = calls.connection.expect(asked.streams);
    let frame = asked.frame(request.id).map_err(|length| {
        Error::input(format!("the request has {length} bytes, more than the {MAX_BODY} a plugin's process may send"))
    });
    match frame {
        Ok(frame) => calls.connection.write(&frame),
        Err(error) => return Err(error),
    }
    // The sink is the plugin's code, so it is filled from the pool, whoever polls the request.
    let forward = chunks.zip(sink).map(|(chunks, sink)| {
        let (of_plugin, id) = (Arc::clone(calls), request.id);
        let work = async move {
            let credit = || of_plugin.connection.write(&frames::frame(Kind::RequestCredit, id, &[]));
            if !forward(chunks, sink, credit).await {
                of_plugin.connection.write(&frames::frame(Kind::RequestClosed, id, &[]));
            }
        };
        calls.pool.spawn(&calls.lane, asked.call, false, work)
    });
    let ended = wait(&mut request).await;
    // Every chunk is in the plugin's hands before the answer is.
    if let Some(forward) = forward {
        drop(forward.await);
    }
    match ended?.0 {
        Ok(reply) => Ok(reply.body),
        Err(Failure::Plugin(error)) => Err(error),
        Err(Failure::Missing(what)) => Err(Error::with_code(code::UNSUPPORTED, format!("the host has no {what}"))),
    }
}

async fn wait(request: &mut Request) -> Result<Ended, Error> {
    (&mut request.answer).await.map_err(|_| Error::with_code(code::CANCELLED, "the host does not answer any more"))
}
