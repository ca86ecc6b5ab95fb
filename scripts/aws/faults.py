"""What goes wrong because a test asked for it."""

import json
import socket
import time
from xml.sax.saxutils import escape

FAULTS = []


def add(fault):
    """The fault happens to the next calls of its account and action."""
    FAULTS.append({"times": 1, **fault})
    return fault


def take(call):
    """The fault that happens to a call, if one does."""
    for fault in FAULTS:
        if fault["account"] == call.account and fault["action"] == call.action:
            fault["times"] -= 1
            if fault["times"] <= 0:
                FAULTS.remove(fault)
            return fault
    return None


def refusal(call, status, code, message):
    """An error as the service would write it."""
    if call.json:
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-errortype", code)]
        out = json.dumps({"__type": code, "message": message})
    else:
        headers = [("Content-Type", "text/xml")]
        out = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{escape(code)}</Code>"
            f"<Message>{escape(message)}</Message></Error><RequestId>0</RequestId></ErrorResponse>"
        )
    return f"{status} Refused", headers, out.encode()


def instead(fault, call):
    """The answer that a fault gives in place of moto's; none when moto is asked."""
    match fault["kind"]:
        case "refuse":
            message = fault.get("message", "asked for by the test")
            return refusal(call, fault.get("status", 400), fault["code"], message)
        case "page":
            headers = [("Content-Type", "text/html")]
            return f"{fault['status']} Page", headers, fault["body"].encode()
        case "flood":
            return "200 OK", [("Content-Type", "text/xml")], b"x" * fault["bytes"]
        case "reset":
            call.env["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return "500 Reset", [], b""
        case "delay":
            time.sleep(fault["seconds"])
    return None


def spoil(fault, env, headers, out):
    """The answer as it leaves."""
    half = out[: len(out) // 2]
    others = [(name, value) for name, value in headers if name.lower() != "content-length"]
    match fault["kind"]:
        case "cut":
            return others + [("Content-Length", str(len(half)))], half
        case "end":
            return others + [("Content-Length", str(len(out))), ("Connection", "close")], half
    return headers, out
