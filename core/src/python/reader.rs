//! The reader.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};

use super::LONG_COPY;
use super::mapping::PyMapping;
use crate::frame::Frame;
use crate::reader::Located;
use crate::ring::RingReader;

/// Rows, first and last time, rows before.
type PlainFrame = (u64, i64, i64, u64);
/// The frame, offset and length of the payload, and a copy of its message's head.
type PlainLocated<'py> = (PlainFrame, usize, u64, Bound<'py, PyBytes>);
/// Next and oldest sequence, rows, used bytes, first and last time, closed, alive, capacity.
type PlainStatistics = (u64, u64, u64, u64, Option<i64>, Option<i64>, bool, bool, u64);

/// A reader of one ring; threads may share it.
#[pyclass(name = "RingReader", module = "ringdaq_core", frozen)]
pub struct PyRingReader(RingReader);

fn plain(frame: &Frame) -> PlainFrame {
    (frame.rows, frame.first_nanos, frame.last_nanos, frame.first_row)
}

/// Copies a payload into a new bytes object that nobody has seen yet.
fn copied<'py>(
    py: Python<'py>,
    reader: &RingReader,
    located: &Located,
) -> PyResult<Bound<'py, PyBytes>> {
    let len = located.frame.payload_len as usize;
    // SAFETY: without a source, this makes a bytes object of that length or raises.
    let object = unsafe {
        let made = ffi::PyBytes_FromStringAndSize(std::ptr::null(), len as ffi::Py_ssize_t);
        Bound::from_owned_ptr_or_err(py, made)?.cast_into_unchecked::<PyBytes>()
    };
    // SAFETY: the object is new and nobody else's, so its bytes may be written; the pointer is valid
    // for `len` bytes for as long as `object` lives. They are zeroed nowhere, but written before read.
    let bytes = unsafe {
        let start = ffi::PyBytes_AsString(object.as_ptr()).cast::<u8>();
        std::slice::from_raw_parts_mut(start, len)
    };
    if len > LONG_COPY {
        py.detach(|| reader.copy_payload(located, bytes));
    } else {
        reader.copy_payload(located, bytes);
    }
    Ok(object)
}

#[pymethods]
impl PyRingReader {
    #[staticmethod]
    fn open(path: PathBuf) -> PyResult<Self> {
        Ok(Self(RingReader::open(&path)?))
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    #[getter]
    fn generation(&self) -> String {
        self.0.constants().generation.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[getter]
    fn schema<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.schema())
    }

    #[getter]
    fn next_sequence(&self) -> u64 {
        self.0.next_sequence()
    }

    #[getter]
    fn oldest_sequence(&self) -> u64 {
        self.0.oldest_sequence()
    }

    #[getter]
    fn writer_alive(&self) -> bool {
        self.0.writer_alive()
    }

    fn mapping<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        let mapping = Bound::new(py, PyMapping(Arc::clone(self.0.region())))?;
        PyMemoryView::from(&mapping)
    }

    fn read<'py>(
        &self,
        py: Python<'py>,
        sequence: u64,
    ) -> PyResult<(PlainFrame, Bound<'py, PyBytes>)> {
        let located = self.0.locate(sequence)?;
        let payload = copied(py, &self.0, &located)?;
        self.0.verify(&located)?;
        Ok((plain(&located.frame), payload))
    }

    fn locate<'py>(&self, py: Python<'py>, sequence: u64) -> PyResult<PlainLocated<'py>> {
        let located = self.0.locate(sequence)?;
        let head = PyBytes::new(py, &self.0.message_head(&located)?);
        Ok((plain(&located.frame), located.payload_at, located.frame.payload_len, head))
    }

    fn verify(&self, sequence: u64) -> PyResult<()> {
        self.0.locate(sequence)?;
        Ok(())
    }

    fn find(&self, time_nanos: i64) -> PyResult<u64> {
        Ok(self.0.find(time_nanos)?)
    }

    fn wait(&self, py: Python<'_>, sequence: u64, timeout_secs: f64) -> PyResult<bool> {
        let timeout = Duration::try_from_secs_f64(timeout_secs.max(0.0)).unwrap_or(Duration::MAX);
        let begun = Instant::now();
        loop {
            let left = timeout.saturating_sub(begun.elapsed());
            if py.detach(|| self.0.wait_slice(sequence, left))? {
                return Ok(true);
            }
            py.check_signals()?;
            if begun.elapsed() >= timeout {
                return Ok(false);
            }
        }
    }

    fn statistics(&self) -> PyResult<PlainStatistics> {
        let s = self.0.statistics()?;
        let (alive, capacity) = (self.0.writer_alive(), self.0.constants().geometry.capacity);
        Ok((
            s.next_sequence,
            s.oldest_sequence,
            s.rows,
            s.used_bytes,
            s.first_nanos,
            s.last_nanos,
            s.closed,
            alive,
            capacity,
        ))
    }
}
