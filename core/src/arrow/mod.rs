//! Records as Arrow IPC messages: one schema a ring, one record-batch message a record.
//!
//! Messages are written by patching the numbers in one that was built once, and read by walking the
//! verified flatbuffer; neither needs a builder or an array.

pub mod batch;
pub mod cdata;
pub mod decode;
pub mod encode;
pub mod export;
pub mod schema;
pub mod template;

pub use batch::RowBatch;
pub use decode::{Batch, ColumnBuffers};
pub use encode::{ColumnData, Encoder, Open};
pub use export::to_batch;
pub use schema::{Column, ColumnKind, Primitive, Schema};
pub use template::Template;

/// Begins an encapsulated IPC message.
const CONTINUATION: [u8; 4] = [0xFF; 4];
/// Bytes before the flatbuffer: the continuation mark and the length.
const PREFIX: usize = 8;
