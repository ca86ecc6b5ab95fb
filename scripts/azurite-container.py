"""Makes a container in Azurite, with its published account and key: azurite-container.py URL NAME"""

import base64
import email.utils
import hashlib
import hmac
import sys
import urllib.error
import urllib.request

ACCOUNT = "devstoreaccount1"
# Printed in Azurite's documentation: the same for everybody, and no secret.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def main(url: str, container: str) -> None:
    date = email.utils.formatdate(usegmt=True)
    headers = {"x-ms-date": date, "x-ms-version": "2021-12-02", "content-type": "text/plain"}
    signed = (
        "PUT" + "\n" * 5 + "text/plain" + "\n" * 7
        + f"x-ms-date:{date}\nx-ms-version:2021-12-02\n"
        + f"/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container"
    )
    mac = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    headers["authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(mac).decode()}"
    request = urllib.request.Request(
        f"{url}/{ACCOUNT}/{container}?restype=container", method="PUT", headers=headers, data=b""
    )
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise SystemExit(f"azurite: {error.code} {error.read().decode()[:300]}")


main(sys.argv[1], sys.argv[2])
