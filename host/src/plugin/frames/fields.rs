//! The fields a body is made of: numbers, texts, bytes and rows of vectors, one after the other.

use bytes::Bytes;

/// Bytes that are no frame, or not what a frame of their kind has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Garbage(String);

impl Garbage {
    /// Says what is wrong with them.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Reads fields in the order they were written.
pub(super) struct Reader {
    rest: Bytes,
}

impl Reader {
    pub(super) fn new(body: Bytes) -> Self {
        Self { rest: body }
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Garbage> {
        if length > self.rest.len() {
            return Err(Garbage::new(format!("a field of {length} bytes is longer than its frame")));
        }
        Ok(self.rest.split_to(length))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Garbage> {
        let field = self.take(N)?;
        field.first_chunk().copied().ok_or_else(|| Garbage::new("a number is cut off"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Garbage> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Garbage> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Garbage> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, Garbage> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<String, Garbage> {
        let bytes = self.bytes()?;
        std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| Garbage::new("a text is not UTF-8"))
    }

    pub(super) fn vectors(&mut self) -> Result<Vec<f32>, Garbage> {
        let bytes = self.bytes()?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(Garbage::new("rows of vectors are cut off"));
        }
        Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
    }

    /// Says that there is no further field.
    pub(super) fn end(self) -> Result<(), Garbage> {
        if self.rest.is_empty() { Ok(()) } else { Err(Garbage::new("a frame has more than its fields")) }
    }
}

/// Writes fields behind a frame's head.
pub(super) trait Write {
    fn u32(&mut self, number: u32);
    fn u64(&mut self, number: u64);
    fn bytes(&mut self, bytes: &[u8]);
    fn vectors(&mut self, vectors: &[f32]);
}

impl Write for Vec<u8> {
    fn u32(&mut self, number: u32) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        Write::u32(self, length(bytes.len()));
        self.extend_from_slice(bytes);
    }

    fn vectors(&mut self, vectors: &[f32]) {
        Write::u32(self, length(vectors.len().saturating_mul(4)));
        self.extend(vectors.iter().flat_map(|number| number.to_le_bytes()));
    }
}

/// What is longer makes a frame that is too long, which is refused before it is sent.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
