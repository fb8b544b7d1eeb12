//! The reader.

use std::ffi::c_int;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyString};

use super::LONG_COPY;
use super::buffer::show_bytes;
use super::copied::{PlainFrame, PyCopied, plain};
use super::errors::CorruptError;
use super::handed::hand_over;
use super::mapping::PyMapping;
use super::schema::{PlainBuffers, plain_buffers};
use super::shared::closed;
use crate::arrow::{Batch, Schema, cdata};
use crate::bulk::{copy_many, locate_many};
use crate::format::Format;
use crate::frame::Frame;
use crate::gather::{Joined, gather};
use crate::reader::Located;
use crate::ring::RingReader;

/// The records' frames as four i64 each; values and missing marks of each column.
type PlainGathered<'py> = (Bound<'py, PyBytes>, Vec<PlainColumn<'py>>);
type PlainColumn<'py> = (Bound<'py, PyMemoryView>, Option<Bound<'py, PyMemoryView>>);
/// Next and oldest sequence, rows, rows left, used bytes, first and last time, closed, alive, capacity.
type PlainStatistics = (u64, u64, u64, u64, u64, Option<i64>, Option<i64>, bool, bool, u64);

/// A reader of one ring; threads may share it.
#[pyclass(name = "RingReader", module = "ringdaq_core", frozen)]
pub struct PyRingReader {
    ring: Arc<RingReader>,
    /// `None` if the schema is none of ours.
    format: Option<Format>,
    closed: AtomicBool,
    arrow: PyOnceLock<Arrow>,
}

/// What takes an array of the Arrow C data interface by its address, and the schema to give it.
struct Arrow {
    importer: Py<PyAny>,
    schema: Py<PyAny>,
}

impl PyRingReader {
    /// The ring, shared with whoever waits for it elsewhere.
    pub fn ring(&self) -> &Arc<RingReader> {
        &self.ring
    }

    /// Refuses to go on if it was closed.
    #[inline(always)]
    pub fn check_open(&self) -> PyResult<()> {
        // Relaxed: who closes it and who goes on are told apart by Python, if at all.
        if self.closed.load(Ordering::Relaxed) { Err(closed()) } else { Ok(()) }
    }

    /// `next_sequence` for who looks again and again.
    #[inline(always)]
    pub fn glance(&self) -> PyResult<u64> {
        self.check_open()?;
        Ok(self.ring.glance()?)
    }

    /// `wait` and `read` in one, into that room if it has the length; returns the payload's
    /// bytes, nothing after the timeout. The rows before the record are those that the caller knows of.
    pub fn next<'py>(
        &self,
        py: Python<'py>,
        (sequence, row): (u64, Option<u64>),
        timeout_secs: f64,
        into: &Bound<'py, PyCopied>,
        room: Room<'py>,
    ) -> PyResult<Option<usize>> {
        self.check_open()?;
        if let Some(row) = row {
            self.ring.protocol().remember(sequence, row);
        }
        if !self.wait(py, sequence, timeout_secs)? {
            return Ok(None);
        }
        let located = match self.ring.locate_or_none(sequence) {
            Some(located) => located,
            None => self.ring.locate(sequence)?,
        };
        let payload_len = located.frame.payload_len as usize;
        let room = room.with_length(py, payload_len)?;
        let payload = room.copied(py, &self.ring, &located);
        self.ring.protocol().confirm(&located)?;
        into.get().fill(&located.frame, payload)?;
        Ok(Some(payload_len))
    }

    fn format(&self) -> PyResult<&Format> {
        let unknown = || CorruptError::new_err("the ring's schema cannot be read");
        self.format.as_ref().ok_or_else(unknown)
    }
}

#[cold]
fn miscounted(wanted: u64, found: u64) -> PyErr {
    CorruptError::new_err(format!("it should have {wanted} rows; found {found}"))
}

/// A frame as `plain` has it, in 32 bytes.
fn frame_bytes(frame: &Frame) -> [u8; 32] {
    let numbers = [frame.rows as i64, frame.first_nanos, frame.last_nanos, frame.first_row as i64];
    let mut bytes = [0; 32];
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
    bytes
}

