//! Records as Arrow capsules that keep the Python object alive whose bytes they show.

use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array, RecordBatch, RecordBatchIterator, StructArray};
use arrow_buffer::Buffer;
use arrow_schema::SchemaRef;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule};

use super::columns::bytes_of;
use super::errors::CorruptError;
use crate::arrow::{Schema, to_batch};

/// The bytes of a Python object as an Arrow buffer.
fn arrow_buffer(payload: &Bound<'_, PyAny>) -> PyResult<Buffer> {
    let owner = PyUntypedBuffer::get(payload)?;
    let bytes = bytes_of(&owner)?;
    let (start, len) = (NonNull::from(bytes).cast::<u8>(), bytes.len());
    // SAFETY: the exporter keeps these bytes where they are while `owner` lives, which goes with the
    // Arrow buffer.
    Ok(unsafe { Buffer::from_custom_allocation(start, len, Arc::new(AssertUnwindSafe(owner))) })
}

pub fn schema<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Bound<'py, PyCapsule>> {
    let exported = FFI_ArrowSchema::try_from(schema.to_arrow());
    let exported = exported.map_err(|e| CorruptError::new_err(e.to_string()))?;
    PyCapsule::new_with_value(py, exported, c"arrow_schema")
}

/// A payload, and a copy of its head if it may change.
pub type Parts<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyBytes>>);

fn batch(schema: &Schema, arrow: &SchemaRef, (payload, head): &Parts<'_>) -> PyResult<RecordBatch> {
    let buffer = arrow_buffer(payload)?;
    let head = head.as_ref().map_or(buffer.as_slice(), |head| head.as_bytes());
    Ok(to_batch(schema, arrow, head, &buffer)?)
}

pub fn array<'py>(schema: &Schema, parts: &Parts<'py>) -> PyResult<Bound<'py, PyCapsule>> {
    let batch = batch(schema, &Arc::new(schema.to_arrow()), parts)?;
    let data = StructArray::from(batch).to_data();
    PyCapsule::new_with_value(parts.0.py(), FFI_ArrowArray::new(&data), c"arrow_array")
}

pub fn stream<'py>(
    py: Python<'py>,
    schema: &Schema,
    records: &[Parts<'py>],
) -> PyResult<Bound<'py, PyCapsule>> {
    let arrow = Arc::new(schema.to_arrow());
    let batches = records.iter().map(|parts| batch(schema, &arrow, parts));
    let batches = batches.collect::<PyResult<Vec<_>>>()?;
    let reader = RecordBatchIterator::new(batches.into_iter().map(Ok), arrow);
    let stream = FFI_ArrowArrayStream::new(Box::new(reader));
    PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
}
