//! A bare hyper proxy: one thread, a pooled client, nothing checked. What the line costs beyond it is Kanhe's own. And an
//! origin that takes a millisecond.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri, server};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// Serves on a free port, which it prints.
fn serve<A, B>(answer: impl Fn(Request<Incoming>) -> A + Clone + 'static)
where
    A: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).ok();
            let answer = answer.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            tokio::task::spawn_local(server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

/// Passes everything on.
pub fn proxy(origin: &str) {
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build_http();
    let origin = origin.to_owned();
    serve(move |mut request: Request<Incoming>| {
        let uri: Uri = format!("http://{origin}{}", request.uri().path()).parse().expect("a target");
        *request.uri_mut() = uri;
        let answer = client.request(request);
        async move { answer.await.expect("an answer") }
    });
}

/// Answers what the fast origin does, a millisecond later.
pub fn slow_origin() {
    let items: Vec<String> = (0..10).map(|n| format!("\"item{n}\":\"value-{n}-abcd\"")).collect();
    let json: Bytes = format!("{{\"data\":[{{{}}}]}}", items.join(",")).into();
    serve(move |_| {
        let json = json.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut answer = Response::new(Full::new(json));
            answer.headers_mut().insert("content-type", "application/json".parse().expect("a value"));
            answer
        }
    });
}
