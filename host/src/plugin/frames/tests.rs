use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    prop_assert, prop_assert_eq, proptest,
};

use super::*;
use crate::plugin::{
    bridge::Failure,
    call::{Reply, ReplyKind, Target},
};

fn body() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn target() -> impl Strategy<Value = Target> {
    (0..7u8, ".{0,20}", ".{0,20}", ".{0,20}").prop_map(|(kind, a, b, c)| {
        let (a, b, c) = (a.into(), b.into(), c.into());
        match kind {
            0 => Target::Tool(a),
            1 => Target::Agent(a),
            2 => Target::Workflow { id: a, node: b },
            3 => Target::VectorStore { name: a, op: b },
            4 => Target::Model(a),
            5 => Target::Embedder(a),
            _ => Target::Service { kind: a, name: b, op: c },
        }
    })
}

fn ended() -> impl Strategy<Value = Ended> {
    let kind = prop_oneof![
        Just(ReplyKind::Value),
        Just(ReplyKind::Suspended),
        Just(ReplyKind::Bailed),
        Just(ReplyKind::Tripped)
    ];
    let reply = (kind, body(), body(), vec(-1e3f32..1e3, 0..20))
        .prop_map(|(kind, body, meta, vectors)| Ok(Reply { kind, body: body.into(), meta: meta.into(), vectors }));
    let failed =
        (any::<u32>(), any::<bool>(), ".{0,40}", any::<Option<u8>>()).prop_map(|(code, retryable, message, detail)| {
            let mut error = hotbay_plugin::Error::with_code(code, message);
            error.retryable = retryable;
            error.detail = detail.map_or(serde_json::Value::Null, |number| serde_json::json!({ "n": number }));
            Err(Failure::Plugin(error))
        });
    let missing = ".{0,40}".prop_map(|what| Err(Failure::Missing(what)));
    prop_oneof![reply, failed, missing].prop_map(Ended)
}

fn only(frame: &[u8]) -> Frame {
    let mut read = BytesMut::from(frame);
    let taken = take(&mut read).expect("a frame").expect("all of it");
    assert!(read.is_empty());
    taken
}

proptest! {
    #[test]
    fn any_bytes_are_frames_or_garbage(bytes in vec(any::<u8>(), 0..600)) {
        let mut read = BytesMut::from(bytes.as_slice());
        for _ in 0..=bytes.len() {
            match take(&mut read) {
                Ok(Some(frame)) => prop_assert!(frame.body.len() <= MAX_BODY),
                Ok(None) | Err(_) => break,
            }
        }
        let bytes = Bytes::from(bytes);
        drop((Called::read(bytes.clone()), Ended::read(bytes.clone()), Asked::read(bytes.clone())));
        drop((Spoken::read(bytes.clone()), Span::read(bytes.clone()), Opening::read(&bytes), OpeningFailed::read(&bytes)));
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut(
        bodies in vec(body(), 1..6), id in any::<u64>(), piece in 1..50usize,
    ) {
        let wire: Vec<u8> = bodies.iter().flat_map(|body| frame(Kind::Chunk, id, body)).collect();
        let (mut read, mut came) = (BytesMut::new(), Vec::new());
        for bytes in wire.chunks(piece) {
            read.extend_from_slice(bytes);
            while let Some(frame) = take(&mut read).expect("frames") {
                prop_assert_eq!((frame.kind, frame.id), (Kind::Chunk, id));
                came.push(frame.body);
            }
        }
        prop_assert_eq!(came, bodies);
        prop_assert!(read.is_empty());
    }

    #[test]
    fn a_call_is_read_as_it_was_written(
        target in target(), deadline_ms in any::<u64>(), streams in any::<bool>(), body in body(),
        vectors in vec(-1e3f32..1e3, 0..20), meta in body(), cut in any::<proptest::sample::Index>(),
    ) {
        let called = Called { target, deadline_ms, streams, body, vectors, meta };
        let frame = only(&called.frame(7).expect("short enough"));
        prop_assert_eq!((frame.kind, frame.id), (Kind::Call, 7));
        let end = cut.index(frame.body.len());
        prop_assert!(Called::read(frame.body.slice(..end)).is_err());
        prop_assert_eq!(Called::read(frame.body).expect("a call"), called);
    }

    #[test]
    fn an_end_is_read_as_it_was_written(ended in ended(), cut in any::<proptest::sample::Index>()) {
        let frame = only(&ended.frame(Kind::Reply, 9));
        let end = cut.index(frame.body.len());
        prop_assert!(Ended::read(frame.body.slice(..end)).is_err());
        prop_assert_eq!(Ended::read(frame.body).expect("an end"), ended);
    }

    #[test]
    fn what_is_said_and_asked_is_read_as_it_was_written(
        call in any::<u64>(), streams in any::<bool>(), text in ".{0,40}", fields in body(), level in any::<u8>(),
    ) {
        let asked = Asked { call, streams, op: text.clone(), body: fields.clone() };
        prop_assert_eq!(Asked::read(only(&asked.frame(1).expect("short enough")).body).expect("a request"), asked);
        let spoken = Spoken { level, target: text.clone(), message: text.clone(), fields: fields.clone() };
        prop_assert_eq!(Spoken::read(only(&spoken.frame(call)).body).expect("a record"), spoken);
        let span = Span { op: level, span: call, opens: call, name: text, fields };
        prop_assert_eq!(Span::read(only(&span.frame(call)).body).expect("a span"), span);
    }
}

#[test]
fn a_frame_that_is_too_long_is_garbage_before_it_is_read() {
    let mut head = (MAX_BODY as u32 + 1).to_le_bytes().to_vec();
    head.push(Kind::Reply as u8);
    head.extend_from_slice(&[0; 8]);
    let error = take(&mut BytesMut::from(head.as_slice())).expect_err("too long");
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[test]
fn an_answer_that_is_too_long_becomes_an_error_that_says_so() {
    let reply = Reply { kind: ReplyKind::Value, body: vec![b' '; MAX_BODY], meta: Vec::new(), vectors: Vec::new() };
    let frame = only(&Ended(Ok(reply)).frame(Kind::Reply, 1));
    let Ended(Err(Failure::Plugin(error))) = Ended::read(frame.body).expect("an end") else { panic!("no error") };
    assert!(error.message.contains("answer in parts"), "{}", error.message);
}
