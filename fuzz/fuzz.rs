//! One program for every target: `FUZZ_TARGET` names it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<String> =
    LazyLock::new(|| std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names the target"));

fuzz_target!(|data: &[u8]| outfitter_fuzz_targets::run(&TARGET, data));
