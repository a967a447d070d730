//! A real S3 server, s3s-fs, in the test's own process. It checks signatures.
//!
//! By itself it looks whether an object is there and writes it a while later, and a request whose client went away
//! is left half done. Here, as on S3, a request is done whole or not at all, and of two writes one is the first.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test crate uses a part of it, and one may use it all"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use certforge::store::{self, Credentials, Place, Store, StoreOptions};
use hyper::Method;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, HttpRequest, HttpResponse};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::RwLock;

/// The one bucket of the server.
pub const BUCKET: &str = "factory";

pub const ACCESS_KEY: &str = "AKIATEST";
pub const SECRET_KEY: &str = "secret of the test";

/// The largest body of a request: a part of an upload in parts, with room.
const LARGEST_BODY: usize = 64 << 20;

pub struct S3Server {
    pub address: SocketAddr,
    root: tempfile::TempDir,
    _runtime: Runtime,
}

impl S3Server {
    pub fn start() -> Self {
        let root = tempfile::tempdir().expect("a scratch folder");
        std::fs::create_dir(root.path().join(BUCKET)).expect("the bucket is made");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads start");
        let files = s3s_fs::FileSystem::new(root.path()).expect("the folder is there");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let order = Arc::new(RwLock::new(()));
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, order) = (service.clone(), order.clone());
                let service = service_fn(move |request: hyper::Request<_>| {
                    serve(service.clone(), order.clone(), request.map(Body::from))
                });
                tokio::spawn(async move {
                    let http = auto::Builder::new(TokioExecutor::new());
                    // A client that goes away is no concern of the server.
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self {
            address,
            root,
            _runtime: runtime,
        }
    }

    /// Where the server keeps an object.
    pub fn file(&self, key: &str) -> PathBuf {
        self.root.path().join(BUCKET).join(key)
    }

    /// The folder of the only batch under a prefix.
    pub fn only_batch(&self, prefix: &str) -> PathBuf {
        let mut batches = std::fs::read_dir(self.file(prefix)).expect("there are batches");
        let batch = batches.next().expect("there is one").expect("it can be read");
        assert!(batches.next().is_none(), "there is one batch");
        batch.path()
    }

    pub fn store(&self, prefix: &str) -> Store {
        open(prefix, &options(self.address))
    }
}

/// Carries out a request that has come whole, to its end: writes one after another.
async fn serve(
    service: S3Service,
    order: Arc<RwLock<()>>,
    mut request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let body = request.body_mut().store_all_limited(LARGEST_BODY).await;
    body.map_err(HttpError::new)?;
    let done = tokio::spawn(async move {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            let _reading = order.read().await;
            service.call(request).await
        } else {
            let _writing = order.write().await;
            service.call(request).await
        }
    });
    done.await.expect("the server does not panic")
}

pub fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Opens a batch in the bucket.
pub fn open(prefix: &str, options: &StoreOptions) -> Store {
    let place = Place::S3 {
        bucket: BUCKET.to_owned(),
        prefix: prefix.to_owned(),
    };
    store::open(&place, options).expect("it opens")
}

pub fn options(address: SocketAddr) -> StoreOptions {
    StoreOptions {
        credentials: Some(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test")),
        endpoint_url: Some(url(address)),
        region: Some("eu-west-1".to_owned()),
        attempts: Some(3),
        ledger: Some("the test's".to_owned()),
        ..StoreOptions::default()
    }
}

/// Gives a command the server's credentials and nothing else of AWS's settings.
pub fn account(command: &mut Command, folder: &Path) {
    no_account(command, folder);
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_REGION", "eu-west-1");
}

/// Takes all of AWS's settings from a command.
pub fn no_account(command: &mut Command, folder: &Path) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .env("HOME", folder)
        .env("AWS_EC2_METADATA_DISABLED", "true");
}
