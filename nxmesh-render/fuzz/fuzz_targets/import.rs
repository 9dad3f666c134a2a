#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nxmesh_fuzz::import(data));
