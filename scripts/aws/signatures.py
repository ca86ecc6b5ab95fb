"""Signatures by botocore: to check those of a request, and to make a token to compare with."""

import datetime
import re
from unittest import mock

import botocore.auth
import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SECRETS = {}


def check(key, secret):
    """Signatures of the key are checked from now on."""
    SECRETS[key] = secret
    return {"key": key}


def wrong(call):
    """What is wrong with a call's signature; nothing when it is right or is not checked."""
    if call.key not in SECRETS:
        return None
    env, given = call.env, call.env["HTTP_AUTHORIZATION"]
    names = re.search(r"SignedHeaders=([^,]+)", given).group(1).split(";")
    header = lambda name: env.get("HTTP_" + name.upper().replace("-", "_"), env.get(name.upper().replace("-", "_"), ""))
    query = "?" + env["QUERY_STRING"] if env.get("QUERY_STRING") else ""
    request = AWSRequest(
        method=env["REQUEST_METHOD"], url=f"http://{env['HTTP_HOST']}{env['PATH_INFO']}{query}",
        headers={name: header(name) for name in names}, data=call.body,
    )
    request.context["timestamp"] = env.get("HTTP_X_AMZ_DATE", "")
    signer = botocore.auth.SigV4Auth(Credentials(call.key, SECRETS[call.key]), call.service, call.region)
    canonical = signer.canonical_request(request)
    right = signer.signature(signer.string_to_sign(request, canonical), request)
    if f"Signature={right}" in given and {"host", "x-amz-date"} <= set(names):
        return None
    return f"The request signature we calculated does not match.\n\nThe Canonical String was\n'{canonical}'"


def token(key, secret, region, cluster, time, session=None):
    """The address in the token of `aws eks get-token`, whose code does the same with botocore."""
    frozen = datetime.datetime.fromtimestamp(time, datetime.timezone.utc)
    client = botocore.session.get_session().create_client(
        "sts", region_name=region, aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=session,
    )
    name = "x-k8s-aws-id"

    def retrieve(params, context, **_):
        context[name] = params.pop(name)

    def inject(request, **_):
        request.headers[name] = request.context[name]

    client.meta.events.register("provide-client-params.sts.GetCallerIdentity", retrieve)
    client.meta.events.register("before-sign.sts.GetCallerIdentity", inject)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda *_: frozen):
        return client.generate_presigned_url(
            "get_caller_identity", Params={name: cluster}, ExpiresIn=60, HttpMethod="GET"
        )
