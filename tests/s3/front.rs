//! A real nginx in front of the store: its log says what was asked for, and it can hold a download in the middle until
//! something has happened, however slow or fast the machine is. It passes the host's name on, which is signed for.

use crate::support::access_log::AccessLog;
use crate::support::nginx::{Nginx, Site};

use super::bucket::Bucket;

/// How answers are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Open,
    /// The first megabyte of each at once, and then so slowly that no test waits for the end.
    Held,
    /// So that one connection alone takes a while.
    Slow,
}

impl Manner {
    pub(super) fn rate(self) -> &'static str {
        match self {
            Self::Open => "",
            Self::Held => "limit_rate_after 1m; limit_rate 128k;",
            Self::Slow => "limit_rate 8m;",
        }
    }
}

pub(super) struct Front {
    nginx: Nginx,
    store: String,
}

impl Front {
    /// The name is of the server's directory.
    pub(super) fn start(bucket: &Bucket<'_>, name: &str, manner: Manner) -> Self {
        let store = bucket.authority();
        Self { nginx: Nginx::start(&bucket.sandbox, name, site(&store, manner)), store }
    }

    /// The same URL by way of this.
    pub(super) fn url(&self, of: &str) -> String {
        let url = of.replacen(&self.store, &self.nginx.address(), 1);
        assert_ne!(url, of, "it is a URL of the store");
        url
    }

    /// `HOST:PORT`.
    pub(super) fn authority(&self) -> String {
        self.nginx.address()
    }

    /// Breaks all connections, and nobody listens any more.
    pub(super) fn kill(&mut self) {
        self.nginx.kill();
    }

    /// After [`Self::kill`].
    pub(super) fn start_again(&mut self, manner: Manner) {
        self.nginx.start_again(site(&self.store, manner));
    }

    /// Ends it; gives what it has passed on. What was being served when it was killed is not in it.
    pub(super) fn finish(&mut self) -> AccessLog {
        self.nginx.finish()
    }
}

fn site(store: &str, manner: Manner) -> Site {
    // Nothing is read that nobody takes.
    let pass = format!(
        "proxy_pass http://{store}; proxy_http_version 1.1; proxy_set_header Host $http_host; \
         proxy_max_temp_file_size 0; {}",
        manner.rate()
    );
    Site::new().place("/", &pass)
}
