//! The values of a row as Python hands them over, and the call that does so. One of the places with
//! `unsafe`.
//!
//! The general way to be called makes a tuple of the values and looks for their names, which is a
//! quarter of what a row then takes.
#![allow(unsafe_code, reason = "arguments as they lie on Python's stack")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::slice;

use pyo3::ffi;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::appender::PyAppender;

/// The values of one row, borrowed from the caller.
#[derive(Clone, Copy)]
pub struct RowValues<'a, 'py> {
    py: Python<'py>,
    values: &'a [*mut ffi::PyObject],
}

impl<'a, 'py> RowValues<'a, 'py> {
    /// # Safety
    ///
    /// So many objects lie there, and live for `'a`.
    unsafe fn new(py: Python<'py>, values: *const *mut ffi::PyObject, count: usize) -> Self {
        // SAFETY: the caller's to see to; where there are none, nothing need lie there.
        let values = if count == 0 { &[] } else { unsafe { slice::from_raw_parts(values, count) } };
        Self { py, values }
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = Borrowed<'a, 'py, PyAny>> {
        let py = self.py;
        // SAFETY: who made this saw to it that they are objects, and live for `'a`.
        self.values.iter().map(move |value| unsafe { Borrowed::from_ptr(py, *value) })
    }
}

struct Method(ffi::PyMethodDef);

// SAFETY: nobody writes to it, and what it points to is static.
unsafe impl Sync for Method {}

static APPEND: Method = Method(ffi::PyMethodDef {
    ml_name: c"append".as_ptr(),
    ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: append },
    ml_flags: ffi::METH_FASTCALL,
    ml_doc: c"append($self, *values)\n--\n\nTake a row; None is a missing value.".as_ptr(),
});

/// The function that appends a row of its arguments.
pub fn append_of<'py>(appender: &Bound<'py, PyAppender>) -> PyResult<Bound<'py, PyCFunction>> {
    let method = (&raw const APPEND.0).cast_mut();
    // SAFETY: Python reads the method, which is static, and takes a reference to the appender; what
    // it returns is a new function, or null with an exception set.
    unsafe {
        let made = ffi::PyCFunction_NewEx(method, appender.as_ptr(), null_mut());
        Ok(Bound::from_owned_ptr_or_err(appender.py(), made)?.cast_into_unchecked())
    }
}

unsafe extern "C" fn append(
    appender: *mut ffi::PyObject,
    values: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: Python calls methods in threads that are attached to it.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: `append_of` made the function, which keeps the appender that it was made of.
    let appender = unsafe { Borrowed::from_ptr(py, appender).cast_unchecked::<PyAppender>() };
    // SAFETY: the convention of `METH_FASTCALL`; the caller keeps them until this returns.
    let values = unsafe { RowValues::new(py, values, count.unsigned_abs()) };
    // A panic may not pass C. Python is told of it, as it is of one in any other call.
    let appended = catch_unwind(AssertUnwindSafe(|| appender.get().append_row(py, values)));
    match appended.unwrap_or_else(|_| Err(PanicException::new_err("appending a row panicked"))) {
        Ok(()) => py.None().into_ptr(),
        Err(error) => {
            error.restore(py);
            null_mut()
        }
    }
}
