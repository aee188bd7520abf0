//! Every input of the committed corpus through its target: what a fuzzer found once stays found.

use std::path::Path;

use outfitter_fuzz_targets::{TARGETS, run};

/// Runs a target over its corpus; answers how many inputs there are.
fn replay(target: &str) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut replayed = 0;
    for entry in std::fs::read_dir(&folder).expect("a corpus folder for each target") {
        let path = entry.expect("an entry").path();
        let input = std::fs::read(&path).expect("an input");
        let outcome = std::panic::catch_unwind(|| run(target, &input));
        assert!(outcome.is_ok(), "{target} breaks on {}", path.display());
        replayed += 1;
    }
    replayed
}

macro_rules! replayed {
    ($($name:ident),+) => {
        $(
            #[test]
            fn $name() {
                let replayed = replay(stringify!($name));
                println!("{replayed} inputs");
                assert!(replayed >= 5);
            }
        )+

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),+];
            let targets = TARGETS.map(|(name, _)| name);
            assert_eq!(replayed, targets);
        }
    };
}

replayed!(
    signed_request,
    policy_document,
    archive,
    agent_frame,
    api_body,
    client_address
);
