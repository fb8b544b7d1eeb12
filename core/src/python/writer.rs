//! The writer.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::LONG_COPY;
use super::appender::PyAppender;
use super::columns::{OwnedColumn, bytes_of, is_block};
use super::errors::InvalidError;
use super::loan::PyLoan;
use super::rows::PyRows;
use super::schema::PySchema;
use super::shared::{Inner, Pending, Shared, blame, closed};
use crate::alarm::Alarm;
use crate::arrow::{ColumnData, Encoder, RowBatch, Schema};
use crate::layout::record_len;
use crate::region::clock_nanos;
use crate::ring::{Origin, RingWriter};

/// The owner of a ring; threads may share it.
#[pyclass(name = "RingWriter", module = "ringdaq_core", frozen)]
pub struct PyRingWriter {
    shared: Arc<Shared>,
    schema: Arc<Schema>,
    path: PathBuf,
    generation: String,
    /// So many nanoseconds in so many rows; (0, 0) if there is no such rate.
    period: (i64, i64),
}

impl PyRingWriter {
    fn write_columns(
        &self,
        py: Python<'_>,
        rows: u64,
        span: (i64, i64),
        columns: &[OwnedColumn],
    ) -> PyResult<u64> {
        let data = columns.iter().map(OwnedColumn::data).collect::<PyResult<Vec<_>>>()?;
        self.write_data(py, rows, span, &data)
    }

    fn write_data(
        &self,
        py: Python<'_>,
        rows: u64,
        span: (i64, i64),
        data: &[ColumnData<'_>],
    ) -> PyResult<u64> {
        if data.iter().map(|c| c.data.len()).sum::<usize>() > LONG_COPY {
            py.detach(|| self.shared.lock_detached()?.write(rows, span, data))
        } else {
            self.shared.lock(py)?.write(rows, span, data)
        }
    }

    pub fn append_slowly<'a, 'py: 'a>(
        &self,
        py: Python<'py>,
        time: i64,
        values: impl Iterator<Item = Borrowed<'a, 'py, PyAny>>,
    ) -> PyResult<u64> {
        let mut columns =
            vec![OwnedColumn { owned: time.to_le_bytes().into(), ..Default::default() }];
        for (column, value) in self.schema.columns()[1..].iter().zip(values) {
            let taken = OwnedColumn::from_value(column.kind, &value);
            columns.push(taken.map_err(|e| blame(py, column, &e))?);
        }
        self.write_columns(py, 1, (time, time), &columns)
    }

    /// Lets rows wait for each other from now on.
    fn start_batching(&self, py: Python<'_>, rows: usize, deadline_nanos: i64) -> PyResult<()> {
        let mut inner = self.shared.lock(py)?;
        let capacity = inner.ring.as_ref().ok_or_else(closed)?.constants().geometry.capacity;
        // Before room is made: each row has a time of 8 bytes.
        record_len((rows as u64).saturating_mul(8), capacity)?;
        let Some(batch) = RowBatch::new(&self.schema, rows) else {
            return Ok(());
        };
        record_len(batch.bytes() + inner.encoder.smallest_payload(), capacity)?;
        if inner.pending.is_some() {
            return Err(InvalidError::new_err("this stream has an appender already"));
        }
        let committed_nanos = clock_nanos() - deadline_nanos;
        let alarm = Arc::new(Alarm::new()?);
        let (shared, own) = (Arc::clone(&self.shared), Arc::clone(&alarm));
        inner.pending = Some(Pending { rows: batch, deadline_nanos, committed_nanos, alarm });
        drop(inner);
        let named = std::thread::Builder::new().name("ring-flusher".into());
        if let Err(error) = named.spawn(move || shared.flush_in_time(&own)) {
            // Without that thread, the last rows before a pause would never be seen.
            self.shared.lock(py)?.pending = None;
            return Err(error.into());
        }
        Ok(())
    }

