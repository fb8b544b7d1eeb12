//! Reading records: where each column's bytes lie in a message, every place checked.
//!
//! A record that is looked at where it lies may be overwritten meanwhile. Whoever follows an offset
//! that changes between check and use reads anywhere. So the metadata of such a record is copied
//! first, and the copy is what is checked and used; only values are ever read in place.

use arrow_buffer::Buffer;
use arrow_ipc::{MessageHeader, MetadataVersion, root_as_message};

use super::schema::{Column, ColumnKind, Schema};
use super::template::{Numbers, Template};
use super::{CONTINUATION, PREFIX};
use crate::error::RingError;

/// Where some bytes lie in a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Offset from the payload's start.
    pub at: usize,
    /// Bytes.
    pub len: usize,
}

/// Where one column's values lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColumnBuffers {
    /// How many values are missing.
    pub nulls: u64,
    /// One bit a row; empty if none is missing.
    pub validity: Place,
    /// For text: rows + 1 ends, i32, ascending, inside the data.
    pub offsets: Place,
    /// The values.
    pub data: Place,
}

/// A record's rows, found in its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Rows.
    pub rows: u64,
    /// One for each column of the schema.
    pub columns: Vec<ColumnBuffers>,
}

#[cold]
fn damaged(what: impl std::fmt::Display) -> RingError {
    RingError::corrupt(format!("the record's message is damaged: {what}"))
}

/// The flatbuffer of a message, and where the body begins.
fn metadata(payload: &[u8]) -> Result<(&[u8], usize), RingError> {
    let (mark, rest) = payload.split_at_checked(4).ok_or_else(|| damaged("it is too short"))?;
    if mark != CONTINUATION {
        return Err(damaged("it does not begin with the continuation mark"));
    }
    let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("it is too short"))?;
    let len = u32::from_le_bytes(*len) as usize;
    let bytes = rest.get(..len).ok_or_else(|| damaged("its metadata is cut"))?;
    Ok((bytes, PREFIX + len))
}

/// Bytes of a message up to its body, as its first 8 bytes say.
pub fn head_len(start: [u8; PREFIX]) -> usize {
    let [_, _, _, _, len @ ..] = start;
    PREFIX.saturating_add(u32::from_le_bytes(len) as usize)
}

impl Batch {
    /// Finds the columns of a record-batch message.
    pub fn parse(schema: &Schema, payload: &[u8]) -> Result<Self, RingError> {
        Self::parse_with(schema, payload, payload)
    }

    /// The same by a copy of the message's head, for a payload that may change.
    pub fn parse_with(schema: &Schema, head: &[u8], payload: &[u8]) -> Result<Self, RingError> {
        let (bytes, body_at) = metadata(head)?;
        let copy;
        let bytes = if bytes.as_ptr().addr() % 8 == 0 {
            bytes
        } else {
            // Flatbuffers want their words aligned, as memory of Arrow's own is.
            copy = Buffer::from(bytes);
            copy.as_slice()
        };
        let message = root_as_message(bytes).map_err(damaged)?;
        if message.version() != MetadataVersion::V5
            || message.header_type() != MessageHeader::RecordBatch
        {
            return Err(damaged("it is not a record batch of version 5"));
        }
        let batch = message.header_as_record_batch().ok_or_else(|| damaged("no record batch"))?;
        if batch.compression().is_some() {
            return Err(damaged("it is compressed"));
        }
        let numbers = Numbers {
            rows: batch.length(),
            body: message.bodyLength(),
            nodes: batch.nodes().ok_or_else(|| damaged("no nodes"))?.bytes(),
            buffers: batch.buffers().ok_or_else(|| damaged("no buffers"))?.bytes(),
        };
        Self::from_numbers(schema, &numbers, body_at, payload)
    }

    /// The same, quicker where the head is the one that this project's writers make.
    pub fn parse_known(
        schema: &Schema,
        template: &Template,
        head: &[u8],
        payload: &[u8],
    ) -> Result<Self, RingError> {
        match head.get(..template.len()).and_then(|known| template.numbers(known)) {
            Some(numbers) => Self::from_numbers(schema, &numbers, template.len(), payload),
            None => Self::parse_with(schema, head, payload),
        }
    }

    /// The same from a message's numbers; the body begins at `body_at` of the payload.
    pub fn from_numbers(
        schema: &Schema,
        numbers: &Numbers<'_>,
        body_at: usize,
        payload: &[u8],
    ) -> Result<Self, RingError> {
        let body_len = usize::try_from(numbers.body).map_err(damaged)?;
        let end = body_at.checked_add(body_len).filter(|end| *end <= payload.len());
        let body =
            Place { at: body_at, len: end.ok_or_else(|| damaged("its body is cut"))? - body_at };
        Walk::new(numbers, payload, body)?.columns(schema)
    }
}

