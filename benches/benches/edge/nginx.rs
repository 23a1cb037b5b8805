//! nginx with the same headers set and taken off, without a session to check.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use benches::process::{Process, scratch, until};

pub(crate) struct Nginx {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Nginx {
    pub(crate) fn start(instance: SocketAddr) -> anyhow::Result<Self> {
        let dir = scratch("nginx")?;
        // Free when asked; that somebody takes it in between shows as a failed start.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = dir.join("nginx.conf");
        std::fs::write(
            &config,
            configuration(&dir.display().to_string(), address, instance),
        )?;
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(&dir)
            .arg("-c")
            .arg(&config)
            .stderr(Stdio::null());
        let process = Process::start(&mut command)?;
        until("nginx", || TcpStream::connect(address).is_ok())?;
        Ok(Self { process, address })
    }

    pub(crate) fn request(&self, path: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: bench.localhost:8080\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n"
        )
    }
}

fn configuration(dir: &str, address: SocketAddr, instance: SocketAddr) -> String {
    format!(
        r#"daemon off;
worker_processes auto;
pid {dir}/nginx.pid;
error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    keepalive_requests 100000000;
    upstream instance {{ server {instance}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen {address};
        server_name ~^(?<slug>[a-z0-9-]+)\.localhost$;
        location / {{
            proxy_pass http://instance;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For 192.0.2.1;
            proxy_set_header X-Forwarded-Proto http;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header X-OpenClaw-Tenancy-User u-bench;
            proxy_set_header X-OpenClaw-Tenancy-Proxy 1;
            proxy_set_header X-OpenClaw-Scopes "";
            proxy_set_header Cookie "";
            proxy_set_header Authorization "";
            proxy_set_header Forwarded "";
            proxy_set_header X-Real-IP "";
            proxy_hide_header Clear-Site-Data;
            proxy_hide_header Service-Worker-Allowed;
            proxy_hide_header Strict-Transport-Security;
            add_header X-Request-Id $request_id;
        }}
    }}
}}
"#
    )
}
