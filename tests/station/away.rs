//! Stations and a store that is not what it was: a share that is not mounted, and what stands before a bucket. What is
//! missing there tells nothing of a claim.

use std::fs;
use std::os::unix::fs::DirBuilderExt;

use crate::line::Line;
use certforge::batch::claim::State;

#[test]
fn a_report_waits_for_a_share_that_is_not_mounted() {
    for is_folder_there in [false, true] {
        let line = Line::new("objects", 4);
        line.claim("st1", "SN000000");
        let (place, away) = (line.0.join("out/b"), line.0.join("away"));
        fs::rename(&place, &away).unwrap();
        if is_folder_there {
            fs::DirBuilder::new().mode(0o700).create(&place).unwrap();
        }
        let output = line.output("st1", &["done", "SN000000"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        assert!(told.contains("REPORTS THAT ARE NOT SENT YET: 1"), "{told}");
        assert!(
            told.contains(
                "error: the claim of device SN000000 is gone, which this station made: there is no "
            ) && told.contains(
                "hint: see that the store is what it was; the report waits, and `station send` sends it"
            ),
            "{told}"
        );
        // Nothing is claimed there, nothing of it is told, and nothing is made.
        let is_away = "certforge: error: store: there is no batch in out/b, where one was\n\
                       certforge: hint: see that it is mounted, and is what it was; nothing was written there";
        let refusal = line.refusal("st1", "SN000001", 6);
        assert!(refusal.ends_with(is_away), "{refusal}");
        for command in [&["status"][..], &["burn"]] {
            assert_eq!(line.fail("st1", command, 6), is_away);
        }
        match is_folder_there {
            true => fs::remove_dir(&place).unwrap(),
            false => assert!(!place.exists()),
        }
        fs::rename(&away, &place).unwrap();
        line.succeed("st1", &["send"]);
        assert_eq!(line.claim_of("SN000000").hold.state, State::Flashed);
    }
}

#[cfg(feature = "s3")]
#[test]
fn a_report_waits_while_something_else_answers_in_place_of_the_bucket() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    use crate::s3;

    let line = s3::Line::new("objects", 4);
    let there = line.server.address;
    line.succeed(there, &["claim", "--device", "SN000000", "--out", "dev"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut lines = BufReader::new(socket.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while lines.read_line(&mut head).is_ok_and(|octets| octets > 2) {
                let of_body = head.to_lowercase();
                length = of_body
                    .strip_prefix("content-length: ")
                    .map_or(length, |n| n.trim().parse().unwrap());
                head.clear();
            }
            let _ = lines.read_exact(&mut vec![0; length]);
            let page = "<html>default backend - 404</html>";
            let answer = format!(
                "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{page}",
                page.len()
            );
            let _ = lines.get_mut().write_all(answer.as_bytes());
        }
    });
    let told = line.succeed(elsewhere, &["done", "SN000000"]);
    assert!(told.contains("REPORTS THAT ARE NOT SENT YET: 1"), "{told}");
    assert!(
        told.contains("the last: 404 by something that is no S3"),
        "{told}"
    );
    let output = line.output(elsewhere, &["send"]);
    assert_eq!(output.status.code(), Some(6), "{}", s3::stderr(&output));
    line.succeed(there, &["send"]);
    let octets = line.store().read("claims/000000/SN000000.json", None).unwrap();
    assert!(String::from_utf8_lossy(&octets).contains("\"state\": \"flashed\""));
}
