"""A small S3 server for reading: the folders below a folder are the buckets. For the documentation's commands and the
benchmarks; the tests of the store itself use a real one. Signatures are not looked at.

    s3_server.py FOLDER [--port N] [--latency MILLISECONDS] [--log FILE]

Prints its URL. Knows GET and HEAD of objects with ranges and conditions, and ListObjectsV2 with pages.
"""

import argparse
import email.utils
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body of an answer go out together.
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    folder = Path()
    latency = 0.0
    log = None

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        time.sleep(self.latency)
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        bucket, _, key = unquote(url.path).strip("/").partition("/")
        folder = self.folder / bucket
        if not bucket or ".." in key.split("/") or not folder.is_dir():
            return self.refuse(404, "NoSuchBucket")
        if not key:
            return self.listing(folder, bucket, query)
        path = folder / key
        if not path.is_file():
            return self.refuse(404, "NoSuchKey")
        return self.object(path)

    def object(self, path):
        status = path.stat()
        tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        if self.headers.get("If-Match", tag) != tag:
            return self.refuse(412, "PreconditionFailed")
        if self.headers.get("If-None-Match") == tag:
            return self.answer(304, {"ETag": tag}, b"")
        start, end, code = 0, status.st_size, 200
        wanted = self.headers.get("Range")
        headers = {
            "ETag": tag,
            "Last-Modified": email.utils.formatdate(status.st_mtime, usegmt=True),
            "Accept-Ranges": "bytes",
        }
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(0, end - int(last))
            end = min(end, int(last) + 1) if first and last else end
            if start >= end:
                return self.refuse(416, "InvalidRange")
            code = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{status.st_size}"
        self.head(code, headers, end - start)
        if self.command == "GET":
            self.wfile.flush()
            with path.open("rb") as file:
                self.connection.sendfile(file, start, end - start)
        return None

    def listing(self, folder, bucket, query):
        prefix, most = query.get("prefix", ""), int(query.get("max-keys", 1000))
        delimiter, after = query.get("delimiter", ""), query.get("continuation-token", query.get("start-after", ""))
        found = {}
        for path in folder.rglob("*"):
            key = path.relative_to(folder).as_posix()
            if not path.is_file() or not key.startswith(prefix):
                continue
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            found[key if cut < 0 else key[: cut + 1]] = path if cut < 0 else None
        names = [name for name in sorted(found) if name > after]
        rows = []
        for name in names[:most]:
            if found[name] is None:
                rows.append(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>")
                continue
            status = found[name].stat()
            modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(status.st_mtime))
            rows.append(
                f"<Contents><Key>{escape(name)}</Key><LastModified>{modified}</LastModified>"
                f"<ETag>&quot;{status.st_mtime_ns:x}-{status.st_size:x}&quot;</ETag><Size>{status.st_size}</Size>"
                "<StorageClass>STANDARD</StorageClass></Contents>"
            )
        more = len(names) > most
        token = f"<NextContinuationToken>{escape(names[most - 1])}</NextContinuationToken>" if more else ""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{escape(bucket)}</Name><Prefix>{escape(prefix)}</Prefix><MaxKeys>{most}</MaxKeys>"
            f"<KeyCount>{len(rows)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(rows)}"
            "</ListBucketResult>"
        )
        self.answer(200, {"Content-Type": "application/xml"}, text.encode())

    def refuse(self, status, code):
        text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
        self.answer(status, {"Content-Type": "application/xml"}, text.encode())

    def answer(self, status, headers, body):
        self.head(status, headers, len(body))
        if self.command == "GET" and status != 304:
            self.wfile.write(body)

    def head(self, status, headers, length):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_request(self, code="-", size="-"):
        if self.log:
            path = quote(urlsplit(self.path).path)
            print(self.command, path, self.headers.get("Range", "-"), int(code), file=self.log, flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--latency", type=float, default=0, help="milliseconds before each answer")
    arguments.add_argument("--log", type=Path)
    given = arguments.parse_args()
    Handler.folder, Handler.latency = given.folder.resolve(), given.latency / 1000
    Handler.log = given.log.open("w") if given.log else None
    ThreadingHTTPServer.request_queue_size = 64
    server = ThreadingHTTPServer(("127.0.0.1", given.port), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
