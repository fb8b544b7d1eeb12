//! The writer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyList, PyTuple};

use super::LONG_COPY;
use super::columns::{OwnedColumn, put_value};
use super::errors::{ClosedError, InvalidError};
use super::schema::PySchema;
use crate::arrow::{Column, ColumnData, Encoder, Schema};
use crate::error::RingError;
use crate::ring::RingWriter;

/// The owner of a ring; threads may share it.
#[pyclass(name = "RingWriter", module = "ringdaq_core", frozen)]
pub struct PyRingWriter {
    inner: Mutex<Inner>,
    schema: Arc<Schema>,
    path: PathBuf,
    generation: String,
}

struct Inner {
    /// `None` once closed.
    ring: Option<RingWriter>,
    encoder: Encoder,
}

fn closed() -> PyErr {
    ClosedError::new_err("this side has closed the stream")
}

/// Says which column a value was meant for.
fn blame(py: Python<'_>, column: &Column, error: &PyErr) -> PyErr {
    let text = error.value(py).to_string();
    InvalidError::new_err(format!("channel {:?}: {text}", column.name))
}

impl Inner {
    fn write(
        &mut self,
        rows: u64,
        span: (i64, i64),
        columns: &[ColumnData<'_>],
    ) -> Result<Option<u64>, RingError> {
        match &mut self.ring {
            Some(ring) => self.encoder.write(ring, rows, span, columns).map(Some),
            None => Ok(None),
        }
    }

    /// Fills the row image; false if a value is missing or rows vary in size.
    fn fill_row(
        &mut self,
        schema: &Schema,
        time_nanos: i64,
        values: &Bound<'_, PyTuple>,
    ) -> PyResult<bool> {
        let (places, image) = self.encoder.row_parts();
        let Some((time_at, places)) = places.split_first() else {
            return Ok(false);
        };
        image[*time_at..*time_at + 8].copy_from_slice(&time_nanos.to_le_bytes());
        let columns = &schema.columns()[1..];
        for ((column, place), value) in columns.iter().zip(places).zip(values.iter_borrowed()) {
            if value.is_none() {
                return Ok(false);
            }
            put_value(column.kind, &value, &mut image[*place..])
                .map_err(|e| blame(values.py(), column, &e))?;
        }
        Ok(true)
    }
}

impl PyRingWriter {
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Inner> {
        self.inner.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }

    fn write_columns(
        &self,
        py: Python<'_>,
        rows: u64,
        span: (i64, i64),
        columns: &[OwnedColumn],
    ) -> PyResult<u64> {
        let data = columns.iter().map(OwnedColumn::data).collect::<PyResult<Vec<_>>>()?;
        let written = if data.iter().map(|c| c.data.len()).sum::<usize>() > LONG_COPY {
            py.detach(|| {
                let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
                inner.write(rows, span, &data)
            })
        } else {
            self.lock(py).write(rows, span, &data)
        };
        written?.ok_or_else(closed)
    }

    fn append_slowly(
        &self,
        py: Python<'_>,
        time: i64,
        values: &Bound<'_, PyTuple>,
    ) -> PyResult<u64> {
        let mut columns =
            vec![OwnedColumn { owned: time.to_le_bytes().into(), ..Default::default() }];
        for (column, value) in self.schema.columns()[1..].iter().zip(values.iter()) {
            let taken = OwnedColumn::from_value(column.kind, &value);
            columns.push(taken.map_err(|e| blame(py, column, &e))?);
        }
        self.write_columns(py, 1, (time, time), &columns)
    }
}

#[pymethods]
impl PyRingWriter {
    #[staticmethod]
    fn create(path: PathBuf, schema: &PySchema, capacity_bytes: u64) -> PyResult<Self> {
        let encoder = Encoder::new(&schema.0)?;
        let smallest = encoder.smallest_payload();
        let ring = RingWriter::create(&path, schema.0.message(), capacity_bytes, smallest)?;
        let generation = ring.constants().generation;
        let generation = generation.iter().map(|byte| format!("{byte:02x}")).collect();
        let inner = Mutex::new(Inner { ring: Some(ring), encoder });
        Ok(Self { inner, schema: Arc::clone(&schema.0), path, generation })
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    #[getter]
    fn generation(&self) -> &str {
        &self.generation
    }

    fn append(
        &self,
        py: Python<'_>,
        time_nanos: i64,
        values: &Bound<'_, PyTuple>,
    ) -> PyResult<u64> {
        let (wanted, found) = (self.schema.columns().len() - 1, values.len());
        if wanted != found {
            let text = format!("a row needs {wanted} values; found {found}");
            return Err(InvalidError::new_err(text));
        }
        let mut inner = self.lock(py);
        if inner.fill_row(&self.schema, time_nanos, values)? {
            let Inner { ring, encoder } = &mut *inner;
            let ring = ring.as_mut().ok_or_else(closed)?;
            return Ok(encoder.write_row(ring, time_nanos)?);
        }
        drop(inner);
        self.append_slowly(py, time_nanos, values)
    }

    fn write(
        &self,
        py: Python<'_>,
        rows: u64,
        first_nanos: i64,
        last_nanos: i64,
        columns: &Bound<'_, PyList>,
    ) -> PyResult<u64> {
        let mut taken = Vec::with_capacity(columns.len());
        for (column, pair) in self.schema.columns().iter().zip(columns.iter()) {
            let (values, mask): (Bound<'_, PyAny>, Option<Bound<'_, PyAny>>) = pair.extract()?;
            let data = OwnedColumn::from_python(column.kind, &values, mask.as_ref());
            taken.push(data.map_err(|e| blame(py, column, &e))?);
        }
        self.write_columns(py, rows, (first_nanos, last_nanos), &taken)
    }

    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        self.lock(py).ring.is_none()
    }

    fn close(&self, py: Python<'_>) {
        if let Some(mut ring) = self.lock(py).ring.take() {
            ring.close();
        }
    }
}
