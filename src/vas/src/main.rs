//! vas

fn main() {}
