//! A chain that Python calls itself.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyDict;

use super::packet::{PyPacket, kind_of, pool};
use super::values::{stage_of, value_of};
use crate::error::RingError;
use crate::pipeline::chain::{Chain, Failure, Held, Link, OnError};
use crate::pipeline::kernels::Isa;
use crate::pipeline::meter::Meter;
use crate::pipeline::ring_out::RingOut;
use crate::pipeline::stage::{Format, Trigger};
use crate::pipeline::{DataType, Header, MemoryPool, Rate};
use crate::python::columns::bytes_of;
use crate::python::errors::InvalidError;
use crate::python::schema::PySchema;

/// What a stage has done: its name, then packets, errors, bypassed, dropped, restarts, triggers, lost
/// triggers; p50, p99 and the longest duration and all of them together in ns; the last error.
pub type Told = (String, [u64; 7], [u64; 4], String);

/// Sorts a meter's figures for Python.
pub fn told(name: String, meter: &Meter) -> Told {
    let counts = [
        &meter.packets,
        &meter.errors,
        &meter.bypassed,
        &meter.dropped,
        &meter.restarts,
        &meter.triggers,
        &meter.lost_triggers,
    ];
    let (sum, most) = meter.duration.sum_and_most();
    let durations = [meter.duration.quantile(0.5), meter.duration.quantile(0.99), most, sum];
    let last_error = meter.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (name, counts.map(crate::pipeline::meter::Count::get), durations, last_error)
}

/// The figures that a stage keeps of its own.
pub fn gauges_of(
    meters: &[(String, Arc<Meter>)],
    stage: &str,
) -> PyResult<Vec<(&'static str, f64)>> {
    let found = meters.iter().find(|(name, _)| name == stage);
    let (_, meter) =
        found.ok_or_else(|| InvalidError::new_err(format!("there is no stage {stage:?}")))?;
    Ok(meter.gauges.iter().map(|gauge| (gauge.name(), gauge.get())).collect())
}

/// The instructions of a name, or the best.
pub fn isa_of(name: Option<&str>) -> PyResult<Isa> {
    let Some(name) = name else {
        return Ok(Isa::best());
    };
    Isa::from_name(name).ok_or_else(|| {
        let there: Vec<&str> = Isa::all().into_iter().map(Isa::name).collect();
        let text = format!("this processor has {}; found {name:?}", there.join(", "));
        InvalidError::new_err(text)
    })
}

/// A policy of a name.
pub fn on_error_of(name: &str) -> PyResult<OnError> {
    OnError::from_name(name).ok_or_else(|| {
        let text = format!("on_error is \"bypass\", \"stop\" or \"restart\"; found {name:?}");
        InvalidError::new_err(text)
    })
}

/// A stage as Python names it: kind, parameters.
type Asked<'py> = (String, Bound<'py, PyDict>);

/// Stages on one thread, called from Python.
#[pyclass(name = "Chain", module = "ringdaq_core", frozen)]
pub struct PyChain {
    chain: Mutex<Chain>,
    pool: MemoryPool,
    input: Format,
    output: Format,
    isa: Isa,
}

fn stopped(failure: Failure) -> PyErr {
    InvalidError::new_err(format!("stage {:?}: {}", failure.stage, failure.error))
}