/// A located record's rows, times and length of the payload, in 32 bytes.
fn located_bytes(located: &Located) -> [u8; 32] {
    let mut bytes = frame_bytes(&located.frame);
    bytes[24..].copy_from_slice(&located.frame.payload_len.to_ne_bytes());
    bytes
}

fn payload_bytes(located: &[Located]) -> usize {
    located.iter().map(|located| located.frame.payload_len as usize).sum()
}

/// Runs with the interpreter held where that takes no longer than to give it away.
fn detached_if<T: Send>(long: bool, py: Python<'_>, work: impl Send + FnOnce() -> T) -> T {
    if long { py.detach(work) } else { work() }
}

/// Frames as bytes, rows before the first, rows of all, payloads.
type Copies<'py> = (Bound<'py, PyBytes>, u64, u64, Bound<'py, PyBytes>);

/// A new bytes object that nobody has seen yet; it is to be written before it is read.
pub struct Room<'py> {
    object: Bound<'py, PyBytes>,
    bytes: &'py mut [u8],
}

impl<'py> Room<'py> {
    #[inline(always)]
    pub fn new(py: Python<'py>, len: usize) -> PyResult<Self> {
        // SAFETY: without a source, this makes a bytes object of that length or raises.
        let object = unsafe {
            let made = ffi::PyBytes_FromStringAndSize(std::ptr::null(), len as ffi::Py_ssize_t);
            Bound::from_owned_ptr_or_err(py, made)?.cast_into_unchecked::<PyBytes>()
        };
        // SAFETY: the object is new and nobody else's, so its bytes may be written; the pointer is
        // valid for `len` bytes for as long as `object` lives, which is kept with them.
        let bytes = unsafe {
            let start = ffi::PyBytes_AsString(object.as_ptr()).cast::<u8>();
            std::slice::from_raw_parts_mut(start, len)
        };
        Ok(Self { object, bytes })
    }

    /// The same room if it has that length, else another.
    #[inline(always)]
    fn with_length(self, py: Python<'py>, len: usize) -> PyResult<Self> {
        if self.bytes.len() == len { Ok(self) } else { Self::new(py, len) }
    }

    /// Copies a payload of just that length.
    #[inline(always)]
    fn copied(
        self,
        py: Python<'py>,
        reader: &RingReader,
        located: &Located,
    ) -> Bound<'py, PyBytes> {
        if self.bytes.len() > LONG_COPY {
            py.detach(|| reader.copy_payload(located, self.bytes));
        } else {
            reader.copy_payload(located, self.bytes);
        }
        self.object
    }
}

/// A record in the mapping.
#[pyclass(name = "Located", module = "ringdaq_core", frozen, subclass)]
pub struct PyLocated {
    reader: Py<PyRingReader>,
    located: Located,
    owner: Py<PyAny>,
}

impl PyLocated {
    /// The schema, and where the columns lie.
    fn batch(&self) -> PyResult<(&Schema, Arc<Batch>)> {
        let (reader, located) = (self.reader.get(), &self.located);
        let format = reader.format()?;
        let batch = format.find(&reader.ring, located)?;
        if batch.rows != located.frame.rows {
            return Err(miscounted(located.frame.rows, batch.rows));
        }
        Ok((format.schema(), batch))
    }

    /// The record as an Arrow array; its numbers stay where they are.
    fn exported(&self) -> PyResult<cdata::ArrowArray> {
        let (reader, located) = (self.reader.get(), &self.located);
        let (schema, batch) = self.batch()?;
        let array = cdata::export(schema, &batch, reader.ring.region(), located.payload_at);
        // What was checked and then copied is the same only if the record was there all along.
        reader.ring.verify(located)?;
        Ok(array)
    }

    /// pyarrow, as the owner's layout knows it; asked for once.
    fn arrow(&self, py: Python<'_>) -> PyResult<&Arrow> {
        self.reader.get().arrow.get_or_try_init(py, || {
            let layout = self.owner.bind(py).getattr(intern!(py, "layout"))?;
            let importer = layout.getattr(intern!(py, "arrow_importer"))?.unbind();
            let schema = layout.getattr(intern!(py, "arrow_schema"))?.unbind();
            Ok(Arrow { importer, schema })
        })
    }
}

