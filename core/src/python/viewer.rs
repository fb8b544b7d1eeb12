//! Looking at a ring again and again. In the core, as Python functions around it take as long as it.

use pyo3::intern;
use pyo3::prelude::*;

use super::reader::PyRingReader;

/// Looks at records where they lie. What is said of it in words, and windows, are for a subclass.
#[pyclass(name = "Viewer", module = "ringdaq_core", frozen, subclass)]
pub struct PyViewer {
    reader: Py<PyRingReader>,
    make: Py<PyAny>,
}

/// The error as `in_words` has it, which is asked with what the call was given.
#[cold]
fn told(slf: &Bound<'_, PyViewer>, error: PyErr, sequence: Option<&Bound<'_, PyAny>>) -> PyErr {
    let py = slf.py();
    match slf.call_method1(intern!(py, "in_words"), (error.into_value(py), sequence)) {
        Ok(told) => PyErr::from_value(told),
        Err(failed) => failed,
    }
}

#[pymethods]
impl PyViewer {
    #[new]
    fn new(reader: Py<PyRingReader>, make: Py<PyAny>) -> Self {
        Self { reader, make }
    }

    /// Sequence number of the record that will be committed next; one look at the ring.
    #[getter]
    fn next_sequence(slf: &Bound<'_, Self>) -> PyResult<u64> {
        slf.get().reader.get().glance().map_err(|error| told(slf, error, None))
    }

    /// Look at a record, or a window as in `window`, where it lies, without a copy.
    ///
    /// Without a sequence number it is the newest record. Leaving the context raises `OverrunError`
    /// if the writer came by meanwhile: then what was seen may be mixed, and is to be thrown away.
    #[pyo3(signature = (sequence = None, *, window_secs = None, since = None, until = None))]
    fn view<'py>(
        slf: &Bound<'py, Self>,
        sequence: Option<&Bound<'py, PyAny>>,
        window_secs: Option<&Bound<'py, PyAny>>,
        since: Option<&Bound<'py, PyAny>>,
        until: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if window_secs.is_some() || since.is_some() || until.is_some() {
            return slf.call_method1(intern!(py, "view_window"), (window_secs, since, until));
        }
        let this = slf.get();
        let place = this
            .reader
            .get()
            .check_open()
            .and_then(|()| this.make.bind(py).call1((&this.reader, sequence, slf)));
        place.map_err(|error| told(slf, error, sequence))
    }
}
