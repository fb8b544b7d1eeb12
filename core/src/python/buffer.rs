//! Read-only bytes for whoever asks an object for its buffer.

use std::ffi::c_int;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Fills a view with bytes that must not be written.
///
/// # Safety
///
/// `view` is null or the caller's to fill, as the buffer protocol has it. The `len` bytes from
/// `start` on are mapped for as long as `owner` lives, which the view keeps alive.
pub unsafe fn show_bytes(
    owner: &Bound<'_, PyAny>,
    (start, len): (*const u8, usize),
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    if view.is_null() {
        return Err(PyBufferError::new_err("no view to fill"));
    }
    let (start, len) = (start.cast_mut().cast(), len as ffi::Py_ssize_t);
    // SAFETY: the caller's word for `view` and the bytes; marked read-only, they are not written.
    let done = unsafe { ffi::PyBuffer_FillInfo(view, owner.as_ptr(), start, len, 1, flags) };
    if done == 0 { Ok(()) } else { Err(PyErr::fetch(owner.py())) }
}
