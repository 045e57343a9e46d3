"""TLS and mutual TLS (issue "The native switch", Safety)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from finsy.proto import p4r

from p4native.p4runtime.server import ServeError, serve
from p4native.p4runtime.tls import TlsError, TlsOptions, server_credentials
from p4native.switch.device import Device

from .client import Client, code_of
from .programs import Program
from .targets import NativeSwitch

pytestmark = pytest.mark.slow


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_authority(folder: Path, name: str) -> None:
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2",
            "-subj", f"/CN={name}")  # fmt: skip


def make_certificate(folder: Path, name: str, authority: str) -> None:
    openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")  # fmt: skip
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey",
            f"{authority}.key", "-CAcreateserial", "-out", f"{name}.pem", "-days", "2",
            "-extfile", "san")  # fmt: skip


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with a server and a client certificate, and a stranger's."""
    folder = tmp_path_factory.mktemp("pki")
    for authority in ("ca", "elsewhere"):
        make_authority(folder, authority)
    make_certificate(folder, "server", "ca")
    make_certificate(folder, "client", "ca")
    make_certificate(folder, "stranger", "elsewhere")
    return folder


def options(pki: Path, *, client_auth: bool) -> TlsOptions:
    return TlsOptions(pki / "server.pem", pki / "server.key", pki / "ca.pem", client_auth)


@pytest.fixture(params=[False, True], ids=["tls", "mutual"])
def secured(request: pytest.FixtureRequest, pki: Path) -> Iterator[tuple[NativeSwitch, bool]]:
    switch = NativeSwitch(tls=options(pki, client_auth=request.param))
    yield switch, request.param
    switch.stop()


def credentials(pki: Path, name: str | None, authority: str = "ca") -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        (pki / f"{authority}.pem").read_bytes(),
        (pki / f"{name}.key").read_bytes() if name else None,
        (pki / f"{name}.pem").read_bytes() if name else None,
    )


def served(address: str, chosen: grpc.ChannelCredentials | None) -> bool:
    """Whether a client with these credentials gets an answer."""
    client = Client(address, credentials=chosen)
    try:
        client.stub.Capabilities(p4r.CapabilitiesRequest(), timeout=5)
    except grpc.RpcError as error:
        assert code_of(error) == "UNAVAILABLE"
        return False
    finally:
        client.close()
    return True


def test_only_the_right_clients_are_served(secured: tuple[NativeSwitch, bool], pki: Path) -> None:
    switch, mutual = secured
    assert served(switch.address, credentials(pki, "client"))
    assert served(switch.address, credentials(pki, None)) == (not mutual)
    assert served(switch.address, credentials(pki, "stranger")) == (not mutual)
    assert not served(switch.address, credentials(pki, "client", authority="elsewhere"))
    assert not served(switch.address, None)


def test_everything_works_over_tls(
    secured: tuple[NativeSwitch, bool], pki: Path, entities: Program
) -> None:
    client = Client(secured[0].address, credentials=credentials(pki, "client"))
    client.lead(1)
    client.set_pipeline(entities.config())
    assert len(client.read(p4r.Entity(counter_entry=p4r.CounterEntry()))) == 16
    client.close()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"cert": "missing.pem"}, "--grpc-server-cert"),
        ({"key": "missing.key"}, "--grpc-server-key"),
        ({"cert": "server.key"}, "expected a PEM file with a CERTIFICATE block"),
        ({"key": "server.pem"}, "expected a PEM file with a PRIVATE KEY block"),
        ({"cacert": None}, "needs --grpc-server-cacert"),
    ],
)
def test_bad_options_name_the_option(pki: Path, change: dict[str, str | None], text: str) -> None:
    files: dict[str, Path | None] = {
        "cert": pki / "server.pem", "key": pki / "server.key", "cacert": pki / "ca.pem",
    }  # fmt: skip
    files |= {name: pki / value if value else None for name, value in change.items()}
    with pytest.raises(TlsError, match=text):
        server_credentials(TlsOptions(**files, client_auth=True))  # type: ignore[arg-type]


def test_an_address_in_use_is_refused() -> None:
    switch = NativeSwitch()
    device = Device(2)
    try:
        with pytest.raises(ServeError, match=r"cannot listen on .*--grpc-server-addr"):
            serve({2: device}, switch.address)
        with pytest.raises(ServeError, match="cannot listen on"):
            serve({2: device}, "not an address")
    finally:
        device.stop()
        switch.stop()
