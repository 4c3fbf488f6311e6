//! The proxy between clients on TCP, plain and with TLS, and a dockerd that plays a part on a unix socket.

use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, SupportedProtocolVersion, crypto::ring};

use super::*;
use crate::docker_proxy::acceptor_at;
use crate::docker_proxy::door::HANDSHAKE_TIMEOUT;

const SOON: Duration = Duration::from_secs(5);

struct Authority {
    params: CertificateParams,
    key: KeyPair,
    certificate: String,
}

/// A certificate and its key, as PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "docker");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { params, key, certificate }
    }

    fn issue(&self, usage: ExtendedKeyUsagePurpose) -> Pair {
        let mut params = CertificateParams::new(vec!["docker".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn client(&self) -> Pair {
        self.issue(ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Writes what the proxy reads.
    fn write(&self, directory: &Path) {
        let server = self.issue(ExtendedKeyUsagePurpose::ServerAuth);
        for (name, text) in
            [("ca.pem", &self.certificate), ("server-cert.pem", &server.certificate), ("server-key.pem", &server.key)]
        {
            std::fs::write(directory.join(name), text).unwrap();
        }
    }
}

/// A proxy that runs.
struct Running {
    _directory: TempDir,
    socket: PathBuf,
    plain: SocketAddr,
    tls: SocketAddr,
    authority: Authority,
    stop: oneshot::Sender<()>,
}

async fn start() -> Running {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let authority = Authority::new();
    authority.write(directory.path());
    let mut proxy = Proxy::new(socket.clone(), OwnHosts::default());
    let anywhere = ([127, 0, 0, 1], 0).into();
    proxy.listen(anywhere).await.unwrap();
    proxy.listen_with_tls(anywhere, acceptor_at(directory.path()).unwrap().unwrap()).await.unwrap();
    let [plain, tls] = [0, 1].map(|index: usize| proxy.entrances[index].listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(proxy.run(async move {
        let _ = stopped.await;
    }));
    Running { _directory: directory, socket, plain, tls, authority, stop }
}

impl Running {
    /// A client like `docker --tlsverify`, with this certificate or none.
    async fn connect(
        &self,
        pair: Option<Pair>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.certificate.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap())
                    .unwrap()
            }
        };
        let stream = TcpStream::connect(self.tls).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("docker").unwrap(), stream).await
    }

    async fn clients(&self) -> Vec<Box<dyn Stream>> {
        let mut clients: Vec<Box<dyn Stream>> = vec![Box::new(TcpStream::connect(self.plain).await.unwrap())];
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            clients.push(Box::new(self.connect(Some(self.authority.client()), &[version]).await.unwrap()));
        }
        clients
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

#[tokio::test]
async fn each_half_closes_on_its_own() {
    let running = start().await;
    let dockerd = UnixListener::bind(&running.socket).unwrap();
    for mut stream in running.clients().await {
        let server = async {
            let (mut stream, _) = dockerd.accept().await.unwrap();
            let mut input = Vec::new();
            // Ends only because the client's end of input comes through.
            stream.read_to_end(&mut input).await.unwrap();
            stream.write_all(b"got ").await.unwrap();
            stream.write_all(&input).await.unwrap();
        };
        let client = async {
            stream.write_all(b"input").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut output = String::new();
            stream.read_to_string(&mut output).await.unwrap();
            output
        };
        assert_eq!(tokio::join!(server, client).1, "got input");
    }
}

/// Go's `CloseWrite` of a TLS connection sends `close_notify` and leaves TCP as it is.
#[tokio::test]
async fn a_close_notify_alone_ends_the_input() {
    let running = start().await;
    let dockerd = UnixListener::bind(&running.socket).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = running.connect(Some(running.authority.client()), &[version]).await.unwrap();
        let server = async {
            let (mut stream, _) = dockerd.accept().await.unwrap();
            let mut input = String::new();
            stream.read_to_string(&mut input).await.unwrap();
            // Long after the other half has ended, and in pieces that are read one by one.
            for piece in 0..3 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.write_all(format!("{input}{piece} ").as_bytes()).await.unwrap();
            }
        };
        let client = async {
            let (mut tcp, mut session) = stream.into_inner();
            std::io::Write::write_all(&mut session.writer(), b"a").unwrap();
            session.send_close_notify();
            let mut bytes = Vec::new();
            while session.wants_write() {
                session.write_tls(&mut bytes).unwrap();
            }
            tcp.write_all(&bytes).await.unwrap();
            let mut received = Vec::new();
            tcp.read_to_end(&mut received).await.unwrap();
            let mut received = received.as_slice();
            while !received.is_empty() {
                session.read_tls(&mut received).unwrap();
                session.process_new_packets().unwrap();
            }
            let mut output = String::new();
            // Fails for an end without `close_notify`.
            std::io::Read::read_to_string(&mut session.reader(), &mut output).unwrap();
            output
        };
        assert_eq!(timeout(SOON, async { tokio::join!(server, client).1 }).await.unwrap(), "a0 a1 a2 ");
    }
}

