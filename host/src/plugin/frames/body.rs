//! What is in the frames that have more than an id.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    HEAD, Kind, MAX_BODY, begin,
    fields::{Garbage, Reader, Write},
    finish,
};
use crate::plugin::{
    bridge::Failure,
    call::{Reply, ReplyKind, Target},
};

/// [`Kind::Open`]: said once, so as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// The private copy.
    pub(crate) file: std::path::PathBuf,
    /// The plugin's name.
    pub(crate) plugin: String,
    /// The generation's number.
    pub(crate) generation: u64,
    /// The plugin's configuration.
    pub(crate) config: Value,
}

/// [`Kind::Refused`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpeningFailed {
    /// The name of a [`crate::plugin::error::LoadCode`].
    pub(crate) code: String,
    /// What is wrong.
    pub(crate) message: String,
}

macro_rules! json_frame {
    ($type:ty, $kind:expr) => {
        impl $type {
            /// Returns the frame.
            pub(crate) fn frame(&self) -> Vec<u8> {
                // Strings and JSON values cannot fail to be written.
                super::frame($kind, 0, &serde_json::to_vec(self).unwrap_or_default())
            }

            /// Reads a body.
            pub(crate) fn read(body: &[u8]) -> Result<Self, Garbage> {
                serde_json::from_slice(body).map_err(|error| Garbage::new(error.to_string()))
            }
        }
    };
}

json_frame!(Opening, Kind::Open);
json_frame!(OpeningFailed, Kind::Refused);

/// [`Kind::Call`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Called {
    /// What is called.
    pub(crate) target: Target,
    /// Milliseconds it may take, 0 without a limit.
    pub(crate) deadline_ms: u64,
    /// Whether anybody reads its chunks.
    pub(crate) streams: bool,
    /// A JSON document.
    pub(crate) body: Bytes,
    /// Rows of vectors.
    pub(crate) vectors: Vec<f32>,
    /// About the call, as JSON, or empty.
    pub(crate) meta: Bytes,
}

impl Called {
    /// Returns the frame, or its length if it is too long.
    pub(crate) fn frame(&self, id: u64) -> Result<Vec<u8>, usize> {
        let length = self.body.len() + self.vectors.len() * 4 + self.meta.len();
        if length > MAX_BODY {
            return Err(length);
        }
        let mut frame = begin(Kind::Call, id, length + 128);
        write_target(&mut frame, &self.target);
        frame.u64(self.deadline_ms);
        frame.push(u8::from(self.streams));
        frame.bytes(&self.body);
        frame.vectors(&self.vectors);
        frame.bytes(&self.meta);
        bounded(finish(frame))
    }

    /// Reads a body.
    pub(crate) fn read(body: Bytes) -> Result<Self, Garbage> {
        let mut fields = Reader::new(body);
        let called = Self {
            target: read_target(&mut fields)?,
            deadline_ms: fields.u64()?,
            streams: fields.u8()? != 0,
            body: fields.bytes()?,
            vectors: fields.vectors()?,
            meta: fields.bytes()?,
        };
        fields.end().map(|()| called)
    }
}

fn bounded(frame: Vec<u8>) -> Result<Vec<u8>, usize> {
    if frame.len() - HEAD > MAX_BODY { Err(frame.len() - HEAD) } else { Ok(frame) }
}

fn write_target(frame: &mut Vec<u8>, target: &Target) {
    let (kind, names): (u8, [&str; 3]) = match target {
        Target::Tool(id) => (0, [id, "", ""]),
        Target::Agent(id) => (1, [id, "", ""]),
        Target::Workflow { id, node } => (2, [id, node, ""]),
        Target::VectorStore { name, op } => (3, [name, op, ""]),
        Target::Model(id) => (4, [id, "", ""]),
        Target::Embedder(id) => (5, [id, "", ""]),
        Target::Service { kind, name, op } => (6, [kind, name, op]),
    };
    frame.push(kind);
    for name in names {
        frame.bytes(name.as_bytes());
    }
}

fn read_target(fields: &mut Reader) -> Result<Target, Garbage> {
    let kind = fields.u8()?;
    let (a, b, c) = (fields.text()?.into(), fields.text()?.into(), fields.text()?.into());
    Ok(match kind {
        0 => Target::Tool(a),
        1 => Target::Agent(a),
        2 => Target::Workflow { id: a, node: b },
        3 => Target::VectorStore { name: a, op: b },
        4 => Target::Model(a),
        5 => Target::Embedder(a),
        6 => Target::Service { kind: a, name: b, op: c },
        other => return Err(Garbage::new(format!("nothing of kind {other} can be called"))),
    })
}

/// [`Kind::Reply`] and [`Kind::Answer`]: how a call, or a request, ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended(pub(crate) Result<Reply, Failure>);

impl Ended {
    /// Returns the frame. What is too long for one becomes an error that says so.
    pub(crate) fn frame(&self, kind: Kind, id: u64) -> Vec<u8> {
        let length = match &self.0 {
            Ok(reply) => reply.body.len() + reply.vectors.len() * 4 + reply.meta.len(),
            Err(Failure::Plugin(error)) => error.message.len(),
            Err(Failure::Missing(what)) => what.len(),
        };
        if length <= MAX_BODY
            && let Ok(frame) = bounded(self.write(kind, id, length))
        {
            return frame;
        }
        let message = format!(
            "the answer has {length} bytes, more than the {MAX_BODY} that can leave a plugin's process; answer in parts, or stream"
        );
        Self(Err(Failure::Plugin(hotbay_plugin::Error::new(message)))).write(kind, id, 256)
    }

