//! Pools, packets, chains and pipelines for Python.

mod callable;
mod chain;
mod feed;
mod figures;
mod packet;
mod runtime;
mod values;

use pyo3::prelude::*;

use crate::pipeline::kernels::Isa;
use crate::pipeline::stage::Format;
use crate::pipeline::{DataType, Rate, Shape};

/// The sets of instructions that this processor has, the best first.
#[pyfunction]
fn instruction_sets() -> Vec<&'static str> {
    Isa::all().into_iter().map(Isa::name).collect()
}

/// The kinds of stages with their parameters; those with `=` may be left out.
#[pyfunction]
fn stage_kinds() -> Vec<(&'static str, Vec<&'static str>)> {
    crate::pipeline::spec::KINDS.iter().map(|(kind, names)| (*kind, names.to_vec())).collect()
}

/// The packets that must be able to wait where a stage may take so long for one.
#[pyfunction]
fn needed_capacity(latency_secs: f64, samples: usize, rate: (u64, u64)) -> PyResult<usize> {
    let latency = runtime::secs(latency_secs)?;
    let rate = Rate::new(rate.0, rate.1)?;
    let format = Format { kind: DataType::Voltage, channels: 1, samples, rate };
    Shape::new(1, samples)?;
    Ok(crate::pipeline::plan::needed_capacity(latency, format))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<packet::PyPool>()?;
    module.add_class::<packet::PyPacket>()?;
    module.add_class::<chain::PyChain>()?;
    module.add_class::<runtime::PyPipeline>()?;
    module.add_function(wrap_pyfunction!(instruction_sets, module)?)?;
    module.add_function(wrap_pyfunction!(needed_capacity, module)?)?;
    module.add_function(wrap_pyfunction!(stage_kinds, module)?)
}
