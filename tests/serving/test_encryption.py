"""https with a certificate of one's own: clients that know it get in, those that do not or speak http do not."""

import shutil
import ssl
import subprocess
import time

import httpx
import pytest

from serving.client import Client
from serving.server import require_certificate
from serving.settings import ServingSettings
from tests.serving.conftest import bearer


@pytest.fixture
def certificate(tmp_path):
    """A certificate for localhost with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    line = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", files[0], "-keyout", files[1]]
    subprocess.run([*line.split(), *names], check=True, capture_output=True)
    return files


def test_files_that_are_no_certificate_with_its_key_are_named(tmp_path, certificate):
    file, key = map(str, certificate)
    require_certificate(ServingSettings(certificate=file, private_key=key))
    with pytest.raises(ValueError, match=r"serving\.private_key=none\.pem: there is no such file"):
        require_certificate(ServingSettings(certificate=file, private_key="none.pem"))
    for wrong in ("none.pem", key):
        with pytest.raises(ValueError, match=f"certificate={wrong} cannot be read"):
            Client("https://localhost", "secret", wrong)
    for pair in ((file, file), (key, key)):
        with pytest.raises(ValueError, match=f"serving.certificate={pair[0]} .*: these are no certificate with its"):
            require_certificate(ServingSettings(certificate=pair[0], private_key=pair[1]))


def test_who_knows_the_certificate_gets_in_and_nobody_else(launch, tmp_path, certificate):
    root, (file, key) = tmp_path / "store", certificate
    options = (f"serving.root={root}", "serving.port=0", "serving.local_workers=0")
    server = launch("serving/__main__.py", *options, f"serving.certificate={file}", f"serving.private_key={key}")
    while not (told := server.output.read_text() if server.output.exists() else "") or "the API" not in told:
        time.sleep(0.05)
        assert server.process.exitcode is None
    address = next(word for word in told.split() if word.startswith("https://") and word.endswith("/api"))
    address = address.removesuffix("/api")
    secret = (root / "tokens" / "operator").read_text().strip()
    client = Client(address, secret, str(file))
    assert client.get("/api/models") == []
    client.close()
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(f"{address}/livez", verify=ssl.create_default_context())
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{address.replace('https', 'http')}/livez", headers=bearer(secret))
