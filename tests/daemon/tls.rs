//! DNS over TLS on both sides, with certificates that the test makes.

use crate::client::{Stream, answer, query, whole};
use crate::common::text::shown;
use crate::process::{Daemon, Directory, program, until};
use crate::upstream::Upstream;
use rcgen::generate_simple_self_signed;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

const NAME: &str = "dns.example";

/// A certificate for [`NAME`] that is its own authority, and its key.
struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    fn new() -> Self {
        let made = generate_simple_self_signed([NAME.to_string()]).unwrap();
        Identity { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }

    /// Writes both; the certificate last, so that they belong together by then.
    fn write(&self, directory: &Directory) -> [PathBuf; 2] {
        let key = directory.write("key.pem", &self.key);
        [directory.write("cert.pem", &self.certificate), key]
    }

    fn server(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(vec![self.der()], key).unwrap();
        config.alpn_protocols = vec![b"dot".to_vec()];
        Arc::new(config)
    }

    /// A client that trusts this certificate alone.
    fn connect(&self, server: SocketAddr) -> Stream<StreamOwned<ClientConnection, TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from(NAME).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        Stream(StreamOwned::new(connection, Stream::open(server).0))
    }
}

fn daemon(identity: &Identity, directory: &Directory, clusters: &[&Upstream]) -> Daemon {
    let [certificate, key] = identity.write(directory).map(|path| path.display().to_string());
    let flags = ["--listen-tls", "127.0.0.1:0", "--tls-cert", &certificate, "--tls-key", &key];
    Daemon::start(clusters, &flags)
}

#[test]
fn clients_over_tls_are_answered_and_counted_as_such() {
    let (a, b) = (Upstream::start('a'), Upstream::start('b'));
    let (identity, directory) = (Identity::new(), Directory::new("tls-clients"));
    let daemon = daemon(&identity, &directory, &[&a, &b]);
    let mut stream = identity.connect(daemon.addr_tls());
    for name in ["one", "two"] {
        stream.send(&[query(1, name)]);
        assert_eq!(shown(&stream.receive().unwrap()), whole(name));
    }
    daemon.until_metric("gathersrv_connections", &["tls"], 1.0);
    assert_eq!(daemon.metric("gathersrv_connections", &["tcp"]), 0.0);
    assert_eq!(daemon.metric("gathersrv_queries_total", &["transport=\"tls\""]), 2.0);
    // Somebody who speaks no TLS gets no answer, and no place for long.
    let mut plain = Stream::open(daemon.addr_tls());
    plain.send(&[query(1, "one")]);
    let mut alert = Vec::new();
    let _ = std::io::Read::read_to_end(&mut plain.0, &mut alert);
    assert!(alert.len() < 12, "shorter than any answer: {alert:?}");
    drop(stream);
    daemon.until_metric("gathersrv_connections", &["tls"], 0.0);
}

#[test]
fn a_changed_certificate_is_given_to_the_next_client() {
    let a = Upstream::start('a');
    let (first, second) = (Identity::new(), Identity::new());
    let directory = Directory::new("tls-renewed");
    let daemon = daemon(&first, &directory, &[&a]);
    let mut before = first.connect(daemon.addr_tls());
    before.send(&[query(1, "one")]);
    assert_eq!(shown(&before.receive().unwrap()), whole("one")[..3]);
    second.write(&directory);
    until("the new certificate", || {
        let mut stream = second.connect(daemon.addr_tls());
        std::io::Write::flush(&mut stream.0).ok()?;
        let given = stream.0.conn.peer_certificates()?.first().cloned();
        (given == Some(second.der())).then_some(())
    });
    // Who was there before stays.
    before.send(&[query(2, "two")]);
    assert_eq!(shown(&before.receive().unwrap()), whole("two")[..3]);
}

#[test]
fn a_cluster_over_tls_is_asked_if_it_proves_its_name() {
    let (identity, directory) = (Identity::new(), Directory::new("tls-cluster"));
    let (a, b) = (Upstream::over_tls('a', identity.server()), Upstream::start('b'));
    let [certificate, _] = identity.write(&directory);
    let start = |name: &str| {
        let words =
            format!("cluster-a.local. a- tls://{}#{name} ca={}", a.addr, certificate.display());
        let other = format!("cluster-b.local. b- {}", b.addr);
        let mut command = program();
        command.args(["--listen", "127.0.0.1:0", "--workers", "1", "--deadline", "2s"]);
        command.args(["--zone", "distributed.local.", "--cluster", &words, "--cluster", &other]);
        Daemon::run(command)
    };
    let daemon = start(NAME);
    for name in ["one", "two", "three"] {
        assert_eq!(answer(daemon.addr(), name), whole(name));
    }
    assert_eq!((a.asked(true).len(), a.connections()), (3, 1));

    let daemon = start("other.example");
    let lines = answer(daemon.addr(), "one");
    assert!(lines.contains(&"one.distributed.local. 5 IN A 10.9.1.1".into()), "{lines:?}");
    let told = daemon.event("no_connection");
    assert!(told["message"].as_str().unwrap().contains(&a.addr.to_string()), "{told}");
    assert_eq!(a.asked(true).len(), 3, "it is told nothing");
}

#[test]
fn a_key_of_another_certificate_is_a_mistake_that_names_the_file() {
    let a = Upstream::start('a');
    let directory = Directory::new("tls-wrong");
    let [certificate, key] =
        Identity::new().write(&directory).map(|path| path.display().to_string());
    directory.write("key.pem", &Identity::new().key);
    let flags = ["--listen-tls", "127.0.0.1:0", "--tls-cert", &certificate, "--tls-key", &key];
    let done = program().args(crate::process::zone(&[&a])).args(flags).output().unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{told}");
    assert!(told.contains(&certificate) || told.contains(&key), "{told}");
}
