//! Vectors of numbers, one lane a channel.
//!
//! Memory always holds 32-bit numbers; vectors of doubles widen what they load and round what they
//! store. A kernel is written once against this trait and compiled for every set of instructions.
#![allow(unsafe_code, reason = "instructions that not every processor has")]
#![allow(clippy::missing_safety_doc, reason = "said once, at the trait")]

/// So many numbers at once.
///
/// Every method is `unsafe`: the processor must have the instructions, and a pointer must have room
/// for all lanes.
#[allow(missing_docs, reason = "the names say it")]
pub trait Lanes: Copy {
    /// Lanes.
    const N: usize;
    /// A number of a lane.
    type Scalar: Copy + Default;

    unsafe fn splat(value: f64) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn load_counts(from: *const i32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn load_state(from: *const Self::Scalar) -> Self;
    unsafe fn store_state(self, to: *mut Self::Scalar);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + term`
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self;
    /// `term - self * factor`
    unsafe fn mul_sub_from(self, factor: Self, term: Self) -> Self;
    unsafe fn abs(self) -> Self;
    unsafe fn sqrt(self) -> Self;
}

macro_rules! lanes {
    ($name:ty, $n:literal, $scalar:ty, $($method:ident($($arg:ident: $ty:ty),*) -> $ret:ty = $body:expr;)*) => {
        impl Lanes for $name {
            const N: usize = $n;
            type Scalar = $scalar;
            $(
                #[inline(always)]
                unsafe fn $method($($arg: $ty),*) -> $ret {
                    // SAFETY: the trait's contract is the instructions' own.
                    #[allow(unused_unsafe, reason = "arrays need none")]
                    unsafe {
                        $body
                    }
                }
            )*
        }
    };
}

/// Methods with `self` are written as functions of `a`, `b` and `c`.
macro_rules! vector {
    ($name:ty, $n:literal, $scalar:ty,
     splat $splat:expr, load $load:expr, counts $counts:expr, store $store:expr,
     load_state $load_state:expr, store_state $store_state:expr,
     add $add:expr, sub $sub:expr, mul $mul:expr, mul_add $mul_add:expr,
     mul_sub_from $mul_sub:expr, abs $abs:expr, sqrt $sqrt:expr) => {
        impl Lanes for $name {
            const N: usize = $n;
            type Scalar = $scalar;
            #[inline(always)]
            unsafe fn splat(value: f64) -> Self {
                // SAFETY: the trait's contract is the instructions' own; so below.
                unsafe { $splat(value as $scalar) }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: as above.
                unsafe { $load(from) }
            }
            #[inline(always)]
            unsafe fn load_counts(from: *const i32) -> Self {
                // SAFETY: as above.
                unsafe { $counts(from) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as above.
                unsafe { $store(to, self) }
            }
            #[inline(always)]
            unsafe fn load_state(from: *const $scalar) -> Self {
                // SAFETY: as above.
                unsafe { $load_state(from) }
            }
            #[inline(always)]
            unsafe fn store_state(self, to: *mut $scalar) {
                // SAFETY: as above.
                unsafe { $store_state(to, self) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $add(self, other) }
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $sub(self, other) }
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $mul(self, other) }
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
                // SAFETY: as above.
                unsafe { $mul_add(self, factor, term) }
            }
            #[inline(always)]
            unsafe fn mul_sub_from(self, factor: Self, term: Self) -> Self {
                // SAFETY: as above.
                unsafe { $mul_sub(self, factor, term) }
            }
            #[inline(always)]
            unsafe fn abs(self) -> Self {
                // SAFETY: as above.
                unsafe { $abs(self) }
            }
            #[inline(always)]
            unsafe fn sqrt(self) -> Self {
                // SAFETY: as above.
                unsafe { $sqrt(self) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    vector!(__m512, 16, f32,
        splat _mm512_set1_ps, load _mm512_loadu_ps,
        counts |from: *const i32| _mm512_cvtepi32_ps(_mm512_loadu_si512(from.cast())),
        store _mm512_storeu_ps, load_state _mm512_loadu_ps, store_state _mm512_storeu_ps,
        add _mm512_add_ps, sub _mm512_sub_ps, mul _mm512_mul_ps, mul_add _mm512_fmadd_ps,
        mul_sub_from _mm512_fnmadd_ps, abs _mm512_abs_ps, sqrt _mm512_sqrt_ps);

    vector!(__m512d, 8, f64,
        splat _mm512_set1_pd, load |from| _mm512_cvtps_pd(_mm256_loadu_ps(from)),
        counts |from: *const i32| _mm512_cvtepi32_pd(_mm256_loadu_si256(from.cast())),
        store |to, value| _mm256_storeu_ps(to, _mm512_cvtpd_ps(value)),
        load_state _mm512_loadu_pd, store_state _mm512_storeu_pd,
        add _mm512_add_pd, sub _mm512_sub_pd, mul _mm512_mul_pd, mul_add _mm512_fmadd_pd,
        mul_sub_from _mm512_fnmadd_pd, abs _mm512_abs_pd, sqrt _mm512_sqrt_pd);

    vector!(__m256, 8, f32,
        splat _mm256_set1_ps, load _mm256_loadu_ps,
        counts |from: *const i32| _mm256_cvtepi32_ps(_mm256_loadu_si256(from.cast())),
        store _mm256_storeu_ps, load_state _mm256_loadu_ps, store_state _mm256_storeu_ps,
        add _mm256_add_ps, sub _mm256_sub_ps, mul _mm256_mul_ps, mul_add _mm256_fmadd_ps,
        mul_sub_from _mm256_fnmadd_ps,
        abs |value| _mm256_andnot_ps(_mm256_set1_ps(-0.0), value), sqrt _mm256_sqrt_ps);

    vector!(__m256d, 4, f64,
        splat _mm256_set1_pd, load |from| _mm256_cvtps_pd(_mm_loadu_ps(from)),
        counts |from: *const i32| _mm256_cvtepi32_pd(_mm_loadu_si128(from.cast())),
        store |to, value| _mm_storeu_ps(to, _mm256_cvtpd_ps(value)),
        load_state _mm256_loadu_pd, store_state _mm256_storeu_pd,
        add _mm256_add_pd, sub _mm256_sub_pd, mul _mm256_mul_pd, mul_add _mm256_fmadd_pd,
        mul_sub_from _mm256_fnmadd_pd,
        abs |value| _mm256_andnot_pd(_mm256_set1_pd(-0.0), value), sqrt _mm256_sqrt_pd);
}

#[cfg(target_arch = "aarch64")]
pub use neon::{Neon32, Neon64};

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use super::Lanes;

    /// 4 floats.
    pub type Neon32 = float32x4_t;
    /// 2 doubles.
    pub type Neon64 = float64x2_t;

    vector!(float32x4_t, 4, f32,
        splat vdupq_n_f32, load vld1q_f32, counts |from| vcvtq_f32_s32(vld1q_s32(from)),
        store vst1q_f32, load_state vld1q_f32, store_state vst1q_f32,
        add vaddq_f32, sub vsubq_f32, mul vmulq_f32,
        mul_add |a, b, c| vfmaq_f32(c, a, b), mul_sub_from |a, b, c| vfmsq_f32(c, a, b),
        abs vabsq_f32, sqrt vsqrtq_f32);

    vector!(float64x2_t, 2, f64,
        splat vdupq_n_f64, load |from| vcvt_f64_f32(vld1_f32(from)),
        counts |from| vcvtq_f64_s64(vmovl_s32(vld1_s32(from))),
        store |to, value| vst1_f32(to, vcvt_f32_f64(value)),
        load_state vld1q_f64, store_state vst1q_f64,
        add vaddq_f64, sub vsubq_f64, mul vmulq_f64,
        mul_add |a, b, c| vfmaq_f64(c, a, b), mul_sub_from |a, b, c| vfmsq_f64(c, a, b),
        abs vabsq_f64, sqrt vsqrtq_f64);
}

/// Four floats without instructions of their own.
#[derive(Debug, Clone, Copy)]
pub struct F32x4([f32; 4]);
/// Two doubles without instructions of their own.
#[derive(Debug, Clone, Copy)]
pub struct F64x2([f64; 2]);

macro_rules! array {
    ($name:ident, $n:literal, $scalar:ty) => {
        lanes!($name, $n, $scalar,
            splat(value: f64) -> Self = Self([value as $scalar; $n]);
            load(from: *const f32) -> Self =
                Self(std::array::from_fn(|i| from.add(i).read() as $scalar));
            load_counts(from: *const i32) -> Self =
                Self(std::array::from_fn(|i| from.add(i).read() as $scalar));
            load_state(from: *const $scalar) -> Self = Self(from.cast::<[$scalar; $n]>().read());
            store(self: Self, to: *mut f32) -> () =
                to.cast::<[f32; $n]>().write(self.0.map(|value| value as f32));
            store_state(self: Self, to: *mut $scalar) -> () = to.cast::<[$scalar; $n]>().write(self.0);
            add(self: Self, other: Self) -> Self =
                Self(std::array::from_fn(|i| self.0[i] + other.0[i]));
            sub(self: Self, other: Self) -> Self =
                Self(std::array::from_fn(|i| self.0[i] - other.0[i]));
            mul(self: Self, other: Self) -> Self =
                Self(std::array::from_fn(|i| self.0[i] * other.0[i]));
            mul_add(self: Self, factor: Self, term: Self) -> Self =
                Self(std::array::from_fn(|i| self.0[i] * factor.0[i] + term.0[i]));
            mul_sub_from(self: Self, factor: Self, term: Self) -> Self =
                Self(std::array::from_fn(|i| term.0[i] - self.0[i] * factor.0[i]));
            abs(self: Self) -> Self = Self(self.0.map(<$scalar>::abs));
            sqrt(self: Self) -> Self = Self(self.0.map(<$scalar>::sqrt));
        );
    };
}

array!(F32x4, 4, f32);
array!(F64x2, 2, f64);
