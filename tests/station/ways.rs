//! Folders above those of a station: whoever could change one could put another folder in the place of what is below.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::line::Line;

#[test]
fn a_folder_below_one_that_others_may_change_is_refused() {
    let line = Line::new("objects", 4);
    let far = line.0.join("far");
    fs::create_dir_all(far.join("near")).unwrap();
    let set_mode = |mode| fs::set_permissions(&far, fs::Permissions::from_mode(mode)).unwrap();
    symlink("far/near", line.0.join("link")).unwrap();
    line.script("exit 0");
    set_mode(0o777);
    for out in ["far/near/dev", "link/dev", "far/dev"] {
        let told = format!(
            "certforge: error: others could put another folder in the place of {out}: far can be written by others (mode 0777)\n\
             certforge: hint: make sure of what is in it, then: chmod go-w far; or choose another --out, best one in /dev/shm itself"
        );
        for command in [&["claim", "--next"][..], &["run", "--exec", "./flash.sh"]] {
            assert_eq!(line.fail("st1", &[command, &["--out", out]].concat(), 2), told);
        }
    }
    for memory in ["far/near/memory", "link/memory"] {
        assert_eq!(
            line.fail("st1", &["send", "--memory", memory], 9),
            "certforge: error: what the station remembers may be somebody else's: far can be written by others (mode 0777)\n\
             certforge: hint: make sure of what is in it, then: chmod go-w far; or choose a folder of your own with --memory"
        );
    }
    assert_eq!(
        fs::read_dir(far.join("near")).unwrap().count(),
        0,
        "nothing is made there"
    );
    assert!(!line.path("claims").exists(), "none of it claimed anything");
    // As /tmp is, where nobody moves what is another's.
    set_mode(0o1777);
    line.succeed(
        "st1",
        &["claim", "--next", "--out", "link/dev", "--memory", "link/memory"],
    );
}
