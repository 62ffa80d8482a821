//! Keys and certificates of one test, made with the openssl command line: a private authority, what it signed, and what it
//! did not.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::needs::find_program;
use super::sandbox::Sandbox;

/// A folder with `NAME.pem` and `NAME.key` for each of these: `ca`, an authority; `other-ca`, one that nobody trusts; `good`,
/// a server's for the loopback; `elsewhere`, for another host; `expired`; `self-signed`; `client`, for a client.
pub(crate) struct Certificates(PathBuf);

const KEY: [&str; 7] = ["-config", "openssl.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
/// Everything is said here, so that the machine's own settings do not matter.
const SETTINGS: &str = "
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
[stranger]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:elsewhere.example
[client]
basicConstraints = CA:FALSE
extendedKeyUsage = clientAuth
[ca]
default_ca = all
[all]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
certificate = ca.pem
private_key = ca.key
policy = any
[any]
commonName = supplied
";

impl Certificates {
    pub(crate) fn make(sandbox: &Sandbox<'_>) -> Self {
        let made = Self(sandbox.home("certificates"));
        fs::create_dir(&made.0).unwrap();
        for (name, text) in [("openssl.cnf", SETTINGS), ("index", ""), ("serial", "1000\n")] {
            fs::write(made.file(name), text).unwrap();
        }
        made.alone("ca", "authority");
        made.alone("other-ca", "authority");
        made.alone("self-signed", "server");
        let days = ["-days", "30"];
        made.signed("good", "server", &days);
        made.signed("elsewhere", "stranger", &days);
        made.signed("expired", "server", &["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"]);
        made.signed("client", "client", &days);
        made
    }

    /// A file of the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The directives of a server with this certificate.
    pub(crate) fn server(&self, name: &str) -> String {
        let file = |end: &str| self.file(&format!("{name}.{end}")).display().to_string();
        format!("ssl_certificate {}; ssl_certificate_key {};", file("pem"), file("key"))
    }

    /// The directives of a server that wants to know its clients too.
    pub(crate) fn mutual(&self, name: &str) -> String {
        let ca = self.file("ca.pem").display().to_string();
        format!("{} ssl_client_certificate {ca}; ssl_verify_client on;", self.server(name))
    }

    /// A certificate that its own key signed.
    fn alone(&self, name: &str, kind: &str) {
        let (key, pem, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={name}"));
        let options = ["-keyout", &key, "-out", &pem, "-subj", &subject, "-days", "30", "-extensions", kind];
        self.openssl(&["req", "-x509"].into_iter().chain(KEY).chain(options).collect::<Vec<_>>());
    }

    /// A certificate of the authority `ca`.
    fn signed(&self, name: &str, kind: &str, dates: &[&str]) {
        let (key, request, pem) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        let subject = format!("/CN={name}");
        let options = ["-keyout", &key, "-out", &request, "-subj", &subject];
        self.openssl(&["req", "-new"].into_iter().chain(KEY).chain(options).collect::<Vec<_>>());
        let options = ["ca", "-batch", "-notext", "-config", "openssl.cnf", "-extensions", kind];
        let files = ["-in", &request, "-out", &pem];
        self.openssl(&options.into_iter().chain(files).chain(dates.iter().copied()).collect::<Vec<_>>());
    }

    fn openssl(&self, words: &[&str]) {
        let program = find_program("openssl").expect("openssl is installed");
        let output = Command::new(program).args(words).current_dir(&self.0).output().expect("run openssl");
        assert!(output.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
