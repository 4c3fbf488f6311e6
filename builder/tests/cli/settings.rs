//! Settings, help and data: what is wrong is reported before anything runs.

use super::program::Test;

#[test]
fn mistakes_end_with_64_before_anything_runs() {
    let test = Test::new(&["up", "--pod-subnet", "10.0.0.0/40"])
        .docker("exit 1")
        .file("kubake.yaml", "version: 1\nstaticIp: x\n")
        .env("KUBAKE_READY_TIMEOUT", "soon");
    let (code, stdout, stderr) = test.outcome();
    assert_eq!((code, stdout.as_str(), test.calls().as_str()), (64, "", ""));
    insta::assert_snapshot!(stderr);
    for args in [&["up", "--nonsense"][..], &[], &["bake", "-q", "-v"], &["bake", "--from", "baked"]] {
        assert_eq!(Test::new(args).run().status.code(), Some(64), "{args:?}");
    }
}

#[test]
fn a_settings_file_that_was_named_has_to_be_there() {
    let (code, _, stderr) = Test::new(&["settings", "--settings", "none.yaml"]).outcome();
    assert_eq!(code, 64);
    assert!(stderr.contains("error: failed to read the settings file `none.yaml`: No such file"), "{stderr}");
}

#[test]
fn help_and_data_go_to_stdout() {
    for args in [&["--help"][..], &["--version"], &["settings"], &["settings", "--json"], &["completions", "bash"]] {
        let (code, stdout, stderr) = Test::new(args).outcome();
        assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}");
        assert!(!stdout.is_empty());
    }
}