/// One of the pairs of numbers that nodes and buffers are.
fn pair(bytes: &[u8], index: usize) -> Option<(i64, i64)> {
    let pair = bytes.get(16 * index..)?.first_chunk::<16>()?;
    let number = |at: usize| i64::from_le_bytes(std::array::from_fn(|i| pair[at + i]));
    Some((number(0), number(8)))
}

/// Goes through nodes and buffers in the order of the schema.
struct Walk<'a> {
    numbers: Numbers<'a>,
    payload: &'a [u8],
    body: Place,
    rows: u64,
    node: usize,
    buffer: usize,
}

impl<'a> Walk<'a> {
    fn new(numbers: &Numbers<'a>, payload: &'a [u8], body: Place) -> Result<Self, RingError> {
        let rows = u64::try_from(numbers.rows).map_err(damaged)?;
        Ok(Self { numbers: *numbers, payload, body, rows, node: 0, buffer: 0 })
    }

    fn columns(mut self, schema: &Schema) -> Result<Batch, RingError> {
        let columns = schema.columns().iter().map(|column| self.column(column));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        if self.node * 16 != self.numbers.nodes.len()
            || self.buffer * 16 != self.numbers.buffers.len()
        {
            return Err(damaged("it has more columns than the schema"));
        }
        Ok(Batch { rows: self.rows, columns })
    }

    fn column(&mut self, column: &Column) -> Result<ColumnBuffers, RingError> {
        let nulls = self.next_node(self.rows)?;
        let validity = self.next_buffer()?;
        let mut found = ColumnBuffers { nulls, validity, ..ColumnBuffers::default() };
        match column.kind {
            ColumnKind::Text => found.offsets = self.next_buffer()?,
            ColumnKind::List(_, len) => {
                let items = self.rows.checked_mul(len as u64).ok_or_else(|| damaged("overflow"))?;
                self.next_node(items)?;
                self.next_buffer()?;
            }
            ColumnKind::Time | ColumnKind::Number(_) | ColumnKind::Bool => {}
        }
        found.data = self.next_buffer()?;
        self.check(column, &mut found)?;
        Ok(found)
    }

    fn next_node(&mut self, rows: u64) -> Result<u64, RingError> {
        let node = pair(self.numbers.nodes, self.node);
        let node = node.ok_or_else(|| damaged("a node is missing"))?;
        self.node += 1;
        let (length, nulls) = (u64::try_from(node.0), u64::try_from(node.1));
        match (length, nulls) {
            (Ok(length), Ok(nulls)) if length == rows && nulls <= rows => Ok(nulls),
            _ => {
                Err(damaged(format!("a column has {} of {rows} rows, {} missing", node.0, node.1)))
            }
        }
    }

    fn next_buffer(&mut self) -> Result<Place, RingError> {
        let buffer = pair(self.numbers.buffers, self.buffer);
        let buffer = buffer.ok_or_else(|| damaged("a buffer is missing"))?;
        self.buffer += 1;
        let at = usize::try_from(buffer.0).map_err(damaged)?;
        let len = usize::try_from(buffer.1).map_err(damaged)?;
        if at.checked_add(len).is_none_or(|end| end > self.body.len) {
            return Err(damaged(format!("a buffer of {len} bytes at {at} lies beyond the body")));
        }
        Ok(Place { at: self.body.at + at, len })
    }

    fn check(&self, column: &Column, found: &mut ColumnBuffers) -> Result<(), RingError> {
        let rows = usize::try_from(self.rows).map_err(damaged)?;
        if found.nulls == 0 {
            found.validity = Place::default();
        } else if !column.nullable || found.validity.len < rows.div_ceil(8) {
            return Err(damaged(format!("column {:?} has missing values unmarked", column.name)));
        }
        let wanted = match column.kind {
            ColumnKind::Bool => Some(rows.div_ceil(8)),
            ColumnKind::Text => return self.check_text(found, rows),
            other => other.row_bytes().and_then(|width| rows.checked_mul(width)),
        };
        match wanted {
            Some(wanted) if wanted <= found.data.len => {
                found.data.len = wanted;
                Ok(())
            }
            _ => Err(damaged(format!("column {:?} is cut", column.name))),
        }
    }

    fn check_text(&self, found: &mut ColumnBuffers, rows: usize) -> Result<(), RingError> {
        let wanted = rows.checked_add(1).and_then(|n| n.checked_mul(4));
        let wanted = wanted.filter(|wanted| *wanted <= found.offsets.len);
        found.offsets.len = wanted.ok_or_else(|| damaged("a column of text is cut"))?;
        let offsets = &self.payload[found.offsets.at..][..found.offsets.len];
        let mut last = 0;
        for chunk in offsets.chunks_exact(4) {
            let next = i32::from_le_bytes(std::array::from_fn(|i| chunk[i]));
            if next < last || next as usize > found.data.len {
                return Err(damaged("a text lies outside its column"));
            }
            last = next;
        }
        Ok(())
    }
}
