//! Pools and packets; a packet is a strided buffer `[sample][channel]`.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::pipeline::chain::Held;
use crate::pipeline::{BufferSlab, DataType, Header, MemoryPool, Packet, Pool, Rate, Shape};
use crate::python::errors::InvalidError;

const FLOATS: &CStr = c"f";
const COUNTS: &CStr = c"i";

/// Lends packets.
#[pyclass(name = "Pool", module = "ringdaq_core", frozen)]
pub struct PyPool(pub MemoryPool);

/// Makes a pool.
pub fn pool(channels: usize, samples: usize, packets: usize) -> PyResult<MemoryPool> {
    let shape = Shape::new(channels, samples)?;
    Ok(Pool::new(packets, || BufferSlab::new(shape))?)
}

#[pymethods]
impl PyPool {
    #[new]
    #[pyo3(signature = (channels = 32, samples = 400, packets = 8))]
    fn new(channels: usize, samples: usize, packets: usize) -> PyResult<Self> {
        Ok(Self(pool(channels, samples, packets)?))
    }

    fn try_acquire(&self) -> Option<PyPacket> {
        self.0.try_acquire().map(fresh)
    }

    fn acquire(&self, py: Python<'_>, timeout_secs: f64) -> PyResult<Option<PyPacket>> {
        let deadline = deadline(timeout_secs)?;
        let found = py.detach(|| self.0.acquire(deadline));
        Ok(found.map(fresh))
    }

    fn statistics(&self) -> (u64, u64, u64, u64, u64) {
        let found = self.0.statistics();
        (found.size, found.in_use, found.peak, found.acquired, found.misses)
    }
}

/// When a wait ends.
pub fn deadline(timeout_secs: f64) -> PyResult<Instant> {
    let timeout = Duration::try_from_secs_f64(timeout_secs).ok();
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    deadline.ok_or_else(|| {
        InvalidError::new_err(format!(
            "a finite timeout in seconds is wanted; found {timeout_secs}"
        ))
    })
}

fn fresh(mut packet: Packet<BufferSlab>) -> PyPacket {
    packet.reset();
    PyPacket::new(Held::Owned(packet))
}

struct Inner {
    held: Option<Held>,
    /// Views that look at the numbers now.
    views: usize,
}

/// A packet; its numbers are a buffer, writable while it has one owner.
#[pyclass(name = "Packet", module = "ringdaq_core", frozen)]
pub struct PyPacket(Mutex<Inner>);

