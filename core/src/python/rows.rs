//! Rows that are records of their own.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::errors::InvalidError;
use super::shared::Shared;
use super::values::{Method, RowValues, TakesRows, append_of, in_words, miscounted};
use super::writer::PyRingWriter;
use crate::arrow::Schema;
use crate::region::coarse_clock_nanos;

/// Writes each row as a record; its time comes first.
#[pyclass(name = "Rows", module = "ringdaq_core", frozen)]
pub struct PyRows {
    pub writer: Py<PyRingWriter>,
    pub shared: Arc<Shared>,
    pub schema: Arc<Schema>,
    /// Turns an error of the core into one for the user.
    pub translate: Py<PyAny>,
}

static APPEND: Method = Method::of::<PyRows>(
    c"append($self, time_nanos, *values)\n--\n\nWrite a row as a record; None is a missing value.",
);

impl TakesRows for PyRows {
    const METHOD: &'static Method = &APPEND;

    fn take<'py>(
        &self,
        py: Python<'py>,
        values: RowValues<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let sequence = in_words(&self.translate, self.append_row(py, values))?;
        Ok(sequence.into_pyobject(py)?.into_any())
    }
}

#[cold]
fn untimed(error: &PyErr, py: Python<'_>) -> PyErr {
    InvalidError::new_err(format!("a row's time: {}", error.value(py)))
}

impl PyRows {
    fn append_row<'py>(&self, py: Python<'py>, values: RowValues<'_, 'py>) -> PyResult<u64> {
        self.shared.hail();
        let wanted = self.schema.columns().len();
        let (time, values) = match values.split_first() {
            Some(split) if values.len() == wanted => split,
            _ => return Err(miscounted(wanted - 1, values.len().saturating_sub(1))),
        };
        let time_nanos: i64 = time.extract().map_err(|error: PyErr| untimed(&error, py))?;
        let mut inner = self.shared.lock(py)?;
        inner.expect_row();
        if inner.fill_row(py, &self.schema, time_nanos, values.iter())? {
            let (ring, encoder) = inner.ready()?;
            return Ok(encoder.write_row(ring, time_nanos, coarse_clock_nanos())?);
        }
        drop(inner);
        self.writer.get().append_slowly(py, time_nanos, values.iter())
    }
}

#[pymethods]
impl PyRows {
    #[getter]
    fn append<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyCFunction>> {
        append_of(slf)
    }
}
