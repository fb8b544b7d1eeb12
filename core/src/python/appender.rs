//! Rows appended one by one and committed together.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::shared::{Shared, closed};
use super::values::{Method, RowValues, TakesRows, append_of, in_words, miscounted};
use super::writer::PyRingWriter;
use crate::arrow::Schema;
use crate::region::clock_nanos;

/// Appends rows to a ring, stamped here; several become one record.
#[pyclass(name = "Appender", module = "ringdaq_core", frozen)]
pub struct PyAppender {
    pub writer: Py<PyRingWriter>,
    pub shared: Arc<Shared>,
    pub schema: Arc<Schema>,
    /// What makes a time of the monotonic clock.
    pub anchor_nanos: i64,
    /// Turns an error of the core into one for the user.
    pub translate: Py<PyAny>,
}

static APPEND: Method =
    Method::of::<PyAppender>(c"append($self, *values)\n--\n\nTake a row; None is a missing value.");

impl TakesRows for PyAppender {
    const METHOD: &'static Method = &APPEND;

    fn take<'py>(
        &self,
        py: Python<'py>,
        values: RowValues<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        in_words(&self.translate, self.try_append(py, values))?;
        Ok(py.None().into_bound(py))
    }
}

impl PyAppender {
    fn try_append<'py>(&self, py: Python<'py>, values: RowValues<'_, 'py>) -> PyResult<()> {
        let (wanted, found) = (self.schema.columns().len() - 1, values.len());
        if wanted != found {
            return Err(miscounted(wanted, found));
        }
        let mut inner = self.shared.lock(py)?;
        if inner.ring.is_none() {
            return Err(closed());
        }
        // Under the lock, so that times ascend in the order of the rows.
        let clock = clock_nanos();
        let time_nanos = clock + self.anchor_nanos;
        let Some(pending) = &mut inner.pending else {
            drop(inner);
            return self.append_alone(py, time_nanos, values);
        };
        if pending.is_idle(clock) {
            // Nobody waits, so this row need not either; a whole record at once is the shortest way.
            pending.committed_nanos = clock;
            self.shared.hail();
            inner.expect_row();
            if inner.fill_row(py, &self.schema, time_nanos, values.iter())? {
                let (ring, encoder) = inner.ready()?;
                encoder.write_row(ring, time_nanos, clock as u64)?;
                return Ok(());
            }
            drop(inner);
            return self.append_alone(py, time_nanos, values);
        }
        if !pending.push(py, &self.schema, (time_nanos, clock), values.iter())? {
            drop(inner);
            return self.append_alone(py, time_nanos, values);
        }
        if pending.is_due(clock) {
            inner.flush()?;
        }
        Ok(())
    }

    /// Rows with a missing value or text become records of their own, after those that wait.
    fn append_alone<'py>(
        &self,
        py: Python<'py>,
        time_nanos: i64,
        values: RowValues<'_, 'py>,
    ) -> PyResult<()> {
        self.writer.get().append_slowly(py, time_nanos, values.iter()).map(drop)
    }
}

#[pymethods]
impl PyAppender {
    #[getter]
    fn append<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyCFunction>> {
        append_of(slf)
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let flushed = self.shared.lock(py).and_then(|mut inner| Ok(inner.flush()?));
        in_words(&self.translate, flushed)
    }
}