/// Kind, channels, samples, origin, first sample, rate, frame id.
type Told = (&'static str, usize, usize, i64, u64, (u64, u64), u64);

/// Shape and strides of a view, as long as it lasts.
struct Extent {
    shape: [ffi::Py_ssize_t; 2],
    strides: [ffi::Py_ssize_t; 2],
}

fn given_away() -> PyErr {
    InvalidError::new_err("this packet was given away")
}

impl PyPacket {
    pub fn new(held: Held) -> Self {
        Self(Mutex::new(Inner { held: Some(held), views: 0 }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R>(&self, call: impl FnOnce(&BufferSlab) -> R) -> PyResult<R> {
        let inner = self.lock();
        Ok(call(inner.held.as_ref().ok_or_else(given_away)?.slab()))
    }

    /// Takes the packet away from Python; refused while a view may write it.
    pub fn take(&self) -> PyResult<Held> {
        let mut inner = self.lock();
        match inner.held.take() {
            Some(Held::Owned(packet)) if inner.views > 0 => {
                inner.held = Some(Held::Owned(packet));
                Err(PyBufferError::new_err("a view of this packet may still write it"))
            }
            Some(held) if inner.views > 0 => {
                // The views keep reading a share.
                let packet = held.share();
                inner.held = Some(Held::Shared(packet.clone()));
                Ok(Held::Shared(packet))
            }
            Some(held) => Ok(held),
            None => Err(given_away()),
        }
    }
}

#[pymethods]
impl PyPacket {
    /// Kind, channels, samples, origin, first sample, rate and frame id.
    #[getter]
    fn header(&self) -> PyResult<Told> {
        self.with(|slab| {
            let h = slab.header();
            let rate = (h.rate.samples(), h.rate.seconds());
            let counts = (h.channels, h.samples);
            (h.kind.name(), counts.0, counts.1, h.origin_nanos, h.first_sample, rate, h.frame_id)
        })
    }

    #[pyo3(signature = (kind, channels, samples, origin_nanos, first_sample, rate, frame_id))]
    #[allow(clippy::too_many_arguments, reason = "a header is that long")]
    fn set_header(
        &self,
        kind: &str,
        channels: usize,
        samples: usize,
        origin_nanos: i64,
        first_sample: u64,
        rate: (u64, u64),
        frame_id: u64,
    ) -> PyResult<()> {
        let kind = kind_of(kind)?;
        let rate = Rate::new(rate.0, rate.1)?;
        let mut inner = self.lock();
        if inner.views > 0 {
            return Err(PyBufferError::new_err("views of this packet are open"));
        }
        match inner.held.as_mut().ok_or_else(given_away)? {
            Held::Owned(packet) => Ok(packet.set_header(Header {
                kind,
                channels,
                samples,
                origin_nanos,
                first_sample,
                rate,
                frame_id,
                entered_nanos: 0,
            })?),
            Held::Shared(_) => Err(InvalidError::new_err("a frozen packet cannot be written")),
        }
    }

    fn sample_timestamp(&self, sample: usize) -> PyResult<i64> {
        self.with(|slab| slab.sample_timestamp(sample))
    }

    #[getter]
    fn is_mutable(&self) -> PyResult<bool> {
        let inner = self.lock();
        Ok(match inner.held.as_ref().ok_or_else(given_away)? {
            Held::Owned(_) => true,
            Held::Shared(packet) => packet.is_mutable(),
        })
    }

    fn freeze(&self) -> PyResult<()> {
        let held = self.take()?;
        self.lock().held = Some(Held::Shared(held.share()));
        Ok(())
    }

    /// Another reader of the frozen packet.
    fn share(&self) -> PyResult<Self> {
        match self.lock().held.as_ref().ok_or_else(given_away)? {
            Held::Shared(packet) => Ok(Self::new(Held::Shared(packet.clone()))),
            Held::Owned(_) => Err(InvalidError::new_err("freeze a packet before it is shared")),
        }
    }

    /// Gives the packet back now; views that are open keep a frozen one.
    fn release(&self) -> PyResult<()> {
        self.take().map(drop)
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let mut inner = slf.get().lock();
        let held = inner.held.as_mut().filter(|_| !view.is_null()).ok_or_else(given_away)?;
        // SAFETY: `view` is the caller's to fill.
        unsafe { fill(&slf, held, &mut *view, flags)? };
        inner.views += 1;
        Ok(())
    }

    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: `fill` has put a box there, and a view is released once.
        drop(unsafe { Box::from_raw((*view).internal.cast::<Extent>()) });
        self.lock().views -= 1;
    }
}

/// The kind of a name.
pub fn kind_of(name: &str) -> PyResult<DataType> {
    DataType::from_name(name).ok_or_else(|| {
        InvalidError::new_err(format!(
            "a packet is \"raw\", \"voltage\", \"filtered\" or \"fft\"; found {name:?}"
        ))
    })
}

unsafe fn fill(
    slf: &Bound<'_, PyPacket>,
    held: &mut Held,
    view: &mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    let (writable, slab) = match held {
        Held::Owned(packet) => (true, packet.samples_mut().as_mut_ptr().cast::<c_void>()),
        Held::Shared(packet) => (false, packet.samples().as_ptr().cast_mut().cast()),
    };
    let (header, lanes) = (*held.slab().header(), held.slab().lanes());
    if flags & ffi::PyBUF_WRITABLE != 0 && !writable {
        return Err(PyBufferError::new_err("a frozen packet cannot be written"));
    }
    let strided = flags & ffi::PyBUF_STRIDES == ffi::PyBUF_STRIDES;
    if lanes != header.channels && !strided {
        return Err(PyBufferError::new_err("a packet's rows are padded: ask for strides"));
    }
    let extent = Box::new(Extent {
        shape: [header.samples as ffi::Py_ssize_t, header.channels as ffi::Py_ssize_t],
        strides: [4 * lanes as ffi::Py_ssize_t, 4],
    });
    view.buf = slab;
    view.len = (4 * header.samples * header.channels) as ffi::Py_ssize_t;
    view.itemsize = 4;
    view.readonly = c_int::from(!writable);
    let format = if header.kind == DataType::Raw { COUNTS } else { FLOATS };
    let wants_format = flags & ffi::PyBUF_FORMAT != 0;
    view.format = if wants_format { format.as_ptr().cast_mut() } else { ptr::null_mut() };
    let extent = Box::into_raw(extent);
    view.ndim = 2;
    // SAFETY: the box lives until the view is released.
    unsafe {
        view.shape = (*extent).shape.as_mut_ptr();
        view.strides = (*extent).strides.as_mut_ptr();
    }
    if flags & ffi::PyBUF_ND == 0 {
        (view.ndim, view.shape) = (1, ptr::null_mut());
    }
    if !strided {
        view.strides = ptr::null_mut();
    }
    view.suboffsets = ptr::null_mut();
    view.internal = extent.cast();
    view.obj = slf.clone().into_any().into_ptr();
    Ok(())
}
