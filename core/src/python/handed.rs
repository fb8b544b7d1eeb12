//! Bytes that were made here, handed to Python without another copy.

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;

use super::buffer::show_bytes;

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
        let bytes = &slf.get().0;
        // SAFETY: Python's view; the bytes never move or change while `slf` lives.
        unsafe { show_bytes(slf.as_any(), (bytes.as_ptr(), bytes.len()), view, flags) }
    }
}

/// A read-only view of bytes that now belong to it.
pub fn hand_over(py: Python<'_>, bytes: Vec<u8>) -> PyResult<Bound<'_, PyMemoryView>> {
    PyMemoryView::from(Bound::new(py, PyHanded(bytes))?.as_any())
}
