//! The stages that the core has.

mod decimate;
mod envelope;
mod filter;
mod native;
mod pass;
mod reference;
mod spectrum;
mod threshold;
mod voltage;
mod welch;

pub use decimate::Decimate;
pub use envelope::Envelope;
pub use filter::{Filter, sections_of};
pub use native::{Native, NativeFunction};
pub use pass::Pass;
pub use reference::Reference;
pub use spectrum::Fft;
pub use threshold::Threshold;
pub use voltage::ToVoltage;
pub use welch::Welch;
