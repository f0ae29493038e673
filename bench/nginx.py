"""nginx as a peer: the floor. It takes the prefix off, keeps connections and writes a JSON access log, and judges nothing."""

import shutil
import subprocess

from bench.peers import Judgement, Missing, Peer
from bench.site import Cluster, Site

NAME = "nginx"
PACKAGE = "nginx-light"


def peer(site: Site) -> Peer:
    """nginx as installed; raises Missing."""
    binary = program()
    return Peer(NAME, version(binary), lambda port, tls: command(binary, site, port, tls=tls), judges=Judgement.NOTHING)


def program() -> str:
    """Path of the binary, which is not on everybody's path; raises Missing."""
    found = shutil.which(NAME) or shutil.which(NAME, path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise Missing(f"it is not installed (Debian's package {PACKAGE})")
    return found


def version(binary: str) -> str:
    """What it calls itself; raises Missing when it does not run."""
    try:
        said = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError) as failure:
        raise Missing(f"{binary} does not run: {failure}") from failure
    return said.strip().rpartition("/")[2]


def command(binary: str, site: Site, port: int, *, tls: bool) -> list[str]:
    """Write the configuration; returns how to start nginx with it, in the foreground."""
    file = site.folder / f"nginx-{port}.conf"
    file.write_text(configuration(site, port, tls=tls))
    errors = site.folder / f"nginx-{port}.err"
    return [binary, "-p", str(site.folder), "-e", str(errors), "-c", str(file)]


def configuration(site: Site, port: int, *, tls: bool) -> str:
    """One worker; nothing is buffered to files, and streams have no time limits."""
    folders = "".join(
        f"  {kind}_temp_path {site.folder / f'nginx-{port}-{kind}'};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    pair = f"    ssl_certificate {site.certificate_file};\n    ssl_certificate_key {site.key_file};\n" if tls else ""
    ports = dict.fromkeys(site.port(cluster) for cluster in site.clusters)
    return f"""\
daemon off;
master_process on;
worker_processes 1;
pid {site.folder / f"nginx-{port}.pid"};
events {{ worker_connections 30000; }}
http {{
  log_format edge escape=json '{{"time":"$time_iso8601","request_id":"$request_id","client":"$remote_addr","method":"$request_method",'
    '"path":"$request_uri","upstream":"$upstream_addr","status":$status,"bytes_in":$request_length,"bytes_out":$bytes_sent,'
    '"duration":$request_time}}';
  access_log {site.folder / f"nginx-{port}.log"} edge;
{folders}\
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
{"".join(upstream(known) for known in ports)}\
  server {{
    listen 127.0.0.1:{port}{" ssl" if tls else ""} backlog=4096;
{pair}\
    keepalive_requests 100000000;
    client_max_body_size 0;
    large_client_header_buffers 4 64k;
    proxy_http_version 1.1;
    proxy_buffering off;
    proxy_request_buffering off;
    proxy_read_timeout 1h;
    proxy_set_header Host $host;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Authorization "";
{"".join(location(cluster, site) for cluster in site.clusters)}\
  }}
}}
"""


def upstream(port: int) -> str:
    """A group of one server whose connections are kept."""
    return f"  upstream u{port} {{ server 127.0.0.1:{port}; keepalive 128; keepalive_requests 100000000; }}\n"


def location(cluster: Cluster, site: Site) -> str:
    """A child cluster, its prefix taken off."""
    return f"    location {cluster.prefix}/ {{ proxy_pass http://u{site.port(cluster)}/; }}\n"
