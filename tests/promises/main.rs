//! The promises.
fn main(){}
