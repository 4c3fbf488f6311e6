//! The program inside the test images. One small tool that serves, asks, writes and reads, because an image made
//! without a registry has no shell. Results go to stdout; errors go to stderr and end it with code 1.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line tool")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, thread};

const HELP: &str = "usage: probe serve PORT TEXT | get HOST:PORT PATH | fetch http://HOST:PORT/PATH FILE | write FILE TEXT | read FILE | remove FILE | renew FILE TEXT | say TEXT | copy | idle | stubborn | farewell FILE TEXT";
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // PID 1 of a container gets no default action for a signal: without a handler a pod would outlive its grace period.
    if !matches!(arguments[..], ["stubborn" | "farewell", ..]) {
        end_on_sigterm();
    }
    let result = match arguments[..] {
        ["serve", port, text] => serve(port, text),
        ["get", address, path] => get(address, path),
        ["fetch", url, file] => fetch(url, file),
        ["write", file, text] => parent(file).and_then(fs::create_dir_all).and_then(|()| fs::write(file, text)),
        // In one layer of an image, the new directory is opaque.
        ["renew", file, text] => parent(file).and_then(|parent| {
            fs::remove_dir_all(parent)?;
            fs::create_dir(parent)?;
            fs::write(file, text)
        }),
        ["read", file] => fs::read_to_string(file).and_then(|text| writeln!(io::stdout(), "{text}")),
        ["remove", file] => fs::remove_file(file),
        ["say", text] => writeln!(io::stdout(), "{text}"),
        // Ends with its input, and only with that.
        ["copy"] => io::copy(&mut io::stdin(), &mut io::stdout()).map(drop),
        ["idle" | "stubborn"] => loop {
            thread::park();
        },
        ["farewell", file, text] => farewell(file, text),
        _ => Err(io::Error::other(HELP)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", arguments.join(" "));
            ExitCode::FAILURE
        }
    }
}

/// Waits for SIGTERM, and then takes longer than a hurried stop grants before it has written what it has to write.
fn farewell(file: &str, text: &str) -> io::Result<()> {
    let mut set = nix::sys::signal::SigSet::empty();
    set.add(nix::sys::signal::Signal::SIGTERM);
    set.thread_block()?;
    set.wait()?;
    thread::sleep(Duration::from_secs(5));
    fs::write(file, text)
}

fn end_on_sigterm() {
    let mut set = nix::sys::signal::SigSet::empty();
    set.add(nix::sys::signal::Signal::SIGTERM);
    // Blocked in all threads, since it is done before there are others; one waits for it.
    if set.thread_block().is_ok() {
        thread::spawn(move || {
            if set.wait().is_ok() {
                println!("stops on SIGTERM");
                #[expect(
                    clippy::disallowed_methods,
                    clippy::exit,
                    reason = "the only way out of the other thread's loop"
                )]
                std::process::exit(0);
            }
        });
    }
}

fn serve(port: &str, text: &str) -> io::Result<()> {
    let port: u16 = port.parse().map_err(io::Error::other)?;
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("serving on {port}");
    for stream in listener.incoming() {
        let text = text.to_owned();
        thread::spawn(move || {
            if let Err(error) = stream.and_then(|stream| answer(stream, &text)) {
                eprintln!("a request failed: {error}");
            }
        });
    }
    Ok(())
}

fn answer(mut stream: TcpStream, text: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut first = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_line(&mut first)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    println!("{}", first.trim_end());
    let length = text.len() + 1;
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}\n")
}

fn get(address: &str, path: &str) -> io::Result<()> {
    let (_, body) = ask(address, path)?;
    print!("{body}");
    Ok(())
}

/// As `curl --fail --output FILE URL` does it.
fn fetch(url: &str, file: &str) -> io::Result<()> {
    let rest = url.strip_prefix("http://").ok_or_else(|| io::Error::other("not an http URL"))?;
    let slash = rest.find('/').ok_or_else(|| io::Error::other("an URL without a path"))?;
    let (address, path) = rest.split_at(slash);
    let (head, body) = ask(address, path)?;
    if head.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(format!("{head}\n{body}")));
    }
    fs::write(file, body)
}

/// The head and the body of the answer.
fn ask(address: &str, path: &str) -> io::Result<(String, String)> {
    // The system's resolver, with the search list that the cluster gave the pod.
    let resolved = address.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the name has no address"))?;
    let mut stream = TcpStream::connect_timeout(&resolved, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // In one piece: a server that answers and closes after the first one would have its answer lost to a reset.
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("no HTTP answer"))?;
    Ok((head.to_owned(), body.to_owned()))
}

fn parent(file: &str) -> std::io::Result<&std::path::Path> {
    std::path::Path::new(file).parent().ok_or_else(|| std::io::Error::other(format!("{file} has no parent")))
}
