//! Which instructions the kernels run on, found out once.
#![allow(unsafe_code, reason = "code for instructions that not every processor has")]

use std::sync::OnceLock;

use super::lanes::{F32x4, F64x2, Lanes};

/// A set of instructions that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// 16 floats at once.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 8 floats at once.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 4 floats at once.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// What every processor of the kind has.
    Plain,
}

/// Something to do with whatever vectors there are.
pub trait Work {
    /// Does it; must be `#[inline(always)]`, so that it is compiled for the caller's instructions.
    ///
    /// # Safety
    ///
    /// The processor must have the instructions of the lanes.
    unsafe fn run<S: Lanes, D: Lanes>(self);
}

impl Isa {
    /// The best that this processor has.
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::all()[0])
    }

    /// All that this processor has, the best first.
    pub fn all() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
                found.push(Self::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        found.push(Self::Neon);
        found.push(Self::Plain);
        found
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            Self::Plain => "plain",
        }
    }

    /// The one of a name, if this processor has it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|isa| isa.name() == name)
    }

    /// Does some work on these instructions.
    #[inline]
    pub fn run<W: Work>(self, work: W) {
        match self {
            // SAFETY: `all` gives this one out only where the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { on_avx512(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { on_avx2(work) },
            // SAFETY: every aarch64 has NEON.
            #[cfg(target_arch = "aarch64")]
            Self::Neon => unsafe { work.run::<super::lanes::Neon32, super::lanes::Neon64>() },
            // SAFETY: arrays need no instructions of their own.
            Self::Plain => unsafe { work.run::<F32x4, F64x2>() },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn on_avx512<W: Work>(work: W) {
    // SAFETY: these are the instructions that this function is compiled for.
    unsafe { work.run::<std::arch::x86_64::__m512, std::arch::x86_64::__m512d>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn on_avx2<W: Work>(work: W) {
    // SAFETY: these are the instructions that this function is compiled for.
    unsafe { work.run::<std::arch::x86_64::__m256, std::arch::x86_64::__m256d>() }
}
