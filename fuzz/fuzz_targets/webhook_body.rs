#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    tower_webflow_auth::fuzzing::webhook_body(data);
});
