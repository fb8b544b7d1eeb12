//! Bytes that were made here, handed to Python without another copy.

use std::ffi::c_int;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;

/// Holds the bytes while a view of them lives.
#[pyclass(name = "Handed", module = "ringdaq_core", frozen)]
struct PyHanded(Vec<u8>);

#[pymethods]
impl PyHanded {
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no view to fill"));
        }
        let bytes = &slf.get().0;
        let (start, len) = (bytes.as_ptr().cast_mut().cast(), bytes.len() as ffi::Py_ssize_t);
        // SAFETY: `view` is the caller's to fill. The bytes never move or change while `slf` lives,
        // which the view keeps alive. It is marked read-only.
        let done = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, len, 1, flags) };
        if done == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}

/// A read-only view of bytes that now belong to it.
pub fn hand_over(py: Python<'_>, bytes: Vec<u8>) -> PyResult<Bound<'_, PyMemoryView>> {
    PyMemoryView::from(Bound::new(py, PyHanded(bytes))?.as_any())
}
