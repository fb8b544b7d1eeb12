//! Records in Arrow's own types, for whoever takes the Arrow C data interface.
//!
//! Numbers stay where they are. What other bytes are found by, or what is trusted once it was
//! checked, is copied first: validity bits, text offsets, text. A record that is overwritten while
//! somebody looks at it then shows wrong numbers, which the reader's check tells, and nothing worse.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, SchemaRef};

use super::decode::{Batch, ColumnBuffers, Place};
use super::schema::Schema;
use crate::error::RingError;

fn refused(error: &ArrowError) -> RingError {
    RingError::corrupt(format!("the record is no valid Arrow data: {error}"))
}

fn part(payload: &Buffer, place: Place) -> Buffer {
    payload.slice_with_length(place.at, place.len)
}

fn copied(payload: &Buffer, place: Place) -> Buffer {
    Buffer::from(&payload.as_slice()[place.at..place.at + place.len])
}

fn items(
    data_type: &DataType,
    rows: usize,
    payload: &Buffer,
    data: Place,
) -> Result<ArrayData, ArrowError> {
    let builder = ArrayData::builder(data_type.clone()).len(rows);
    // The bytes of a record lie aligned; those kept elsewhere may not, and are then copied.
    builder.add_buffer(part(payload, data)).align_buffers(true).build()
}

fn array(
    data_type: &DataType,
    rows: usize,
    payload: &Buffer,
    column: &ColumnBuffers,
) -> Result<ArrayRef, ArrowError> {
    let validity = (column.nulls > 0).then(|| copied(payload, column.validity));
    let builder = ArrayData::builder(data_type.clone())
        .len(rows)
        .null_bit_buffer(validity)
        .align_buffers(true);
    let builder = match data_type {
        DataType::FixedSizeList(item, len) => {
            let count = rows * *len as usize;
            builder.add_child_data(items(item.data_type(), count, payload, column.data)?)
        }
        DataType::Utf8 => builder
            .add_buffer(copied(payload, column.offsets))
            .add_buffer(copied(payload, column.data)),
        _ => builder.add_buffer(part(payload, column.data)),
    };
    Ok(make_array(builder.build()?))
}

/// The record batch of a message, whose head is a copy if the payload may change.
pub fn to_batch(
    schema: &Schema,
    arrow: &SchemaRef,
    head: &[u8],
    payload: &Buffer,
) -> Result<RecordBatch, RingError> {
    let batch = Batch::parse_with(schema, head, payload.as_slice())?;
    let rows = usize::try_from(batch.rows).map_err(|e| RingError::corrupt(e.to_string()))?;
    let fields = arrow.fields().iter().zip(&batch.columns);
    let arrays = fields.map(|(field, column)| array(field.data_type(), rows, payload, column));
    let arrays = arrays.collect::<Result<Vec<_>, _>>().map_err(|e| refused(&e))?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(arrow), arrays, &options).map_err(|e| refused(&e))
}
