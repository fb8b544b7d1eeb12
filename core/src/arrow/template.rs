//! A record-batch message built once, whose numbers are then overwritten in place.
//!
//! For one schema, the flatbuffer of every record has the same shape: only the row count, the null
//! counts, the places of the buffers and the body's length differ, and all of them have fixed places.

use arrow_ipc::{
    Buffer, FieldNode, Message, MessageBuilder, MessageHeader, MetadataVersion, RecordBatch,
    RecordBatchBuilder, root_as_message,
};
use flatbuffers::{FlatBufferBuilder, Table};

use super::schema::{ColumnKind, Schema};
use super::{CONTINUATION, PREFIX};
use crate::error::RingError;
use crate::layout::ALIGNMENT;

/// A message's metadata, and where its numbers are.
#[derive(Debug, Clone)]
pub struct Template {
    bytes: Vec<u8>,
    rows_at: usize,
    body_at: usize,
    nodes_at: usize,
    buffers_at: usize,
    nodes: usize,
    buffers: usize,
    /// What lies between the numbers, from and to.
    fixed: Vec<(usize, usize)>,
}

/// The numbers of a message that is otherwise the template.
#[derive(Debug, Clone, Copy)]
pub struct Numbers<'a> {
    /// Rows.
    pub rows: i64,
    /// Bytes of the body.
    pub body: i64,
    /// Length and missing values of each node, i64.
    pub nodes: &'a [u8],
    /// Offset and length of each buffer, i64.
    pub buffers: &'a [u8],
}

fn build(nodes: usize, buffers: usize) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    // No number may be its default, or flatbuffers would leave it out.
    let buffers = builder.create_vector(&vec![Buffer::new(1, 1); buffers]);
    let nodes = builder.create_vector(&vec![FieldNode::new(1, 1); nodes]);
    let mut batch = RecordBatchBuilder::new(&mut builder);
    batch.add_length(1);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    let batch = batch.finish();
    let mut message = MessageBuilder::new(&mut builder);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(MessageHeader::RecordBatch);
    message.add_header(batch.as_union_value());
    message.add_bodyLength(1);
    let message = message.finish();
    builder.finish(message, None);
    builder.finished_data().to_vec()
}

fn field_at(table: &Table<'_>, field: u16) -> usize {
    table.loc() + usize::from(table.vtable().get(field))
}

fn damaged<E: std::fmt::Display>(error: E) -> RingError {
    RingError::corrupt(format!("the message template cannot be read back: {error}"))
}

impl Template {
    /// The template for the records of a schema.
    pub fn of(schema: &Schema) -> Result<Self, RingError> {
        let (nodes, buffers) = ColumnKind::parts_of(schema.columns().iter().map(|c| c.kind));
        Self::new(nodes, buffers)
    }

    /// The template for so many nodes and buffers.
    pub fn new(nodes: usize, buffers: usize) -> Result<Self, RingError> {
        let flatbuffer = build(nodes, buffers);
        let message = root_as_message(&flatbuffer).map_err(damaged)?;
        let batch = message.header_as_record_batch().ok_or_else(|| damaged("no record batch"))?;
        let vector = |bytes: Option<&[u8]>| {
            let start = bytes.map(|b| b.as_ptr().addr() - flatbuffer.as_ptr().addr());
            start.map(|at| PREFIX + at).ok_or_else(|| damaged("no vector"))
        };
        let rows_at = PREFIX + field_at(&batch._tab, RecordBatch::VT_LENGTH);
        let body_at = PREFIX + field_at(&message._tab, Message::VT_BODYLENGTH);
        let nodes_at = vector(batch.nodes().map(|v| v.bytes()))?;
        let buffers_at = vector(batch.buffers().map(|v| v.bytes()))?;
        // The body follows at once, and must begin aligned.
        let padded = (PREFIX + flatbuffer.len()).next_multiple_of(ALIGNMENT as usize);
        let mut bytes = Vec::with_capacity(padded);
        bytes.extend_from_slice(&CONTINUATION);
        bytes.extend_from_slice(&((padded - PREFIX) as u32).to_le_bytes());
        bytes.extend_from_slice(&flatbuffer);
        bytes.resize(padded, 0);
        let mut numbers =
            [(rows_at, 8), (body_at, 8), (nodes_at, 16 * nodes), (buffers_at, 16 * buffers)];
        numbers.sort_unstable();
        let mut fixed = Vec::with_capacity(numbers.len() + 1);
        let mut from = 0;
        for (at, len) in numbers {
            fixed.push((from, at));
            from = at + len;
        }
        fixed.push((from, bytes.len()));
        Ok(Self { bytes, rows_at, body_at, nodes_at, buffers_at, nodes, buffers, fixed })
    }

    /// The metadata as patched last.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The numbers of a message's head that differs from this one in nothing else.
    ///
    /// Such a head needs no other check of its structure.
    pub fn numbers<'a>(&self, head: &'a [u8]) -> Option<Numbers<'a>> {
        let same = |(from, to): &(usize, usize)| head[*from..*to] == self.bytes[*from..*to];
        if head.len() != self.bytes.len() || !self.fixed.iter().all(same) {
            return None;
        }
        let number = |at: usize| i64::from_le_bytes(std::array::from_fn(|i| head[at + i]));
        Some(Numbers {
            rows: number(self.rows_at),
            body: number(self.body_at),
            nodes: &head[self.nodes_at..][..16 * self.nodes],
            buffers: &head[self.buffers_at..][..16 * self.buffers],
        })
    }

    /// Bytes of the metadata, a multiple of 64.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no metadata, which never happens.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Sets the row count and the length of the body.
    pub fn set_lengths(&mut self, rows: u64, body: u64) {
        self.put(self.rows_at, rows);
        self.put(self.body_at, body);
    }

    /// Sets length and null count of a node.
    pub fn set_node(&mut self, node: usize, length: u64, nulls: u64) {
        self.put(self.nodes_at + 16 * node, length);
        self.put(self.nodes_at + 16 * node + 8, nulls);
    }

    /// Sets offset and length of a buffer.
    pub fn set_buffer(&mut self, buffer: usize, offset: u64, length: u64) {
        self.put(self.buffers_at + 16 * buffer, offset);
        self.put(self.buffers_at + 16 * buffer + 8, length);
    }

    fn put(&mut self, at: usize, value: u64) {
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
}