#[pymethods]
impl PyLocated {
    #[new]
    fn new(
        reader: Bound<'_, PyRingReader>,
        sequence: Option<u64>,
        owner: Py<PyAny>,
    ) -> PyResult<Self> {
        let ring = &reader.get().ring;
        let located =
            sequence.map_or_else(|| ring.locate_newest(), |number| ring.locate(number))?;
        Ok(Self { reader: reader.unbind(), located, owner })
    }

    #[getter]
    fn owner(&self, py: Python<'_>) -> Py<PyAny> {
        self.owner.clone_ref(py)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        slf: &Bound<'_, Self>,
        _kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if !slf.get().intact() {
            slf.call_method1(intern!(slf.py(), "lapped"), (error,))?;
        }
        Ok(())
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.located.frame.sequence
    }

    #[getter]
    fn last_nanos(&self) -> i64 {
        self.located.frame.last_nanos
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.located.frame.rows
    }

    #[getter]
    fn first_nanos(&self) -> i64 {
        self.located.frame.first_nanos
    }

    #[getter]
    fn first_row(&self) -> u64 {
        self.located.frame.first_row
    }

    #[getter]
    fn intact(&self) -> bool {
        self.reader.get().ring.is_intact(self.located.frame.sequence)
    }

    fn head<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.reader.get().ring.message_head(&self.located)?))
    }

    /// Arrays of all columns, made by numpy's `frombuffer`; nothing if numpy has no type for one.
    fn arrays<'py>(
        slf: &Bound<'py, Self>,
        frombuffer: &Bound<'py, PyAny>,
        types: Vec<(Bound<'py, PyString>, Option<Bound<'py, PyAny>>)>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let (_, batch) = slf.get().batch()?;
        let arrays = PyDict::new(slf.py());
        for ((name, kind), column) in types.iter().zip(&batch.columns) {
            let Some(kind) = kind else {
                return Ok(None);
            };
            arrays.set_item(name, frombuffer.call1((slf, kind, batch.rows, column.data.at))?)?;
        }
        Ok(Some(arrays))
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let this = slf.get();
        let payload = this.reader.get().ring.payload(&this.located);
        // SAFETY: Python's view; `slf` keeps the reader alive, and that the mapping.
        unsafe { show_bytes(slf.as_any(), (payload.as_ptr(), payload.len()), view, flags) }
    }

    fn buffers(&self) -> PyResult<Vec<PlainBuffers>> {
        Ok(plain_buffers(&self.batch()?.1))
    }

    /// The record as pyarrow has it. In the core, as a call in Python costs as much as the checks.
    fn to_arrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let arrow = slf.get().arrow(py)?;
        let mut array = slf.get().exported().or_else(|error| {
            let told = slf.call_method1(intern!(py, "in_words"), (error.into_value(py),))?;
            Err(PyErr::from_value(told))
        })?;
        // The importer moves the array away; what it leaves is released here.
        let address = (&raw mut array).expose_provenance();
        arrow.importer.bind(py).call1((address, &arrow.schema))
    }
}

#[pymethods]
impl PyRingReader {
    #[staticmethod]
    fn open(path: PathBuf) -> PyResult<Self> {
        let ring = RingReader::open(&path)?;
        let format = Format::of(ring.schema());
        let closed = AtomicBool::new(false);
        Ok(Self { ring: Arc::new(ring), format, closed, arrow: PyOnceLock::new() })
    }

    /// Lets nobody walk on from here.
    fn close(&self) {
        // Relaxed: as in `check_open`.
        self.closed.store(true, Ordering::Relaxed);
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.ring.path().to_owned()
    }