    fn end(&self, inner: &mut Inner) {
        let flushed = inner.flush();
        if let Some(mut ring) = inner.ring.take() {
            ring.close();
        }
        inner.dismiss_flusher();
        // The rows fit: the appender was refused otherwise.
        debug_assert!(flushed.is_ok());
    }
}

#[pymethods]
impl PyRingWriter {
    #[staticmethod]
    #[pyo3(signature = (path, schema, capacity_bytes, period_nanos = 0, period_rows = 0, origin = None))]
    fn create(
        path: PathBuf,
        schema: &PySchema,
        capacity_bytes: u64,
        period_nanos: i64,
        period_rows: i64,
        origin: Option<(u64, u64, u64)>,
    ) -> PyResult<Self> {
        let encoder = Encoder::new(&schema.0)?;
        let smallest = encoder.smallest_payload();
        let (sequence, offset, rows) = origin.unwrap_or_default();
        let (origin, message) = (Origin { sequence, offset, rows }, schema.0.message());
        let ring = RingWriter::create_at(&path, message, capacity_bytes, smallest, origin)?;
        let generation = ring.constants().generation;
        let generation = generation.iter().map(|byte| format!("{byte:02x}")).collect();
        let shared = Arc::new(Shared::new(ring, encoder));
        let (schema, period) = (Arc::clone(&schema.0), (period_nanos, period_rows));
        Ok(Self { shared, schema, path, generation, period })
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    #[getter]
    fn generation(&self) -> &str {
        &self.generation
    }

    fn rows(slf: Bound<'_, Self>, translate: Py<PyAny>) -> PyRows {
        let writer = slf.get();
        let (shared, schema) = (Arc::clone(&writer.shared), Arc::clone(&writer.schema));
        PyRows { writer: slf.unbind(), shared, schema, translate }
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

    fn write_block(
        &self,
        py: Python<'_>,
        first_nanos: i64,
        block: &Bound<'_, PyAny>,
    ) -> PyResult<Option<u64>> {
        let Ok(buffer) = PyUntypedBuffer::get(block) else {
            return Ok(None);
        };
        let [column] = self.schema.columns() else {
            return Ok(None);
        };
        if self.period.1 <= 0 || !is_block(&buffer, column.kind) {
            return Ok(None);
        }
        let rows = buffer.shape()[0] as u64;
        let nanos = i128::from(rows - 1) * i128::from(self.period.0) / i128::from(self.period.1);
        let Ok(last_nanos) = i64::try_from(i128::from(first_nanos) + nanos) else {
            return Ok(None);
        };
        let data = [ColumnData { data: bytes_of(&buffer)?, ..ColumnData::default() }];
        self.write_data(py, rows, (first_nanos, last_nanos), &data).map(Some)
    }

    fn appender(
        slf: Bound<'_, Self>,
        rows: usize,
        deadline_nanos: i64,
        anchor_nanos: i64,
        translate: Py<PyAny>,
    ) -> PyResult<PyAppender> {
        let writer = slf.get();
        writer.start_batching(slf.py(), rows, deadline_nanos)?;
        let (shared, schema) = (Arc::clone(&writer.shared), Arc::clone(&writer.schema));
        Ok(PyAppender { writer: slf.unbind(), shared, schema, anchor_nanos, translate })
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        Ok(self.shared.lock(py)?.flush()?)
    }

    fn loan(&self, py: Python<'_>, rows: u64) -> PyResult<PyLoan> {
        PyLoan::new(py, &self.shared, &self.schema, rows)
    }

    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        // To a fork the ring is never open.
        self.shared.lock(py).map_or(true, |inner| inner.ring.is_none())
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.end(&mut *self.shared.lock(py)?);
        Ok(())
    }
}

impl Drop for PyRingWriter {
    fn drop(&mut self) {
        // Not a close: readers are to see a writer that is gone, not a stream that ended well.
        // A fork only lets go of its copy.
        let Ok(mut inner) = self.shared.lock_detached() else {
            return;
        };
        let _ = inner.flush();
        inner.ring = None;
        inner.dismiss_flusher();
    }
}