fn links_of(asked: &[Asked<'_>], isa: Isa, on_error: OnError) -> PyResult<Vec<Link>> {
    let links = asked.iter().enumerate().map(|(index, (kind, parameters))| {
        let name = format!("{kind}{index}");
        let stage = stage_of(kind, parameters, isa).map_err(|e| {
            InvalidError::new_err(format!("stage {name:?}: {}", e.value(parameters.py())))
        })?;
        Ok(Link::new(name, stage, on_error, None))
    });
    links.collect()
}

#[pymethods]
impl PyChain {
    #[new]
    #[pyo3(signature = (channels, samples, rate, stages, *, kind = "raw", isa = None, packets = 8,
                        on_error = "stop", ring = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        channels: usize,
        samples: usize,
        rate: (u64, u64),
        stages: Vec<Asked<'_>>,
        kind: &str,
        isa: Option<&str>,
        packets: usize,
        on_error: &str,
        ring: Option<(PathBuf, Py<PySchema>, u64)>,
    ) -> PyResult<Self> {
        let (isa, on_error) = (isa_of(isa)?, on_error_of(on_error)?);
        let rate = Rate::new(rate.0, rate.1)?;
        let input = Format { kind: kind_of(kind)?, channels, samples, rate };
        let links = links_of(&stages, isa, on_error)?;
        let ring =
            ring.map(|(path, schema, capacity)| RingOut::create(&path, &schema.get().0, capacity));
        let (mut chain, output) = Chain::new(input, links, ring.transpose()?)?;
        let pool = pool(chain.most_channels(), chain.most_samples(), packets)?;
        chain.set_pool(&pool);
        Ok(Self { chain: Mutex::new(chain), pool, input, output, isa })
    }

    /// The instructions that its kernels run on.
    #[getter]
    fn isa(&self) -> &'static str {
        self.isa.name()
    }

    /// Kind, channels, rows and rate of what comes out.
    #[getter]
    fn output(&self) -> (&'static str, usize, usize, (u64, u64)) {
        let Format { kind, channels, samples, rate } = self.output;
        (kind.name(), channels, samples, (rate.samples(), rate.seconds()))
    }

    #[pyo3(signature = (block, origin_nanos = 0, first_sample = 0, frame_id = 0))]
    fn run(
        &self,
        py: Python<'_>,
        block: &Bound<'_, PyAny>,
        origin_nanos: i64,
        first_sample: u64,
        frame_id: u64,
    ) -> PyResult<Option<PyPacket>> {
        let held = self.packet_of(block, origin_nanos, first_sample, frame_id)?;
        let done = py.detach(|| self.lock_detached().run(held)).map_err(stopped)?;
        Ok(done.map(PyPacket::new))
    }

    /// The next result for which no block has to come.
    fn more(&self, py: Python<'_>) -> PyResult<Option<PyPacket>> {
        let left = py.detach(|| self.lock_detached().more()).map_err(stopped)?;
        Ok(left.map(PyPacket::new))
    }

    #[pyo3(signature = (time_nanos, channel = 0, value = 0.0))]
    fn mark(&self, py: Python<'_>, time_nanos: i64, channel: u32, value: f32) {
        let trigger = Trigger { channel, value, ..Trigger::at(time_nanos) };
        self.lock(py).announce(&trigger);
    }

    fn gauges(&self, py: Python<'_>, stage: &str) -> PyResult<Vec<(&'static str, f64)>> {
        gauges_of(&self.lock(py).meters(), stage)
    }

    /// Runs a block again and again; how long each took in ns, from the raw packet to the end.
    fn time(&self, py: Python<'_>, block: &Bound<'_, PyAny>, rounds: usize) -> PyResult<Vec<u64>> {
        let buffer = PyUntypedBuffer::get(block)?;
        let bytes = bytes_of(&buffer)?;
        py.detach(|| {
            let mut chain = self.lock_detached();
            let round = |index: usize| {
                let header =
                    self.header(bytes.len(), 0, (index * self.input.samples) as u64, index as u64)?;
                let held = self.filled(bytes, header)?;
                let start = Instant::now();
                let left = chain.run(held).map_err(stopped)?;
                let took = start.elapsed().as_nanos() as u64;
                drop(left);
                drop(chain.triggers());
                Ok(took)
            };
            (0..rounds).map(round).collect()
        })
    }

    /// The triggers since the last call: time, frame id, sample, channel, value, rising.
    fn triggers(&self, py: Python<'_>) -> Vec<(i64, u64, u32, u32, f32, bool)> {
        let mut chain = self.lock(py);
        let told = chain
            .triggers()
            .map(|t| (t.time_nanos, t.frame_id, t.sample, t.channel, t.value, t.rising));
        told.collect()
    }

    fn set(
        &self,
        py: Python<'_>,
        stage: &str,
        name: &str,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let value = value_of(value)?;
        let mut chain = self.lock(py);
        Ok(chain.set(stage, name, &value)?)
    }

    fn reset(&self, py: Python<'_>) {
        self.lock(py).reset();
    }

    fn statistics(&self, py: Python<'_>) -> Vec<Told> {
        let chain = self.lock(py);
        chain.meters().into_iter().map(|(name, meter)| told(name, &meter)).collect()
    }

    fn pool_statistics(&self) -> (u64, u64, u64, u64, u64) {
        let found = self.pool.statistics();
        (found.size, found.in_use, found.peak, found.acquired, found.misses)
    }

    fn close(&self, py: Python<'_>) {
        self.lock(py).close();
    }
}

impl PyChain {
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Chain> {
        self.chain.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_detached(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn header(
        &self,
        bytes: usize,
        origin_nanos: i64,
        first_sample: u64,
        frame_id: u64,
    ) -> Result<Header, RingError> {
        let Format { kind, channels, rate, .. } = self.input;
        let samples = bytes / (4 * channels);
        let entered_nanos = 0;
        Ok(Header {
            kind,
            channels,
            samples,
            origin_nanos,
            first_sample,
            rate,
            frame_id,
            entered_nanos,
        })
    }

    fn filled(&self, bytes: &[u8], header: Header) -> Result<Held, RingError> {
        let packet = self.pool.try_acquire();
        let mut packet = packet
            .ok_or_else(|| RingError::Invalid("all packets of the pool are in use".into()))?;
        packet.set_header(header)?;
        packet.fill_rows(bytes)?;
        Ok(Held::Owned(packet))
    }

    fn packet_of(
        &self,
        block: &Bound<'_, PyAny>,
        origin_nanos: i64,
        first_sample: u64,
        frame_id: u64,
    ) -> PyResult<Held> {
        if let Ok(packet) = block.cast::<PyPacket>() {
            return packet.get().take();
        }
        let buffer = PyUntypedBuffer::get(block)?;
        self.check(&buffer)?;
        let bytes = bytes_of(&buffer)?;
        let header = self.header(bytes.len(), origin_nanos, first_sample, frame_id)?;
        Ok(self.filled(bytes, header)?)
    }

    fn check(&self, buffer: &PyUntypedBuffer) -> PyResult<()> {
        let wanted = if self.input.kind == DataType::Raw { "i" } else { "f" };
        let found = buffer.format().to_string_lossy();
        let (channels, shape) = (self.input.channels, buffer.shape());
        if shape.len() != 2 || shape[1] != channels || found != wanted {
            return Err(InvalidError::new_err(format!(
                "a block is [samples, {channels}] of type {wanted:?}; found {shape:?} of {found:?}"
            )));
        }
        Ok(())
    }
}
