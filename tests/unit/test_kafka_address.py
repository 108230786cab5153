"""What the settings of a cluster may be, before anybody is asked."""

from pathlib import Path

import pytest

from broker.errors import SettingsError
from broker.log.kafka.address import Address
from deploy.kafka.authority import certify


@pytest.mark.parametrize("servers", ["10.0.0.1:9092", "kafka.city:9092", "localhost:1,10.0.0.1:2"])
def test_plain_text_is_for_loopback(servers: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="plain text"):
        Address(servers).check()
    Address("localhost:9092,127.0.0.1:9,[::1]:9").check()
    certify(tmp_path, ["node1"])
    Address(servers, authority=tmp_path / "ca.pem").check()


@pytest.mark.parametrize(
    "servers", ["kafka.city", "localhost:", ":9092", "localhost:1,", "[::1]", "a:0x1", "a:65536"]
)
def test_a_server_without_a_port_is_said(servers: str) -> None:
    with pytest.raises(SettingsError, match=r"kafka_servers.* is not a server with its port"):
        Address(servers).check()


def test_an_authority_without_a_certificate_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----")
    for name in ("missing.pem", "empty.pem", "key.pem", "."):
        for ask in (Address.check, Address.answering):
            with pytest.raises(SettingsError, match=r"kafka_ca.* has no certificate"):
                ask(Address("localhost:9092", authority=tmp_path / name))
