//! A ring's mapping as a read-only Python buffer.

use std::ffi::c_int;
use std::sync::Arc;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::region::Region;

/// The bytes of a ring's file; mapped for as long as anything refers to them.
#[pyclass(name = "Mapping", module = "ringdaq_core", frozen)]
pub struct PyMapping(pub Arc<Region>);

#[pymethods]
impl PyMapping {
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no view to fill"));
        }
        let region = &slf.get().0;
        let (start, len) = (region.address().cast_mut(), region.len());
        // SAFETY: `view` is the caller's to fill, and the mapping lives as long as `slf`, which the
        // view keeps alive. It is marked read-only.
        let done = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                start.cast(),
                len as ffi::Py_ssize_t,
                1,
                flags,
            )
        };
        if done == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}
