//! Schemas, and messages taken apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule};

use super::columns::bytes_of;
use super::errors::InvalidError;
use super::export;
use crate::arrow::{
    Batch, Column, ColumnBuffers, ColumnKind, Encoder, Primitive, Schema, Template,
};
use crate::layout::record_len;

/// Name, type, items of a list (0 for a plain value), whether values may be missing, metadata.
type PlainColumn = (String, String, usize, bool, BTreeMap<String, String>);
/// Missing values, then offset and length of validity, text offsets and data.
pub type PlainBuffers = (u64, usize, usize, usize, usize, usize, usize);

/// The columns of a ring's records.
#[pyclass(name = "Schema", module = "ringdaq_core", frozen)]
pub struct PySchema(pub Arc<Schema>, Template);

impl PySchema {
    fn of(schema: Schema) -> PyResult<Self> {
        let template = Template::of(&schema)?;
        Ok(Self(Arc::new(schema), template))
    }
}

fn column_kind(dtype: &str, items: usize) -> PyResult<ColumnKind> {
    match (dtype, items) {
        ("time", 0) => Ok(ColumnKind::Time),
        ("bool", 0) => Ok(ColumnKind::Bool),
        ("string", 0) => Ok(ColumnKind::Text),
        (name, items) => match Primitive::from_name(name) {
            Some(primitive) if items == 0 => Ok(ColumnKind::Number(primitive)),
            Some(primitive) if i32::try_from(items).is_ok() => {
                Ok(ColumnKind::List(primitive, items))
            }
            _ => Err(InvalidError::new_err(format!("no column of {items} items of {name:?}"))),
        },
    }
}

fn plain_kind(kind: ColumnKind) -> (&'static str, usize) {
    match kind {
        ColumnKind::Time => ("time", 0),
        ColumnKind::Bool => ("bool", 0),
        ColumnKind::Text => ("string", 0),
        ColumnKind::Number(primitive) => (primitive.name(), 0),
        ColumnKind::List(primitive, items) => (primitive.name(), items),
    }
}

/// A batch's columns as Python sees them.
pub fn plain_buffers(batch: &Batch) -> Vec<PlainBuffers> {
    let plain = |c: &ColumnBuffers| {
        let (validity, offsets, data) = (c.validity, c.offsets, c.data);
        (c.nulls, validity.at, validity.len, offsets.at, offsets.len, data.at, data.len)
    };
    batch.columns.iter().map(plain).collect()
}

#[pymethods]
impl PySchema {
    #[new]
    fn new(columns: Vec<PlainColumn>, metadata: BTreeMap<String, String>) -> PyResult<Self> {
        let column = |(name, dtype, items, nullable, metadata): PlainColumn| {
            let kind = column_kind(&dtype, items)?;
            Ok(Column { name, kind, nullable, metadata })
        };
        let columns = columns.into_iter().map(column).collect::<PyResult<Vec<_>>>()?;
        Self::of(Schema::new(columns, metadata)?)
    }

    #[staticmethod]
    fn from_message(message: &[u8]) -> PyResult<Self> {
        Self::of(Schema::from_message(message)?)
    }

    #[getter]
    fn message<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.message())
    }

    #[getter]
    fn metadata(&self) -> BTreeMap<String, String> {
        self.0.metadata().clone()
    }

    #[getter]
    fn columns(&self) -> Vec<PlainColumn> {
        let plain = |column: &Column| {
            let (dtype, items) = plain_kind(column.kind);
            let metadata = column.metadata.clone();
            (column.name.clone(), dtype.to_owned(), items, column.nullable, metadata)
        };
        self.0.columns().iter().map(plain).collect()
    }

    /// Bytes of a record of one row, its frame included.
    #[getter]
    fn smallest_record(&self) -> PyResult<u64> {
        let payload = Encoder::new(&self.0)?.smallest_payload();
        Ok(record_len(payload, u64::MAX)?)
    }

    #[pyo3(signature = (payload, head = None))]
    fn parse(
        &self,
        payload: &Bound<'_, PyAny>,
        head: Option<&[u8]>,
    ) -> PyResult<(u64, Vec<PlainBuffers>)> {
        let buffer = PyUntypedBuffer::get(payload)?;
        let payload = bytes_of(&buffer)?;
        let batch = Batch::parse_known(&self.0, &self.1, head.unwrap_or(payload), payload)?;
        Ok((batch.rows, plain_buffers(&batch)))
    }

    fn export_schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        export::schema(py, &self.0)
    }

    #[pyo3(signature = (payload, head = None))]
    fn export_array<'py>(
        &self,
        py: Python<'py>,
        payload: Bound<'py, PyAny>,
        head: Option<Bound<'py, PyBytes>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        Ok((export::schema(py, &self.0)?, export::array(&self.0, &(payload, head))?))
    }

    fn export_stream<'py>(
        &self,
        py: Python<'py>,
        records: Vec<export::Parts<'py>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        export::stream(py, &self.0, &records)
    }
}
