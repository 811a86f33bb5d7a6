//! A bare hyper proxy: one thread, a pooled client, nothing checked. What the line costs beyond it is Kanhe's own.

use std::convert::Infallible;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri, server};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// Serves on a free port, which it prints.
pub fn run(origin: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build_http();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).ok();
            let (client, origin) = (client.clone(), origin.to_owned());
            let service = service_fn(move |mut request: Request<Incoming>| {
                let uri: Uri = format!("http://{origin}{}", request.uri().path()).parse().expect("a target");
                *request.uri_mut() = uri;
                let answer = client.request(request);
                async move { Ok::<Response<Incoming>, Infallible>(answer.await.expect("an answer")) }
            });
            tokio::spawn(server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}
