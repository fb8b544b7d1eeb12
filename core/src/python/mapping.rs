//! A ring's mapping as a read-only Python buffer.

use std::ffi::c_int;
use std::sync::Arc;

use pyo3::ffi;
use pyo3::prelude::*;

use super::buffer::show_bytes;
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
        let region = &slf.get().0;
        // SAFETY: Python's view; the mapping lives as long as `slf`.
        unsafe { show_bytes(slf.as_any(), (region.address(), region.len()), view, flags) }
    }
}
