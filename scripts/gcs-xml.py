"""Google's XML API in front of fake-gcs-server, which only writes by the JSON API.

    gcs-xml.py PORT UPSTREAM

Writes, copies, listings and multipart uploads are translated, everything else is passed on. That
only one of several writers wins is left to the server behind: nothing is decided here.
"""

import hashlib
import http.client
import itertools
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit
from xml.sax.saxutils import escape

UPSTREAM = urlsplit(sys.argv[2])
PARTS: dict[str, dict[int, bytes]] = {}
COUNTER = itertools.count(1)
LOCK = threading.Lock()


class Xml(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def upstream(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(UPSTREAM.hostname, UPSTREAM.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def answer(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                self.send_header(name, value)
        length = (headers or {}).get("Content-Length") if self.command == "HEAD" else None
        if status != 204:
            self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def parts_of(self):
        url = urlsplit(self.path)
        bucket, _, name = url.path.lstrip("/").partition("/")
        query = {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
        return bucket, unquote(name), query

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def insert(self, bucket, name, body):
        query = {"uploadType": "media", "name": name}
        generation = self.headers.get("x-goog-if-generation-match")
        if generation is not None:
            query["ifGenerationMatch"] = generation
        path = f"/upload/storage/v1/b/{bucket}/o?{urlencode(query)}"
        kind = {"content-type": "application/octet-stream"}
        return self.upstream("POST", path, body, kind)

    def written(self, status, body):
        if status != 200:
            return self.answer(status, body)
        made = json.loads(body)
        etag = made.get("etag") or made.get("md5Hash") or "none"
        self.answer(200, b"", {"ETag": f'"{etag}"', "x-goog-generation": str(made["generation"])})

    def do_PUT(self):
        bucket, name, query = self.parts_of()
        body = self.body()
        if "uploadId" in query:
            with LOCK:
                PARTS.setdefault(query["uploadId"], {})[int(query["partNumber"])] = body
            etag = hashlib.md5(body).hexdigest()
            return self.answer(200, b"", {"ETag": f'"{etag}"'})
        source = self.headers.get("x-goog-copy-source")
        if source:
            from_bucket, _, from_name = unquote(source).lstrip("/").partition("/")
            status, _, answer = self.upstream(
                "POST",
                f"/storage/v1/b/{from_bucket}/o/{quote(from_name, safe='')}"
                f"/rewriteTo/b/{bucket}/o/{quote(name, safe='')}",
                b"{}",
                {"content-type": "application/json"},
            )
            return self.answer(status, b"" if status == 200 else answer)
        status, _, answer = self.insert(bucket, name, body)
        self.written(status, answer)

    def do_POST(self):
        bucket, name, query = self.parts_of()
        self.body()
        if "uploads" in query:
            upload = f"upload-{next(COUNTER)}"
            text = (
                f"<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{escape(name)}</Key>"
                f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            )
            return self.answer(200, text.encode())
        with LOCK:
            parts = PARTS.pop(query["uploadId"], {})
        status, _, answer = self.insert(bucket, name, b"".join(parts[n] for n in sorted(parts)))
        if status != 200:
            return self.answer(status, answer)
        made = json.loads(answer)
        text = (
            "<CompleteMultipartUploadResult>"
            f"<ETag>{made.get('etag') or 'none'}</ETag></CompleteMultipartUploadResult>"
        )
        self.answer(200, text.encode(), {"x-goog-generation": str(made["generation"])})

    def do_DELETE(self):
        bucket, name, query = self.parts_of()
        if "uploadId" in query:
            with LOCK:
                PARTS.pop(query["uploadId"], None)
            return self.answer(204)
        path = f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}"
        status, _, body = self.upstream("DELETE", path)
        self.answer(204 if status == 200 else status, b"" if status in (200, 204) else body)

    def do_GET(self):
        bucket, name, query = self.parts_of()
        if name == "":
            return self.listing(bucket, query)
        headers = {"range": self.headers["range"]} if self.headers.get("range") else {}
        self.answer_with(self.upstream(self.command, f"/{bucket}/{quote(name)}", None, headers))

    do_HEAD = do_GET

    def answer_with(self, response):
        status, headers, body = response
        self.answer(status, body, headers)

    def listing(self, bucket, query):
        wanted = {"maxResults": query.get("max-keys", "1000")}
        for theirs, ours in (("prefix", "prefix"), ("start-after", "startOffset"),
                             ("continuation-token", "pageToken")):
            if query.get(theirs):
                wanted[ours] = query[theirs]
        status, _, body = self.upstream("GET", f"/storage/v1/b/{bucket}/o?{urlencode(wanted)}")
        if status != 200:
            return self.answer(status, body)
        page = json.loads(body)
        after = query.get("start-after", "")
        contents = "".join(
            f"<Contents><Key>{escape(item['name'])}</Key><Size>{item['size']}</Size>"
            f"<LastModified>{item['updated'][:19]}Z</LastModified><ETag>none</ETag></Contents>"
            for item in page.get("items", [])
            if item["name"] > after
        )
        token = page.get("nextPageToken")
        following = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
        self.answer(200, f"<ListBucketResult>{contents}{following}</ListBucketResult>".encode())


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


Server(("127.0.0.1", int(sys.argv[1])), Xml).serve_forever()
