//! The values of a row as Python hands them over, and the call that does so. One of the places with
//! `unsafe`.
//!
//! The general way to be called makes a tuple of the values and looks for their names, which is a
//! quarter of what a row then takes.
#![allow(unsafe_code, reason = "arguments as they lie on Python's stack")]

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::slice;

use pyo3::PyClass;
use pyo3::ffi;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::PyCFunction;

use super::errors::InvalidError;

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

    /// The first value, and the others.
    pub fn split_first(&self) -> Option<(Borrowed<'a, 'py, PyAny>, Self)> {
        let others = Self { py: self.py, values: self.values.get(1..)? };
        Some((self.iter().next()?, others))
    }

    pub fn iter(&self) -> impl Iterator<Item = Borrowed<'a, 'py, PyAny>> {
        let py = self.py;
        // SAFETY: who made this saw to it that they are objects, and live for `'a`.
        self.values.iter().map(move |value| unsafe { Borrowed::from_ptr(py, *value) })
    }
}

/// What rows are given to by a call.
pub trait TakesRows: PyClass<Frozen = True> + Sync {
    /// The call, as Python knows it.
    const METHOD: &'static Method;

    /// Takes the arguments of one call.
    fn take<'py>(&self, py: Python<'py>, values: RowValues<'_, 'py>)
    -> PyResult<Bound<'py, PyAny>>;
}

/// A method `append` that takes what lies on Python's stack.
pub struct Method(ffi::PyMethodDef);

// SAFETY: nobody writes to it, and what it points to is static.
unsafe impl Sync for Method {}

impl Method {
    pub const fn of<T: TakesRows>(doc: &'static CStr) -> Self {
        Self(ffi::PyMethodDef {
            ml_name: c"append".as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: append::<T> },
            ml_flags: ffi::METH_FASTCALL,
            ml_doc: doc.as_ptr(),
        })
    }
}

/// The function that takes the rows of its arguments.
pub fn append_of<'py, T: TakesRows>(taker: &Bound<'py, T>) -> PyResult<Bound<'py, PyCFunction>> {
    let method = (&raw const T::METHOD.0).cast_mut();
    // SAFETY: Python reads the method, which is static, and takes a reference to the taker; what it
    // returns is a new function, or null with an exception set.
    unsafe {
        let made = ffi::PyCFunction_NewEx(method, taker.as_ptr(), null_mut());
        Ok(Bound::from_owned_ptr_or_err(taker.py(), made)?.cast_into_unchecked())
    }
}

unsafe extern "C" fn append<T: TakesRows>(
    taker: *mut ffi::PyObject,
    values: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: Python calls methods in threads that are attached to it.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: `append_of` made the function, which keeps the object of this type that it was made of.
    let taker = unsafe { Borrowed::from_ptr(py, taker).cast_unchecked::<T>() };
    // SAFETY: the convention of `METH_FASTCALL`; the caller keeps them until this returns.
    let values = unsafe { RowValues::new(py, values, count.unsigned_abs()) };
    // A panic may not pass C. Python is told of it, as it is of one in any other call.
    let taken = catch_unwind(AssertUnwindSafe(|| taker.get().take(py, values)));
    match taken.unwrap_or_else(|_| Err(PanicException::new_err("appending a row panicked"))) {
        Ok(answer) => answer.into_ptr(),
        Err(error) => {
            error.restore(py);
            null_mut()
        }
    }
}

/// What a call gives; an error in the words of `translate`, which is called with it.
pub fn in_words<T>(translate: &Py<PyAny>, result: PyResult<T>) -> PyResult<T> {
    // What is dropped outside of `attach` waits for the next call that PyO3 itself receives.
    result.map_err(|error| Python::attach(move |py| translated(py, translate, &error)))
}

#[cold]
fn translated(py: Python<'_>, translate: &Py<PyAny>, error: &PyErr) -> PyErr {
    match translate.bind(py).call1((error.value(py),)) {
        Ok(translated) => PyErr::from_value(translated),
        Err(failed) => failed,
    }
}

#[cold]
pub fn miscounted(wanted: usize, found: usize) -> PyErr {
    InvalidError::new_err(format!("a row needs {wanted} values; found {found}"))
}
