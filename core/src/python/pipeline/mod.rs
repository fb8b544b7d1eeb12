//! Pools, packets, chains and pipelines for Python.

mod callable;
mod chain;
mod packet;
mod runtime;
mod values;

use pyo3::prelude::*;

use crate::pipeline::kernels::Isa;

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

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<packet::PyPool>()?;
    module.add_class::<packet::PyPacket>()?;
    module.add_class::<chain::PyChain>()?;
    module.add_class::<runtime::PyPipeline>()?;
    module.add_function(wrap_pyfunction!(instruction_sets, module)?)?;
    module.add_function(wrap_pyfunction!(stage_kinds, module)?)
}
