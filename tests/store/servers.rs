//! Bundles in S3, against servers that are independent of each other and of ours: SeaweedFS, which checks
//! signatures, and MiniStack, which keeps encryption and tags.

use crate::real_server::{BUCKET, Server};
use crate::store_contract;
use crate::support::Workplace;
use tokio::runtime::Runtime;

/// Batches in both layouts are made, resumed and verified.
fn takes_batches(server: &Server) {
    let open = |prefix: &str| Server::store(prefix, &server.options());
    store_contract::holds(&open);
    store_contract::tells_writers(&open);
    store_contract::of_many_that_create_one_object_one_does(&open);
    for layout in ["objects", "packs"] {
        let workplace = factory(1200);
        let to = format!("s3://{BUCKET}/{layout}");
        let run = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--to",
            &to,
            "--batch",
            "b-1",
            "--layout",
            layout,
        ];
        server.succeed(&workplace, &run);
        assert!(
            server
                .succeed(&workplace, &run)
                .contains("nothing: 1,200 devices made before")
        );
        let verified = server.succeed(&workplace, &["verify", &format!("{to}/b-1")]);
        assert!(verified.contains("1,200 devices verified"), "{verified}");
    }
}

fn factory(rows: usize) -> Workplace {
    let workplace = Workplace::new();
    workplace.manifest(rows);
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    workplace
}

#[test]
fn seaweedfs_takes_batches_and_refuses_wrong_signatures() {
    let server = Server::seaweedfs();
    takes_batches(&server);

    let workplace = factory(10);
    let run = ["run", "devices.csv", "--no-endpoint", "--to", "s3://factory/c"];
    let output = server
        .command(&workplace, &run)
        .env("AWS_SECRET_ACCESS_KEY", "wrong")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(stderr.contains("403 SignatureDoesNotMatch"), "{stderr}");

    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--to",
        "s3://no-such-bucket/c",
    ];
    let output = server.command(&workplace, &run).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(
        stderr.contains("error: store: there is no bucket no-such-bucket"),
        "{stderr}"
    );
}

#[test]
fn ministack_takes_batches_and_keeps_encryption_tags_and_storage_class() {
    let server = Server::ministack();
    takes_batches(&server);

    for layout in ["objects", "packs"] {
        let workplace = factory(10);
        let key = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555";
        server.succeed(
            &workplace,
            &[
                "run",
                "devices.csv",
                "--no-endpoint",
                "--to",
                "s3://factory/kms",
                "--batch",
                layout,
                "--layout",
                layout,
                "--sse",
                "aws:kms",
                "--sse-kms-key-id",
                key,
                "--storage-class",
                "STANDARD_IA",
                "--tags",
                "--expire-after",
                "30",
            ],
        );
        let runtime = Runtime::new().unwrap();
        let client = server.client();
        let prefix = format!("kms/{layout}/");
        let listed = runtime
            .block_on(client.list_objects_v2().bucket(BUCKET).prefix(&prefix).send())
            .unwrap();
        assert!(listed.contents().len() >= 4);
        for object in listed.contents() {
            let name = object.key().unwrap();
            let head = client.head_object().bucket(BUCKET).key(name).send();
            let head = runtime.block_on(head).unwrap();
            assert_eq!(
                head.server_side_encryption().unwrap().as_str(),
                "aws:kms",
                "{name}"
            );
            assert_eq!(head.ssekms_key_id(), Some(key), "{name}");
            assert_eq!(head.storage_class().unwrap().as_str(), "STANDARD_IA", "{name}");
            let tags = client.get_object_tagging().bucket(BUCKET).key(name).send();
            let tags = runtime.block_on(tags).unwrap();
            let tags: Vec<_> = tags
                .tag_set()
                .iter()
                .map(|tag| (tag.key(), tag.value()))
                .collect();
            let expected = [
                ("certforge-batch", layout),
                ("certforge-profile", "aws-iot-p256"),
                ("certforge-expire-after", "30"),
            ];
            assert_eq!(tags, expected, "{name}");
        }
    }
}
