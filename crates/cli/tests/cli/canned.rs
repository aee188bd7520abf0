//! A server that answers what it was told, and remembers what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Method and path with query, and what is answered: status, further headers, body. The last answer of a route
/// stays; earlier ones are given once.
pub(crate) type Answer = (&'static str, u16, &'static str, String);

pub(crate) struct Canned {
    pub(crate) endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    pub(crate) fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&asked);
        // Ends with the test's process.
        std::thread::spawn(move || {
            let mut answers = answers;
            for stream in listener.incoming() {
                serve(stream.unwrap(), &mut answers, &remembered);
            }
        });
        Self { endpoint, asked }
    }

    /// Method, path and body of each request, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, answers: &mut Vec<Answer>, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let target: Vec<&str> = line.split(' ').take(2).collect();
    let target = target.join(" ");
    let mut length = 0;
    let mut signed = false;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        signed |= header.starts_with("authorization: sdk-hmac-sha256 access=ak");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    asked.lock().unwrap().push(format!(
        "{target} {}{}",
        if signed { "" } else { "(unsigned) " },
        String::from_utf8_lossy(&body)
    ));
    let found = answers.iter().position(|(route, ..)| *route == target);
    let (status, headers, text) = match found {
        None => (
            404,
            "",
            r#"{"error_code":"TEST","error_msg":"not canned"}"#.to_owned(),
        ),
        Some(at) => {
            let (route, status, headers, text) = answers[at].clone();
            if answers.iter().filter(|(other, ..)| *other == route).count() > 1 {
                answers.remove(at);
            }
            (status, headers, text)
        }
    };
    write!(
        stream,
        "HTTP/1.1 {status} Canned\r\ncontent-length: {}\r\nx-request-id: R1\r\nconnection: close\r\n{headers}\r\n{text}",
        text.len()
    )
    .unwrap();
}
