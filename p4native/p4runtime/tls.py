"""TLS and mutual TLS for the gRPC server, with the options that `simple_switch_grpc` takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc


class TlsError(ValueError):
    """TLS options that contradict each other, or a file that cannot be used."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Files in PEM form; `client_auth` refuses clients without a certificate signed by `cacert`."""

    cert: Path
    key: Path
    cacert: Path | None = None
    client_auth: bool = False


def server_credentials(options: TlsOptions) -> grpc.ServerCredentials:
    """Return gRPC credentials; TlsError names the option and file at fault."""
    if options.client_auth and options.cacert is None:
        raise TlsError(
            "--grpc-server-with-client-auth needs --grpc-server-cacert, "
            "the authority that signed the clients' certificates"
        )
    cert = _read_pem(options.cert, "--grpc-server-cert", b"CERTIFICATE-----")
    key = _read_pem(options.key, "--grpc-server-key", b"PRIVATE KEY-----")
    authority = None
    if options.cacert is not None:
        authority = _read_pem(options.cacert, "--grpc-server-cacert", b"CERTIFICATE-----")
    return grpc.ssl_server_credentials(
        [(key, cert)],
        root_certificates=authority if options.client_auth else None,
        require_client_auth=options.client_auth,
    )


def _read_pem(path: Path, option: str, marker: bytes) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TlsError(f"{option} {path}: {error.strerror}") from None
    if marker not in data:
        raise TlsError(f"{option} {path}: expected a PEM file with a {marker[:-5].decode()} block")
    return data