    #[getter]
    fn generation(&self) -> String {
        self.ring.constants().generation.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[getter]
    fn schema<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.ring.schema())
    }

    #[getter]
    fn oldest_sequence(&self) -> PyResult<u64> {
        self.ring.region().check_header()?;
        Ok(self.ring.oldest_sequence())
    }

    #[getter]
    fn writer_alive(&self) -> PyResult<bool> {
        self.ring.region().check_header()?;
        Ok(self.ring.writer_alive())
    }

    fn mapping<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        let mapping = Bound::new(py, PyMapping(Arc::clone(self.ring.region())))?;
        PyMemoryView::from(&mapping)
    }

    fn read<'py>(
        &self,
        py: Python<'py>,
        sequence: u64,
    ) -> PyResult<(PlainFrame, Bound<'py, PyBytes>)> {
        let located = self.ring.locate(sequence)?;
        let room = Room::new(py, located.frame.payload_len as usize)?;
        let payload = room.copied(py, &self.ring, &located);
        self.ring.verify(&located)?;
        Ok((plain(&located.frame), payload))
    }

    fn gather<'py>(
        &self,
        py: Python<'py>,
        sequence: u64,
        end: u64,
        columns: Vec<usize>,
        max_bytes: usize,
    ) -> PyResult<PlainGathered<'py>> {
        let format = self.format()?;
        let found =
            py.detach(|| gather(&self.ring, format, &columns, (sequence, end), max_bytes))?;
        let column = |joined: Joined| {
            let missing = (!joined.missing.is_empty()).then(|| hand_over(py, joined.missing));
            Ok((hand_over(py, joined.values)?, missing.transpose()?))
        };
        let frames: Vec<u8> = found.frames.iter().flat_map(frame_bytes).collect();
        let columns: PyResult<_> = found.columns.into_iter().map(column).collect();
        Ok((PyBytes::new(py, &frames), columns?))
    }

    fn copy_many<'py>(
        &self,
        py: Python<'py>,
        sequence: u64,
        end: u64,
        max_bytes: u64,
    ) -> PyResult<Copies<'py>> {
        let many = max_bytes > LONG_COPY as u64;
        let found = detached_if(many, py, || locate_many(&self.ring, (sequence, end), max_bytes))?;
        let len = payload_bytes(&found);
        let Room { object: payloads, bytes } = Room::new(py, len)?;
        let count = detached_if(len > LONG_COPY, py, || copy_many(&self.ring, &found, bytes))?;
        let whole = &found[..count];
        let payloads = match count == found.len() {
            true => payloads,
            false => PyBytes::new(py, &payloads.as_bytes()[..payload_bytes(whole)]),
        };
        let frames: Vec<u8> = whole.iter().flat_map(located_bytes).collect();
        let first_row = whole.first().map_or(0, |located| located.frame.first_row);
        let rows = whole.iter().map(|located| located.frame.rows).sum();
        Ok((PyBytes::new(py, &frames), first_row, rows, payloads))
    }

    fn frame(&self, sequence: u64) -> PyResult<PlainFrame> {
        Ok(plain(&self.ring.locate(sequence)?.frame))
    }

    fn intact(&self, sequence: u64) -> bool {
        self.ring.is_intact(sequence)
    }

    fn verify(&self, sequence: u64) -> PyResult<()> {
        self.ring.locate(sequence)?;
        Ok(())
    }

    fn find(&self, time_nanos: i64) -> PyResult<u64> {
        Ok(self.ring.find(time_nanos)?)
    }

    fn wait(&self, py: Python<'_>, sequence: u64, timeout_secs: f64) -> PyResult<bool> {
        // Who is behind has nothing to wait for.
        if self.ring.is_due(sequence)? {
            return Ok(true);
        }
        let timeout = Duration::try_from_secs_f64(timeout_secs.max(0.0)).unwrap_or(Duration::MAX);
        let begun = Instant::now();
        loop {
            let left = timeout.saturating_sub(begun.elapsed());
            if py.detach(|| self.ring.sleep_slice(sequence, left))? {
                return Ok(true);
            }
            py.check_signals()?;
            if begun.elapsed() >= timeout {
                return Ok(false);
            }
        }
    }

    fn checked_next_sequence(&self) -> PyResult<u64> {
        Ok(self.ring.statistics()?.next_sequence)
    }

    fn statistics(&self) -> PyResult<PlainStatistics> {
        let s = self.ring.statistics()?;
        let (alive, capacity) = (self.ring.writer_alive(), self.ring.constants().geometry.capacity);
        Ok((
            s.next_sequence,
            s.oldest_sequence,
            s.rows,
            s.held_rows,
            s.used_bytes,
            s.first_nanos,
            s.last_nanos,
            s.closed,
            alive,
            capacity,
        ))
    }
}
