//! Tests of the arithmetic: all kinds of processors against each other, and against exact arithmetic.

mod equality;
mod exact;
mod rig;
