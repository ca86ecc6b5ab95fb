"""moto as an AWS for tests: one process, a line for each call, faults on request.

    serve.py FOLDER [--while PID] [--plain]

Listens on a free port of 127.0.0.1 and writes it to FOLDER/aws.port. Each call is a JSON line of
FOLDER/calls.jsonl: time, key, region, service, action, parameters, status, milliseconds. Unless
--plain, what moto lacks is put right, see cures.py.

An access key that ends in twelve digits is of the account with that number, so tests that run at
the same time share nothing. A test steers with POST, JSON in and out:

    /testbed/set    {"account": A, "healthy_after": S, "active_after": S, "drain_max": S,
                     "unhealthy": [ADDRESS…], "page_size": N}
    /testbed/sign   {"key": K, "secret": S}: signatures of K are checked from now on, by botocore
    /testbed/fault  {"account": A, "action": NAME, "times": N, "kind": KIND, …}, KIND is one of
                      refuse (status, code, message)   the answer is this error
                      delay (seconds)                  it comes late
                      reset                            the connection breaks instead
                      cut                              half of it comes, and says it is whole
                      end                              half of it comes, then the connection ends
                      flood (bytes)                    it is this long
                      page (status, body)              it is a page of somebody in between
    /testbed/calls  {"account": A}: the lines of its calls so far
    /testbed/token  {"key": K, "secret": S, "session": T, "region": R, "cluster": C, "time": EPOCH}:
                    what `aws eks get-token` would give
"""

import io
import json
import logging
import os
import re
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qsl

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

import cures
import faults
import signatures

LOCK = threading.Lock()


class Call:
    """What a request asks for, and of whom."""

    def __init__(self, env, body):
        self.env, self.body = env, body
        signed = env.get("HTTP_AUTHORIZATION", "")
        scope = re.search(r"Credential=([^/,]+)/\d+/([^/]+)/([^/]+)/", signed)
        self.key, self.region, self.service = scope.groups() if scope else ("", "", "")
        digits = re.search(r"\d{12}$", self.key)
        self.account = digits.group() if digits else ""
        self.json = bool(env.get("HTTP_X_AMZ_TARGET")) or self.service == "eks"
        self.action, self.parameters = self._action()

    def _action(self):
        if target := self.env.get("HTTP_X_AMZ_TARGET"):
            return target.rsplit(".", 1)[-1], self._hidden(self._object())
        form = dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))
        if "Action" in form:
            form.pop("Version", None)
            return form.pop("Action"), form
        method, path = self.env["REQUEST_METHOD"], self.env["PATH_INFO"]
        if method == "GET" and re.fullmatch(r"/clusters/[^/]+", path):
            return "DescribeCluster", {"name": path.split("/")[-1]}
        return f"{method} {path}", self._hidden(self._object())

    def _object(self):
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            return {}

    @staticmethod
    def _hidden(parameters):
        return {**parameters, "PrivateKey": "…"} if "PrivateKey" in parameters else parameters


class Front:
    """Answers the test's own questions, passes the rest to moto, and keeps a line of each call."""

    def __init__(self, moto, log):
        self.moto, self.log, self.lines = moto, log, []

    def __call__(self, env, start):
        body = env["wsgi.input"].read(int(env.get("CONTENT_LENGTH") or 0))
        env["wsgi.input"] = io.BytesIO(body)
        if env["PATH_INFO"].startswith("/testbed/"):
            answer = self.testbed(env["PATH_INFO"].removeprefix("/testbed/"), json.loads(body or b"{}"))
            start("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(answer).encode()]
        call, began = Call(env, body), time.time()
        if call.account:
            env["HTTP_X_MOTO_ACCOUNT_ID"] = call.account
        with LOCK:
            fault = faults.take(call)
        status, headers, out = self.answer(call, fault)
        self.keep(call, began, int(status.split()[0]), out, fault)
        if fault:
            headers, out = faults.spoil(fault, env, headers, out)
        start(status, headers)
        return [out]

    def answer(self, call, fault):
        if fault and (answer := faults.instead(fault, call)):
            return answer
        if wrong := signatures.wrong(call):
            return faults.refusal(call, 403, "SignatureDoesNotMatch", wrong)
        seen = []
        # moto is not made for several threads that change one thing.
        with LOCK:
            out = b"".join(self.moto(call.env, lambda status, headers, _=None: seen.extend((status, headers))))
        return seen[0], list(seen[1]), out

    def keep(self, call, began, status, out, fault):
        line = {
            "time": round(began, 3), "account": call.account, "key": call.key, "region": call.region,
            "service": call.service, "action": call.action, "parameters": call.parameters,
            "status": status, "ms": round((time.time() - began) * 1000),
        }
        if fault:
            line["fault"] = fault["kind"]
        if status >= 400:
            line["error"] = out.decode("utf-8", "replace")[:600]
        with LOCK:
            self.lines.append(line)
            self.log.write(json.dumps(line) + "\n")

    def testbed(self, what, given):
        with LOCK:
            if what == "set":
                kept = cures.settings(given.pop("account"))
                kept.update(given)
                return kept
            if what == "fault":
                return faults.add(given)
            if what == "sign":
                return signatures.check(given["key"], given["secret"])
            if what == "calls":
                return [line for line in self.lines if line["account"] == given["account"]]
            if what == "token":
                return {"token": signatures.token(**given)}
        return {"error": f"there is no {what}"}


def end_with(process, folder):
    """Ends this process when that one is gone, and leaves nothing that says that it runs."""
    while Path(f"/proc/{process}").exists():
        time.sleep(0.5)
    for name in ("aws.pid", "aws.port"):
        (folder / name).unlink(missing_ok=True)
    os._exit(0)


def main():
    # The lines of calls.jsonl say more.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    folder, options = Path(sys.argv[1]), sys.argv[2:]
    if "--plain" not in options:
        cures.apply()
    if "--while" in options:
        owner = options[options.index("--while") + 1]
        threading.Thread(target=end_with, args=[owner, folder], daemon=True).start()
    log = open(folder / "calls.jsonl", "a", buffering=1)
    front = Front(DomainDispatcherApplication(create_backend_app), log)
    server = make_server("127.0.0.1", 0, front, threaded=True)
    port = folder / "aws.port"
    port.with_suffix(".new").write_text(str(server.port))
    port.with_suffix(".new").rename(port)
    server.serve_forever()


if __name__ == "__main__":
    main()
