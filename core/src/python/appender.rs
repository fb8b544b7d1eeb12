//! Rows appended one by one and committed together.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::errors::InvalidError;
use super::shared::{Shared, closed};
use super::values::{RowValues, append_of};
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

#[cold]
fn miscounted(wanted: usize, found: usize) -> PyErr {
    InvalidError::new_err(format!("a row needs {wanted} values; found {found}"))
}

impl PyAppender {
    pub fn append_row<'py>(&self, py: Python<'py>, values: RowValues<'_, 'py>) -> PyResult<()> {
        // What is dropped outside of `attach` waits for the next call that PyO3 itself receives.
        let in_words = |error| Python::attach(move |py| self.in_words(py, &error));
        self.try_append(py, values).map_err(in_words)
    }

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
            inner.hail();
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

    /// What the core raised, as it is told to users.
    #[cold]
    fn in_words(&self, py: Python<'_>, error: &PyErr) -> PyErr {
        match self.translate.bind(py).call1((error.value(py),)) {
            Ok(translated) => PyErr::from_value(translated),
            Err(failed) => failed,
        }
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
        flushed.map_err(|error| self.in_words(py, &error))
    }
}