#[tokio::test]
async fn dockerds_end_leaves_the_clients_half_open() {
    let running = start().await;
    let dockerd = UnixListener::bind(&running.socket).unwrap();
    for mut stream in running.clients().await {
        let server = async {
            let (mut stream, _) = dockerd.accept().await.unwrap();
            stream.write_all(b"output").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut input = String::new();
            stream.read_to_string(&mut input).await.unwrap();
            input
        };
        let client = async {
            let mut output = String::new();
            stream.read_to_string(&mut output).await.unwrap();
            stream.write_all(b"still here").await.unwrap();
            stream.shutdown().await.unwrap();
            output
        };
        let (input, output) = timeout(SOON, async { tokio::join!(server, client) }).await.unwrap();
        assert_eq!((input.as_str(), output.as_str()), ("still here", "output"));
    }
}

#[tokio::test]
async fn large_streams_arrive_whole() {
    let running = start().await;
    let dockerd = UnixListener::bind(&running.socket).unwrap();
    let sent: Vec<u8> = (0..4_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    for stream in running.clients().await {
        let server = async {
            let (mut stream, _) = dockerd.accept().await.unwrap();
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let client = async {
            let (mut read, mut write) = tokio::io::split(stream);
            let mut received = Vec::new();
            let writing = async {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            };
            let ((), reading) = tokio::join!(writing, read.read_to_end(&mut received));
            reading.unwrap();
            received
        };
        assert!(tokio::join!(server, client).1 == sent);
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_off_is_no_end_of_input() {
    let running = start().await;
    let dockerd = UnixListener::bind(&running.socket).unwrap();
    let mut client = running.connect(Some(running.authority.client()), rustls::ALL_VERSIONS).await.unwrap();
    let (mut stream, _) = dockerd.accept().await.unwrap();
    client.write_all(b"half a build con").await.unwrap();
    client.flush().await.unwrap();
    stream.read_exact(&mut [0; 16]).await.unwrap();
    // TCP's half ends without `close_notify`; the client would still read.
    client.get_mut().0.shutdown().await.unwrap();
    assert_eq!(timeout(SOON, stream.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    // dockerd sees a closed connection, not a half-closed one.
    assert_eq!(stream.write_all(b"answer").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn only_clients_of_the_own_ca_are_accepted() {
    let running = start().await;
    let dockerd = UnixListener::bind(&running.socket).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (pair, expected) in [
            (None, "CertificateRequired"),
            // Another container's: of a CA with the same name and another key.
            (Some(Authority::new().client()), "DecryptError"),
            // A server's certificate of the right CA.
            (Some(running.authority.issue(ExtendedKeyUsagePurpose::ServerAuth)), "UnsupportedCertificate"),
        ] {
            // With TLS 1.3 a client completes its part before the server rejects the certificate.
            let error = match running.connect(pair, &[version]).await {
                Err(error) => error,
                Ok(mut stream) => {
                    let _ = stream.write_all(b"GET /_ping HTTP/1.1\r\nhost: docker\r\n\r\n").await;
                    stream.read(&mut [0; 1]).await.unwrap_err()
                }
            };
            let error = error.to_string();
            // TLS 1.2 has no alert for some of these and sends that the handshake failed.
            assert!(error.contains(expected) || error.contains("HandshakeFailure"), "{version:?}: {error}");
        }
    }
    assert!(timeout(Duration::from_millis(100), dockerd.accept()).await.is_err(), "a connection got through");
}

#[tokio::test]
async fn plain_text_on_the_port_with_tls_is_refused() {
    let running = start().await;
    let dockerd = UnixListener::bind(&running.socket).unwrap();
    let mut stream = TcpStream::connect(running.tls).await.unwrap();
    stream.write_all(b"GET /_ping HTTP/1.1\r\nhost: docker\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    // A fatal alert, by which `docker` recognizes a port with TLS.
    assert_eq!(answer.first(), Some(&0x15), "{answer:?}");
    assert!(timeout(Duration::from_millis(100), dockerd.accept()).await.is_err(), "it got through");
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_cut_off() {
    let running = start().await;
    let mut silent = TcpStream::connect(running.tls).await.unwrap();
    let mut slow = TcpStream::connect(running.tls).await.unwrap();
    // The beginning of a ClientHello, and never its end.
    slow.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    // So that both are accepted before the clock advances.
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::pause();
    tokio::time::advance(HANDSHAKE_TIMEOUT + Duration::from_secs(1)).await;
    tokio::time::resume();
    for stream in [&mut silent, &mut slow] {
        let ended = timeout(SOON, stream.read(&mut [0; 1])).await.unwrap();
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
}

#[tokio::test]
async fn callers_get_503_while_dockerd_is_not_up() {
    let running = start().await;
    for mut stream in running.clients().await {
        stream.write_all(b"GET /_ping HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"message\":\"dockerd is not up"), "{answer}");
    }
    // Both a silent caller and a stop are over soon.
    let mut silent = Vec::new();
    for address in [running.plain, running.tls] {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    running.stop.send(()).unwrap();
    for stream in &mut silent {
        let _ = timeout(Duration::from_secs(1), stream.read(&mut [0; 8])).await.unwrap();
    }
}

#[tokio::test]
async fn the_connection_limit_frees_itself() {
    let running = start().await;
    let dockerd = UnixListener::bind(&running.socket).unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = dockerd.accept().await.unwrap();
            let _ = stream.write_all(b"!").await;
            held.push(stream);
        }
    });
    let knock = || async {
        let mut stream = TcpStream::connect(running.plain).await.unwrap();
        let mut byte = [0];
        let length = stream.read(&mut byte).await.unwrap_or(0);
        (stream, length)
    };
    // Callers without a finished handshake count, too.
    let mut unknown = Vec::new();
    for _ in 0..10 {
        unknown.push(TcpStream::connect(running.tls).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut held = Vec::new();
    for _ in unknown.len()..MOST_CONNECTIONS.each {
        let (stream, length) = knock().await;
        assert_eq!(length, 1);
        held.push(stream);
    }
    assert_eq!(knock().await.1, 0);
    drop(unknown);
    let freed = async {
        while knock().await.1 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, freed).await.unwrap();
}

#[tokio::test]
async fn a_web_page_reaches_nothing_and_a_client_does() {
    let running = start().await;
    let dockerd = UnixListener::bind(&running.socket).unwrap();
    let served = tokio::spawn(async move {
        let mut requests = Vec::new();
        for _ in 0..3 {
            let (mut stream, _) = dockerd.accept().await.unwrap();
            let mut request = [0; 1000];
            let length = stream.read(&mut request).await.unwrap();
            requests.push(String::from_utf8_lossy(&request[..length]).into_owned());
            // As dockerd does, for which the proxy is gone in the case of a refusal.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        }
        requests
    });
    let ask = |request: &'static str| async {
        let mut stream = TcpStream::connect(running.plain).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    };
    let page = ask("POST /containers/create HTTP/1.1\r\nhost: localhost\r\norigin: http://a.example\r\n\r\n").await;
    assert!(page.starts_with("HTTP/1.1 403") && page.contains("does not answer web pages"), "{page}");
    let rebound = ask("GET /info HTTP/1.1\r\nhost: rebind.example:2375\r\n\r\n").await;
    assert!(rebound.starts_with("HTTP/1.1 403") && rebound.contains("KUBAKE_CERT_SANS"), "{rebound}");
    assert!(ask("GET /info HTTP/1.1\r\nhost: docker:2375\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    let closing = "GET /info HTTP/1.1\r\nConnection: close\r\nhost: docker:2375\r\n\r\n";
    assert_eq!(served.await.unwrap(), ["", "", closing]);
}

#[test]
fn certificates_are_complete_or_absent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    assert!(acceptor_at(path).unwrap().is_none());
    assert!(acceptor_at(&path.join("nothing")).unwrap().is_none());
    let failure = || kubake_contract::error_chain::chain(&acceptor_at(path).map(drop).unwrap_err());
    let authority = Authority::new();
    authority.write(path);
    assert!(acceptor_at(path).unwrap().is_some());

    std::fs::remove_file(path.join("server-key.pem")).unwrap();
    assert!(failure().contains("cannot read") && failure().contains("server-key.pem"), "{}", failure());
    std::fs::write(path.join("server-key.pem"), authority.client().key).unwrap();
    assert!(failure().contains("server-cert.pem with its key"), "{}", failure());
    std::fs::write(path.join("server-key.pem"), "").unwrap();
    assert!(failure().contains("cannot use") && failure().contains("server-key.pem"), "{}", failure());
    authority.write(path);
    std::fs::write(path.join("ca.pem"), "not a certificate").unwrap();
    assert!(failure().contains("cannot use") && failure().contains("ca.pem"), "{}", failure());
}
