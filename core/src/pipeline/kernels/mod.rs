//! The arithmetic: loops whose lanes are channels, chosen for the processor at run time.

pub mod fft;
pub mod isa;
pub mod lanes;
pub mod reference;
pub mod sos;
pub mod window;

pub use fft::{RealFft, Spectrum};
pub use isa::{Isa, Work};
pub use lanes::Lanes;
pub use sos::{Cascade, Precision, Section};