    fn write(&self, kind: Kind, id: u64, length: usize) -> Vec<u8> {
        let mut frame = begin(kind, id, length + 32);
        match &self.0 {
            Ok(reply) => {
                frame.push(match reply.kind {
                    ReplyKind::Value => 0,
                    ReplyKind::Suspended => 1,
                    ReplyKind::Bailed => 2,
                    ReplyKind::Tripped => 3,
                });
                frame.bytes(&reply.body);
                frame.bytes(&reply.meta);
                frame.vectors(&reply.vectors);
            }
            Err(Failure::Plugin(error)) => {
                frame.push(16);
                frame.u32(error.code);
                frame.push(u8::from(error.retryable));
                frame.bytes(error.message.as_bytes());
                let detail = if error.detail.is_null() { String::new() } else { error.detail.to_string() };
                frame.bytes(detail.as_bytes());
            }
            Err(Failure::Missing(what)) => {
                frame.push(17);
                frame.bytes(what.as_bytes());
            }
        }
        finish(frame)
    }

    /// Reads a body.
    pub(crate) fn read(body: Bytes) -> Result<Self, Garbage> {
        let mut fields = Reader::new(body);
        let ended = match fields.u8()? {
            kind @ 0..=3 => Ok(Reply {
                kind: match kind {
                    0 => ReplyKind::Value,
                    1 => ReplyKind::Suspended,
                    2 => ReplyKind::Bailed,
                    _ => ReplyKind::Tripped,
                },
                body: fields.bytes()?.into(),
                meta: fields.bytes()?.into(),
                vectors: fields.vectors()?,
            }),
            16 => {
                let code = fields.u32()?;
                let retryable = fields.u8()? != 0;
                let mut error = hotbay_plugin::Error::with_code(code, fields.text()?);
                error.retryable = retryable;
                let detail = fields.bytes()?;
                if !detail.is_empty() {
                    error.detail = serde_json::from_slice(&detail).map_err(|error| Garbage::new(error.to_string()))?;
                }
                Err(Failure::Plugin(error))
            }
            17 => Err(Failure::Missing(fields.text()?)),
            other => return Err(Garbage::new(format!("nothing ends in way {other}"))),
        };
        fields.end().map(|()| Self(ended))
    }
}

/// [`Kind::Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The call it is part of, 0 outside calls.
    pub(crate) call: u64,
    /// Whether the plugin reads chunks.
    pub(crate) streams: bool,
    /// What is asked for.
    pub(crate) op: String,
    /// A JSON document.
    pub(crate) body: Bytes,
}

impl Asked {
    /// Returns the frame, or its length if it is too long.
    pub(crate) fn frame(&self, id: u64) -> Result<Vec<u8>, usize> {
        let length = self.op.len() + self.body.len();
        if length > MAX_BODY {
            return Err(length);
        }
        let mut frame = begin(Kind::Request, id, length + 32);
        frame.u64(self.call);
        frame.push(u8::from(self.streams));
        frame.bytes(self.op.as_bytes());
        frame.bytes(&self.body);
        bounded(finish(frame))
    }

    /// Reads a body.
    pub(crate) fn read(body: Bytes) -> Result<Self, Garbage> {
        let mut fields = Reader::new(body);
        let asked = Self { call: fields.u64()?, streams: fields.u8()? != 0, op: fields.text()?, body: fields.bytes()? };
        fields.end().map(|()| asked)
    }
}

/// [`Kind::Log`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spoken {
    /// As in the ABI.
    pub(crate) level: u8,
    /// What speaks.
    pub(crate) target: String,
    /// What it says.
    pub(crate) message: String,
    /// More, a JSON object or empty.
    pub(crate) fields: Bytes,
}

impl Spoken {
    /// Returns the frame.
    pub(crate) fn frame(&self, call: u64) -> Vec<u8> {
        let length = self.target.len() + self.message.len() + self.fields.len();
        let mut frame = begin(Kind::Log, call, length + 16);
        frame.push(self.level);
        frame.bytes(self.target.as_bytes());
        frame.bytes(self.message.as_bytes());
        frame.bytes(&self.fields);
        finish(frame)
    }

    /// Reads a body.
    pub(crate) fn read(body: Bytes) -> Result<Self, Garbage> {
        let mut fields = Reader::new(body);
        let spoken =
            Self { level: fields.u8()?, target: fields.text()?, message: fields.text()?, fields: fields.bytes()? };
        fields.end().map(|()| spoken)
    }
}

/// [`Kind::Span`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// As in the ABI.
    pub(crate) op: u8,
    /// The span; of one that is opened, its parent.
    pub(crate) span: u64,
    /// The id a span that is opened gets.
    pub(crate) opens: u64,
    /// Its name.
    pub(crate) name: String,
    /// More, a JSON object or empty.
    pub(crate) fields: Bytes,
}

impl Span {
    /// Returns the frame.
    pub(crate) fn frame(&self, call: u64) -> Vec<u8> {
        let mut frame = begin(Kind::Span, call, self.name.len() + self.fields.len() + 32);
        frame.push(self.op);
        frame.u64(self.span);
        frame.u64(self.opens);
        frame.bytes(self.name.as_bytes());
        frame.bytes(&self.fields);
        finish(frame)
    }

    /// Reads a body.
    pub(crate) fn read(body: Bytes) -> Result<Self, Garbage> {
        let mut fields = Reader::new(body);
        let span = Self {
            op: fields.u8()?,
            span: fields.u64()?,
            opens: fields.u64()?,
            name: fields.text()?,
            fields: fields.bytes()?,
        };
        fields.end().map(|()| span)
    }
}
