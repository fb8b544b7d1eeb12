//! A record that was copied out of its ring.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::errors::InvalidError;
use crate::frame::Frame;
use crate::once::Once;

/// Rows, first and last time, rows before.
pub type PlainFrame = (u64, i64, i64, u64);

/// Frame and bytes of a record.
struct Content {
    sequence: u64,
    frame: PlainFrame,
    payload: Py<PyAny>,
}

/// What is copied of a record; may be made before the record is there, and filled once.
#[pyclass(name = "Copied", module = "ringdaq_core", frozen, subclass)]
pub struct PyCopied {
    owner: Py<PyAny>,
    content: Once<Content>,
}

/// A frame as Python sees it.
pub fn plain(frame: &Frame) -> PlainFrame {
    (frame.rows, frame.first_nanos, frame.last_nanos, frame.first_row)
}

impl PyCopied {
    /// Puts in what was copied.
    #[inline(always)]
    pub fn fill(&self, frame: &Frame, payload: Bound<'_, PyBytes>) -> PyResult<()> {
        let payload = payload.into_any().unbind();
        let content = Content { sequence: frame.sequence, frame: plain(frame), payload };
        let filled = self.content.set(content);
        filled.map_err(|_| InvalidError::new_err("this record is filled already"))
    }

    /// The frame and the payload's bytes, if they are there.
    pub fn found(&self, py: Python<'_>) -> Option<(PlainFrame, usize)> {
        let content = self.content.get()?;
        Some((content.frame, content.payload.bind(py).len().unwrap_or(0)))
    }

    /// The frame.
    pub fn plain_frame(&self) -> PyResult<PlainFrame> {
        Ok(self.content()?.frame)
    }

    fn content(&self) -> PyResult<&Content> {
        self.content.get().ok_or_else(|| InvalidError::new_err("this record is still to come"))
    }
}

#[pymethods]
impl PyCopied {
    #[new]
    #[pyo3(signature = (owner, sequence = 0, frame = None, payload = None))]
    fn new(
        owner: Py<PyAny>,
        sequence: u64,
        frame: Option<PlainFrame>,
        payload: Option<Py<PyAny>>,
    ) -> Self {
        let content = Once::new();
        if let (Some(frame), Some(payload)) = (frame, payload) {
            let _ = content.set(Content { sequence, frame, payload });
        }
        Self { owner, content }
    }

    #[getter]
    fn owner(&self, py: Python<'_>) -> Py<PyAny> {
        self.owner.clone_ref(py)
    }

    #[getter]
    fn sequence(&self) -> PyResult<u64> {
        Ok(self.content()?.sequence)
    }

    #[getter]
    fn rows(&self) -> PyResult<u64> {
        Ok(self.content()?.frame.0)
    }

    #[getter]
    fn first_nanos(&self) -> PyResult<i64> {
        Ok(self.content()?.frame.1)
    }

    #[getter]
    fn last_nanos(&self) -> PyResult<i64> {
        Ok(self.content()?.frame.2)
    }

    #[getter]
    fn first_row(&self) -> PyResult<u64> {
        Ok(self.content()?.frame.3)
    }

    #[getter]
    fn payload(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.content()?.payload.clone_ref(py))
    }
}
